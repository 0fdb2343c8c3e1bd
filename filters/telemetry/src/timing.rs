//! `Server-Timing`: what can be said honestly of where the time went.
//!
//! 1. `total` is from when this filter saw the request to when it sees the head of the response. It has to
//!    be in front of all others to measure them.
//! 2. `upstream` is what Envoy's router measured (`x-envoy-upstream-service-time`), in whole milliseconds:
//!    from when the request was sent to when the head of the response came. It is not there for an answer
//!    of the proxy's own.
//! 3. A filter of ours has a duration of its own where it read the headers of the request: from there to its
//!    decision. Envoy's own filters have none.

use std::fmt::Write as _;
use std::rc::Rc;

use shared::driver::timing_name;
use shared::effects::Effects;
use shared::time::Timestamp;
use shared::view::Response;

/// The filters that may have left how long they took.
const FILTERS: [&str; 9] = [
    "access-policy",
    "api-key-auth",
    "basic-auth",
    "health-shortcut",
    "jwt-auth",
    "oauth2-login",
    "rate-limit",
    "token-introspection",
    "trace-context",
];

/// Tells the client where the time since then went.
pub(crate) fn tell(since: Timestamp, response: &Response<'_>, effects: &mut Effects) {
    let Some(now) = response.now() else { return };
    let mut text = String::new();
    push("total", micros(now.since(since).as_micros()), &mut text);
    if let Some(millis) = response.headers().first("x-envoy-upstream-service-time").and_then(number)
    {
        push("upstream", millis.saturating_mul(1000), &mut text);
    }
    for filter in FILTERS {
        let left = response.host().property(&[&timing_name(filter)]).unwrap_or_default();
        if let Some(micros) = left.as_deref().and_then(number) {
            push(filter, micros, &mut text);
        }
    }
    effects.set_response_header(Rc::from("server-timing"), Rc::from(text.into_bytes()));
}

fn push(name: &str, micros: u64, text: &mut String) {
    let comma = if text.is_empty() { "" } else { ", " };
    // Writing to a string does not fail.
    let _ = write!(text, "{comma}{name};dur={}.{:03}", micros / 1000, micros % 1000);
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn micros(micros: u128) -> u64 {
    u64::try_from(micros).unwrap_or(u64::MAX)
}
