//! Lines of `telemetry` that nobody prints.

use super::{At, Code, Report};
use crate::check::site::{Config, Site};

const STATE: &str = "wasm.gatehouse.log";

/// Looks at what the access log of a connection manager with these filters prints.
pub(in crate::check) fn check(manager: &At<'_>, sites: &[&Site<'_>], report: &mut Report) {
    let loggers = manager.field("access_log").map(|list| list.items()).unwrap_or_default();
    if loggers.iter().any(prints) {
        return;
    }
    let message = format!(
        "its lines are in the filter state `{STATE}`, which no access log here prints: have one with \
         `%FILTER_STATE({STATE}:PLAIN)%`, or `output: proxy_log`"
    );
    for site in sites.iter().filter(|site| site.known.name == "telemetry") {
        match (site.config.tree(), &site.config) {
            (Some((config, prefix)), _) if is_for_access_log(&config) => {
                let at = config.get("output").unwrap_or(config);
                Code::UnprintedLines.report_in(prefix, &at, &message, report);
            }
            (None, Config::None) => Code::UnprintedLines.report(&site.place, &message, report),
            _ => {}
        }
    }
}

/// Whether there are lines, for the access log alone.
fn is_for_access_log(config: &At<'_>) -> bool {
    let text = |name: &str| config.get(name).and_then(|at| at.text());
    text("lines") != Some("none") && matches!(text("output"), None | Some("access_log"))
}

/// Whether a logger prints the lines, or may: what it prints can be in a file, or in a variable. That a
/// line is there (its `filter`) does not print it.
fn prints(logger: &At<'_>) -> bool {
    let Some(config) = logger.field("typed_config") else { return false };
    config.all().iter().any(|at| {
        let source = at.field("text_format_source");
        let is_elsewhere = source.is_some_and(|source| source.field("inline_string").is_none());
        is_elsewhere || at.text().is_some_and(|text| text.contains(STATE))
    })
}
