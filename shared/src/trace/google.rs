//! `x-cloud-trace-context`, of Google Cloud ("Trace context": `TRACE_ID/SPAN_ID;o=OPTIONS`).
//!
//! 1. The trace id has 32 hex digits, the span id is a decimal number of 64 bits; it may be left
//!    out, and 0 is none.
//! 2. Options are a number of which the last bit says whether the trace is recorded. Without them the
//!    decision is deferred.

use super::{Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_decimal, parse_hex};

/// The header.
pub const X_CLOUD_TRACE_CONTEXT: &str = "x-cloud-trace-context";

/// Reads the header.
pub fn parse(value: &[u8]) -> Option<Found> {
    let (trace_id, rest) = value.split_at_checked(32)?;
    let (span_id, options) = match rest.iter().position(|byte| *byte == b';') {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, &b""[..]),
    };
    let parent = match span_id.split_first() {
        None => None,
        Some((b'/', digits)) => SpanId::new(parse_decimal(digits)?),
        Some(_) => return None,
    };
    let decision = match options {
        b"" => Decision::Deferred,
        _ => Decision::of(parse_decimal(options.strip_prefix(b";o=")?)? & 1 == 1),
    };
    let trace_id = TraceId::new(parse_hex(trace_id, Case::Any)?)?;
    Some(Found::Trace(Incoming { trace_id, parent, decision, random: false }))
}

/// The value for the next receiver.
pub fn print(outgoing: &Outgoing) -> Vec<u8> {
    let span_id = outgoing.span_id.number().to_string();
    let options = [outgoing.decision.digit()];
    [&outgoing.trace_id.hex()[..], b"/", span_id.as_bytes(), b";o=", &options].concat()
}
