//! `tracestate`, by the W3C recommendation Trace Context, level 2 (3.3).
//!
//! 1. Several headers are one list, in their order.
//! 2. Empty members, and spaces and tabs around members, are allowed, and not sent on.
//! 3. A key begins with a lower-case letter or a digit, and has up to 256 of those, `_`, `-`, `*`,
//!    `/` and `@`. A value has 1 to 256 characters from space to `~`, without `,` and `=`, and does
//!    not end with a space.
//! 4. More than 32 members, or one that is malformed, and the list is discarded whole.
//! 5. Of members with the same key the first is kept: it is the most recent position.
//! 6. Order and texts of the members stay as they are.

use super::baggage::trim;

/// The header.
pub const TRACESTATE: &str = "tracestate";

/// How many members there may be.
const MOST: usize = 32;
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 256;

/// A list that is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The values of all `tracestate` headers as one; empty where there is nothing to send on.
pub fn combine<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Malformed> {
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut count = 0_usize;
    for member in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        count = count.saturating_add(1);
        if count > MOST {
            return Err(Malformed);
        }
        let key = key_of(member).ok_or(Malformed)?;
        if members.iter().all(|(known, _)| *known != key) {
            members.push((key, member));
        }
    }
    let members: Vec<_> = members.into_iter().map(|(_, member)| member).collect();
    Ok(members.join(&b","[..]))
}

/// Whether the value of an only header can go on as it is: the usual case, which needs no copy.
pub fn is_as_it_should_be(value: &[u8]) -> bool {
    let members = || value.split(|byte| *byte == b',');
    let is_good = |(index, member): (usize, &[u8])| {
        let is_trimmed = !matches!(member.last(), None | Some(b' ' | b'\t'));
        let Some(key) = key_of(member).filter(|_| is_trimmed && index < MOST) else { return false };
        let is_same =
            |other: &[u8]| other.strip_prefix(key).is_some_and(|rest| rest.starts_with(b"="));
        !members().take(index).any(is_same)
    };
    members().enumerate().all(is_good)
}

/// The key of a member that is well-formed.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = member.split_at_checked(at)?;
    let value = value.get(1..)?;
    let (first, rest) = key.split_first()?;
    let starts = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let goes_on = |byte: &u8| starts(byte) || b"_-*/@".contains(byte);
    let key_is_good = key.len() <= LONGEST_KEY && starts(first) && rest.iter().all(goes_on);
    let in_value = |byte: &u8| matches!(byte, b' '..=b'+' | b'-'..=b'<' | b'>'..=b'~');
    // The spaces at its end were taken off with those around the member.
    let length_is_good = (1..=LONGEST_VALUE).contains(&value.len());
    (key_is_good && length_is_good && value.iter().all(in_value)).then_some(key)
}
