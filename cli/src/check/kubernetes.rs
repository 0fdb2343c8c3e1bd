//! Filters in what Kubernetes reads: Istio's `WasmPlugin`, Envoy Gateway's `EnvoyExtensionPolicy`.

use super::document::At;
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

/// Whether what an object holds is Envoy's own language.
pub(super) fn is_patch(object: &At<'_>) -> bool {
    kind(object) == Some("EnvoyFilter")
}

/// The filters of ours in an object.
pub(super) fn sites<'a>(object: &At<'a>, report: &mut Report) -> Vec<Placed<'a>> {
    match kind(object) {
        Some("WasmPlugin") => wasm_plugin(object, report).into_iter().collect(),
        Some("EnvoyExtensionPolicy") => extension_policy(object, report),
        _ => Vec::new(),
    }
}

fn kind<'a>(object: &At<'a>) -> Option<&'a str> {
    object.get("kind")?.text()
}

fn wasm_plugin<'a>(object: &At<'a>, report: &mut Report) -> Option<Placed<'a>> {
    let spec = object.get("spec")?;
    let name = spec.text_of("pluginName");
    let known = known_of(spec.get("url").as_ref(), &[name], report)?;
    let phase = match spec.text_of("phase") {
        Some("AUTHN") => 1,
        Some("AUTHZ") => 2,
        Some("STATS") => 3,
        _ => 4,
    };
    let priority = spec.get("priority").and_then(|at| at.node.value().as_i64()).unwrap_or_default();
    let config = spec.get("pluginConfig").map_or(Config::None, Config::Tree);
    let environment = env(&spec);
    let name = name.unwrap_or(known.name).to_owned();
    Some(Placed {
        chain: chain(object, &spec),
        order: (phase, priority.saturating_neg()),
        site: Site { known, name, place: spec, config, environment },
    })
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
    let placed = |(index, plugin): (i64, At<'a>)| {
        let code = plugin.get("code");
        let url = |kind: &str| code.as_ref()?.fields(&[kind, "url"]);
        let names = [plugin.text_of("rootID"), plugin.text_of("name")];
        let known = known_of(url("image").or_else(|| url("http")).as_ref(), &names, report)?;
        let host = plugin.fields(&["env", "hostKeys"]).map(|keys| keys.items()).unwrap_or_default();
        let from_host = host.iter().filter_map(|key| Some(key.text()?.to_owned())).collect();
        Some(Placed {
            chain: format!("policy {}", chain(object, &spec)),
            order: (0, index),
            site: Site {
                known,
                name: plugin.text_of("name").unwrap_or(known.name).to_owned(),
                config: plugin.get("config").map_or(Config::None, Config::Tree),
                environment: Variables { set: Vec::new(), from_host: Some(from_host) },
                place: plugin,
            },
        })
    };
    (0..).zip(plugins).filter_map(placed).collect()
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
    let targets = targets.map(|name| spec.get(name).map(|at| at.node.value().to_string()));
    format!("{namespace:?} {targets:?}")
}
