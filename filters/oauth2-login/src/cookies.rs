//! The cookies of the filter: `NAME`, `NAME.1`, … for a session in parts, `NAME.seen` for when it was
//! last used, `NAME.login.ID` for each attempt to sign in, `NAME.arrived` for some seconds after one.
//!
//! 1. `HttpOnly`, `Secure`, `SameSite=Lax`, `Path=/`, no `Domain`: what the prefix `__Host-` asks for.
//! 2. No cookie has more than [`LARGEST`] bytes, attributes included, and a session no more than
//!    [`MOST_PARTS`] of them. The first part says how many there are.
//! 3. A part that is missing or comes twice makes no session: which of them counts would be a guess.
//! 4. What a request calls a cookie goes back into a `Set-Cookie` only where it is of the characters
//!    that our names have.

use std::collections::BTreeMap;

use shared::effects::Effects;
use shared::identity::HeaderName;
use shared::sources::{cookies, strip_cookies};
use shared::view::Request;

/// The largest cookie that browsers keep, its attributes included (RFC 6265, 6.1).
const LARGEST: usize = 4096;
/// The most parts of a session: five and the rest of the headers fit in what Envoy takes (60 KiB).
pub(crate) const MOST_PARTS: usize = 5;
/// How many characters of an attempt's state are in the name of its cookie.
const ID: usize = 10;
/// How many seconds a browser is one that has just signed in.
const ARRIVAL: u64 = 5;

/// The names of the cookies.
pub(crate) struct Jar {
    name: String,
}

/// What a request has of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing.
    Nothing,
    /// Parts that do not make a whole.
    Broken,
    /// All parts.
    Whole(Vec<u8>),
}

impl Jar {
    /// Cookies under this name.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Whether a cookie is one of ours.
    fn is_ours(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.name.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'.')))
    }

    /// Takes our cookies off a request.
    pub(crate) fn strip(&self, request: &Request<'_>, effects: &mut Effects) {
        strip_cookies(request, |name| self.is_ours(name), effects);
    }

    /// The session of a request.
    pub(crate) fn session(&self, request: &Request<'_>) -> Kept {
        let mut parts: BTreeMap<usize, &[u8]> = BTreeMap::new();
        for (name, value) in cookies(request) {
            let Some(index) = self.index(name) else { continue };
            if parts.insert(index, value).is_some() {
                return Kept::Broken;
            }
        }
        if parts.is_empty() {
            return Kept::Nothing;
        }
        let whole = || {
            let (count, first) = parts.get(&0)?.split_at_checked(1)?;
            let count = count.first().filter(|digit| digit.is_ascii_digit())?;
            let count = usize::from(count.saturating_sub(b'0'));
            let mut whole = first.strip_prefix(b".")?.to_vec();
            for index in 1..count {
                whole.extend_from_slice(parts.get(&index)?);
            }
            (1..=MOST_PARTS).contains(&count).then_some(whole)
        };
        whole().map_or(Kept::Broken, Kept::Whole)
    }

    /// The cookies of a session, and the end of those that an earlier one of more parts has left in
    /// the browser; `None` where it is too large.
    pub(crate) fn keep_session(
        &self,
        text: &str,
        seconds: u64,
        request: &Request<'_>,
    ) -> Option<Vec<String>> {
        let parts = self.parts(text, seconds)?;
        let count = parts.len();
        let mut kept: Vec<_> = (0..)
            .zip(&parts)
            .map(|(index, part)| match index {
                0 => set(&self.name, &format!("{count}.{part}"), seconds),
                _ => set(&format!("{}.{index}", self.name), part, seconds),
            })
            .collect();
        let known = cookies(request)
            .filter(|(name, _)| self.index(name).is_some_and(|index| index >= count));
        kept.extend(known.filter_map(|(name, _)| end_of(name)));
        Some(kept)
    }

    /// Whether a session fits into cookies.
    pub(crate) fn fits(&self, text: &str, seconds: u64) -> bool {
        self.parts(text, seconds).is_some()
    }

    /// Cut so that each part fits into a cookie.
    fn parts<'t>(&self, text: &'t str, seconds: u64) -> Option<Vec<&'t str>> {
        // The number of parts, or of the part, takes two characters more.
        let frame = set(&self.name, "", seconds).len().checked_add(2)?;
        let most = LARGEST.checked_sub(frame).filter(|most| *most > 0)?;
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (part, more) = rest.split_at_checked(most.min(rest.len()))?;
            parts.push(part);
            rest = more;
        }
        (1..=MOST_PARTS).contains(&parts.len()).then_some(parts)
    }

    /// Which part of a session a cookie is.
    fn index(&self, name: &[u8]) -> Option<usize> {
        let rest = name.strip_prefix(self.name.as_bytes())?;
        if rest.is_empty() {
            return Some(0);
        }
        match rest.strip_prefix(b".")? {
            [digit @ b'1'..=b'9'] => Some(usize::from(digit.saturating_sub(b'0'))),
            _ => None,
        }
    }

    /// When the session was last used, sealed, if the request says so once.
    pub(crate) fn seen<'r>(&self, request: &'r Request<'_>) -> Option<&'r [u8]> {
        let ours = format!("{}.seen", self.name);
        let mut seen = cookies(request).filter(|(name, _)| *name == ours.as_bytes());
        seen.next().filter(|_| seen.next().is_none()).map(|(_, value)| value)
    }

    /// The cookie that says so.
    pub(crate) fn keep_seen(&self, sealed: &str, seconds: u64) -> String {
        set(&format!("{}.seen", self.name), sealed, seconds)
    }

    /// The attempts of a request: the name of each cookie, and what is sealed in it.
    pub(crate) fn attempts<'r>(
        &self,
        request: &'r Request<'_>,
    ) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        let prefix = format!("{}.login.", self.name);
        cookies(request).filter(move |(name, _)| name.starts_with(prefix.as_bytes()))
    }

    /// The name of the cookie of an attempt with this state.
    pub(crate) fn attempt(&self, state: &str) -> String {
        let id: String = state.chars().take(ID).filter(char::is_ascii).collect();
        format!("{}.login.{id}", self.name)
    }

    /// The cookie of who has just signed in. It is no secret, and who forges it sees a page in place
    /// of a redirect.
    pub(crate) fn arrival(&self) -> String {
        set(&format!("{}.arrived", self.name), "1", ARRIVAL)
    }

    /// Whether the browser has just signed in.
    pub(crate) fn has_arrived(&self, request: &Request<'_>) -> bool {
        let ours = format!("{}.arrived", self.name);
        cookies(request).any(|(name, _)| name == ours.as_bytes())
    }

    /// The end of that cookie.
    pub(crate) fn end_arrival(&self) -> String {
        end(&format!("{}.arrived", self.name))
    }

    /// Ends every cookie of ours that the request has.
    pub(crate) fn end_all(&self, request: &Request<'_>) -> Vec<String> {
        let ours = cookies(request).filter(|(name, _)| self.is_ours(name));
        let mut ends: Vec<_> = ours.filter_map(|(name, _)| end_of(name)).collect();
        ends.sort();
        ends.dedup();
        ends
    }
}

/// The end of a cookie that a request has; `None` where its name is none that we give.
pub(crate) fn end_of(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    HeaderName::try_from(name).is_ok().then(|| end(name))
}

/// A `Set-Cookie` for so many seconds.
pub(crate) fn set(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Lax")
}

/// A `Set-Cookie` that ends one.
pub(crate) fn end(name: &str) -> String {
    set(name, "", 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::testing::Proxy;

    use super::*;

    const NAME: &str = "__Host-session";

    /// The cookies as a browser sends them back.
    fn sent(kept: &[String]) -> String {
        let pairs = kept.iter().filter(|cookie| !cookie.contains("Max-Age=0"));
        pairs.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }

    fn read(cookie: &str) -> Kept {
        let proxy = Proxy::with_request(&[("cookie", cookie)]);
        Jar::new(NAME).session(&Request::new(&proxy))
    }

    fn keep(text: &str, known: &str) -> Option<Vec<String>> {
        let proxy = Proxy::with_request(&[("cookie", known)]);
        Jar::new(NAME).keep_session(text, 28_800, &Request::new(&proxy))
    }

    #[test]
    fn no_cookie_is_larger_than_a_browser_keeps() {
        let kept = keep(&"x".repeat(18_000), "").unwrap();
        assert_eq!(kept.len(), 5);
        assert!(kept.iter().all(|cookie| cookie.len() <= LARGEST), "{kept:?}");
        assert!(kept[0].starts_with("__Host-session=5.xxx"));
        for cookie in &kept {
            let flags = "; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax";
            assert!(cookie.ends_with(flags) && !cookie.contains("Domain"), "{cookie}");
        }
        assert_eq!(keep(&"x".repeat(21_000), ""), None);
    }

    #[test]
    fn parts_that_are_left_over_are_ended() {
        let kept =
            keep("short", "__Host-session=3.a; __Host-session.1=b; __Host-session.2=c").unwrap();
        assert_eq!(kept.len(), 3);
        assert!(kept[0].starts_with("__Host-session=1.short; "));
        assert!(kept[1].starts_with("__Host-session.1=; Path=/; Max-Age=0;"));
    }

    #[test]
    fn what_is_not_whole_is_no_session() {
        assert_eq!(read("a=1"), Kept::Nothing);
        assert_eq!(read("__Host-sessions=1.a; __host-session=1.a"), Kept::Nothing);
        assert_eq!(read("__Host-session=1.a; __Host-session.seen=x"), Kept::Whole(b"a".to_vec()));
        assert_eq!(read("__Host-session=1.a; __Host-session.1=b"), Kept::Whole(b"a".to_vec()));
        for broken in [
            "__Host-session=",
            "__Host-session=a",
            "__Host-session=0.a",
            "__Host-session=6.a",
            "__Host-session=2.a",
            "__Host-session.1=b",
            "__Host-session=2.a; __Host-session.2=b",
            "__Host-session=1.a; __Host-session=1.a",
            "__Host-session=2.a; __Host-session.1=b; __Host-session.1=b",
        ] {
            assert_eq!(read(broken), Kept::Broken, "{broken}");
        }
    }

    #[test]
    fn the_upstream_gets_the_others() {
        let proxy = Proxy::with_request(&[(
            "cookie",
            "a=1; __Host-session=1.x; __Host-session.seen=y; __Host-session.login.z=q; b=2",
        )]);
        let mut effects = Effects::default();
        Jar::new(NAME).strip(&Request::new(&proxy), &mut effects);
        assert_eq!(effects.to_string(), "+cookie: a=1; b=2");
    }

    #[test]
    fn all_of_ours_are_ended() {
        let proxy =
            Proxy::with_request(&[("cookie", "a=1; __Host-session=1.x; __Host-session.seen=y")]);
        let ended = Jar::new(NAME).end_all(&Request::new(&proxy));
        assert_eq!(ended, [end("__Host-session.seen"), end("__Host-session")]);
    }

    #[test]
    fn a_name_that_is_none_of_ours_goes_into_no_answer() {
        for name in [
            "__Host-session.a b",
            "__Host-session.a,b",
            "__Host-session.\u{e4}",
            "__Host-session.\u{7f}",
        ] {
            let cookie = format!("{name}=1");
            let proxy = Proxy::with_request(&[("cookie", cookie.as_str())]);
            assert!(Jar::new(NAME).end_all(&Request::new(&proxy)).is_empty(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read(text in "[A-Za-z0-9_-]{1,20000}") {
            let kept = keep(&text, "").unwrap();
            prop_assert!(kept.iter().all(|cookie| cookie.len() <= LARGEST));
            prop_assert_eq!(read(&sent(&kept)), Kept::Whole(text.into_bytes()));
        }

        #[test]
        fn any_cookie_is_read_without_a_crash(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let value = [&b"__Host-session=2."[..], &bytes].concat();
            let proxy = Proxy::with_request(&[(&b"cookie"[..], value.as_slice())]);
            let _ = Jar::new(NAME).session(&Request::new(&proxy));
        }
    }
}
