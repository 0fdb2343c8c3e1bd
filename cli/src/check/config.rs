//! A configuration under the code of its filter.

use std::collections::HashMap;

use serde_json::Value;
use shared::config::Invalid;

use super::Options;
use super::cut::{Cut, is_within};
use super::document::{At, Kind, join};
use super::known::Overrides;
use super::lints::Code;
use super::report::Report;
use super::site::{Config, Site};
use super::variables::{Held, Missing, STAND_INS, missing, stand_in};

/// Reads the configuration as the module would, and reports what it says. What is in order reads
/// the metadata that is laid over it.
pub(super) fn check(site: &Site<'_>, options: &Options, report: &mut Report) -> Option<Overrides> {
    report.filters = report.filters.saturating_add(1);
    if let Config::Broken(at, error) = &site.config {
        Code::Config.report_at((error.line, &at.path), &error.message, report);
        return None;
    }
    let mut set = variables(site, options);
    let tree = site.config.tree();
    let missing = tree.as_ref().map(|(config, _)| missing(config, &set)).unwrap_or_default();
    unset(&missing, site, options, report);
    let held = tree.as_ref().map(|(config, _)| Held::of(config, &set));

    let mut kinds = HashMap::new();
    let mut cut = Cut::default();
    loop {
        let (text, paths) = text(site, &cut);
        let error = match settle(site, &text, &paths, &missing, &mut set, &mut kinds) {
            // What is not whole says nothing of what is laid over it.
            Ok(overrides) => return Some(overrides).filter(|_| cut.is_empty()),
            Err(error) => error,
        };
        let Wrong { error, is_changed } = error;
        let (line, path) = place(site, &error);
        // What is wrong with all stand-ins alike is wrong with what is around them.
        let by = |one: &&Missing| {
            !is_of_any_value(&error)
                && !cut.holds(&one.path)
                && (one.path == error.path || (is_changed && depends(&error, one)))
        };
        let left_out = if let Some(one) = missing.iter().find(by) {
            let message = format!("cannot be checked while {} is not set", one.name);
            Code::StandIn.report_at((line, &path), message, report);
            one.path.clone()
        } else if cut.touches(&error.path) && !is_of_any_value(&error) {
            // It misses what was left out.
            error.path.clone()
        } else {
            // Of what is left, something may refer to what is not.
            if cut.is_small(&missing) || is_of_any_value(&error) {
                let message = message(&error, tree.as_ref().map(|(config, _)| config));
                let message = match &held {
                    Some(held) => held.conceal(message),
                    None => message,
                };
                Code::Config.report_at((line, &path), message, report);
            }
            return None;
        };
        if !cut.add(&left_out) {
            return None;
        }
    }
}

/// Why the filter does not take a configuration, whichever stand-ins it has.
struct Wrong {
    error: Invalid,
    /// Whether it is not the same with all of them.
    is_changed: bool,
}

/// Reads a configuration with one kind of stand-in after the other for what the filter does not take.
fn settle<'m>(
    site: &Site<'_>,
    text: &[u8],
    paths: &HashMap<String, String>,
    missing: &'m [Missing],
    set: &mut HashMap<String, String>,
    kinds: &mut HashMap<&'m str, usize>,
) -> Result<Overrides, Wrong> {
    let mut first: Option<Invalid> = None;
    loop {
        for Missing { name, .. } in missing {
            let kind = kinds.entry(name.as_str()).or_default();
            set.insert(name.clone(), stand_in(name, *kind));
        }
        let environment = set.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let Invalid { path, message } = match (site.known.check)(text, &environment, &site.name) {
            Ok(overrides) => return Ok(overrides),
            Err(error) => error,
        };
        let error = Invalid { path: paths.get(&path).cloned().unwrap_or(path), message };
        let is_changed = *first.get_or_insert_with(|| error.clone()) != error;
        if is_of_any_value(&error) || !next(&error, missing, kinds) {
            return Err(Wrong { error, is_changed });
        }
    }
}

/// What the module gets, and which paths in it are which in the file, where they are others.
fn text(site: &Site<'_>, cut: &Cut) -> (Vec<u8>, HashMap<String, String>) {
    if let Some((config, _)) = site.config.tree().filter(|_| !cut.is_empty()) {
        let (value, paths) = cut.apply(config.node);
        return (value.to_string().into_bytes(), paths);
    }
    let text = match &site.config {
        Config::Text(_, text, _) => text.clone().into_bytes(),
        Config::Tree(at) => at.node.value().to_string().into_bytes(),
        Config::Part(_, node) => node.value().to_string().into_bytes(),
        Config::None | Config::Broken(..) => Vec::new(),
    };
    (text, HashMap::new())
}

/// Whether it is wrong whatever the value of a variable is: that is a text, in a field that there is.
fn is_of_any_value(error: &Invalid) -> bool {
    let is = |start| error.message.starts_with(start);
    is("unknown field") || is("invalid type") || is("is set once")
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
    is_within(&missing.path, &error.path)
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
