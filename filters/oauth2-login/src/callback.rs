//! The way back from the provider: the code, its exchange, the ID token, the session.

use std::borrow::Cow;

use serde_json::{Map, Value};
use shared::effects::Effects;
use shared::filter::{Answer, Flow};
use shared::jose::{Claims, IdToken};
use shared::reply::{Refusal, redirect};
use shared::sources::{QueryParameter, parameters};
use shared::view::Request;
use subtle::ConstantTimeEq;

use crate::cookies::end;
use crate::problem::Problem;
use crate::provider::{Checked, Known};
use crate::seal::Kind;
use crate::session::{Attempt, Session, name};
use crate::tokens::{self, Tokens};
use crate::{FETCH, NAME, OAuth2Login, Phase, at};

/// The longest code that is taken, in bytes.
const MAX_CODE: usize = 4096;
/// The most that is kept of claims, in bytes of JSON.
const MAX_CLAIMS: usize = 4096;

/// A callback whose attempt is known.
pub(crate) struct Callback {
    attempt: Attempt,
    code: String,
}

/// The parameters of a callback (RFC 6749, 4.1.2; RFC 9207, 2).
#[derive(Default)]
struct Returned<'r> {
    state: Option<Cow<'r, [u8]>>,
    code: Option<Cow<'r, [u8]>>,
    error: Option<Cow<'r, [u8]>>,
    issuer: Option<Cow<'r, [u8]>>,
}

impl<'r> Returned<'r> {
    /// `None` where one comes twice (RFC 6749, 3.1), or cannot be decoded.
    fn read(request: &'r Request<'_>) -> Option<Self> {
        let mut returned = Self::default();
        for QueryParameter { name, value } in parameters(request) {
            let place = match &*name {
                b"state" => &mut returned.state,
                b"code" => &mut returned.code,
                b"error" => &mut returned.error,
                b"iss" => &mut returned.issuer,
                _ => continue,
            };
            if place.replace(value?).is_some() {
                return None;
            }
        }
        Some(returned)
    }
}

impl OAuth2Login {
    /// A browser has come back.
    pub(crate) fn call_back(
        &mut self,
        phase: &mut Phase,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        if request.method() != b"GET" {
            return Flow::Refuse(Refusal::method_not_allowed("callback_method", &["GET"]));
        }
        let Some(returned) = Returned::read(request) else {
            return Problem::Callback.page("/", Vec::new(), effects);
        };
        let Some(attempt) = self.attempt(&returned, request) else {
            return self.already(request, effects);
        };
        let problem = match self.look(&returned, request, effects) {
            Looked::Code(code) => {
                let callback = Box::new(Callback { attempt, code });
                return self.exchange(phase, callback, request, effects);
            }
            Looked::Wait => return Flow::Hold,
            Looked::No(problem) => problem,
        };
        self.fail(problem, &attempt, effects)
    }

    /// The attempt of this browser that it comes back from: `state` names its cookie, and is in it.
    fn attempt(&self, returned: &Returned<'_>, request: &Request<'_>) -> Option<Attempt> {
        let state = std::str::from_utf8(returned.state.as_deref()?).ok()?;
        let name = self.jar.attempt(state);
        let mut sealed = self.jar.attempts(request).filter(|(known, _)| *known == name.as_bytes());
        let (_, first) = sealed.next()?;
        let attempt =
            self.open_attempt(first, request.now()).filter(|_| sealed.next().is_none())?;
        bool::from(attempt.state.as_bytes().ct_eq(state.as_bytes())).then_some(attempt)
    }

    /// A callback without an attempt: of who goes back in the browser, or loads the page again. Who
    /// is signed in goes on; nothing of the callback is believed.
    fn already(&mut self, request: &Request<'_>, effects: &mut Effects) -> Flow {
        if self.signed_in(request).is_ok() {
            effects.count("already");
            return Flow::Answer(redirect(NAME, "already", self.origin.at("/"), Vec::new()));
        }
        Problem::NoAttempt.page("/", Vec::new(), effects)
    }

    /// What the provider sent: RFC 9207, 2.4 first, for an error may be another's, too.
    fn look(
        &mut self,
        returned: &Returned<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Looked {
        let document = match self.document(request, effects) {
            Known::Document(document) => document,
            Known::Wait => return Looked::Wait,
            Known::Nothing => return Looked::No(Problem::Unavailable),
        };
        match returned.issuer.as_deref() {
            Some(issuer) if issuer != self.provider.issuer.as_bytes() => {
                return Looked::No(Problem::Issuer);
            }
            None if document.sends_issuer => return Looked::No(Problem::Issuer),
            _ => {}
        }
        match (&returned.code, &returned.error) {
            (None, Some(error)) => Looked::No(Problem::of_error(error)),
            (Some(code), None) if code.len() <= MAX_CODE && !code.is_empty() => {
                match std::str::from_utf8(code) {
                    Ok(code) => Looked::Code(code.to_owned()),
                    Err(_) => Looked::No(Problem::Callback),
                }
            }
            _ => Looked::No(Problem::Callback),
        }
    }

    /// Asks for the tokens of a code (RFC 6749, 4.1.3; RFC 7636, 4.5).
    fn exchange(
        &mut self,
        phase: &mut Phase,
        callback: Box<Callback>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Known::Document(document) = self.document(request, effects) else {
            return self.fail(Problem::Unavailable, &callback.attempt, effects);
        };
        let redirect_uri = self.redirect_uri();
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", callback.code.as_str()),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &callback.attempt.verifier),
        ];
        let call = self.provider.token_call(&document, &pairs);
        *phase = Phase::Exchange(callback);
        Flow::Wait(call)
    }

    /// The token endpoint has answered.
    pub(crate) fn exchanged(
        &mut self,
        phase: &mut Phase,
        callback: Box<Callback>,
        answer: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        match tokens::read(answer) {
            Ok(tokens) => {
                self.verified(phase, (callback, Box::new(tokens), false), request, effects)
            }
            Err(no) => self.fail(no.into(), &callback.attempt, effects),
        }
    }

    /// Verifies the ID token, which may take a key that is still to be fetched, and begins the session.
    pub(crate) fn verified(
        &mut self,
        phase: &mut Phase,
        (callback, tokens, mut refetched): (Box<Callback>, Box<Tokens>, bool),
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let attempt = &callback.attempt;
        let Some(id_token) = tokens.id_token.as_deref() else {
            return self.fail(Problem::IdToken("id_token_missing"), attempt, effects);
        };
        let client = self.provider.client.clone();
        let asked = IdToken {
            client: &client,
            nonce: &attempt.nonce,
            access_token: &tokens.access_token,
            code: Some(&callback.code),
        };
        let at = at(request);
        let (checked, call) =
            self.provider.check(id_token, &asked, self.crypto, &mut refetched, at);
        if let Some(call) = call {
            effects.call(FETCH, call);
        }
        let problem = match checked {
            Checked::Good(claims) if !self.is_recent(&claims, request) => {
                Problem::IdToken("id_token_auth_time")
            }
            Checked::Good(claims) => match self.begin(&attempt.nonce, &tokens, &claims, request) {
                Ok(cookies) => return self.arrive(attempt, cookies, effects),
                Err(problem) => problem,
            },
            Checked::Wait => {
                *phase = Phase::Key(callback, tokens, refetched);
                return Flow::Hold;
            }
            Checked::Keyless => Problem::Unavailable,
            Checked::UnknownKey => Problem::IdToken("id_token_key"),
            Checked::Bad(why) => Problem::IdToken(why),
        };
        self.fail(problem, attempt, effects)
    }

    /// Whether people have proved who they are not longer ago than was asked for (OpenID Connect
    /// Core, 3.1.3.7, step 13).
    fn is_recent(&self, claims: &Claims, request: &Request<'_>) -> bool {
        let Some(max_age) = self.max_age else { return true };
        let Some(time) = claims.find("auth_time").and_then(tokens::seconds) else { return false };
        request.now().secs() <= time.saturating_add(max_age.as_secs())
    }

    /// The cookies of a new session.
    fn begin(
        &self,
        nonce: &str,
        tokens: &Tokens,
        claims: &Claims,
        request: &Request<'_>,
    ) -> Result<Vec<String>, Problem> {
        let now = request.now().secs();
        let session = Session {
            id: name(request.random()),
            nonce: nonce.to_owned(),
            generation: 0,
            started: now,
            refreshed: now,
            expires: tokens.expires_in.map(|seconds| now.saturating_add(seconds)),
            claims: self.claims(claims, tokens.scope.as_deref().unwrap_or(&self.scope))?,
            access_token: self.forward.has_access_token().then(|| tokens.access_token.clone()),
            refresh_token: tokens.refresh_token.clone(),
            id_token: tokens
                .id_token
                .clone()
                .filter(|_| self.forward.has_id_token() || self.places.logout.is_some()),
        };
        let identity = self.credential(&session);
        identity.map_err(|_| Problem::IdToken("id_token_ambiguous"))?;
        self.keep(session, request).ok_or(Problem::TooLarge)
    }

    /// What is kept of claims.
    pub(crate) fn claims(
        &self,
        claims: &Claims,
        scope: &str,
    ) -> Result<Map<String, Value>, Problem> {
        let kept =
            self.kept.iter().filter_map(|path| Some((path.clone(), claims.find(path)?.clone())));
        let mut kept: Map<String, Value> = kept.collect();
        kept.insert("scope".into(), scope.into());
        let size = serde_json::to_string(&kept).map_or(usize::MAX, |text| text.len());
        if size <= MAX_CLAIMS { Ok(kept) } else { Err(Problem::TooLarge) }
    }

    /// The cookies of a session, made smaller where it is too large.
    fn keep(&self, mut session: Session, request: &Request<'_>) -> Option<Vec<String>> {
        let left = self.left(&session, request.now());
        loop {
            let text = serde_json::to_vec(&session).ok()?;
            let sealed = self.seal.seal(Kind::Session, &text, request.random())?;
            let kept = self.jar.keep_session(&sealed, left, request);
            if kept.is_some() || !self.make_smaller(&mut session) {
                return kept;
            }
        }
    }

    /// Whether anybody gets the ID token of a session.
    pub(crate) const fn keeps_id_tokens(&self) -> bool {
        self.forward.has_id_token() || self.places.logout.is_some()
    }

    /// Leaves the ID token out that the provider alone would get; whether there was one.
    pub(crate) fn make_smaller(&self, session: &mut Session) -> bool {
        !self.forward.has_id_token() && session.id_token.take().is_some()
    }

    /// Sends the browser to where it was going.
    fn arrive(&self, attempt: &Attempt, mut cookies: Vec<String>, effects: &mut Effects) -> Flow {
        effects.count("signed_in");
        cookies.push(end(&self.jar.attempt(&attempt.state)));
        cookies.push(self.jar.arrival());
        let cookies = cookies.into_iter().map(|cookie| ("set-cookie", cookie)).collect();
        Flow::Answer(redirect(NAME, "signed_in", self.origin.at(&attempt.path), cookies))
    }

    /// Ends an attempt with a page.
    fn fail(&self, problem: Problem, attempt: &Attempt, effects: &mut Effects) -> Flow {
        // While the provider is away, the attempt may still be concluded.
        let cookies = match problem {
            Problem::Unavailable => Vec::new(),
            _ => vec![("set-cookie", end(&self.jar.attempt(&attempt.state)))],
        };
        problem.page(&attempt.path, cookies, effects)
    }
}

/// What came of a look at a callback.
enum Looked {
    Code(String),
    Wait,
    No(Problem),
}
