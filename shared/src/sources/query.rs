//! Credentials in the query of a request.

use std::borrow::Cow;
use std::rc::Rc;

use memchr::{memchr, memchr2};

use super::{Found, QueryParameter};
use crate::bytes::{split, split_once};
use crate::effects::Effects;
use crate::headers::Headers;

/// The value of the parameter of this name.
pub(super) fn find<'r>(headers: &'r Headers, name: &[u8]) -> Found<'r> {
    let Some(target) = Target::of(headers) else { return Found::Nothing };
    let found = target.parameters().map(|parameter| {
        let hidden = parameter.hidden().filter(|hidden| *hidden.name() == *name);
        let own = (*parameter.name() == *name)
            .then(|| parameter.value().map_or(Found::Malformed, Found::one));
        hidden.map(|_| Found::Malformed).fold(own.unwrap_or(Found::Nothing), Found::and)
    });
    found.fold(Found::Nothing, Found::and)
}

/// Every parameter, decoded.
pub(super) fn all(headers: &Headers) -> Vec<QueryParameter<'_>> {
    let parameters = Target::of(headers).into_iter().flat_map(|target| target.parameters());
    let parameters = parameters.filter(|parameter| !parameter.0.is_empty());
    parameters
        .map(|parameter| QueryParameter { name: parameter.name(), value: parameter.value() })
        .collect()
}

/// Cuts the parameters that are `ours` by name.
pub(super) fn strip(headers: &Headers, ours: impl Fn(&[u8]) -> bool, effects: &mut Effects) {
    let Some(target) = Target::of(headers) else { return };
    let is_ours = |parameter: &Parameter<'_>| {
        ours(&parameter.name()) || parameter.hidden().any(|hidden| ours(&hidden.name()))
    };
    let (cut, rest): (Vec<_>, Vec<_>) = target.parameters().partition(is_ours);
    if cut.is_empty() {
        return;
    }
    let query = rest.iter().map(|rest| rest.0).collect::<Vec<_>>().join(&b'&');
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let path = [target.path, mark, &query, target.fragment].concat();
    effects.set_request_header(Rc::from(":path"), Rc::from(path));
}

/// A `:path`, taken apart. It is the three put together, with a `?` before the query.
struct Target<'r> {
    path: &'r [u8],
    query: &'r [u8],
    fragment: &'r [u8],
}

impl<'r> Target<'r> {
    /// `None` where there is no query. A CONNECT has no path at all.
    fn of(headers: &'r Headers) -> Option<Self> {
        let whole = headers.first(":path")?;
        let (path, rest) = whole.split_at_checked(memchr2(b'?', b'#', whole)?)?;
        let rest = rest.strip_prefix(b"?")?;
        let (query, fragment) = rest.split_at_checked(memchr(b'#', rest).unwrap_or(rest.len()))?;
        Some(Self { path, query, fragment })
    }

    fn parameters(&self) -> impl Iterator<Item = Parameter<'r>> + use<'r> {
        split(self.query, b'&').map(Parameter)
    }
}

/// What stands between two `&`, as it was sent.
#[derive(Clone, Copy)]
struct Parameter<'r>(&'r [u8]);

impl<'r> Parameter<'r> {
    /// Decoded, where it can be.
    fn name(&self) -> Cow<'r, [u8]> {
        let name = self.split().0;
        decode(name).unwrap_or(Cow::Borrowed(name))
    }

    /// `None` where an escape is broken.
    fn value(&self) -> Option<Cow<'r, [u8]>> {
        decode(self.split().1)
    }

    /// What is a parameter of its own to those who take `;` for `&`, as HTML 4.01 (B.2.2) advised.
    fn hidden(&self) -> impl Iterator<Item = Self> + use<'r> {
        split(self.0, b';').skip(1).map(Self)
    }

    fn split(&self) -> (&'r [u8], &'r [u8]) {
        split_once(self.0, b'=').unwrap_or((self.0, b""))
    }
}

/// Forms are sent so (URL Standard, `application/x-www-form-urlencoded`), but for broken escapes,
/// which others leave as they are: those are `None`.
fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr2(b'%', b'+', text).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
