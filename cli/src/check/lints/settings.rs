//! What a filter is set to, and what its proxy is told to do with it.

use std::collections::HashSet;

use super::{At, Code, Report};
use crate::check::known::{self, Role};
use crate::check::site::Site;

/// Looks at a filter by itself.
pub(in crate::check) fn check(site: &Site<'_>, report: &mut Report) {
    failing(site, report);
    if let Some(at) = site.place.field("allow_on_headers_stop_iteration").filter(|at| at.is_true())
    {
        let message = "no filter of Gatehouse needs it; bodies are held where the filter waits";
        Code::StopIteration.report(&at, message, report);
    }
    let Some((config, prefix)) = site.config.tree() else { return };
    let is_guard = site.known.role.is_guard();
    if let Some(mode) = config.get("mode").filter(|_| is_guard)
        && let Some(word @ ("off" | "shadow")) = mode.text()
    {
        let message = format!("`{word}` at the top level: `{}` refuses nobody", site.known.name);
        Code::ModeOfAll.report_in(prefix, &mode, message, report);
    }
    if let Some(issuer) = config.get("issuer").filter(|_| site.known.name == "oauth2-login")
        && issuer.text().is_some_and(is_plain_elsewhere)
    {
        let message = "passwords and codes go over the network in plain text: have it `https`";
        Code::PlainProvider.report_in(prefix, &issuer, message, report);
    }
    for at in config.all() {
        if at.name == "on_failure" && at.text() == Some("allow") {
            let message = "lets everybody pass while it cannot be decided";
            Code::OnFailureAllow.report_in(prefix, &at, message, report);
        }
        if at.name == "insecure_allow_plain" && at.is_true() {
            let message = "passwords in plain text: `gatehouse hash --user NAME` makes hashes";
            Code::PlainSecret.report_in(prefix, &at, message, report);
        }
    }
}

/// Whether an address is plain HTTP, and not of this very machine.
fn is_plain_elsewhere(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    !matches!(host, "localhost" | "127.0.0.1" | "[::1]") && !host.ends_with(".localhost")
}

/// A trap of the module must not open.
fn failing(site: &Site<'_>, report: &mut Report) {
    if !site.known.role.is_guard() {
        return;
    }
    for name in ["failure_policy", "fail_strategy", "fail_open"] {
        let Some(at) = site.place.field(name) else { continue };
        // 3 is the number of FAIL_OPEN in Envoy's enumeration.
        if at.is_true() || at.text() == Some("FAIL_OPEN") || at.node.value() == 3 {
            // An EnvoyExtensionPolicy has this field alone.
            let instead =
                if name == "fail_open" { "failOpen: false, or FAIL_RELOAD" } else { "FAIL_RELOAD" };
            let message = format!(
                "a trap in `{}` would let every request pass: use {instead}",
                site.known.name
            );
            Code::FailsOpen.report(&at, message, report);
        }
    }
}

/// A filter that the proxy is told not to run.
pub(in crate::check) fn disabled(
    entry: &At<'_>,
    site: &Site<'_>,
    all: &[At<'_>],
    report: &mut Report,
) {
    if !site.known.role.is_guard() {
        return;
    }
    let name = site.known.name;
    if let Some(at) = entry.field("disabled").filter(|at| at.is_true()) {
        Code::Disabled.report(&at, format!("`{name}` does not run"), report);
    }
    let Some(entry_name) = entry.text_of("name") else { return };
    for routes in all {
        let is_map = matches!(routes.name, "typed_per_filter_config" | "typedPerFilterConfig");
        let Some(own) = routes.get(entry_name).filter(|_| is_map) else { continue };
        if let Some(at) = own.field("disabled").filter(|at| at.is_true()) {
            Code::Disabled.report(&at, format!("`{name}` does not run here"), report);
        }
    }
}

/// Where an authenticator is told to leave the decision to others.
pub(in crate::check) fn verdicts<'s>(site: &'s Site<'_>) -> Vec<(String, At<'s>)> {
    if site.known.role != Role::Authenticator {
        return Vec::new();
    }
    let Some((config, prefix)) = site.config.tree() else { return Vec::new() };
    let rules = config.get("rules").map(|rules| rules.items()).unwrap_or_default();
    let places = std::iter::once(config).chain(rules);
    let verdicts = places.filter_map(|place| place.get("verdict"));
    let deferred = verdicts.filter(|verdict| verdict.text() == Some("defer"));
    deferred.map(|verdict| (prefix.to_owned(), verdict)).collect()
}

/// Metadata for a filter that there is not is read by nobody.
pub(in crate::check) fn overrides(all: &[At<'_>], report: &mut Report) {
    for metadata in all.iter().filter(|at| matches!(at.name, "filter_metadata" | "filterMetadata"))
    {
        for at in metadata.get("gatehouse").map(|ours| ours.members()).unwrap_or_default() {
            if known::find(at.name).is_none() {
                let message = format!("there is no filter `{}` to read this", at.name);
                Code::UnknownOverride.report(&at, message, report);
            }
        }
    }
}

/// The clusters that a bootstrap has; `None` where it gets others while it runs, or is none.
pub(in crate::check) fn clusters(top: &At<'_>) -> Option<HashSet<String>> {
    let resources = top.field("static_resources")?;
    let dynamic = top.field("dynamic_resources");
    if dynamic.is_some_and(|dynamic| dynamic.field("cds_config").is_some()) {
        return None;
    }
    let clusters = resources.field("clusters").map(|list| list.items()).unwrap_or_default();
    Some(clusters.iter().filter_map(|cluster| Some(cluster.text_of("name")?.to_owned())).collect())
}

/// A cluster that a filter asks has to be there.
pub(in crate::check) fn cluster_names(
    site: &Site<'_>,
    known: &HashSet<String>,
    report: &mut Report,
) {
    let Some((config, prefix)) = site.config.tree() else { return };
    for at in config.all() {
        let is_cluster = at.name == "cluster" || at.name.ends_with("_cluster");
        let Some(name) = at.text().filter(|name| is_cluster && !name.contains("${")) else {
            continue;
        };
        if !known.contains(name) {
            let message = format!("the bootstrap has no cluster `{name}`");
            Code::UnknownCluster.report_in(prefix, &at, message, report);
        }
    }
}
