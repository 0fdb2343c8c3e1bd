//! The forms in which the proxy wants what JOSE writes otherwise (X.690; RFC 3279, 2.2.3).

/// What stands before a point of P-256 in a `SubjectPublicKeyInfo` (RFC 5480, 2).
pub(super) const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same for P-384.
pub(super) const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
/// The same for P-521.
pub(super) const P521: &[u8] = b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00";

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
