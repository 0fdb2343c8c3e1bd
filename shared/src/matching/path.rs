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
//!    has a segment `..` in any reading: honest clients resolve those before they send.
//! 5. Segments are compared byte by byte: case and a slash at the end count.

use std::borrow::Cow;

/// A path that no rule can be applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// A request's path, as it may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    sent: Cow<'a, [u8]>,
    others: Vec<Vec<u8>>,
}

/// More readings than this is no path that an honest client sends.
const MOST_READINGS: usize = 24;

impl<'a> Readings<'a> {
    /// Reads a request's `:path`.
    pub fn of(path: &'a [u8]) -> Result<Self, BadPath> {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        if is_plain(path) {
            return Ok(Self { sent: Cow::Borrowed(path), others: Vec::new() });
        }
        if path == b"*" {
            // `OPTIONS *` (RFC 9112, 3.2.4) is for no path.
            return Ok(Self { sent: Cow::Borrowed(path), others: Vec::new() });
        }
        if !path.starts_with(b"/") || path.contains(&b'#') || has_broken_escape(path) {
            return Err(BadPath);
        }
        let sent = decode(path, |byte| !has_meaning(byte));
        check(&sent)?;
        let others = other_readings(&sent)?;
        Ok(Self { sent: Cow::Owned(sent), others })
    }

    /// What `judge` says of the path, if it says the same of every reading.
    pub fn agree<T: PartialEq>(&self, judge: impl Fn(&[u8]) -> T) -> Result<T, BadPath> {
        let verdict = judge(&self.sent);
        let same = self.others.iter().all(|other| judge(other) == verdict);
        if same { Ok(verdict) } else { Err(BadPath) }
    }
}

/// All that comes of a path when readers do what they do, in any order.
fn other_readings(sent: &[u8]) -> Result<Vec<Vec<u8>>, BadPath> {
    let mut known = vec![sent.to_vec()];
    let mut next = 0;
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
            if known.len() >= MOST_READINGS {
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
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[track_caller]
    fn matches(pattern: &str, path: &str) -> Result<bool, BadPath> {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        Readings::of(path.as_bytes())?.agree(|path| pattern.matches(path))
    }

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for path in yes {
            assert_eq!(matches(pattern, path), Ok(true), "{pattern} {path}");
        }
        for path in no {
            assert_eq!(matches(pattern, path), Ok(false), "{pattern} {path}");
        }
    }

    #[test]
    fn a_literal_is_compared_without_the_query() {
        check(
            "/users",
            &["/users", "/users?x=/y", "/users?x#y"],
            &["/users/", "/Users", "/user", "/"],
        );
        check("/", &["/", "/?x"], &["/x"]);
        check("/users/", &["/users/"], &["/users"]);
    }

    #[test]
    fn a_template_takes_one_segment_that_is_not_empty() {
        check("/users/{id}", &["/users/7", "/users/a%20b"], &["/users", "/users/", "/users/7/x"]);
        check("/*/x", &["/a/x"], &["/x", "/a/b/x"]);
    }

    #[test]
    fn a_rest_takes_anything_below_and_the_stem() {
        check("/admin/**", &["/admin", "/admin/", "/admin/x/y"], &["/administrator", "/x/admin"]);
        check("/**", &["/", "/x", "/x/y"], &[]);
    }

    #[test]
    fn escapes_that_change_nothing_are_decoded() {
        check("/admin", &["/%61dmin", "/%61%64min"], &["/%41dmin"]);
        check("/a b", &["/a%20b"], &[]);
        check("/caf\u{e9}", &["/caf%C3%A9", "/caf%c3%a9", "/caf\u{e9}"], &["/caf%E9"]);
    }

    #[test]
    fn a_path_with_two_readings_is_refused_where_they_disagree() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..%2fadmin",
            "/public/..\\admin",
            "/public/%252e%252e/admin",
            "/public/..;/admin",
            "//public/x",
            "/x/%2e%2e/public/x",
            "/public/..%2fadmin/%252e%252e/public/x",
            "/public/../admin//../public/x",
            "/public/../admin/..;/public/x",
        ] {
            assert_eq!(matches("/public/**", path), Err(BadPath), "{path}");
        }
        assert_eq!(matches("/admin", "/admin;x=1"), Err(BadPath));
        assert_eq!(matches("/admin", "/admin%2f"), Ok(false));
        assert_eq!(matches("/admin", "//admin"), Err(BadPath));
    }

    #[test]
    fn a_path_with_two_readings_passes_where_they_agree() {
        check("/public/**", &["/public/a//b", "/public/group%2Fname", "/public/./x"], &["/x//y"]);
        check("/**", &["//x/y", "//x\\y", "/\\x\\y"], &[]);
    }

    #[test]
    fn broken_escapes_and_control_characters_have_no_reading() {
        for path in [
            "/%",
            "/%4",
            "/%zz",
            "/a%00b",
            "/a%0d%0ab",
            "/\u{1}",
            "/a%2500b",
            "/100%25%2500",
            "/a#b",
            "/%c0%afx",
            "/%25c0%25afx",
            "/%e0%80%af",
            "/%f0%80%80%af",
            "",
            "x",
            "http://x/",
        ] {
            assert_eq!(Readings::of(path.as_bytes()), Err(BadPath), "{path}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_compared_as_bytes() {
        let readings = Readings::of(b"/\xff\xfe").unwrap();
        assert_eq!(readings.agree(|path| Pattern::parse("/*").unwrap().matches(path)), Ok(true));
    }

    #[test]
    fn the_server_as_a_whole_matches_no_pattern() {
        check("/**", &[], &["*"]);
    }

    #[test]
    fn every_order_of_reading_is_judged() {
        for path in [
            "/admin;%2fx",
            "/admin%3bx",
            "/admin%3fx",
            "/admin%23x",
            "/admin%253fx",
            "/admin;%252fx",
            "/admin%3b%252fx",
            "/100%25/..%2f", // no reading at all
            "/%61dmin%3fx",
            "/admin;a;b",
            "/.//admin",
            "/\\admin",
            "/admin%3bx%3fy",
        ] {
            assert_eq!(matches("/admin", path), Err(BadPath), "{path}");
        }
        for path in ["/api;%2fx/admin", "/api%3bx/admin", "/api/./admin", "/api%2fadmin"] {
            assert_eq!(matches("/api/admin", path), Err(BadPath), "{path}");
        }
    }

    #[test]
    fn a_host_in_front_of_a_path_is_no_part_of_it() {
        let admin = Pattern::parse("/admin").unwrap();
        for path in [
            "//x/admin",
            "//x:80/admin",
            "//user@x/admin?y",
            "///x/admin",
            "/\\x/admin",
            "\\\\x/admin",
            "/%2fx/admin",
            "/%5Cx/admin",
            "//x/a/../admin",
            "//x/%61dmin",
        ] {
            let readings = Readings::of(path.as_bytes());
            let judged = readings.and_then(|readings| readings.agree(|path| admin.matches(path)));
            assert_eq!(judged, Err(BadPath), "{path}");
        }
        check("/**", &["//x", "//x/", "///"], &[]);
    }

    #[test]
    fn an_escape_after_a_broken_one_is_decoded_all_the_same() {
        let readings = Readings::of(b"/100%25/%2561dmin").unwrap();
        assert_eq!(readings.others, [b"/100%/%61dmin".as_slice(), b"/100%/admin"]);
        assert_eq!(matches("/x/admin", "/x%2525%252fadmin"), Ok(false));
        let readings = Readings::of(b"/100%25%252fadmin").unwrap();
        assert!(readings.others.contains(&b"/100%/admin".to_vec()), "{readings:?}");
    }

    #[test]
    fn a_path_of_endlessly_many_readings_has_none() {
        let path = "/%2525252525252525252525252525252525252525252525252525252541";
        assert_eq!(Readings::of(path.as_bytes()), Err(BadPath));
        let hostile = format!("/{}", "a;%252f//%253b%253f%5c.".repeat(3000));
        assert_eq!(Readings::of(hostile.as_bytes()), Err(BadPath));
    }

    #[test]
    fn patterns_with_a_mistake_are_refused() {
        for text in [
            "", "users", "/a*", "/**/a", "/a**", "/{a", "/{}", "/.", "/a/../b", "/a?b", "/../a",
            "/a;b", "/%2f", "/%",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
