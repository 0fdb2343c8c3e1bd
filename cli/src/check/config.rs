//! A configuration under the code of its filter.

use std::collections::HashMap;

use serde_json::Value;
use shared::config::Invalid;

use super::Options;
use super::document::{At, Kind, join};
use super::known::Overrides;
use super::lints::Code;
use super::report::Report;
use super::site::{Config, Site};
use super::variables::{Missing, STAND_INS, missing, stand_in};

/// Reads the configuration as the module would, and reports what it says. What is in order reads
/// the metadata that is laid over it.
pub(super) fn check(site: &Site<'_>, options: &Options, report: &mut Report) -> Option<Overrides> {
    report.filters = report.filters.saturating_add(1);
    let read = site.known.check;
    if let Config::Broken(at, error) = &site.config {
        Code::Config.report_at((error.line, &at.path), &error.message, report);
        return None;
    }
    let mut set = variables(site, options);
    let tree = site.config.tree();
    let missing = tree.as_ref().map(|(config, _)| missing(config, &set)).unwrap_or_default();
    unset(&missing, site, options, report);

    let text = match &site.config {
        Config::Text(at, _) => at.text().unwrap_or_default().as_bytes().to_vec(),
        Config::Tree(at) => at.node.value().to_string().into_bytes(),
        Config::Part(_, node) => node.value().to_string().into_bytes(),
        Config::None | Config::Broken(..) => Vec::new(),
    };
    let (mut kinds, mut first) = (HashMap::new(), None);
    let error = loop {
        for Missing { name, .. } in &missing {
            let kind = kinds.entry(name.as_str()).or_default();
            set.insert(name.clone(), stand_in(name, *kind));
        }
        let environment = set.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let error = match read(&text, &environment, &site.name) {
            Ok(overrides) => return Some(overrides),
            Err(error) => error,
        };
        first.get_or_insert_with(|| error.clone());
        if !next(&error, &missing, &mut kinds) {
            break error;
        }
    };
    let (line, path) = place(site, &error);
    // What is wrong with all stand-ins alike is wrong with what is around them.
    let is_changed = first.as_ref() != Some(&error);
    let by = |one: &&Missing| one.path == error.path || (is_changed && depends(&error, one));
    match missing.iter().find(by) {
        Some(one) => {
            let message = format!("cannot be checked while {} is not set", one.name);
            Code::StandIn.report_at((line, &path), message, report);
        }
        None => {
            let message = message(&error, tree.as_ref().map(|(config, _)| config));
            Code::Config.report_at((line, &path), message, report);
        }
    }
    None
}

/// Reads what metadata says for the filter as the module would, wherever it stands.
pub(super) fn check_overrides(
    overrides: &Overrides,
    site: &Site<'_>,
    all: &[At<'_>],
    report: &mut Report,
) {
    for at in all.iter().filter(|at| matches!(at.name, "filter_metadata" | "filterMetadata")) {
        let Some(at) = at.get("gatehouse").and_then(|ours| ours.get(site.known.name)) else {
            continue;
        };
        let outcome = match at.node.value() {
            Value::Object(metadata) => overrides(&metadata),
            _ => Err(Invalid::at("", "is not an object")),
        };
        if let Err(error) = outcome {
            let line = if error.path.is_empty() { at.line } else { at.node.locate(&error.path) };
            let message = message(&error, Some(&at));
            Code::Config.report_at((line, &at.path_to(&error.path)), message, report);
        }
    }
}

/// Goes to the next kind of stand-in for what the error may come from; `false` where there is none.
fn next<'m>(error: &Invalid, missing: &'m [Missing], kinds: &mut HashMap<&'m str, usize>) -> bool {
    let mut has_moved = false;
    for one in missing.iter().filter(|one| depends(error, one)) {
        let kind = kinds.entry(&one.name).or_default();
        if *kind < STAND_INS {
            *kind = kind.saturating_add(1);
            has_moved = *kind < STAND_INS || has_moved;
        }
    }
    has_moved
}

/// Whether what is wrong may be the stand-in.
fn depends(error: &Invalid, missing: &Missing) -> bool {
    let rest = missing.path.strip_prefix(&error.path);
    let is_within = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    rest.is_some_and(|rest| error.path.is_empty() || is_within(rest))
}

/// The variables whose values are known.
fn variables(site: &Site<'_>, options: &Options) -> HashMap<String, String> {
    let given = site.environment.set.iter();
    let given = given.filter_map(|(name, at)| Some((name.clone(), at.text()?.to_owned())));
    let mut set: HashMap<_, _> = given.collect();
    if options.env {
        let host = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let from_host = site.environment.from_host.as_ref();
        set.extend(host.filter(|(name, _)| from_host.is_none_or(|names| names.contains(name))));
    }
    set
}

/// Reports variables that the filter will not have, or does not have here.
fn unset(missing: &[Missing], site: &Site<'_>, options: &Options, report: &mut Report) {
    let prefix = site.config.tree().map(|(config, prefix)| join(prefix, &config.path));
    for Missing { name, line, path } in missing {
        let path = join(prefix.as_deref().unwrap_or_default(), path);
        let from_host = site.environment.from_host.as_ref();
        if from_host.is_some_and(|names| !names.contains(name)) {
            let message = format!("nothing here gives the VM the environment variable {name}");
            Code::UndeclaredVariable.report_at((*line, &path), message, report);
        } else if !options.allow_unset {
            let message = format!(
                "the environment variable {name} is not set; --env takes this program's, --allow-unset does without"
            );
            Code::UnsetVariable.report_at((*line, &path), message, report);
        }
    }
}

/// The line and the whole path of an error.
fn place(site: &Site<'_>, error: &Invalid) -> (usize, String) {
    match site.config.tree() {
        Some((config, prefix)) if error.path.is_empty() => {
            (config.line, join(prefix, &config.path))
        }
        Some((config, prefix)) => {
            let path = config.path_to(&error.path);
            (config.node.locate(&error.path), join(prefix, &path))
        }
        None => (site.place.line, site.place.path.clone()),
    }
}

/// What the filter says, and what YAML has to do with it.
fn message(error: &Invalid, config: Option<&At<'_>>) -> String {
    let found = config.and_then(|config| {
        config.all().into_iter().find(|at| config.path_to(&error.path) == at.path)
    });
    match found.map(|at| &at.node.kind) {
        Some(Kind::Bool(_)) if error.message.contains("boolean") => {
            format!("{}; without quotes `on`, `off`, `yes`, `no` are booleans", error.message)
        }
        _ => error.message.clone(),
    }
}
