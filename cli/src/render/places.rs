//! Where in the file something is that was found in what is rendered of it.

use shared::config::Invalid;

use super::File;
use crate::check::{Level, problems};

/// The errors and the warnings that `check` has for what is rendered, each once, with their paths in the file.
pub(super) fn problems_of(file: &File, text: &str) -> (Vec<Invalid>, Vec<Invalid>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (level, line, found) in problems(text) {
        let path = place(file, text, line, &found.path).unwrap_or_default();
        let found = Invalid { path, ..found };
        let list = if level == Level::Error { &mut errors } else { &mut warnings };
        // Every listener has all filters.
        if !list.contains(&found) {
            list.push(found);
        }
    }
    (errors, warnings)
}

/// The place in the file of what a path leads to in what is rendered, where it has one.
fn place(file: &File, text: &str, line: usize, path: &str) -> Option<String> {
    let of_listener = || {
        let (index, _) = path.strip_prefix("static_resources.listeners[")?.split_once(']')?;
        Some(format!("listeners[{index}]"))
    };
    in_filter(file, text, line, path).or_else(of_listener)
}

/// The same of what is in a filter.
fn in_filter(file: &File, text: &str, line: usize, path: &str) -> Option<String> {
    let of = |index: usize, rest: &str| {
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        // A chain is one plugin.
        if let Some((index, rest)) =
            rest.strip_prefix("chain[").and_then(|rest| rest.split_once(']'))
        {
            return Some(format!("filters[{index}]{rest}"));
        }
        let (name, _) = file.filters.get(index)?.iter().next()?;
        Some(Invalid::at(rest, "").within(&format!("filters[{index}].{name}")).path)
    };
    if let Some((_, rest)) = path.split_once(".http_filters[") {
        let (index, rest) = rest.split_once(']')?;
        return of(index.parse().ok()?, rest.split_once(".configuration.value")?.1);
    }
    if let Some((index, rest)) =
        path.strip_prefix("spec.wasm[").and_then(|rest| rest.split_once(']'))
    {
        return of(index.parse().ok()?, rest.strip_prefix(".config")?);
    }
    // Each manifest has a line of its own before it.
    let documents = text.lines().take(line).filter(|line| *line == "---").count();
    of(documents.checked_sub(1)?, path.strip_prefix("spec.pluginConfig")?)
}
