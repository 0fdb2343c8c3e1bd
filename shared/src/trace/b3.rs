//! B3, Zipkin's: one header `b3`, or several `x-b3-…` (openzipkin/b3-propagation).
//!
//! 1. A trace id has 16 or 32 hex digits, a span id 16.
//! 2. One header: `{trace}-{span}`, `…-{state}` and `…-{state}-{parent}`, or `{state}` alone; the
//!    state is `0`, `1` or `d` for debug. Without one the decision is deferred.
//! 3. Several: `x-b3-traceid` and `x-b3-spanid` come together or not at all; `x-b3-sampled` is `0`,
//!    `1`, `false` or `true`; `x-b3-flags: 1` is debug, and implies that it is sampled.
//! 4. A state without ids is a decision about a trace that starts here.

use super::{Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_hex, parse_hex_64};

/// The one header.
pub const B3: &str = "b3";

/// The several headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Multi<'a> {
    /// `x-b3-traceid`.
    pub trace_id: Option<&'a [u8]>,
    /// `x-b3-spanid`.
    pub span_id: Option<&'a [u8]>,
    /// `x-b3-parentspanid`: the parent of that span. It has to be well-formed, and is not used.
    pub parent_span_id: Option<&'a [u8]>,
    /// `x-b3-sampled`.
    pub sampled: Option<&'a [u8]>,
    /// `x-b3-flags`.
    pub flags: Option<&'a [u8]>,
}

/// Reads the one header.
pub fn parse(value: &[u8]) -> Option<Found> {
    let mut fields = value.split(|byte| *byte == b'-');
    let (first, second) = (fields.next()?, fields.next());
    let Some(second) = second else { return state(first).map(Found::Only) };
    let decision = fields.next().map_or(Some(Decision::Deferred), state)?;
    if let Some(parent) = fields.next() {
        span_id(parent)?;
    }
    match fields.next() {
        None => trace(first, second, decision),
        Some(_) => None,
    }
}

/// Reads the several headers.
pub fn parse_multi(headers: &Multi<'_>) -> Option<Found> {
    let sampled = match headers.sampled {
        None => Decision::Deferred,
        Some(b"1" | b"true") => Decision::Record,
        Some(b"0" | b"false") => Decision::Drop,
        Some(_) => return None,
    };
    let decision = if headers.flags == Some(b"1") { Decision::Debug } else { sampled };
    if let Some(parent) = headers.parent_span_id {
        span_id(parent)?;
    }
    match (headers.trace_id, headers.span_id) {
        (Some(trace_id), Some(span_id)) => trace(trace_id, span_id, decision),
        (None, None) if decision != Decision::Deferred => Some(Found::Only(decision)),
        _ => None,
    }
}

fn trace(trace_id: &[u8], span: &[u8], decision: Decision) -> Option<Found> {
    if !matches!(trace_id.len(), 16 | 32) {
        return None;
    }
    let trace_id = TraceId::new(parse_hex(trace_id, Case::Any)?)?;
    Some(Found::Trace(Incoming { trace_id, parent: Some(span_id(span)?), decision, random: false }))
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    if text.len() != 16 {
        return None;
    }
    SpanId::new(parse_hex_64(text, Case::Any)?)
}

fn state(text: &[u8]) -> Option<Decision> {
    match text {
        b"0" => Some(Decision::Drop),
        b"1" => Some(Decision::Record),
        b"d" => Some(Decision::Debug),
        _ => None,
    }
}

/// The value of `b3` for the next receiver.
pub fn print(outgoing: &Outgoing) -> Vec<u8> {
    let state: &[u8] = match outgoing.decision {
        Decision::Deferred => b"",
        Decision::Drop => b"-0",
        Decision::Record => b"-1",
        Decision::Debug => b"-d",
    };
    [&outgoing.trace_id.hex()[..], b"-", &outgoing.span_id.hex(), state].concat()
}

/// The name and value of the header that tells the decision, where there is one: `x-b3-flags` for
/// debug, which is not to be accompanied by `x-b3-sampled`.
pub const fn print_state(decision: Decision) -> Option<(&'static str, &'static [u8])> {
    match decision {
        Decision::Deferred => None,
        Decision::Drop => Some((SAMPLED, b"0")),
        Decision::Record => Some((SAMPLED, b"1")),
        Decision::Debug => Some((FLAGS, b"1")),
    }
}

/// The several headers' names.
pub const TRACE_ID: &str = "x-b3-traceid";
/// The span.
pub const SPAN_ID: &str = "x-b3-spanid";
/// The span's parent; read, and not sent.
pub const PARENT_SPAN_ID: &str = "x-b3-parentspanid";
/// The decision.
pub const SAMPLED: &str = "x-b3-sampled";
/// Debug.
pub const FLAGS: &str = "x-b3-flags";
