//! Which tokens the upstream gets, and in which headers.
//!
//! 1. Under a header's name goes nothing else to an upstream that takes it for this session's.
//! 2. In `authorization` a token is a `Bearer` token (RFC 6750, 2.1). A deferred verdict may come to be
//!    another authenticator's, whose credential is there: then it stays.
//! 3. A session is refreshed ahead of the end of its access token, and of its ID token where the
//!    upstream gets that. Where a refresh brings no ID token, the old one serves until it ends, and no
//!    longer: one that has ended goes to nobody.
//! 4. An ID token says who somebody is: where a policy is to decide that (`verdict: defer`), none goes
//!    upstream, and the configuration is refused.

use shared::config::{Invalid, Layers};
use shared::effects::Effects;
use shared::identity::{HeaderName, Verdict};
use shared::jose::Token;
use shared::view::Request;

use crate::Opened;
use crate::config::{ForwardConfig, Settings};
use crate::session::Session;
use crate::tokens;

/// How long after a refresh that brought no ID token of use another is tried, in seconds.
const AGAIN: u64 = 5;

/// The headers of the tokens.
pub(crate) struct Forward {
    access_token: Option<HeaderName>,
    id_token: Option<HeaderName>,
}

impl Forward {
    /// The headers that are configured; `claims` are those of claims.
    pub(crate) fn new(
        config: ForwardConfig,
        claims: &[HeaderName],
        layers: &Layers<Settings>,
    ) -> Result<Self, Invalid> {
        let ForwardConfig { access_token, id_token, claims: _ } = config;
        for (field, header) in [("access_token", &access_token), ("id_token", &id_token)] {
            let wrong = |why| Err(Invalid::at(format!("forward.{field}"), why));
            let Some(header) = header else { continue };
            if header.is_reserved() && !is_bearer(header) {
                return wrong("is a header that means something else to proxies");
            }
            if claims.iter().any(|claim| is_like(claim, header)) {
                return wrong("is the header of a claim, too");
            }
        }
        let wrong = |why| Err(Invalid::at("forward.id_token", why));
        if access_token
            .as_ref()
            .zip(id_token.as_ref())
            .is_some_and(|(one, other)| is_like(one, other))
        {
            return wrong("is the header of the access token, too");
        }
        let defers = layers.all().any(|(_, scope)| scope.settings.verdict == Verdict::Defer);
        if id_token.is_some() && defers {
            return wrong(
                "says who somebody is, which is for a policy to find with `verdict: defer`",
            );
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

    /// When the ID token of a session ends; `None` where the upstream gets none, or there is none.
    pub(crate) fn id_token_ends(&self, session: &Session) -> Option<u64> {
        session.id_token.as_deref().filter(|_| self.has_id_token()).and_then(end_of)
    }

    /// When a session is over unless it is refreshed: its access token ends, or the ID token that the
    /// upstream gets ([`Self::id_token_ends`]). Where the last refresh left none of use, that is a moment
    /// after it.
    pub(crate) fn end(&self, session: &Session, id_token_ends: Option<u64>) -> Option<u64> {
        let again = session.refreshed.saturating_add(AGAIN);
        let id_token = id_token_ends.filter(|end| *end > session.refreshed).unwrap_or(again);
        let id_token = self.has_id_token().then_some(id_token);
        [session.expires, id_token].into_iter().flatten().min()
    }

    /// Whether there is no ID token that the upstream could get: a refresh need not bring one (OpenID
    /// Connect Core, 12.2).
    pub(crate) fn lacks(&self, session: &Session, now: u64) -> bool {
        self.has_id_token() && self.id_token_ends(session).is_none_or(|end| end <= now)
    }

    /// Sends the tokens of a session on.
    pub(crate) fn send(
        &self,
        opened: &Opened,
        verdict: Verdict,
        request: &Request<'_>,
        effects: &mut Effects,
    ) {
        let Opened { session, id_token_ends, .. } = opened;
        let is_good = |_: &&String| {
            verdict == Verdict::Enforce
                && id_token_ends.is_some_and(|end| request.now().secs() < end)
        };
        let tokens = [
            (&self.access_token, session.access_token.as_ref()),
            (&self.id_token, session.id_token.as_ref().filter(is_good)),
        ];
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

fn is_like(one: &HeaderName, other: &HeaderName) -> bool {
    one.is_like(other.shared().as_bytes())
}

fn is_bearer(header: &HeaderName) -> bool {
    &*header.shared() == "authorization"
}

/// When an ID token ends that was found good before.
fn end_of(token: &str) -> Option<u64> {
    let token = Token::read(token.as_bytes()).ok()?;
    token.claims.find("exp").and_then(tokens::seconds)
}
