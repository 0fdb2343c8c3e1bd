//! Paths as rules see them, and the patterns that rules are written in.
//!
//! Proxies, frameworks and file systems read one path in different ways: `%2e`, `//`, `\`, `;x`,
//! `%2f`, `%252f`. A rule that opens `/public/**` must not open `/public/..%2fadmin`.
//!
//! 1. A path is compared without its query, and with characters decoded that mean the same either
//!    way (`%61` is `a`).
//! 2. Where something in it has more than one reading, it is read twice: as sent, and by the
//!    greediest reader there is (decoding all, repeatedly; `\` is `/`; `;x` dropped; slashes merged;
//!    dot segments resolved).
//! 3. What the readings disagree on is refused by the caller ([`Readings::agree`]), not guessed.
//! 4. A path with a broken escape or a control character has no reading ([`BadPath`]), and so has one
//!    with a segment `..` in the greedy reading: between the two readings it could hide a third.
//! 5. Segments are compared byte by byte: case and a slash at the end count.

use std::borrow::Cow;

/// A path that no rule can be applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// A request's path, as it may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    sent: Cow<'a, [u8]>,
    greedy: Option<Vec<u8>>,
}

impl<'a> Readings<'a> {
    /// Reads a request's `:path`.
    pub fn of(path: &'a [u8]) -> Result<Self, BadPath> {
        let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        if is_plain(path) {
            return Ok(Self { sent: Cow::Borrowed(path), greedy: None });
        }
        let sent = decode(path, |byte| !has_meaning(byte))?;
        let greedy = greedily(&sent)?;
        let greedy = Some(greedy).filter(|greedy| *greedy != sent);
        Ok(Self { sent: Cow::Owned(sent), greedy })
    }

    /// What `judge` says of the path, if it says the same of every reading.
    pub fn agree<T: PartialEq>(&self, judge: impl Fn(&[u8]) -> T) -> Result<T, BadPath> {
        let verdict = judge(&self.sent);
        match &self.greedy {
            Some(greedy) if judge(greedy) != verdict => Err(BadPath),
            _ => Ok(verdict),
        }
    }
}

/// A path pattern: literal segments, `{name}` or `*` for one segment that is not empty, a last
/// `/**` for any rest, none at all included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Vec<u8>),
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
        Ok(Readings { sent, greedy: None }) => {
            Ok(Segment::Literal(sent.strip_prefix(b"/").unwrap_or_default().to_vec()))
        }
        _ => Err("it has more than one reading, or none"),
    }
}

/// Nothing in the path needs a second look.
fn is_plain(path: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'%' | b'\\' | b';');
    let pairs = path.iter().zip(path.iter().skip(1));
    path.iter().all(plain)
        && pairs.into_iter().all(|(first, second)| *first != b'/' || !matches!(second, b'/' | b'.'))
}

/// Characters that mean something else when they are decoded.
const fn has_meaning(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#' | b'.')
}

/// Decodes the escapes that `wanted` names, spells the others in upper case.
fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Result<Vec<u8>, BadPath> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let escaped = hex(bytes.next(), bytes.next())?;
                if !wanted(escaped) {
                    decoded.extend_from_slice(format!("%{escaped:02X}").as_bytes());
                    continue;
                }
                escaped
            }
            byte => byte,
        };
        if byte < 0x20 || byte == 0x7f {
            return Err(BadPath);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex(high: Option<u8>, low: Option<u8>) -> Result<u8, BadPath> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (high, low) = digit(high).zip(digit(low)).ok_or(BadPath)?;
    u8::try_from(high << 4 | low).map_err(|_| BadPath)
}

/// How often an escape may be escaped again before we stop believing that it is a path.
const GREATEST_DEPTH: usize = 4;

fn greedily(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut path = path.to_vec();
    for depth in 0..=GREATEST_DEPTH {
        if !path.contains(&b'%') {
            break;
        }
        if depth == GREATEST_DEPTH {
            return Err(BadPath);
        }
        path = match decode(&path, |_| true) {
            Ok(path) => path,
            // A literal `%`, once escaped, is an end and not a broken escape.
            Err(BadPath) if depth > 0 => break,
            Err(BadPath) => return Err(BadPath),
        };
    }
    // With a dot segment that only some readers see, a second one can undo for the two readings what
    // the first did for a third reader. Honest clients resolve them before they send.
    if path.split(|byte| matches!(byte, b'/' | b'\\')).any(is_parent) {
        return Err(BadPath);
    }
    Ok(resolve(&path))
}

/// `..`, with parameters or without.
fn is_parent(segment: &[u8]) -> bool {
    segment.split(|byte| *byte == b';').next() == Some(b"..")
}

/// Dot segments resolved (RFC 3986, 5.2.4), slashes merged and turned, parameters dropped.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        ends_open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in kept {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    if ends_open || resolved.is_empty() {
        resolved.push(b'/');
    }
    resolved
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
            &["/users", "/users?x=/y", "/users#x"],
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
    }

    #[test]
    fn broken_escapes_and_control_characters_have_no_reading() {
        for path in ["/%", "/%4", "/%zz", "/a%00b", "/a%0d%0ab", "/\u{1}", "/%252525252541"] {
            assert_eq!(Readings::of(path.as_bytes()), Err(BadPath), "{path}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_compared_as_bytes() {
        let readings = Readings::of(b"/\xff\xfe").unwrap();
        assert_eq!(readings.agree(|path| Pattern::parse("/*").unwrap().matches(path)), Ok(true));
    }

    #[test]
    fn what_is_no_path_matches_no_pattern() {
        check("/**", &[], &["*", "", "http:x"]);
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
