//! Paths as rules see them, and the patterns that rules are written in.
//!
//! Proxies, frameworks and file systems read one path in different ways: `%2e`, `//`, `\`, `;x`,
//! `%2f`, `%252f`, `%3f`. A rule that opens `/public/**` must not open `/public/..%2fadmin`.
//!
//! 1. A path is compared without its query, and with characters decoded that mean the same either
//!    way (`%61` is `a`).
//! 2. Where something in it has more than one reading, every reading is made: all escapes decoded,
//!    parameters (`;x`) dropped, slashes turned, merged and `.` taken out, the rest cut off at a
//!    decoded `?` or `#`, the host taken off that two slashes begin (`//x/admin`, RFC 3986, 4.2); in
//!    any order, until nothing new comes of it.
//! 3. What the readings disagree on is refused by the caller ([`Readings::agree`]), not guessed.
//! 4. A path has no reading ([`BadPath`]) that has a broken escape, a control character, a byte that
//!    UTF-8 has only for overlong forms (`%c0%af`), a `#`, or that does not begin with `/`; or that
//!    has a segment `..` in any reading: honest clients resolve those before they send. Nor has one
//!    whose readings are more, or longer together, than honest clients' are: each costs time.
//! 5. Segments are compared byte by byte: case and a slash at the end count.

use std::borrow::Cow;

/// A path that no rule can be applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// A request's path, as it may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    sent: Cow<'a, [u8]>,
    others: Cow<'a, [Vec<u8>]>,
}

/// More readings than this is no path that an honest client sends.
const MOST_READINGS: usize = 24;

/// Nor are they longer than this together, in bytes.
const MOST_BYTES: usize = 16 * 1024;

impl<'a> Readings<'a> {
    /// Reads a request's `:path`.
    pub fn of(path: &'a [u8]) -> Result<Self, BadPath> {
        if let Some(only) = Self::only(path) {
            return Ok(only);
        }
        let path = without_query(path);
        if !path.starts_with(b"/")
            || path.len() > MOST_BYTES
            || path.contains(&b'#')
            || has_broken_escape(path)
        {
            return Err(BadPath);
        }
        let sent = decode(path, |byte| !has_meaning(byte));
        check(&sent)?;
        let others = other_readings(&sent)?;
        Ok(Self { sent: Cow::Owned(sent), others: Cow::Owned(others) })
    }

    /// The same, if one look says that there is but one way to read it.
    pub(crate) fn only(path: &'a [u8]) -> Option<Self> {
        let path = without_query(path);
        // `OPTIONS *` (RFC 9112, 3.2.4) is for no path.
        let is_only = is_plain(path) || path == b"*";
        is_only.then_some(Self { sent: Cow::Borrowed(path), others: Cow::Borrowed(&[]) })
    }

    /// The same, for as long as one likes.
    pub(crate) fn into_owned(self) -> Readings<'static> {
        Readings {
            sent: Cow::Owned(self.sent.into_owned()),
            others: Cow::Owned(self.others.into_owned()),
        }
    }

    /// The same again, without a copy.
    pub(crate) fn again(&self) -> Readings<'_> {
        Readings { sent: Cow::Borrowed(&self.sent), others: Cow::Borrowed(&self.others) }
    }

    /// What `judge` says of the path, if it says the same of every reading.
    pub fn agree<T: PartialEq>(&self, judge: impl Fn(&[u8]) -> T) -> Result<T, BadPath> {
        let verdict = judge(&self.sent);
        let same = self.others.iter().all(|other| judge(other) == verdict);
        if same { Ok(verdict) } else { Err(BadPath) }
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// All that comes of a path when readers do what they do, in any order.
fn other_readings(sent: &[u8]) -> Result<Vec<Vec<u8>>, BadPath> {
    let mut known = vec![sent.to_vec()];
    let (mut next, mut bytes) = (0, sent.len());
    while let Some(text) = known.get(next).cloned() {
        next = next.saturating_add(1);
        let readers = [
            decode(&text, |_| true),
            without_parameters(&text),
            cut(&text),
            merge(&text),
            without_host(&text),
        ];
        for reading in readers {
            if known.contains(&reading) {
                continue;
            }
            check(&reading)?;
            bytes = bytes.saturating_add(reading.len());
            if known.len() >= MOST_READINGS || bytes > MOST_BYTES {
                return Err(BadPath);
            }
            known.push(reading);
        }
    }
    known.remove(0);
    Ok(known)
}

/// Refuses what no reading may have.
fn check(reading: &[u8]) -> Result<(), BadPath> {
    let is_parent = |segment: &[u8]| segment == b"..";
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    let bad = reading.iter().any(is_control)
        || is_overlong(reading)
        || reading.split(|byte| matches!(byte, b'/' | b'\\')).any(is_parent);
    if bad { Err(BadPath) } else { Ok(()) }
}

/// Lead bytes that UTF-8 has only for what has a shorter form, which lax decoders take for it.
fn is_overlong(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.iter().skip(1));
    text.iter().any(|byte| matches!(byte, 0xc0 | 0xc1))
        || pairs.into_iter().any(|pair| matches!(pair, (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f)))
}

/// A path pattern: literal segments, `{name}` or `*` for one segment that is not empty, a last
/// `/**` for any rest, none at all included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    rest: bool,
}

/// A segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, decoded.
    Literal(Vec<u8>),
    /// Any that is not empty.
    Any,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = |why: &str| Err(format!("`{text}` is not a path pattern: {why}"));
        let Some(body) = text.strip_prefix('/') else { return error("it begins with `/`") };
        let (body, rest) = match body.strip_suffix("**") {
            Some("") => ("", true),
            Some(body) => match body.strip_suffix('/') {
                Some(body) => (body, true),
                None => return error("`**` is a whole segment, the last"),
            },
            None => (body, false),
        };
        if rest && body.is_empty() {
            return Ok(Self { segments: Vec::new(), rest });
        }
        let segments = body.split('/').map(segment).collect::<Result<_, _>>();
        match segments {
            Ok(segments) => Ok(Self { segments, rest }),
            Err(why) => error(why),
        }
    }

    /// Its segments, but for the rest.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `/**`.
    pub const fn has_rest(&self) -> bool {
        self.rest
    }

    /// Whether one reading of a path is of this pattern.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else { return false };
        let mut parts = path.split(|byte| *byte == b'/');
        let all = self.segments.iter().all(|segment| match (segment, parts.next()) {
            (Segment::Literal(literal), Some(part)) => literal == part,
            (Segment::Any, Some(part)) => !part.is_empty(),
            (_, None) => false,
        });
        all && (self.rest || parts.next().is_none())
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    if text == "*" {
        return Ok(Segment::Any);
    }
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let ok = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if ok { Ok(Segment::Any) } else { Err("`{name}` holds letters, digits and `_`") };
    }
    if text.contains(['*', '{', '}']) {
        return Err("`*` and `{name}` are whole segments");
    }
    if text.contains(['?', '#']) {
        return Err("a query is not part of a path");
    }
    if text.is_empty() {
        return Ok(Segment::Literal(Vec::new()));
    }
    match Readings::of(format!("/{text}").as_bytes()) {
        Ok(Readings { sent, others }) if others.is_empty() => {
            Ok(Segment::Literal(sent.strip_prefix(b"/").unwrap_or_default().to_vec()))
        }
        _ => Err("it has more than one reading, or none"),
    }
}

/// Nothing in the path needs a second look.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    path.starts_with(b"/")
        && path.iter().all(|byte| {
            let follows_slash = std::mem::replace(&mut before, *byte) == b'/';
            match byte {
                b'%' | b'\\' | b';' | b'#' => false,
                b'/' | b'.' => !follows_slash,
                byte => matches!(byte, b'!'..=b'~'),
            }
        })
}

/// Characters that mean something else when they are decoded.
const fn has_meaning(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#' | b'.')
}

/// Decodes the escapes that `wanted` names, spells the others in upper case. What is no escape stays
/// as it is.
fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        let Some(escaped) = escape(rest) else {
            decoded.push(*byte);
            rest = behind;
            continue;
        };
        if wanted(escaped) {
            decoded.push(escaped);
        } else {
            decoded.extend_from_slice(format!("%{escaped:02X}").as_bytes());
        }
        rest = rest.get(3..).unwrap_or_default();
    }
    decoded
}

/// The byte that a text begins with as an escape.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (high, low) = (digit(*high)?, digit(*low)?);
    u8::try_from(high << 4 | low).ok()
}

fn has_broken_escape(path: &[u8]) -> bool {
    let tails = (0..path.len()).filter_map(|at| path.get(at..));
    tails.into_iter().any(|tail| tail.starts_with(b"%") && escape(tail).is_none())
}

/// As read by who drops the parameters of each segment.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(path.len());
    let mut within = false;
    for byte in path {
        within = match byte {
            b'/' | b'\\' => false,
            b';' => true,
            _ => within,
        };
        if !within {
            kept.push(*byte);
        }
    }
    kept
}

/// As read by who looks for a query or fragment after decoding.
fn cut(path: &[u8]) -> Vec<u8> {
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default().to_vec()
}

/// As read by who resolves a request's target as a reference (RFC 3986, 4.2; the URL Standard): what
/// stands behind two slashes is a host.
fn without_host(path: &[u8]) -> Vec<u8> {
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let rest = match path {
        [first, second, rest @ ..] if is_slash(first) && is_slash(second) => rest,
        _ => return path.to_vec(),
    };
    // The URL Standard takes any number of slashes for two.
    let host = rest.iter().position(|byte| !is_slash(byte)).and_then(|at| rest.get(at..));
    let path = host.and_then(|host| host.splitn(2, is_slash).nth(1)).unwrap_or_default();
    [b"/", path].concat()
}

/// As read by who takes `\` for `/`, several slashes for one, and `.` for nothing (RFC 3986, 5.2.4).
fn merge(path: &[u8]) -> Vec<u8> {
    let mut merged = Vec::with_capacity(path.len());
    let mut ends_open = false;
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        ends_open = matches!(segment, b"" | b".");
        if !ends_open {
            merged.push(b'/');
            merged.extend_from_slice(segment);
        }
    }
    if ends_open || merged.is_empty() {
        merged.push(b'/');
    }
    merged
}

#[cfg(test)]
mod tests;
