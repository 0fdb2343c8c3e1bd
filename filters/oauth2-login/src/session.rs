//! What is kept in the browser: a session, when it was last used, an attempt to sign in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::time::Timestamp;
use shared::view::Request;

/// A session. The names are short, for all of it goes with every request.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Session {
    /// A random name, the same from sign-in to sign-out.
    #[serde(rename = "i")]
    pub(crate) id: String,
    /// The `nonce` of its sign-in: a refreshed ID token has the same, or none.
    #[serde(rename = "n")]
    pub(crate) nonce: String,
    /// How often it was refreshed.
    #[serde(rename = "g")]
    pub(crate) generation: u32,
    /// When it began, in seconds since 1970.
    #[serde(rename = "s")]
    pub(crate) started: u64,
    /// When its tokens were given.
    #[serde(rename = "r")]
    pub(crate) refreshed: u64,
    /// When the access token ends, if that was said; once opened, the first of the tokens that count.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none", default)]
    pub(crate) expires: Option<u64>,
    /// The claims that are told to others, by their paths.
    #[serde(rename = "c")]
    pub(crate) claims: Map<String, Value>,
    /// The access token, if the upstream gets it.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none", default)]
    pub(crate) access_token: Option<String>,
    /// The refresh token, if there is one.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none", default)]
    pub(crate) refresh_token: Option<String>,
    /// The ID token, for the provider to know whom to sign out, and if the upstream gets it.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none", default)]
    pub(crate) id_token: Option<String>,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting {
    /// Used or not.
    pub(crate) lifetime: Duration,
    /// Without being used.
    pub(crate) idle: Duration,
    /// How long before the access token ends it is refreshed.
    pub(crate) ahead: Duration,
}

/// Clocks of two proxies of one key may be apart so far.
const APART: u64 = 60;

impl Lasting {
    /// Why a session that was last used then has ended; `None` while it lasts.
    pub(crate) fn ended(
        &self,
        session: &Session,
        seen: u64,
        now: Timestamp,
    ) -> Option<&'static str> {
        let now = now.secs();
        let used = seen.max(session.refreshed).max(session.started);
        if session.started > now.saturating_add(APART) || used > now.saturating_add(APART) {
            return Some("session_of_the_future");
        }
        if now >= self.end(session) {
            return Some("session_ended");
        }
        (now >= used.saturating_add(self.idle.as_secs())).then_some("session_idle")
    }

    /// When a session ends, used or not.
    pub(crate) fn end(&self, session: &Session) -> u64 {
        session.started.saturating_add(self.lifetime.as_secs())
    }

    /// Whether it is time to note that a session is used: a cookie for each request would be many.
    pub(crate) fn is_to_be_noted(&self, session: &Session, seen: u64, now: Timestamp) -> bool {
        let used = seen.max(session.refreshed).max(session.started);
        now.secs().saturating_sub(used) >= (self.idle.as_secs() / 8).max(1)
    }

    /// Whether it is time to refresh a session: a while before its access token ends, but not more
    /// than a quarter of its life.
    pub(crate) fn is_to_be_refreshed(&self, session: &Session, now: Timestamp) -> bool {
        let Some(expires) = session.expires else { return false };
        let life = expires.saturating_sub(session.refreshed);
        let ahead = self.ahead.as_secs().min(life / 4);
        session.refresh_token.is_some() && now.secs() >= expires.saturating_sub(ahead)
    }
}

impl Session {
    /// Whether its tokens have ended.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now.secs() >= expires)
    }
}

/// When a session was last used.
#[derive(Deserialize, Serialize)]
pub(crate) struct Seen {
    /// Which session.
    #[serde(rename = "i")]
    pub(crate) id: String,
    /// When, in seconds since 1970.
    #[serde(rename = "t")]
    pub(crate) time: u64,
}

/// An attempt to sign in.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Attempt {
    /// `state`: it comes back with the browser.
    #[serde(rename = "s")]
    pub(crate) state: String,
    /// `nonce`: it comes back in the ID token.
    #[serde(rename = "n")]
    pub(crate) nonce: String,
    /// The secret of PKCE (RFC 7636, 4.1).
    #[serde(rename = "v")]
    pub(crate) verifier: String,
    /// Where the browser was going.
    #[serde(rename = "p")]
    pub(crate) path: String,
    /// When it began, in seconds since 1970.
    #[serde(rename = "t")]
    pub(crate) started: u64,
}

/// How long an attempt may take, in seconds.
pub(crate) const ATTEMPT: u64 = 600;

impl Attempt {
    /// A new one, to come back to `path`.
    pub(crate) fn new(path: String, request: &Request<'_>) -> Self {
        Self {
            state: URL_SAFE_NO_PAD.encode(request.random::<24>()),
            nonce: URL_SAFE_NO_PAD.encode(request.random::<24>()),
            verifier: URL_SAFE_NO_PAD.encode(request.random::<32>()),
            path,
            started: request.now().secs(),
        }
    }

    /// Whether it may still be concluded.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        let now = now.secs();
        self.started <= now.saturating_add(APART) && now < self.started.saturating_add(ATTEMPT)
    }

    /// `code_challenge`, by the method `S256` (RFC 7636, 4.2).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }
}

/// A random name.
pub(crate) fn name(bytes: [u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTING: Lasting = Lasting {
        lifetime: Duration::from_secs(1000),
        idle: Duration::from_secs(100),
        ahead: Duration::from_secs(60),
    };

    fn session(expires: Option<u64>) -> Session {
        Session {
            id: "id".into(),
            nonce: "nonce".into(),
            generation: 0,
            started: 10_000,
            refreshed: 10_000,
            expires,
            claims: Map::new(),
            access_token: None,
            refresh_token: Some("r".into()),
            id_token: None,
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_session_ends_used_or_not() {
        let session = session(None);
        assert_eq!(LASTING.ended(&session, 0, at(10_099)), None);
        assert_eq!(LASTING.ended(&session, 0, at(10_100)), Some("session_idle"));
        assert_eq!(LASTING.ended(&session, 10_050, at(10_149)), None);
        assert_eq!(LASTING.ended(&session, 10_990, at(11_000)), Some("session_ended"));
        assert_eq!(LASTING.ended(&session, 0, at(9_000)), Some("session_of_the_future"));
        assert_eq!(LASTING.ended(&session, u64::MAX, at(10_050)), Some("session_of_the_future"));
    }

    #[test]
    fn it_is_refreshed_a_while_ahead_but_not_at_every_request() {
        assert!(!LASTING.is_to_be_refreshed(&session(None), at(99_999)));
        let long = session(Some(10_600));
        assert!(!LASTING.is_to_be_refreshed(&long, at(10_539)));
        assert!(LASTING.is_to_be_refreshed(&long, at(10_540)));
        let short = session(Some(10_040));
        assert!(!LASTING.is_to_be_refreshed(&short, at(10_029)));
        assert!(LASTING.is_to_be_refreshed(&short, at(10_030)));
        let without = Session { refresh_token: None, ..long };
        assert!(!LASTING.is_to_be_refreshed(&without, at(99_999)));
    }

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let attempt = Attempt {
            state: String::new(),
            nonce: String::new(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
            path: "/".into(),
            started: 0,
        };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
