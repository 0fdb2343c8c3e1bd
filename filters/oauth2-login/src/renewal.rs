//! A session is refreshed (RFC 6749, 6; OpenID Connect Core, 12): in the background, so that it is
//! finished though the request that began it is gone, for a refresh token may be good once.

use std::rc::Rc;
use std::time::Duration;

use shared::effects::Effects;
use shared::filter::{Answer, Background, Call};
use shared::jose::{Claims, IdToken};
use shared::store::StoreFailure;
use shared::time::Timestamp;
use shared::view::Request;

use crate::provider::{At, Checked, Known};
use crate::refresh::{Claim, Share};
use crate::seal::Kind;
use crate::session::Session;
use crate::tokens::{self, NoTokens, Tokens};
use crate::{FETCH, FIRST_REFRESH, OAuth2Login, Opened};

/// How many times in a row a request looks for a newer session than the one that it found.
const MOST_STEPS: usize = 3;
/// What a claim lasts beyond the call that it is for.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

/// A refresh that is under way.
pub(crate) struct Pending {
    session: Session,
}

/// What became of a session.
pub(crate) enum Renewal {
    /// It serves as it is.
    Same,
    /// This one has taken its place; with the cookies that say so.
    Newer(Rc<Opened>, Vec<String>),
    /// It is being refreshed.
    Wait,
    /// It has ended.
    Ended,
    /// It should be refreshed, and nobody can.
    Unavailable,
}

impl OAuth2Login {
    /// Sees to it that a session is refreshed in time.
    pub(crate) fn renew(
        &mut self,
        opened: &Rc<Opened>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Renewal {
        let mut newest = (Rc::clone(opened), None);
        for _ in 0..MOST_STEPS {
            match self.step(&newest.0.session, request, effects) {
                Next::Found(sealed) => match self.open(&sealed, request.now()) {
                    Some(newer) if newer.session.id == opened.session.id => {
                        newest = (newer, Some(sealed));
                    }
                    // It was sealed with a key that is gone from the configuration.
                    _ => return Renewal::Ended,
                },
                Next::Enough => break,
                Next::Is(renewal) => return renewal,
            }
        }
        match newest {
            (_, None) => Renewal::Same,
            (newer, Some(sealed)) => {
                let left = self.left(&newer.session, request.now());
                let text = String::from_utf8(sealed).unwrap_or_default();
                match self.jar.keep_session(&text, left, request) {
                    Some(cookies) => Renewal::Newer(newer, cookies),
                    None => Renewal::Ended,
                }
            }
        }
    }

    /// The newest of a session: who signs out ends the tokens that a refresh has just brought, and
    /// not those before. `None` while one is under way.
    pub(crate) fn newest(
        &mut self,
        mut opened: Rc<Opened>,
        request: &Request<'_>,
    ) -> Option<Rc<Opened>> {
        for _ in 0..MOST_STEPS {
            let session = &opened.session;
            let name = (session.id.as_str(), session.generation);
            let newer = match self.shares.look(request.store(), name, request.now()) {
                Ok(Some(Share::Claimed)) => return None,
                Ok(Some(Share::Renewed(sealed))) => self.open(&sealed, request.now()),
                _ => None,
            };
            match newer.filter(|newer| newer.session.id == session.id) {
                Some(newer) => opened = newer,
                None => break,
            }
        }
        Some(opened)
    }

    /// What is to be done about a session now.
    fn step(&mut self, session: &Session, request: &Request<'_>, effects: &mut Effects) -> Next {
        let now = request.now();
        if !self.lasting.is_to_be_refreshed(session, now) {
            // Without a refresh token, a token that the upstream needs ends the session with it.
            let is_over = session.refresh_token.is_none()
                && (session.access_token.is_some() || self.forward.has_id_token())
                && session.has_expired(now);
            return if is_over { Next::Is(Renewal::Ended) } else { Next::Enough };
        }
        let store = request.store();
        let name = (session.id.as_str(), session.generation);
        match self.shares.look(store, name, now) {
            Ok(Some(Share::Renewed(sealed))) => Next::Found(sealed),
            Ok(Some(Share::Claimed)) => Next::Is(Renewal::Wait),
            Ok(Some(Share::Refused)) => without(session, now, Renewal::Ended),
            Ok(Some(Share::Failed)) => without(session, now, Renewal::Unavailable),
            Ok(None) => self.claim(session, request, effects),
            Err(_) => without(session, now, Renewal::Unavailable),
        }
    }

    /// Claims the refresh of a session, and begins it.
    fn claim(&mut self, session: &Session, request: &Request<'_>, effects: &mut Effects) -> Next {
        let now = request.now();
        let document = match self.document(request, effects) {
            Known::Document(document) => document,
            Known::Wait if session.has_expired(now) => return Next::Is(Renewal::Wait),
            Known::Wait | Known::Nothing => return without(session, now, Renewal::Unavailable),
        };
        let next = (session.id.as_str(), session.generation.saturating_add(1));
        match self.shares.claim(request.store(), next, now) {
            Ok(Claim::Ours) => {}
            Ok(Claim::Theirs) => return Next::Is(Renewal::Wait),
            // There will be room when one of the others is done.
            Ok(Claim::Full) => return without(session, now, Renewal::Wait),
            Err(StoreFailure::Contended | StoreFailure::Unavailable) => {
                return without(session, now, Renewal::Unavailable);
            }
        }
        let token = session.refresh_token.as_deref().unwrap_or_default();
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let call = self.provider.token_call(&document, &pairs);
        effects.count("refreshing");
        self.begin_refresh(session.clone(), call, effects);
        Next::Is(Renewal::Wait)
    }

    fn begin_refresh(&mut self, session: Session, call: Call, effects: &mut Effects) {
        let id = self.next_call;
        self.next_call = id.checked_add(1).unwrap_or(FIRST_REFRESH);
        self.pending.insert(id, Pending { session });
        effects.call(id, call);
    }

    /// The provider has answered a refresh.
    pub(crate) fn refreshed(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        let Some(Pending { session }) = self.pending.remove(&id) else { return };
        let outcome = tokens::read(answer).map_err(share_of).and_then(|tokens| {
            let renewed = self.renewed(&session, &tokens, background)?;
            self.sealed(renewed, background)
        });
        let (share, result) = match outcome {
            Ok(sealed) => (Share::Renewed(sealed.into_bytes()), "ok"),
            Err(Share::Refused) => (Share::Refused, "refused"),
            Err(other) => (other, "failed"),
        };
        background.effects.count_by("refreshed", "result", result);
        let next = (session.id.as_str(), session.generation.saturating_add(1));
        let now = background.now;
        if self.shares.publish(background.store, next, now, &share).is_err() {
            log::warn!("{}: the proxy does not keep a session that was refreshed", crate::NAME);
        }
    }

    /// The session with its new tokens.
    fn renewed(
        &mut self,
        session: &Session,
        tokens: &Tokens,
        background: &mut Background<'_>,
    ) -> Result<Session, Share> {
        let now = background.now.secs();
        let mut next = Session {
            generation: session.generation.saturating_add(1),
            refreshed: now,
            expires: tokens.expires_in.map(|seconds| now.saturating_add(seconds)),
            // RFC 6749, 6: where there is no new one, the old one stays good.
            refresh_token: tokens.refresh_token.clone().or_else(|| session.refresh_token.clone()),
            access_token: self.forward.has_access_token().then(|| tokens.access_token.clone()),
            ..session.clone()
        };
        // RFC 6749, 6: what is granted may have become less, with a new ID token or without.
        if let Some(scope) = &tokens.scope {
            next.claims.insert("scope".into(), scope.as_str().into());
        }
        if let Some(text) = &tokens.id_token
            && let Some(claims) = self.id_token(text, session, tokens, background)?
        {
            let scope = next.claims.get("scope").and_then(|scope| scope.as_str());
            let scope = scope.unwrap_or_default().to_owned();
            next.claims = self.claims(&claims, &scope).map_err(|_| Share::Refused)?;
            // One that was left out for its size is not tried again.
            let is_kept = self.forward.has_id_token() || session.id_token.is_some();
            next.id_token = is_kept.then(|| text.clone());
        }
        next.id_token = next.id_token.filter(|_| self.keeps_id_tokens());
        // Where the key of a new one is not known yet, it will be at the next refresh.
        if tokens.id_token.is_none() && self.forward.lacks(&next, now) {
            return Err(Share::Refused);
        }
        self.credential(&next).map_err(|_| Share::Refused)?;
        Ok(next)
    }

    /// The claims of the ID token of a refresh. `None` where its key is not known yet: then nothing of
    /// it is believed, and the claims stay as they were.
    fn id_token(
        &mut self,
        text: &str,
        session: &Session,
        tokens: &Tokens,
        background: &mut Background<'_>,
    ) -> Result<Option<Claims>, Share> {
        let client = self.provider.client.clone();
        let access_token = tokens.access_token.as_str();
        let asked = IdToken { client: &client, nonce: &session.nonce, access_token, code: None };
        let at = At { host: background.host(), store: background.store, now: background.now };
        let (checked, call) = self.provider.check(text, &asked, self.crypto, &mut false, at);
        if let Some(call) = call {
            background.call(FETCH, call);
        }
        match checked {
            // OpenID Connect Core, 12.2: it is of the same user.
            Checked::Good(claims) if claims.find("sub") == session.claims.get("sub") => {
                Ok(Some(claims))
            }
            Checked::Good(_) | Checked::Bad(_) => Err(Share::Refused),
            Checked::Wait | Checked::Keyless | Checked::UnknownKey => Ok(None),
        }
    }

    fn sealed(&self, mut session: Session, background: &Background<'_>) -> Result<String, Share> {
        let left = self.left(&session, background.now);
        loop {
            let text = serde_json::to_vec(&session).map_err(|_| Share::Failed)?;
            let nonce = background.random().map_err(|_| Share::Failed)?;
            let sealed = self.seal.seal(Kind::Session, &text, nonce).ok_or(Share::Failed)?;
            if self.jar.fits(&sealed, left) {
                return Ok(sealed);
            }
            if !self.make_smaller(&mut session) {
                return Err(Share::Refused);
            }
        }
    }
}

/// What a request does about its session next.
enum Next {
    /// Go on with this one.
    Found(Vec<u8>),
    /// Nothing more.
    Enough,
    /// What this says.
    Is(Renewal),
}

/// A session that is not refreshed serves while its access token is good.
fn without(session: &Session, now: Timestamp, otherwise: Renewal) -> Next {
    if session.has_expired(now) { Next::Is(otherwise) } else { Next::Enough }
}

fn share_of(no: NoTokens) -> Share {
    match no {
        NoTokens::Refused => Share::Refused,
        NoTokens::Unavailable | NoTokens::Misconfigured | NoTokens::Malformed => Share::Failed,
    }
}
