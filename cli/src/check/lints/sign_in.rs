//! Settings that leave `oauth2-login` out where browsers come back from the provider, or where people
//! sign in and out: nobody is signed in there, and the upstream gets the code.
//!
//! 1. A rule counts if it is the first for the place, a route too. One that depends on a header, a
//!    route's name or a regular expression is passed over: what it is for cannot be told.
//! 2. Rules for other hosts, and virtual hosts with other domains, than that of `external_url` are no
//!    concern.

use shared::matching::path::Pattern;

use super::{At, Code, Report};
use crate::check::site::Site;

const NAME: &str = "oauth2-login";

/// Where one `oauth2-login` is at work.
struct Places<'a> {
    /// The host of `external_url`; `None` where the environment says it.
    host: Option<&'a str>,
    /// Where the provider sends browsers back to, and the others.
    paths: Vec<&'a str>,
    reads_metadata: bool,
}

impl<'a> Places<'a> {
    fn of(config: &At<'a>) -> Self {
        let text = |field: &str| config.get(field).and_then(|at| at.text());
        let callback = text("redirect_path").unwrap_or("/oauth2/callback");
        let logout = config.get("logout").and_then(|logout| logout.get("path"));
        let others = [text("login_path"), logout.and_then(|at| at.text())];
        let address = text("external_url").filter(|address| !address.contains("${"));
        let host = address.and_then(|address| address.split_once("://"));
        Self {
            host: host.map(|(_, rest)| without_port(rest.trim_end_matches('/'))),
            paths: std::iter::once(callback).chain(others.into_iter().flatten()).collect(),
            reads_metadata: config
                .get("route_overrides")
                .is_none_or(|at| at.node.value() != serde_json::Value::Bool(false)),
        }
    }
}

/// Looks at a filter's own rules.
pub(in crate::check) fn rules(site: &Site<'_>, report: &mut Report) {
    let Some((config, prefix)) = site.config.tree().filter(|_| site.known.name == NAME) else {
        return;
    };
    let places = Places::of(&config);
    let rules = config.get("rules").map(|rules| rules.items()).unwrap_or_default();
    for path in &places.paths {
        let is_for = |rule: &&At<'_>| {
            rule.get("match").is_some_and(|matched| is_rule_for(&matched, path, places.host))
        };
        let mode = rules.iter().find(is_for).and_then(|rule| rule.get("mode"));
        if let Some(mode) = mode.filter(|mode| mode.text() == Some("off")) {
            Code::SignInOff.report_in(prefix, &mode, message(path), report);
        }
    }
}

/// Looks at what routes and virtual hosts say for the filters.
pub(in crate::check) fn overrides(sites: &[Site<'_>], all: &[At<'_>], report: &mut Report) {
    for site in sites.iter().filter(|site| site.known.name == NAME) {
        let Some((config, _)) = site.config.tree() else { continue };
        let places = Places::of(&config);
        if !places.reads_metadata {
            continue;
        }
        for hosts in all.iter().filter_map(|at| at.field("virtual_hosts")) {
            let hosts = hosts.items();
            if let Some(host) = virtual_host(&hosts, places.host) {
                for path in &places.paths {
                    routes(host, path, report);
                }
            }
        }
    }
}

fn routes(host: &At<'_>, path: &str, report: &mut Report) {
    let routes = host.field("routes").map(|routes| routes.items()).unwrap_or_default();
    let is_for =
        |route: &&At<'_>| route.field("match").is_some_and(|matched| is_route_for(&matched, path));
    let Some(route) = routes.iter().find(is_for) else { return };
    let mode = mode_of(route).or_else(|| mode_of(host));
    if let Some(mode) = mode.filter(|mode| mode.text() == Some("off")) {
        Code::SignInOff.report(&mode, message(path), report);
    }
}

fn message(path: &str) -> String {
    format!(
        "`off` covers `{path}`, where `{NAME}` has to be at work: nobody can sign in or out there"
    )
}

/// The mode that metadata has for the filter.
fn mode_of<'a>(place: &At<'a>) -> Option<At<'a>> {
    let metadata = place.fields(&["metadata", "filter_metadata"])?;
    metadata.get("gatehouse")?.get(NAME)?.get("mode")
}

/// Whether the `match` of a rule is for a browser that is at a path of the application.
fn is_rule_for(matched: &At<'_>, path: &str, host: Option<&str>) -> bool {
    let is_open = |name: &str| matched.get(name).is_none();
    let fits = |name: &str, fits: &dyn Fn(&str) -> bool| {
        matched
            .get(name)
            .is_none_or(|list| list.items().iter().filter_map(|at| at.text()).any(fits))
    };
    let is_path =
        |text: &str| Pattern::parse(text).is_ok_and(|pattern| pattern.matches(path.as_bytes()));
    let is_host = |text: &str| host.is_some_and(|host| is_domain(text, host));
    ["headers", "routes", "clusters"].into_iter().all(is_open)
        && fits("paths", &is_path)
        && fits("methods", &|method| method == "GET")
        && fits("hosts", &is_host)
}

/// Whether the `match` of a route is for a path, whatever else a request has.
fn is_route_for(matched: &At<'_>, path: &str) -> bool {
    const MORE: [&str; 5] =
        ["headers", "query_parameters", "runtime_fraction", "grpc", "dynamic_metadata"];
    let below = |text: &str| {
        path.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is = |name: &str, is: &dyn Fn(&str) -> bool| matched.text_of(name).is_some_and(is);
    MORE.into_iter().all(|name| matched.field(name).is_none())
        && (is("prefix", &|text| path.starts_with(text))
            || is("path", &|text| path == text)
            || is("path_separated_prefix", &below))
}

/// The virtual host that Envoy takes for a host: one that names it, else one with a wildcard.
fn virtual_host<'s, 'a>(hosts: &'s [At<'a>], name: Option<&str>) -> Option<&'s At<'a>> {
    let has = |host: &&At<'_>, is: &dyn Fn(&str) -> bool| {
        let domains = host.field("domains").map(|domains| domains.items()).unwrap_or_default();
        domains.iter().filter_map(|domain| domain.text()).any(|domain| is(without_port(domain)))
    };
    let exact = |domain: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(domain));
    let wild = |domain: &str| name.is_some_and(|name| is_domain(domain, name));
    let find = |is: &dyn Fn(&str) -> bool| hosts.iter().find(|host| has(host, is));
    find(&exact).or_else(|| find(&wild)).or_else(|| find(&|domain| domain == "*"))
}

/// Whether a host is `domain`, or below `*.example`.
fn is_domain(domain: &str, host: &str) -> bool {
    let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
    match domain.strip_prefix('*') {
        Some(ending) if ending.starts_with('.') => host.ends_with(ending),
        _ => domain == host,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
