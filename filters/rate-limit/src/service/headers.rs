//! Which headers a service may add to a request or a response.
//!
//! 1. At most [`MOST`] in each direction, of at most [`LONGEST`] bytes each; what is beyond is left out.
//! 2. Names are tokens (RFC 9110, 5.1), values visible characters, spaces and tabs (5.5).
//! 3. Never what the message is framed, routed or trusted by: pseudo-headers, `host`, headers of the
//!    connection, of the body, of `x-forwarded-…` and `x-envoy-…`, credentials and cookies, what stands
//!    for another method, path or host (`x-http-method-override`, `x-original-url`), what a browser
//!    obeys (`refresh`, `alt-svc`), nor what is ours to say: who it is (`x-auth-…`, in every
//!    spelling), `retry-after`, `ratelimit`.
//! 4. Never in place of what is there: a request keeps what it has, under any spelling of the name.

use std::rc::Rc;

use shared::headers::Headers;

use super::wire::HeaderValue;

/// How many headers, in each direction.
const MOST: usize = 16;
/// How long a name and its value may be together, in bytes.
const LONGEST: usize = 1024;

/// A header to add.
pub(crate) type Added = (Rc<str>, Rc<[u8]>);

const NAMES: [&str; 33] = [
    "alt-svc",
    "authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "ratelimit",
    "ratelimit-policy",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-api-key",
    "x-host",
    "x-method-override",
];

const PREFIXES: [&str; 12] = [
    "access-control-",
    "content-",
    "grpc-",
    "sec-",
    "x-auth-",
    "x-envoy-",
    "x-forwarded-",
    "x-gatehouse-",
    "x-http-method",
    "x-original-",
    "x-real-",
    "x-rewrite-",
];

/// Those of `wanted` that may be added to a message that has `present`.
pub(super) fn allowed(wanted: Vec<HeaderValue>, present: Option<&Headers>) -> Vec<Added> {
    let mut added: Vec<Added> = Vec::new();
    for HeaderValue { key, value, raw_value } in wanted.into_iter().take(MOST) {
        let name = key.to_ascii_lowercase();
        let value = if raw_value.is_empty() { value.into_bytes() } else { raw_value };
        let taken = |other: &[u8]| folded(other).eq(folded(name.as_bytes()));
        let is_there = present.is_some_and(|present| present.iter().any(|(name, _)| taken(name)));
        let twice = added.iter().any(|(other, _)| taken(other.as_bytes()));
        if is_free(&name) && is_value(&name, &value) && !is_there && !twice {
            added.push((name.into(), value.into()));
        }
    }
    added
}

/// As a gateway interface may fold a name (`x_auth_subject`, `x.auth.subject`).
fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(|byte| match byte {
        b'_' | b'.' => b'-',
        byte => byte.to_ascii_lowercase(),
    })
}

fn is_free(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let folded: Vec<u8> = folded(name.as_bytes()).collect();
    !name.is_empty()
        && name.bytes().all(is_token)
        && !NAMES.iter().any(|known| folded == known.as_bytes())
        && !PREFIXES.iter().any(|prefix| folded.starts_with(prefix.as_bytes()))
}

fn is_value(name: &str, value: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    name.len().saturating_add(value.len()) <= LONGEST && value.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key: &str, value: &str) -> HeaderValue {
        HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() }
    }

    #[track_caller]
    fn check(key: &str, value: &str, added: bool) {
        let present = [("x-present", "1"), ("x-user", "alice")].into_iter().collect();
        let found = allowed(vec![header(key, value)], Some(&present));
        assert_eq!(found.len(), usize::from(added), "{key}: {value}");
    }

    #[test]
    fn takes_what_services_send() {
        check("X-RateLimit-Limit", "100, 100;w=60;name=\"a\"", true);
        check("x-ratelimit-remaining", "7", true);
        check("x-plan", "", true);
    }

    #[test]
    fn takes_nothing_that_frames_routes_or_is_trusted() {
        for name in [":path", ":status", "", "a b", "x\r\ny", "Host", "Connection", "TE", "upgrade"]
        {
            check(name, "1", false);
        }
        for name in
            ["content-length", "Transfer-Encoding", "x-forwarded-for", "x-envoy-original-path"]
        {
            check(name, "1", false);
        }
        for name in ["authorization", "cookie", "set-cookie", "x-auth-subject", "X_Auth.Scopes"] {
            check(name, "1", false);
        }
        for name in
            ["X-HTTP-Method-Override", "x_original_url", "X-Rewrite-URL", "x-host", "refresh"]
        {
            check(name, "1", false);
        }
        for name in ["alt-svc", "x-api-key", "x-gatehouse-timing", "X-Method-Override"] {
            check(name, "1", false);
        }
    }

    #[test]
    fn takes_no_value_that_could_end_a_line() {
        for value in ["a\r\nb: c", "a\nb", "a\0b", "ä", "\u{7f}"] {
            check("x-plan", value, false);
        }
    }

    #[test]
    fn a_request_keeps_what_it_has() {
        for name in ["x-present", "X-User", "x_user", "x.user"] {
            check(name, "root", false);
        }
    }

    #[test]
    fn there_is_an_end_to_it() {
        let many = |value: &str| (0..99).map(|n| header(&format!("x-{n}"), value)).collect();
        assert_eq!(allowed(many("1"), None).len(), MOST);
        assert!(allowed(many(&"v".repeat(LONGEST)), None).is_empty());
        assert_eq!(allowed(vec![header("x-a", "1"), header("X_A", "2")], None).len(), 1);
    }

    #[test]
    fn a_value_may_come_as_bytes() {
        let raw = HeaderValue { key: "x-a".into(), value: "no".into(), raw_value: b"yes".to_vec() };
        assert_eq!(allowed(vec![raw], None), [(Rc::from("x-a"), Rc::from(&b"yes"[..]))]);
    }
}
