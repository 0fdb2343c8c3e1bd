//! The connection manager: what Envoy has to do so that it, the filters and the upstream see the same.

use super::{At, Code, Report};

/// Looks at a connection manager with a filter of ours.
pub(in crate::check) fn check(manager: &At<'_>, report: &mut Report) {
    let is_true = |name: &str| manager.field(name).is_some_and(|at| at.is_true());
    let mut lint = |is_well: bool, code: Code, message: &str| {
        if !is_well {
            code.report(manager, message, report);
        }
    };
    lint(
        is_true("normalize_path"),
        Code::NormalizePath,
        "set `normalize_path: true`: filters and routes see `/a/../b` as the client sent it",
    );
    lint(
        is_true("merge_slashes"),
        Code::MergeSlashes,
        "set `merge_slashes: true`: `//admin` matches other rules than `/admin`",
    );
    lint(
        has_slashes_action(manager),
        Code::EscapedSlashes,
        "set `path_with_escaped_slashes_action: REJECT_REQUEST`: the upstream may read `%2f` as `/`",
    );
    lint(
        is_true("strip_any_host_port"),
        Code::HostPort,
        "set `strip_any_host_port: true`: routes take `example.com:443` for another host",
    );
    lint(
        is_true("use_remote_address"),
        Code::RemoteAddress,
        "set `use_remote_address: true`: the client says what its address is",
    );
    lint(
        has_time(manager, "request_timeout"),
        Code::RequestTimeout,
        "set `request_timeout`: a slow request holds its memory for ever",
    );
    lint(
        has_time(manager, "request_headers_timeout"),
        Code::RequestHeadersTimeout,
        "set `request_headers_timeout`: slow headers hold a connection for ever",
    );
    lint(
        has_time(manager, "stream_idle_timeout"),
        Code::StreamIdleTimeout,
        "set `stream_idle_timeout`: silent streams stay open for five minutes, or for ever if it is 0s",
    );
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
