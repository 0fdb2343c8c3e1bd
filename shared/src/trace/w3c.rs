//! `traceparent` and `traceresponse`, by the W3C recommendation Trace Context, level 2.
//!
//! 1. Of version `00` there are exactly 55 characters; of a later version at least so many, and a
//!    dash if there are more (3.2.4, "Versioning of traceparent"). Version `ff` is none.
//! 2. Hex digits are lower case. All-zero ids are none.
//! 3. Of the flags, `sampled` and `random-trace-id` are kept, and the others are sent as zero.
//! 4. Whatever version came, `00` is sent.

use super::{Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_hex, parse_hex_64};

/// The request header.
pub const TRACEPARENT: &str = "traceparent";
/// The response header (Trace Context, "Traceresponse Header").
pub const TRACERESPONSE: &str = "traceresponse";

/// How long a value of version `00` is.
const LENGTH: usize = 55;
const SAMPLED: u64 = 1;
const RANDOM: u64 = 2;

/// Reads a `traceparent`.
pub fn parse(value: &[u8]) -> Option<Found> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let [version, trace_id, parent, flags] = fields(known)?;
    match (version, more.first()) {
        (b"00", Some(_)) | (b"ff", _) => return None,
        (_, None | Some(b'-')) => {}
        (_, Some(_)) => return None,
    }
    parse_hex(version, Case::Lower)?;
    let flags = parse_hex_64(flags, Case::Lower)?;
    Some(Found::Trace(Incoming {
        trace_id: TraceId::new(parse_hex(trace_id, Case::Lower)?)?,
        parent: Some(SpanId::new(parse_hex_64(parent, Case::Lower)?)?),
        decision: Decision::of(flags & SAMPLED != 0),
        random: flags & RANDOM != 0,
    }))
}

/// The four fields of 55 characters with dashes between.
fn fields(value: &[u8]) -> Option<[&[u8]; 4]> {
    let (version, rest) = value.split_at_checked(2)?;
    let (trace_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let flags = rest.strip_prefix(b"-")?;
    Some([version, trace_id, parent, flags])
}

/// The value of `traceparent` for the next receiver, and of `traceresponse` for the sender.
pub fn print(outgoing: &Outgoing) -> [u8; LENGTH] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let mut put = |at: usize, part: &[u8]| {
        let places = text.iter_mut().skip(at);
        places.zip(part).for_each(|(place, byte)| *place = *byte);
    };
    put(3, &outgoing.trace_id.hex());
    put(36, &outgoing.span_id.hex());
    let flags = match (outgoing.decision.is_sampled(), outgoing.random) {
        (false, false) => b'0',
        (true, false) => b'1',
        (false, true) => b'2',
        (true, true) => b'3',
    };
    put(54, &[flags]);
    text
}
