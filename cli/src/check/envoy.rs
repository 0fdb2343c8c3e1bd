//! Filters in what Envoy reads: a bootstrap, xDS resources, the patches of an `EnvoyFilter`.

use super::bundle;
use super::document::At;
use super::known;
use super::lints::Code;
use super::report::Report;
use super::site::{Config, Site, Variables, identify};

/// A connection manager, and its filters in their order.
pub(super) struct Manager<'a> {
    pub(super) at: At<'a>,
    /// Its `http_filters`.
    pub(super) filters: Vec<At<'a>>,
}

/// Whether the members at the top of a document are those of a bootstrap, a discovery response or a
/// resource.
pub(super) fn is_envoy(top: &At<'_>) -> bool {
    const OF_BOOTSTRAP: [&str; 14] = [
        "static_resources",
        "dynamic_resources",
        "admin",
        "stats_config",
        "stats_sinks",
        "layered_runtime",
        "overload_manager",
        "cluster_manager",
        "bootstrap_extensions",
        "resources",
        "filter_chains",
        "http_filters",
        "typed_config",
        "@type",
    ];
    OF_BOOTSTRAP.iter().any(|name| top.field(name).is_some())
}

/// All connection managers.
pub(super) fn managers<'a>(all: &[At<'a>]) -> Vec<Manager<'a>> {
    let managers = all.iter().filter_map(|at| typed(at, "HttpConnectionManager"));
    let manager = |at: At<'a>| {
        let filters = at.field("http_filters").map(|list| list.items()).unwrap_or_default();
        Manager { at, filters }
    };
    managers.map(manager).collect()
}

/// All filters of ours.
pub(super) fn sites<'a>(all: &[At<'a>], report: &mut Report) -> Vec<Site<'a>> {
    let wasm = all.iter().filter_map(|at| typed(at, "filters.http.wasm.v3.Wasm"));
    let plugins = wasm.filter_map(|wasm| wasm.field("config"));
    plugins.flat_map(|plugin| of_plugin(&plugin, report)).collect()
}

/// What is of a type: the object that says so, or the `value` of a `TypedStruct`.
fn typed<'a>(at: &At<'a>, ending: &str) -> Option<At<'a>> {
    let of = |name: &str| at.get(name).and_then(|kind| kind.text());
    let is = |kind: Option<&str>| kind.is_some_and(|kind| kind.ends_with(ending));
    if is(of("@type")) {
        return Some(at.clone());
    }
    let is_struct = of("@type").is_some_and(|kind| kind.ends_with(".TypedStruct"));
    (is_struct && is(at.text_of("type_url"))).then(|| at.field("value"))?
}

/// One filter, none of ours, or those of a chain.
fn of_plugin<'a>(plugin: &At<'a>, report: &mut Report) -> Vec<Site<'a>> {
    let vm = plugin.field("vm_config");
    let code = vm.as_ref().and_then(|vm| vm.field("code"));
    let module = code.as_ref().and_then(|code| {
        let local = code.fields(&["local", "filename"]);
        local.or_else(|| code.fields(&["remote", "http_uri", "uri"]))
    });
    let module = module.as_ref();
    let (name, root) = (plugin.text_of("name"), plugin.text_of("root_id"));
    let text = module.and_then(|at| at.text());
    let place = plugin.clone();
    let config = plugin.field("configuration").map_or(Config::None, config);
    let environment = vm.and_then(|vm| vm.field("environment_variables")).map_or_else(
        || Variables { from_host: Some(Vec::new()), ..Variables::default() },
        |at| variables(&at),
    );
    let named = name.unwrap_or_default().to_owned();
    if text.is_some_and(known::is_bundle) {
        let plugin = bundle::Plugin { root_id: root, name: named, place, config, environment };
        return bundle::sites(plugin, report);
    }
    let Some(known) = identify(text, &[root, name]) else {
        if let Some(module) = module.filter(|_| text.is_some_and(known::is_ours)) {
            let message = "which filter it is cannot be told from its module, `root_id` or `name`";
            Code::UnknownFilter.report(module, message, report);
        }
        return Vec::new();
    };
    vec![Site { known, name: named, place, config, environment }]
}

/// A `StringValue` of JSON, or a `Struct`.
fn config(any: At<'_>) -> Config<'_> {
    let Some(value) = any.field("value") else { return Config::None };
    let is_text = any.get("@type").and_then(|kind| kind.text());
    match is_text {
        Some(kind) if kind.ends_with("Value") => Config::of_text(value),
        _ => Config::Tree(value),
    }
}

fn variables<'a>(at: &At<'a>) -> Variables<'a> {
    let values = at.field("key_values").map(|values| values.members()).unwrap_or_default();
    let host = at.field("host_env_keys").map(|names| names.items()).unwrap_or_default();
    Variables {
        set: values.into_iter().map(|value| (value.name.to_owned(), value)).collect(),
        from_host: Some(host.iter().filter_map(|name| Some(name.text()?.to_owned())).collect()),
    }
}
