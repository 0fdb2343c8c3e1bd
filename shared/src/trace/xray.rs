//! `x-amzn-trace-id`, of AWS X-Ray ("Tracing header").
//!
//! 1. Fields `name=value` with `;` between, in any order, spaces around them allowed: `Root` is
//!    `1-{8 hex digits}-{24 hex digits}`, `Parent` 16 hex digits, `Sampled` `0`, `1` or `?`. Others,
//!    such as `Self` and `Lineage`, do not matter. None of the three may come twice.
//! 2. Without a `Parent` (a load balancer sends none) there is no span yet; without `Sampled`, or
//!    with `?`, the decision is deferred.
//! 3. The first digits of a `Root` are a time where X-Ray made it; of other traces they are what
//!    they are, which X-Ray takes too.

use super::{Case, Decision, Found, Incoming, Outgoing, SpanId, TraceId, parse_hex, parse_hex_64};

/// The header.
pub const X_AMZN_TRACE_ID: &str = "x-amzn-trace-id";

/// The longest value: AWS's own limit is 256 for the lineage and less for the rest.
const LONGEST: usize = 512;

/// Reads the header.
pub fn parse(value: &[u8]) -> Option<Found> {
    if value.len() > LONGEST {
        return None;
    }
    let [mut root, mut parent, mut sampled] = [None; 3];
    for field in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        if field.is_empty() {
            continue;
        }
        let at = field.iter().position(|byte| *byte == b'=')?;
        let (name, value) = field.split_at_checked(at)?;
        let place = match name.trim_ascii() {
            b"Root" => &mut root,
            b"Parent" => &mut parent,
            b"Sampled" => &mut sampled,
            _ => continue,
        };
        if place.replace(value.get(1..)?.trim_ascii()).is_some() {
            return None;
        }
    }
    let decision = match sampled {
        None | Some(b"?") => Decision::Deferred,
        Some(b"0") => Decision::Drop,
        Some(b"1") => Decision::Record,
        Some(_) => return None,
    };
    let parent = match parent {
        None => None,
        Some(text) if text.len() == 16 => Some(SpanId::new(parse_hex_64(text, Case::Any)?)?),
        Some(_) => return None,
    };
    Some(Found::Trace(Incoming { trace_id: trace_id(root?)?, parent, decision, random: false }))
}

fn trace_id(root: &[u8]) -> Option<TraceId> {
    let (time, rest) = root.strip_prefix(b"1-")?.split_at_checked(8)?;
    let rest = rest.strip_prefix(b"-")?;
    if rest.len() != 24 {
        return None;
    }
    TraceId::new(parse_hex(time, Case::Any)? << 96 | parse_hex(rest, Case::Any)?)
}

/// The value for the next receiver.
pub fn print(outgoing: &Outgoing) -> Vec<u8> {
    let trace_id = outgoing.trace_id.hex();
    let (time, rest) = trace_id.split_at(8);
    let (parent, sampled) = (outgoing.span_id.hex(), [outgoing.decision.digit()]);
    [b"Root=1-", time, b"-", rest, b";Parent=", &parent, b";Sampled=", &sampled].concat()
}
