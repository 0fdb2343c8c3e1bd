//! `x-datadog-…`, as Datadog's tracers send it.
//!
//! 1. `x-datadog-trace-id` and `x-datadog-parent-id` are decimal numbers of 64 bits. The upper half
//!    of a trace id of 128 bits stands in `x-datadog-tags`, as `_dd.p.tid` in 16 lower-case hex
//!    digits. One that is malformed is as if it were not there, as it is to Datadog's own tracers.
//! 2. `x-datadog-sampling-priority` is -1 or 0 to drop, 1 to record, 2 where a user wants it
//!    recorded, which B3 knows as debug. Without it the decision is deferred.
//! 3. A parent of 0, or none, is a trace without a span yet.

use super::{
    Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_decimal, parse_hex_64,
};

/// The lower half of the trace id.
pub const TRACE_ID: &str = "x-datadog-trace-id";
/// The span.
pub const PARENT_ID: &str = "x-datadog-parent-id";
/// The decision.
pub const PRIORITY: &str = "x-datadog-sampling-priority";
/// Where the trace came into being; passed on.
pub const ORIGIN: &str = "x-datadog-origin";
/// What goes with the trace; passed on.
pub const TAGS: &str = "x-datadog-tags";

/// How long `x-datadog-tags` may be; Datadog's own tracers stop at 512.
const LONGEST_TAGS: usize = 512;
/// The tag with the upper half of the trace id.
const UPPER: &[u8] = b"_dd.p.tid=";

/// What the headers hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `x-datadog-trace-id`.
    pub trace_id: Option<&'a [u8]>,
    /// `x-datadog-parent-id`.
    pub parent_id: Option<&'a [u8]>,
    /// `x-datadog-sampling-priority`.
    pub priority: Option<&'a [u8]>,
    /// `x-datadog-tags`.
    pub tags: Option<&'a [u8]>,
}

/// Reads the headers.
pub fn parse(headers: &Headers<'_>) -> Option<Found> {
    let low = parse_decimal(headers.trace_id?).filter(|low| *low != 0)?;
    let high = headers.tags.and_then(upper_half).unwrap_or_default();
    let decision = match headers.priority {
        None => Decision::Deferred,
        Some(b"-1" | b"0") => Decision::Drop,
        Some(b"1") => Decision::Record,
        Some(b"2") => Decision::Debug,
        Some(_) => return None,
    };
    Some(Found::Trace(Incoming {
        trace_id: TraceId::new(u128::from(high) << 64 | u128::from(low))?,
        parent: SpanId::new(headers.parent_id.map_or(Some(0), parse_decimal)?),
        decision,
        random: false,
    }))
}

fn upper_half(tags: &[u8]) -> Option<u64> {
    if tags.len() > LONGEST_TAGS {
        return None;
    }
    let digits = tags.split(|byte| *byte == b',').find_map(|tag| tag.strip_prefix(UPPER))?;
    if digits.len() != 16 {
        return None;
    }
    parse_hex_64(digits, Case::Lower)
}

/// What the next receiver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// `x-datadog-trace-id`.
    pub trace_id: String,
    /// `x-datadog-parent-id`.
    pub parent_id: String,
    /// `x-datadog-sampling-priority`.
    pub priority: Option<&'static str>,
    /// `x-datadog-tags`; empty where there is nothing to say.
    pub tags: Vec<u8>,
}

/// The headers for the next receiver; `tags` are those that came with the same trace, if it came
/// from Datadog's tracers.
pub fn print(outgoing: &Outgoing, tags: Option<&[u8]>) -> Printed {
    let priority = match outgoing.decision {
        Decision::Deferred => None,
        Decision::Drop => Some("0"),
        Decision::Record => Some("1"),
        Decision::Debug => Some("2"),
    };
    Printed {
        trace_id: outgoing.trace_id.low().to_string(),
        parent_id: outgoing.span_id.number().to_string(),
        priority,
        tags: print_tags(outgoing.trace_id, tags.unwrap_or_default()),
    }
}

/// The tags, with the right upper half of the trace id among them.
fn print_tags(trace_id: TraceId, tags: &[u8]) -> Vec<u8> {
    let tags = if tags.len() > LONGEST_TAGS { b"" } else { tags };
    let others = tags.split(|byte| *byte == b',').filter(|tag| !tag.starts_with(UPPER));
    let mut all: Vec<Vec<u8>> = others.filter(|tag| !tag.is_empty()).map(<[u8]>::to_vec).collect();
    if let Some(high) = SpanId::new(trace_id.high()) {
        all.push([UPPER, &high.hex()].concat());
    }
    all.join(&b","[..])
}
