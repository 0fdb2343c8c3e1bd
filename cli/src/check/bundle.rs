//! The module that has every filter: which of them a plugin is, or which stand in its chain. The
//! module's own code says so.

use serde_json::{Map, Value};
use shared::bundle::Choice;
use shared::chain;

use super::document::{At, Kind, Node, join};
use super::known::{self, Known};
use super::lints::{self, Code};
use super::report::Report;
use super::site::{Config, Site, Variables};

/// A plugin of that module, where it is configured.
pub(super) struct Plugin<'a> {
    pub(super) root_id: Option<&'a str>,
    /// What it is called.
    pub(super) name: String,
    pub(super) place: At<'a>,
    pub(super) config: Config<'a>,
    pub(super) environment: Variables<'a>,
}

/// The filters that it is, in their order.
pub(super) fn sites<'a>(plugin: Plugin<'a>, report: &mut Report) -> Vec<Site<'a>> {
    let Plugin { root_id, name, place, config, environment } = plugin;
    if let Config::Broken(at, error) = &config {
        Code::Config.report_at((error.line, &at.path), &error.message, report);
        return Vec::new();
    }
    if let (Config::Text(..), Some((top, prefix))) = (&config, config.tree()) {
        // What a filter alone refuses of its text is lost in a part of it.
        lints::duplicates(prefix, &top.all(), report);
    }
    let value = config.tree().map(|(at, _)| at.node.value());
    let object = match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let root_id = root_id.unwrap_or_default();
    let choice = match Choice::of(bundle::FILTERS, root_id, object) {
        Ok(choice) => choice,
        Err(error) => {
            let (line, path) = match config.tree() {
                Some((at, prefix)) => {
                    (at.node.locate(&error.path), join(prefix, &at.path_to(&error.path)))
                }
                None => (place.line, place.path),
            };
            Code::Config.report_at((line, &path), error.message, report);
            return Vec::new();
        }
    };
    let known: Vec<_> =
        choice.parts().filter_map(|(_, part)| known::find(part.kind.name())).collect();
    let is_chain = matches!(choice, Choice::Chain { .. });
    let mut configs = if is_chain { of_chain(&config) } else { vec![without_choice(config)] };
    let site = |(known, config): (&'static Known, Config<'a>)| Site {
        known,
        name: name.clone(),
        place: place.clone(),
        config,
        environment: environment.clone(),
    };
    known.into_iter().zip(configs.drain(..)).map(site).collect()
}

/// The configuration of each filter of a chain.
fn of_chain<'a>(config: &Config<'a>) -> Vec<Config<'a>> {
    let Some((top, prefix)) = config.tree() else { return Vec::new() };
    let entries = top.get(chain::NAME).map(|list| list.items()).unwrap_or_default();
    let filters = entries.iter().filter_map(|entry| entry.members().into_iter().next());
    filters.map(|at| Config::Part(join(prefix, &at.path), Box::new(at.node.clone()))).collect()
}

/// A configuration without the field that says whose it is.
fn without_choice(config: Config<'_>) -> Config<'_> {
    const FILTER: &str = "filter";
    let Some((top, prefix)) = config.tree() else { return config };
    let Kind::Object(members) = &top.node.kind else { return config };
    if members.iter().all(|member| member.name != FILTER) {
        return config;
    }
    let members = members.iter().filter(|member| member.name != FILTER).cloned().collect();
    let node = Node { line: top.node.line, kind: Kind::Object(members) };
    Config::Part(join(prefix, &top.path), Box::new(node))
}
