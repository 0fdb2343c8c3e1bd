//! Credentials in cookies (RFC 6265).

use std::rc::Rc;

use super::{Found, of_name};
use crate::bytes::{split, split_once};
use crate::effects::Effects;
use crate::headers::Headers;

/// The value of the cookie of this name.
pub(super) fn find<'r>(headers: &'r Headers, name: &[u8]) -> Found<'r> {
    let pairs = of_name(headers, "cookie").flat_map(pairs);
    let ours = pairs.filter_map(read).filter(|(known, _)| *known == name);
    ours.map(|(_, value)| Found::one(value)).fold(Found::Nothing, Found::and)
}

/// Name and value of every cookie.
pub(super) fn all(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    of_name(headers, "cookie").flat_map(pairs).filter_map(read)
}

/// Cuts the cookies that are `ours` by name. What is left of several headers goes on as one: a
/// header can only be set to one value, and in HTTP/2 too they are one (RFC 9113, 8.2.3).
pub(super) fn strip(headers: &Headers, ours: impl Fn(&[u8]) -> bool, effects: &mut Effects) {
    let is_ours = |pair: &[u8]| read(pair).is_some_and(|(name, _)| ours(name));
    if !of_name(headers, "cookie").flat_map(pairs).any(is_ours) {
        return;
    }
    let rests = of_name(headers, "cookie").map(|value| {
        let rest: Vec<_> = pairs(value).filter(|pair| !is_ours(pair)).collect();
        trim(&rest.join(&b';')).to_vec()
    });
    let rests: Vec<_> = rests.filter(|rest| !rest.is_empty()).collect();
    let name = Rc::from("cookie");
    // To set a header that comes twice may leave the second one where it is.
    if rests.is_empty() || of_name(headers, "cookie").count() > 1 {
        effects.remove_request_header(Rc::clone(&name));
    }
    if !rests.is_empty() {
        effects.set_request_header(name, Rc::from(rests.join(&b"; "[..])));
    }
}

/// What stands between two `;`, as it was sent.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(header, b';')
}

/// Name and value; `None` where there is no `=`, and so no name.
fn read(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_once(trim(pair), b'=')?;
    Some((trim(name), unquote(trim(value))))
}

/// Without the white space that browsers take for such (RFC 6265, 5.2: space and tab), and no other:
/// to them `\x0c__Host-a` is another name than `__Host-a`, and any page may set it.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn unquote(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(value)
}
