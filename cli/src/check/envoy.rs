//! Filters in what Envoy reads: a bootstrap, xDS resources, the patches of an `EnvoyFilter`.

use std::collections::HashMap;

use super::bundle;
use super::document::{At, camel_case};
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
    const OF_RESOURCE: [&str; 4] = ["filter_chains", "http_filters", "typed_config", "@type"];
    is_file(top) || OF_RESOURCE.iter().any(|name| top.field(name).is_some())
}

/// Whether they are those of a file that Envoy reads: a bootstrap or a discovery response.
pub(super) fn is_file(top: &At<'_>) -> bool {
    const OF_FILE: [&str; 10] = [
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
    ];
    OF_FILE.iter().any(|name| top.field(name).is_some())
}

/// Fields that stand there in both spellings: which of them counts is for the reader to decide.
pub(super) fn spellings(at: &At<'_>, report: &mut Report) {
    let mut seen = HashMap::new();
    for member in at.members() {
        let other = *seen.entry(camel_case(member.name)).or_insert(member.name);
        if other != member.name {
            let message = format!("is `{other}` in another spelling, and comes twice");
            Code::DuplicateField.report(&member, message, report);
        }
    }
    let is_message = |child: &At<'_>| !is_free(child) && !is_struct(at, child);
    at.children().iter().filter(|child| is_message(child)).for_each(|at| spellings(at, report));
}

/// Whether the names in it are no fields, but anybody's.
fn is_free(at: &At<'_>) -> bool {
    let free = ["filter_metadata", "key_values", "json_format", "static_layer"];
    free.iter().any(|name| at.name == *name || at.name == camel_case(name))
}

/// Whether it is what a `Struct` holds.
fn is_struct(any: &At<'_>, value: &At<'_>) -> bool {
    let kind = any.get("@type").and_then(|kind| kind.text());
    value.name == "value" && kind.is_some_and(|kind| kind.ends_with("protobuf.Struct"))
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
    let environment = vm.as_ref().and_then(|vm| vm.field("environment_variables")).map_or_else(
        || Variables { from_host: Some(Vec::new()), ..Variables::default() },
        |at| variables(&at),
    );
    let named = name.unwrap_or_default().to_owned();
    if text.is_some_and(known::is_ours) || identify(text, &[root, name]).is_some() {
        for place in vm.iter().chain([plugin]) {
            callbacks(place, report);
        }
    }
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

/// Without one of these a filter decides nothing, and Envoy lets everything pass.
fn callbacks(place: &At<'_>, report: &mut Report) {
    const NEEDED: [&str; 4] = [
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_context_create",
        "proxy_on_request_headers",
    ];
    let allowed = place.fields(&["capability_restriction_config", "allowed_capabilities"]);
    let Some(allowed) = allowed.filter(|allowed| !allowed.members().is_empty()) else { return };
    for name in NEEDED.iter().filter(|name| allowed.get(name).is_none()) {
        let message = format!("without `{name}` Envoy does not ask the filter, and lets all pass");
        Code::MissingCallback.report(&allowed, message, report);
    }
}

/// A `StringValue` or a `BytesValue` of JSON, or a `Struct`.
fn config(any: At<'_>) -> Config<'_> {
    let Some(value) = any.field("value") else { return Config::None };
    let kind = any.get("@type").and_then(|kind| kind.text());
    match kind {
        Some(kind) if kind.ends_with(".BytesValue") => Config::of_bytes(value),
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
