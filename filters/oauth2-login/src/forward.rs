//! Which tokens the upstream gets, and in which headers.
//!
//! 1. Under a header's name goes nothing else to an upstream that takes it for this session's.
//! 2. In `authorization` a token is a `Bearer` token (RFC 6750, 2.1). A deferred verdict may come to be
//!    another authenticator's, whose credential is there: then it stays.
//! 3. A session is refreshed ahead of the end of its access token, and of its ID token where the
//!    upstream gets that. Where a refresh brings no ID token, the old one serves until it ends.

use shared::config::Invalid;
use shared::effects::Effects;
use shared::identity::{HeaderName, Verdict};
use shared::jose::Token;
use shared::view::Request;

use crate::config::ForwardConfig;
use crate::session::Session;
use crate::tokens;

/// The headers of the tokens.
pub(crate) struct Forward {
    access_token: Option<HeaderName>,
    id_token: Option<HeaderName>,
}

impl Forward {
    /// The headers that are configured; `claims` are those of claims.
    pub(crate) fn new(config: ForwardConfig, claims: &[HeaderName]) -> Result<Self, Invalid> {
        let ForwardConfig { access_token, id_token, claims: _ } = config;
        for (field, header) in [("access_token", &access_token), ("id_token", &id_token)] {
            let wrong = |why| Err(Invalid::at(format!("forward.{field}"), why));
            let Some(header) = header else { continue };
            if header.is_reserved() && !is_bearer(header) {
                return wrong("is a header that means something else to proxies");
            }
            if claims.contains(header) {
                return wrong("is the header of a claim, too");
            }
        }
        if access_token.is_some() && access_token == id_token {
            return Err(Invalid::at("forward.id_token", "is the header of the access token, too"));
        }
        Ok(Self { access_token, id_token })
    }

    /// The headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.access_token.iter().chain(&self.id_token)
    }

    /// Those that only the proxy may say. What is in `authorization` may be another authenticator's.
    pub(crate) fn stripped(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers().filter(|header| !is_bearer(header))
    }

    /// Whether the upstream gets access tokens.
    pub(crate) const fn has_access_token(&self) -> bool {
        self.access_token.is_some()
    }

    /// Whether the upstream gets ID tokens.
    pub(crate) const fn has_id_token(&self) -> bool {
        self.id_token.is_some()
    }

    /// When a session is over unless it is refreshed: its access token, or the ID token that the
    /// upstream gets, ends then.
    pub(crate) fn end(&self, access_token: Option<u64>, id_token: Option<&str>) -> Option<u64> {
        let id_token = id_token.filter(|_| self.has_id_token()).and_then(end_of);
        [access_token, id_token].into_iter().flatten().min()
    }

    /// Whether the upstream would get an ID token that has ended, or none: a refresh need not bring one
    /// (OpenID Connect Core, 12.2).
    pub(crate) fn lacks(&self, id_token: Option<&str>, now: u64) -> bool {
        self.has_id_token() && id_token.and_then(end_of).is_none_or(|end| end <= now)
    }

    /// Sends the tokens of a session on.
    pub(crate) fn send(
        &self,
        session: &Session,
        verdict: Verdict,
        request: &Request<'_>,
        effects: &mut Effects,
    ) {
        let tokens =
            [(&self.access_token, &session.access_token), (&self.id_token, &session.id_token)];
        for (header, token) in tokens {
            let Some(header) = header else { continue };
            let (name, is_bearer) = (header.shared(), is_bearer(header));
            let is_there = is_bearer && request.headers().first(&name).is_some();
            if is_there && verdict == Verdict::Defer {
                continue;
            }
            match token {
                Some(token) => {
                    let value = if is_bearer { format!("Bearer {token}") } else { token.clone() };
                    effects.set_request_header(name, value.into_bytes().into());
                }
                None if is_there => effects.remove_request_header(name),
                None => {}
            }
        }
    }
}

fn is_bearer(header: &HeaderName) -> bool {
    &*header.shared() == "authorization"
}

/// When an ID token ends that was found good before.
fn end_of(token: &str) -> Option<u64> {
    let token = Token::read(token.as_bytes()).ok()?;
    token.claims.find("exp").and_then(tokens::seconds)
}
