//! `baggage`, by the W3C recommendation Baggage: what is allowed of it, and within limits.
//!
//! 1. Several headers are one list, in their order.
//! 2. A member is `key=value`, with properties behind a `;` or without: the key a token, the value
//!    visible ASCII but for `"`, `,`, `;` and `\`. One that is malformed is left out.
//! 3. A member whose key is not allowed is left out, and one that would pass a limit. The others stay
//!    as they are, in their order; none is sent in part ("Limits").

/// The header.
pub const BAGGAGE: &str = "baggage";

/// What is sent on of it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many bytes in all, commas among them.
    pub bytes: usize,
    /// How many members.
    pub members: usize,
}

impl Default for Limits {
    /// What everybody has to pass on at least: 8192 bytes, 64 members.
    fn default() -> Self {
        Self { bytes: 8192, members: 64 }
    }
}

/// What is left of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The list; empty where nothing is left.
    pub list: Vec<u8>,
    /// Whether a member was left out.
    pub dropped: bool,
}

/// What is sent on of all `baggage` headers: members whose key `allows` it.
pub fn keep<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    allows: impl Fn(&[u8]) -> bool,
) -> Kept {
    let mut kept = Kept::default();
    let mut members = 0_usize;
    for member in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        let comma = usize::from(!kept.list.is_empty());
        let length = kept.list.len().saturating_add(comma).saturating_add(member.len());
        let fits = members < limits.members && length <= limits.bytes;
        if !fits || !key_of(member).is_some_and(&allows) {
            kept.dropped = true;
            continue;
        }
        if comma == 1 {
            kept.list.push(b',');
        }
        kept.list.extend_from_slice(member);
        members = members.saturating_add(1);
    }
    kept
}

/// The key of a member that is well-formed.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let mut parts = member.split(|byte| *byte == b';');
    let (key, Some(_)) = pair(parts.next()?)? else { return None };
    parts.all(|property| pair(property).is_some()).then_some(key)
}

/// A key, and a value where there is one.
fn pair(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (key, value) = match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (text.get(..at)?, Some(trim(text.get(at.checked_add(1)?..)?))),
        None => (text, None),
    };
    let key = trim(key);
    let is_token = !key.is_empty() && key.iter().all(|byte| is_tchar(*byte));
    let octet = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    (is_token && value.is_none_or(|value| value.iter().all(octet))).then_some((key, value))
}

/// RFC 9110, 5.6.2.
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Without the optional whitespace around it (RFC 9110, 5.6.3).
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end =
        text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}
