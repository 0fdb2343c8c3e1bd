//! The two forms in which the proxy wants what JOSE writes otherwise (X.690; RFC 3279, 2.2.3).

/// An ECDSA signature, the two halves of JOSE as a sequence of two integers.
pub(super) fn signature(halves: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = halves.split_at_checked(halves.len().checked_div(2)?)?;
    let body = [integer(r)?, integer(s)?].concat();
    sequence(&body)
}

/// A positive integer; `None` for zero, which is in no signature.
fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    let bytes = bytes.get(start..)?;
    // A first bit that is set would make it negative.
    let sign: &[u8] = if bytes.first()? & 0x80 == 0 { &[] } else { &[0] };
    let body = [sign, bytes].concat();
    Some([&[0x02, u8::try_from(body.len()).ok().filter(|len| *len < 0x80)?], &*body].concat())
}

fn sequence(body: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(body.len()).ok()?;
    let head: &[u8] = if len < 0x80 { &[0x30, len] } else { &[0x30, 0x81, len] };
    Some([head, body].concat())
}
