//! Where a credential stands in a request: in a header, in the query, or in a cookie.
//!
//! 1. A header with a prefix (`authorization: Bearer …`): the scheme in any case (RFC 9110, 11.1),
//!    spaces or tabs, the credential. A header with another scheme is not this source's.
//! 2. A header without a prefix is the credential, but for the white space around it.
//! 3. A query parameter: its name and value are decoded (`%41` is `A`, `+` a space). A name that
//!    cannot be decoded is compared as it is. A `#` ends the query. A name behind a `;` is one to some
//!    readers and not to others: the credential is [`Found::Malformed`].
//! 4. A cookie (RFC 6265, 4.2.1): its name counts byte for byte, without white space around it; the
//!    value goes without the quotes around it. All `cookie` headers are read.
//! 5. A credential that comes twice, in one source or in two, is [`Found::Repeated`]: which of them
//!    counts would be a guess (RFC 6750, 2). So is a header that comes twice, if one is this source's.
//! 6. One that is there and empty is found, and empty.
//! 7. One with a broken escape, or of more than [`MAX_CREDENTIAL`] bytes, is [`Found::Malformed`].
//! 8. [`Sources::strip`] takes credentials off wherever they stand, good or not, and leaves the rest
//!    of the query and of the cookies byte for byte as it is. What a `;` joins to one goes with it.
//!
//! Everything is bytes: nothing here needs UTF-8.

mod cookie;
mod query;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Deserializer, de::Error};

use crate::config::NonEmpty;
use crate::effects::Effects;
use crate::headers::{Headers, Sole};
use crate::identity::HeaderName;
use crate::view::Request;

/// Every cookie of a request, in the order received; those without a name are left out.
pub fn cookies<'r>(request: &'r Request<'_>) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    cookie::all(request.headers())
}

/// Takes the cookies that are `ours` by name off a request that goes on.
pub fn strip_cookies(request: &Request<'_>, ours: impl Fn(&[u8]) -> bool, effects: &mut Effects) {
    cookie::strip(request.headers(), ours, effects);
}

/// A parameter of a query, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryParameter<'r> {
    /// Its name; as it is, where an escape is broken.
    pub name: Cow<'r, [u8]>,
    /// Its value; `None` where an escape is broken.
    pub value: Option<Cow<'r, [u8]>>,
}

/// The parameters of a request's query, in the order received.
pub fn parameters<'r>(request: &'r Request<'_>) -> Vec<QueryParameter<'r>> {
    query::all(request.headers())
}

/// What stands in the query under this name, by the rules above.
pub fn in_query<'r>(request: &'r Request<'_>, name: &str) -> Found<'r> {
    query::find(request.headers(), name.as_bytes())
}

/// What stands in a cookie of this name, by the rules above.
pub fn in_cookies<'r>(request: &'r Request<'_>, name: &str) -> Found<'r> {
    cookie::find(request.headers(), name.as_bytes())
}

/// The name of a parameter of a query, or what is wrong with it.
pub fn query_name(name: String) -> Result<Box<str>, String> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err("a query parameter has a name, without control characters".into());
    }
    Ok(name.into())
}

/// The name of a cookie, or what is wrong with it.
pub fn cookie_name(name: String) -> Result<Box<str>, String> {
    if is_token(&name) {
        Ok(name.into())
    } else {
        Err(format!("`{name}` is not the name of a cookie"))
    }
}

/// The longest credential that is looked at, in bytes.
pub const MAX_CREDENTIAL: usize = 16 * 1024;

/// The places that are looked at, all of them at every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

/// A place: `{ header: NAME }`, `{ header: NAME, prefix: SCHEME }`, `{ query: NAME }` or
/// `{ cookie: NAME }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum Source {
    /// A header.
    Header {
        /// Its name, in lower case.
        name: Rc<str>,
        /// The scheme before the credential; `None` where the credential is all that there is.
        prefix: Option<Box<str>>,
    },
    /// A parameter of the query, by its decoded name.
    Query(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// What stands in the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// Nothing.
    Nothing,
    /// More than one credential.
    Repeated,
    /// Something that cannot be a credential.
    Malformed,
    /// One credential; it may be empty.
    One(Cow<'r, [u8]>),
}

impl Sources {
    /// These places. They are not to overlap, which is checked where they are configured.
    pub const fn new(sources: Vec<Source>) -> Self {
        Self(sources)
    }

    /// The places of several lists, each once.
    pub fn all<'a>(lists: impl Iterator<Item = &'a Self>) -> Self {
        let mut all: Vec<Source> = Vec::new();
        for source in lists.flat_map(|list| &list.0) {
            if !all.iter().any(|known| known.includes(source)) {
                all.retain(|known| !source.includes(known));
                all.push(source.clone());
            }
        }
        Self(all)
    }

    /// A place of the other's that is none of these as it is, but a part of a wider one: of all lists
    /// ([`Self::all`]), the header that another list takes whole, without a prefix.
    pub fn swallowed<'o>(&self, other: &'o Self) -> Option<&'o Source> {
        other.0.iter().find(|source| !self.0.iter().any(|known| source.includes(known)))
    }

    /// Whether a header is one of the places, or one that might be taken for it.
    pub fn has_header(&self, header: &HeaderName) -> bool {
        let is_it = |name: &str| header.is_like(name.as_bytes());
        self.0.iter().any(|known| matches!(known, Source::Header { name, .. } if is_it(name)))
    }

    /// The credential of a request.
    pub fn find<'r>(&self, request: &'r Request<'_>) -> Found<'r> {
        let found = self.0.iter().map(|source| source.find(request.headers()));
        found.fold(Found::Nothing, Found::and)
    }

    /// Takes the credentials off a request that goes on.
    pub fn strip(&self, request: &Request<'_>, effects: &mut Effects) {
        let headers = request.headers();
        for source in &self.0 {
            if let Source::Header { name, prefix } = source
                && of_name(headers, name)
                    .any(|value| credential(value, prefix.as_deref()).is_some())
            {
                effects.remove_request_header(Rc::clone(name));
            }
        }
        // All parameters at once, and all cookies: each change starts from what the client sent.
        if self.0.iter().any(|known| matches!(known, Source::Query(_))) {
            query::strip(headers, |name| self.has_query(name), effects);
        }
        if self.0.iter().any(|known| matches!(known, Source::Cookie(_))) {
            cookie::strip(headers, |name| self.has_cookie(name), effects);
        }
    }

    /// The schemes with which a client may answer a challenge (RFC 9110, 11.6.1): the prefixes of
    /// `authorization`.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|source| match source {
            Source::Header { name, prefix } if &**name == "authorization" => prefix.as_deref(),
            _ => None,
        })
    }

    fn has_query(&self, name: &[u8]) -> bool {
        self.0.iter().any(|known| matches!(known, Source::Query(known) if known.as_bytes() == name))
    }

    fn has_cookie(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|known| matches!(known, Source::Cookie(known) if known.as_bytes() == name))
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sources: Vec<Source> = Vec::new();
        for source in NonEmpty::<Source>::deserialize(deserializer)? {
            if sources.iter().any(|known| known.overlaps(&source)) {
                return Err(D::Error::custom(format!("{source} comes twice")));
            }
            sources.push(source);
        }
        Ok(Self(sources))
    }
}

impl Source {
    /// A header, `name` in lower case, that is the credential.
    pub fn header(name: &str) -> Self {
        Self::Header { name: Rc::from(name), prefix: None }
    }

    /// `authorization` with this scheme.
    pub fn authorization(scheme: &str) -> Self {
        Self::Header { name: Rc::from("authorization"), prefix: Some(Box::from(scheme)) }
    }

    fn find<'r>(&self, headers: &'r Headers) -> Found<'r> {
        match self {
            Self::Header { name, prefix } => in_header(headers, name, prefix.as_deref()),
            Self::Query(name) => query::find(headers, name.as_bytes()),
            Self::Cookie(name) => cookie::find(headers, name.as_bytes()),
        }
    }

    /// Whether it finds all that the other finds: a header without a prefix does for one with.
    fn includes(&self, other: &Self) -> bool {
        let is_narrow = |source: &Self| matches!(source, Self::Header { prefix: Some(_), .. });
        self.overlaps(other) && (is_narrow(other) || !is_narrow(self))
    }

    /// Whether one credential could be found in both.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header { name, prefix }, Self::Header { name: other, prefix: others }) => {
                let schemes = prefix.as_deref().zip(others.as_deref());
                name == other && schemes.is_none_or(|(one, other)| one.eq_ignore_ascii_case(other))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } => write!(f, "the header `{name}`"),
            Self::Query(name) => write!(f, "the query parameter `{name}`"),
            Self::Cookie(name) => write!(f, "the cookie `{name}`"),
        }
    }
}

impl<'r> Found<'r> {
    fn one(credential: impl Into<Cow<'r, [u8]>>) -> Self {
        let credential = credential.into();
        if credential.len() > MAX_CREDENTIAL { Self::Malformed } else { Self::One(credential) }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, found) | (found, Self::Nothing) => found,
            _ => Self::Repeated,
        }
    }
}

/// A source as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as `{ header: x-api-key }`")]
struct Written {
    header: Option<HeaderName>,
    prefix: Option<String>,
    query: Option<String>,
    cookie: Option<String>,
}

impl TryFrom<Written> for Source {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { header, prefix, query, cookie } = written;
        if prefix.is_some() && header.is_none() {
            return Err("`prefix` goes with `header`".into());
        }
        match (header, query, cookie) {
            (Some(header), None, None) => {
                let (name, prefix) = (header.shared(), prefix.map(scheme).transpose()?);
                if &*name == "cookie" {
                    return Err("write `cookie: NAME` for a cookie".into());
                }
                Ok(Self::Header { name, prefix })
            }
            (None, Some(name), None) => query_name(name).map(Self::Query),
            (None, None, Some(name)) => cookie_name(name).map(Self::Cookie),
            _ => Err("has one of `header`, `query` and `cookie`".into()),
        }
    }
}

fn scheme(text: String) -> Result<Box<str>, String> {
    if is_token(&text) { Ok(text.into()) } else { Err(format!("`{text}` is not a scheme")) }
}

/// RFC 9110, 5.6.2: what names, schemes and cookies are made of.
fn is_token(text: &str) -> bool {
    HeaderName::try_from(text).is_ok()
}

fn in_header<'r>(headers: &'r Headers, name: &str, prefix: Option<&str>) -> Found<'r> {
    match headers.sole(name) {
        Sole::Absent => Found::Nothing,
        Sole::Once(value) => credential(value, prefix).map_or(Found::Nothing, Found::one),
        Sole::Repeated => {
            let ours = of_name(headers, name).any(|value| credential(value, prefix).is_some());
            if ours { Found::Repeated } else { Found::Nothing }
        }
    }
}

/// Every value of a header.
fn of_name<'r>(headers: &'r Headers, name: &str) -> impl Iterator<Item = &'r [u8]> {
    headers.iter().filter(move |(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
}

/// The credential in a header's value; `None` where it is of another scheme.
fn credential<'v>(value: &'v [u8], prefix: Option<&str>) -> Option<&'v [u8]> {
    let value = value.trim_ascii();
    let Some(prefix) = prefix else { return Some(value) };
    let (scheme, rest) = value.split_at_checked(prefix.len())?;
    let ends = matches!(rest.first(), None | Some(b' ' | b'\t'));
    (ends && scheme.eq_ignore_ascii_case(prefix.as_bytes())).then(|| rest.trim_ascii())
}
