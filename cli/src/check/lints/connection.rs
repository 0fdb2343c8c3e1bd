//! The connection manager: what Envoy has to do so that it, the filters and the upstream see the same.

use super::{At, Code, Report};
use crate::check::known::Role;
use crate::check::site::Site;

/// How long Envoy lets a stream be silent where nobody says, in seconds.
const SILENCE: f64 = 300.0;

/// Looks at a connection manager with these filters of ours.
pub(in crate::check) fn check(manager: &At<'_>, sites: &[&Site<'_>], report: &mut Report) {
    let findings = [names(manager), times(manager), identity(manager, sites)].concat();
    for (_, code, message) in findings.into_iter().filter(|(is_well, ..)| !is_well) {
        code.report(manager, message, report);
    }
    routes(manager, report);
}

/// Whether something is well, and what is to be said where it is not.
type Finding = (bool, Code, &'static str);

/// That all see the same path, host and address.
fn names(manager: &At<'_>) -> Vec<Finding> {
    let is_true = |name: &str| manager.field(name).is_some_and(|at| at.is_true());
    vec![
        (
            is_true("normalize_path"),
            Code::NormalizePath,
            "set `normalize_path: true`: filters and routes see `/a/../b` as the client sent it",
        ),
        (
            is_true("merge_slashes"),
            Code::MergeSlashes,
            "set `merge_slashes: true`: `//admin` matches other rules than `/admin`",
        ),
        (
            has_slashes_action(manager),
            Code::EscapedSlashes,
            "set `path_with_escaped_slashes_action: REJECT_REQUEST`: the upstream may read `%2f` as `/`",
        ),
        (
            is_true("strip_any_host_port"),
            Code::HostPort,
            "set `strip_any_host_port: true`: routes take `example.com:443` for another host",
        ),
        (
            is_true("use_remote_address"),
            Code::RemoteAddress,
            "set `use_remote_address: true`: the client says what its address is",
        ),
    ]
}

/// That nobody stays for ever.
fn times(manager: &At<'_>) -> Vec<Finding> {
    let options = manager.field("common_http_protocol_options");
    vec![
        (
            has_time(manager, "request_timeout"),
            Code::RequestTimeout,
            "set `request_timeout`: a slow request holds its memory for ever",
        ),
        (
            has_time(manager, "request_headers_timeout"),
            Code::RequestHeadersTimeout,
            "set `request_headers_timeout`: slow headers hold a connection for ever",
        ),
        (
            has_time(manager, "stream_idle_timeout"),
            Code::StreamIdleTimeout,
            "set `stream_idle_timeout`: silent streams stay open for five minutes, or for ever if it is 0s",
        ),
        (
            options.is_some_and(|options| has_time(&options, "idle_timeout")),
            Code::IdleTimeout,
            "set `common_http_protocol_options.idle_timeout`: a connection without a request stays open for \
             an hour, or for ever if it is 0s",
        ),
    ]
}

/// That nobody but an authenticator says who it is.
fn identity(manager: &At<'_>, sites: &[&Site<'_>]) -> Vec<Finding> {
    let action =
        manager.fields(&["common_http_protocol_options", "headers_with_underscores_action"]);
    let is_well = action.is_some_and(|at| at.text() != Some("ALLOW") && at.node.value() != 0);
    let has_identity = sites.iter().any(|site| site.known.role == Role::Authenticator);
    vec![(
        is_well || !has_identity,
        Code::HeaderUnderscores,
        "set `common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST`: a client's \
         `x_auth_subject` is `x-auth-subject` to some upstreams",
    )]
}

/// An answer that may take longer than a stream may be silent ends before its time.
fn routes(manager: &At<'_>, report: &mut Report) {
    let silence = |place: &At<'_>, name: &str| place.text_of(name).and_then(period);
    let of_all = silence(manager, "stream_idle_timeout").unwrap_or(SILENCE);
    let hosts = manager.fields(&["route_config", "virtual_hosts"]);
    let hosts = hosts.map(|hosts| hosts.items()).unwrap_or_default();
    let routes = hosts.iter().filter_map(|host| host.field("routes"));
    for route in routes.flat_map(|routes| routes.items()).filter_map(|route| route.field("route")) {
        let Some(timeout) = route.field("timeout") else { continue };
        let silence = silence(&route, "idle_timeout").unwrap_or(of_all);
        let is_longer = timeout.text().and_then(period).is_some_and(|answer| answer > silence);
        if is_longer && silence > 0.0 {
            let message = format!(
                "nobody waits so long for an answer: a stream that is silent for {silence}s is ended; set the \
                 route's `idle_timeout`, or a longer `stream_idle_timeout`"
            );
            Code::RouteTimeout.report(&timeout, message, report);
        }
    }
}

/// The seconds of a period.
fn period(text: &str) -> Option<f64> {
    text.strip_suffix('s')?.parse().ok()
}

fn has_slashes_action(manager: &At<'_>) -> bool {
    let unsaid = ["KEEP_UNCHANGED", "IMPLEMENTATION_SPECIFIC_DEFAULT"];
    let action = manager.field("path_with_escaped_slashes_action").map(|at| at.node.value());
    let action = action.filter(|action| *action != 0 && *action != 1);
    action.is_some_and(|action| action.as_str().is_none_or(|name| !unsaid.contains(&name)))
}

/// Whether a period is set, and not to nothing.
fn has_time(manager: &At<'_>, name: &str) -> bool {
    let is_digit = |digit: char| ('1'..='9').contains(&digit);
    manager.text_of(name).is_some_and(|time| time.contains(is_digit))
}
