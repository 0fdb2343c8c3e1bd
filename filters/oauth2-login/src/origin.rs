//! Where the application is, for browsers, and where on it they may be sent.
//!
//! 1. The origin is configured, never taken from a request: who sends a `Host` chooses it.
//! 2. It is `https`; `http` only for this very machine, where browsers take it for as safe (Secure
//!    Contexts, 3.1).
//! 3. A browser is sent back to a path, put behind the origin, so that whatever the path is, it is on
//!    this origin. One that another program could take for more than a path is `/`.

use serde::{Deserialize, Deserializer, de::Error};

/// The longest path that a browser is sent back to, in bytes; it has to fit into a cookie.
const LONGEST: usize = 1024;

/// `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is not an origin: {why}"));
        let text = text.strip_suffix('/').unwrap_or(text);
        let (is_plain, host) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(host), _) => (false, host),
            (_, Some(host)) => (true, host),
            _ => return wrong("it begins with `https://`"),
        };
        let is_of_host = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        };
        if host.is_empty() || !host.bytes().all(is_of_host) {
            return wrong("it is a host in lower case, with a port or without, and nothing behind");
        }
        let (name, port) = match host.rsplit_once(':').filter(|_| !host.ends_with(']')) {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        };
        if name.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return wrong("it has no host, or a port that is none");
        }
        if port == Some(if is_plain { "80" } else { "443" }) {
            return wrong("browsers leave its port away, so leave it away here");
        }
        if is_plain && !is_this_machine(name) {
            return wrong("cookies with `Secure` need `https`, but on this very machine");
        }
        Ok(Self(text.to_owned()))
    }

    /// It as a text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of a path on it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Whether it is plain HTTP, on this very machine.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.starts_with("http:")
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
shared::written!(Origin, "Origin", {
    "description": "An origin: `https://host[:port]` in lower case.",
    "type": "string",
    "pattern": r"^https?://[a-z0-9.:\[\]-]+/?$",
});

fn is_this_machine(name: &str) -> bool {
    name == "localhost" || name == "127.0.0.1" || name == "[::1]" || name.ends_with(".localhost")
}

/// The path to send a browser back to, of the `:path` that it asked for.
pub(crate) fn return_path(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if is_return_path(text) => text.to_owned(),
        _ => "/".to_owned(),
    }
}

/// Whether a text is a path on any origin, to every program that may read it.
pub(crate) fn is_return_path(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'!'..=b'~') && !b"\\\"<>`".contains(&byte);
    text.len() <= LONGEST
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_this_machine() {
        for good in [
            "https://app.example",
            "https://app.example/",
            "https://app.example:8443",
            "http://localhost:10000",
            "http://127.0.0.1:10000",
            "http://[::1]:10000",
            "http://[::1]",
            "http://app.localhost",
        ] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app.example",
            "http://app.example",
            "http://localhost.evil.example",
            "https://",
            "https://app.example/app",
            "https://app.example?x",
            "https://app.example#x",
            "https://user@app.example",
            "https://App.example",
            "https://app.example:443",
            "https://app.example:x",
            "https://app.example:",
            "https://app.example:70000",
            "https://:8443",
            "http://localhost:80",
            "https://app.example\r\nset-cookie: a=1",
            "javascript:alert(1)",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_browser_is_sent_back_to_this_origin() {
        for path in ["/", "/a?b=c&d=%2f", "/a//b", "/%2f%2fevil.example", "/https:evil", "/@evil"] {
            assert_eq!(return_path(path.as_bytes()), path);
        }
        for path in [
            &b"//evil.example"[..],
            b"/\\evil.example",
            b"\\\\evil.example",
            b"https:evil.example",
            b"https://evil.example/",
            b"http://user:password@evil.example",
            b"javascript:alert(1)",
            b"evil",
            b"",
            b"*",
            b"/a\r\nset-cookie: a=1",
            b"/\tevil",
            b"/a b",
            b"/\xff",
            b"/\"><script>",
        ] {
            assert_eq!(return_path(path), "/", "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(return_path(&[b"/", "x".repeat(2000).as_bytes()].concat()), "/");
    }
}
