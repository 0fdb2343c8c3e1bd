//! `uber-trace-id`, Jaeger's own (its client libraries, "Propagation format").
//!
//! 1. `{trace}:{span}:{parent}:{flags}` in hex, leading zeroes optional: up to 32, 16 and 16 digits,
//!    and 2 for the flags. The parent is deprecated, usually `0`, and has to be well-formed.
//! 2. The colons may be written as `%3A`, as some clients do.
//! 3. Flag 1 is sampled. Flag 2 is debug, and counts with flag 1 alone.

use super::{Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_hex, parse_hex_64};

/// The header.
pub const UBER_TRACE_ID: &str = "uber-trace-id";
/// What the names of headers with baggage begin with.
pub const BAGGAGE_PREFIX: &str = "uberctx-";

/// The longest value: the fields, and separators of three characters.
const LONGEST: usize = 32 + 16 + 16 + 2 + 9;

/// Reads the header.
pub fn parse(value: &[u8]) -> Option<Found> {
    if value.len() > LONGEST {
        return None;
    }
    let plain = decoded(value);
    let mut fields = plain.split(|byte| *byte == b':');
    let [trace_id, span_id, parent, flags] =
        [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    if fields.next().is_some() || flags.len() > 2 {
        return None;
    }
    parse_hex_64(parent, Case::Any)?;
    let decision = match parse_hex_64(flags, Case::Any)? & 3 {
        3 => Decision::Debug,
        1 => Decision::Record,
        _ => Decision::Drop,
    };
    Some(Found::Trace(Incoming {
        trace_id: TraceId::new(parse_hex(trace_id, Case::Any)?)?,
        parent: Some(SpanId::new(parse_hex_64(span_id, Case::Any)?)?),
        decision,
        random: false,
    }))
}

/// With colons for `%3A`.
fn decoded(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        match after.split_first_chunk::<2>() {
            Some((b"3A" | b"3a", after)) if *first == b'%' => {
                plain.push(b':');
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// The value for the next receiver.
pub fn print(outgoing: &Outgoing) -> Vec<u8> {
    let flags: &[u8] = match outgoing.decision {
        Decision::Deferred | Decision::Drop => b":0:0",
        Decision::Record => b":0:1",
        Decision::Debug => b":0:3",
    };
    [&outgoing.trace_id.hex()[..], b":", &outgoing.span_id.hex(), flags].concat()
}
