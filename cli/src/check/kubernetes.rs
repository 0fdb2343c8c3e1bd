//! Filters in what Kubernetes reads: Istio's `WasmPlugin`, Envoy Gateway's `EnvoyExtensionPolicy`.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::bundle;
use super::document::{At, Document, Kind, Member};
use super::known;
use super::lints::Code;
use super::report::Report;
use super::site::{Config, Site, Variables, identify};

/// A filter, and how it stands among the others on the same workloads.
pub(super) struct Placed<'a> {
    pub(super) site: Site<'a>,
    /// Those with the same key are one behind the other.
    pub(super) chain: String,
    /// The least is the first.
    pub(super) order: (u8, i64),
}

/// The objects of a manifest: itself, or the items of a list.
pub(super) fn objects<'a>(top: &At<'a>) -> Option<Vec<At<'a>>> {
    let (_, kind) = (top.get("apiVersion")?, top.get("kind")?.text()?);
    match top.get("items") {
        Some(items) if kind.ends_with("List") => Some(items.items()),
        _ => Some(vec![top.clone()]),
    }
}

/// Names that are none in Kubernetes, which takes the words for what they stand for elsewhere.
pub(super) fn names(all: &[At<'_>], report: &mut Report) {
    for at in all {
        let Kind::Object(members) = &at.node.kind else { continue };
        let names = members.iter().zip(at.members()).filter(|(member, _)| member.is_word);
        for (Member { name, .. }, at) in names {
            let message =
                format!("quote it: without quotes Kubernetes does not read `{name}` as a text");
            Code::UnquotedName.report(&at, message, report);
        }
    }
}

/// Objects of one kind, namespace and name: the cluster keeps the last.
pub(super) fn repeated(documents: &[Document], report: &mut Report) {
    let mut seen = HashSet::new();
    let tops = documents.iter().map(|document| At::top(&document.root));
    for object in tops.filter_map(|top| objects(&top)).flatten() {
        let Some(name) = object.fields(&["metadata", "name"]) else { continue };
        let namespace = object.fields(&["metadata", "namespace"]).and_then(|at| at.text());
        let group = object.text_of("apiVersion").and_then(|version| version.rsplit_once('/'));
        let kind = (group.map(|(group, _)| group), kind(&object), namespace);
        if name.text().is_some_and(|text| !seen.insert((kind, text))) {
            let message =
                "an object of this kind and name is there already: the cluster keeps the last";
            Code::DuplicateObject.report(&name, message, report);
        }
    }
}

/// Whether what an object holds is Envoy's own language.
pub(super) fn is_patch(object: &At<'_>) -> bool {
    kind(object) == Some("EnvoyFilter")
}

/// The filters of ours in an object.
pub(super) fn sites<'a>(object: &At<'a>, report: &mut Report) -> Vec<Placed<'a>> {
    match kind(object) {
        Some("WasmPlugin") => wasm_plugin(object, report).unwrap_or_default(),
        Some("EnvoyExtensionPolicy") => extension_policy(object, report),
        _ => Vec::new(),
    }
}

/// Whether an object is meant to hold a filter, by its kind or what is nearly that.
pub(super) fn is_for_filters(object: &At<'_>) -> bool {
    let kind = kind(object).unwrap_or_default().to_ascii_lowercase();
    kind.starts_with("wasmplugin") || kind.starts_with("envoyextensionpolic")
}

fn kind<'a>(object: &At<'a>) -> Option<&'a str> {
    object.get("kind")?.text()
}

fn wasm_plugin<'a>(object: &At<'a>, report: &mut Report) -> Option<Vec<Placed<'a>>> {
    let spec = object.get("spec")?;
    let name = spec.text_of("pluginName");
    let url = spec.get("url");
    let phase = match spec.text_of("phase") {
        Some("AUTHN") => 1,
        Some("AUTHZ") => 2,
        Some("STATS") => 3,
        _ => 4,
    };
    let priority = spec.get("priority").and_then(|at| at.node.value().as_i64()).unwrap_or_default();
    let config = spec.get("pluginConfig").map_or(Config::None, Config::Tree);
    let environment = env(&spec);
    let (chain, order) = (chain(object, &spec), (phase, priority.saturating_neg()));
    let sites = if is_bundle(url.as_ref()) {
        let called = name.unwrap_or_default().to_owned();
        let plugin =
            bundle::Plugin { root_id: name, name: called, place: spec, config, environment };
        bundle::sites(plugin, report)
    } else {
        let known = known_of(url.as_ref(), &[name], report)?;
        let name = name.unwrap_or(known.name).to_owned();
        vec![Site { known, name, place: spec, config, environment }]
    };
    Some(sites.into_iter().map(|site| Placed { site, chain: chain.clone(), order }).collect())
}

/// `vmConfig.env`: a value, or `valueFrom: HOST`.
fn env<'a>(spec: &At<'a>) -> Variables<'a> {
    let mut variables = Variables { from_host: Some(Vec::new()), ..Variables::default() };
    let entries = spec.fields(&["vmConfig", "env"]).map(|env| env.items()).unwrap_or_default();
    for entry in entries {
        let Some(name) = entry.text_of("name").map(str::to_owned) else { continue };
        match (entry.text_of("valueFrom"), entry.get("value")) {
            (Some("HOST"), _) => variables.from_host.get_or_insert_default().push(name),
            (_, Some(value)) => variables.set.push((name, value)),
            _ => {}
        }
    }
    variables
}

fn extension_policy<'a>(object: &At<'a>, report: &mut Report) -> Vec<Placed<'a>> {
    let Some(spec) = object.get("spec") else { return Vec::new() };
    let plugins = spec.get("wasm").map(|list| list.items()).unwrap_or_default();
    let mut placed = |(index, plugin): (i64, At<'a>)| {
        let code = plugin.get("code");
        let url = |kind: &str| code.as_ref()?.fields(&[kind, "url"]);
        let names = [plugin.text_of("rootID"), plugin.text_of("name")];
        let url = url("image").or_else(|| url("http"));
        let host = plugin.fields(&["env", "hostKeys"]).map(|keys| keys.items()).unwrap_or_default();
        let from_host = host.iter().filter_map(|key| Some(key.text()?.to_owned())).collect();
        let name = plugin.text_of("name").map(str::to_owned);
        let config = plugin.get("config").map_or(Config::None, Config::Tree);
        let environment = Variables { set: Vec::new(), from_host: Some(from_host) };
        let sites = if is_bundle(url.as_ref()) {
            let (root_id, name) = (plugin.text_of("rootID"), name.unwrap_or_default());
            let plugin = bundle::Plugin { root_id, name, place: plugin, config, environment };
            bundle::sites(plugin, report)
        } else {
            let known = known_of(url.as_ref(), &names, report)?;
            let name = name.unwrap_or_else(|| known.name.to_owned());
            vec![Site { known, name, place: plugin, config, environment }]
        };
        let chain = format!("policy {}", chain(object, &spec));
        let of = move |site| Placed { site, chain: chain.clone(), order: (0, index) };
        Some(sites.into_iter().map(of).collect::<Vec<_>>())
    };
    (0..).zip(plugins).filter_map(&mut placed).flatten().collect()
}

/// Whether it is the module that has every filter.
fn is_bundle(module: Option<&At<'_>>) -> bool {
    module.and_then(|at| at.text()).is_some_and(known::is_bundle)
}

fn known_of(
    module: Option<&At<'_>>,
    names: &[Option<&str>],
    report: &mut Report,
) -> Option<&'static known::Known> {
    let text = module.and_then(|at| at.text());
    let known = identify(text, names);
    if let (None, Some(module)) = (known, module)
        && text.is_some_and(known::is_ours)
    {
        let message = "which filter it is cannot be told from its image or its name";
        Code::UnknownFilter.report(module, message, report);
    }
    known
}

/// What a policy is for: its namespace and its targets.
fn chain(object: &At<'_>, spec: &At<'_>) -> String {
    let namespace = object.fields(&["metadata", "namespace"]).and_then(|at| at.text());
    let targets = ["selector", "targetRef", "targetRefs", "targetSelectors"];
    let targets = targets.map(|name| spec.get(name).map(|at| sorted(at.node.value()).to_string()));
    format!("{namespace:?} {targets:?}")
}

/// The same, in an order that nobody chose.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let members = object.into_iter().map(|(name, value)| (name, sorted(value)));
            let members: BTreeMap<_, _> = members.collect();
            members.into_iter().collect()
        }
        Value::Array(list) => {
            let mut list: Vec<_> = list.into_iter().map(sorted).collect();
            list.sort_by_cached_key(Value::to_string);
            Value::Array(list)
        }
        other => other,
    }
}
