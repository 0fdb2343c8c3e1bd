//! A request for the application: with a session, or without.

use std::rc::Rc;

use shared::effects::Effects;
use shared::filter::Flow;
use shared::identity::{Credential, Finding, Verdict, conclude};
use shared::jose::{Ambiguous, Claims};
use shared::reply::{Page, Refusal};
use shared::time::Timestamp;
use shared::view::Request;

use crate::config::{ApiClients, Settings};
use crate::cookies::Kept;
use crate::origin::return_path;
use crate::renewal::Renewal;
use crate::seal::Kind;
use crate::session::{Seen, Session};
use crate::{NAME, OAuth2Login, Opened};

/// Why there is nobody: nothing of a session was sent.
const NO_SESSION: &str = "no_session";

impl OAuth2Login {
    /// Lets a request through that has a session.
    pub(crate) fn visit(
        &mut self,
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let (opened, seen) = match self.signed_in(request) {
            Ok(found) => found,
            Err(why) => return self.nobody(why, settings, request, effects),
        };
        let opened = match self.renew(&opened, request, effects) {
            Renewal::Same => opened,
            Renewal::Newer(newer, cookies) => {
                give(cookies, effects);
                newer
            }
            Renewal::Wait => return Flow::Hold,
            Renewal::Ended => return self.nobody("refresh_refused", settings, request, effects),
            Renewal::Unavailable => {
                let refusal = Refusal::unavailable("provider_unavailable");
                return conclude(
                    NAME,
                    Finding::Refused(refusal),
                    settings.verdict,
                    request,
                    effects,
                );
            }
        };
        self.note(&opened.session, seen, request, effects);
        effects.count("allowed");
        let credential = Rc::clone(&opened.credential);
        let flow = conclude(NAME, Finding::Known(credential), settings.verdict, request, effects);
        self.forward.send(&opened, settings.verdict, request, effects);
        flow
    }

    /// The session of a request, and when it was last used; or why there is none.
    pub(crate) fn signed_in(
        &mut self,
        request: &Request<'_>,
    ) -> Result<(Rc<Opened>, u64), &'static str> {
        let opened = self.kept(request)?;
        let now = request.now();
        let seen = self.jar.seen(request).and_then(|sealed| self.seal.open(Kind::Seen, sealed));
        let seen = seen.and_then(|text| serde_json::from_slice::<Seen>(&text).ok());
        let seen = seen.filter(|seen| seen.id == opened.session.id).map_or(0, |seen| seen.time);
        match self.lasting.ended(&opened.session, seen, now) {
            Some(why) => Err(why),
            None => Ok((opened, seen)),
        }
    }

    /// The session of a request, ended or not; or why there is none.
    pub(crate) fn kept(&mut self, request: &Request<'_>) -> Result<Rc<Opened>, &'static str> {
        match self.jar.session(request) {
            Kept::Nothing => Err(NO_SESSION),
            Kept::Broken => Err("session_broken"),
            Kept::Whole(sealed) => self.open(&sealed, request.now()).ok_or("session_invalid"),
        }
    }

    /// Opens a session; one that was opened lately is remembered.
    pub(crate) fn open(&mut self, sealed: &[u8], now: Timestamp) -> Option<Rc<Opened>> {
        let fingerprint = self.opened.fingerprint(sealed);
        if let Some(opened) = self.opened.find(&fingerprint, now) {
            return Some(opened);
        }
        let text = self.seal.open(Kind::Session, sealed)?;
        let mut session: Session = serde_json::from_slice(&text).ok()?;
        // It may be older than the configuration.
        let id_token_ends = self.forward.id_token_ends(&session);
        session.expires = self.forward.end(&session, id_token_ends);
        let credential = self.credential(&session).ok()?;
        let opened = Rc::new(Opened { session, id_token_ends, credential });
        self.opened.remember(fingerprint, Rc::clone(&opened), now);
        Some(opened)
    }

    /// How others learn of a session.
    pub(crate) fn credential(&self, session: &Session) -> Result<Rc<Credential>, Ambiguous> {
        let end = Timestamp::from_secs(self.lasting.end(session));
        let claims = Claims::new(session.claims.clone());
        self.mapping.apply((NAME, "oauth2"), &claims, Some(end), &self.identity_headers)
    }

    /// How many seconds a session may still last.
    pub(crate) fn left(&self, session: &Session, now: Timestamp) -> u64 {
        self.lasting.end(session).saturating_sub(now.secs())
    }

    /// Notes now and then that a session is used.
    fn note(&self, session: &Session, seen: u64, request: &Request<'_>, effects: &mut Effects) {
        let now = request.now();
        if !self.lasting.is_to_be_noted(session, seen, now) {
            return;
        }
        let seen = Seen { id: session.id.clone(), time: now.secs() };
        let text = serde_json::to_vec(&seen).unwrap_or_default();
        if let Some(sealed) = self.seal.seal(Kind::Seen, &text, request.random()) {
            give(vec![self.jar.keep_seen(&sealed, self.left(session, now))], effects);
        }
    }

    /// What becomes of a request without a session.
    fn nobody(
        &mut self,
        why: &'static str,
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        // The scheme of draft-broyer-http-cookie-auth: there is no registered one for cookies.
        let challenge = format!("Cookie {}", settings.realm.parameter());
        let mut refusal = Refusal::unauthorized(why, challenge.clone());
        if why == NO_SESSION {
            refusal = refusal.of_nothing();
        }
        if settings.verdict == Verdict::Defer || is_api_client(&settings.api_clients, request) {
            return conclude(NAME, Finding::Refused(refusal), settings.verdict, request, effects);
        }
        let path = return_path(request.path().unwrap_or_default());
        let has_arrived = self.jar.has_arrived(request);
        let is_form = !reads(request);
        if !is_form && !has_arrived {
            return self.sign_in(path, true, request, effects);
        }
        effects.count_by("refused", "reason", why);
        let mut headers = vec![("www-authenticate", challenge)];
        let text = if is_form {
            "What you sent was not passed on. Sign in, and send it again."
        } else {
            // Most providers would send the browser back without a word, and so on for ever.
            effects.count("in_vain");
            log::debug!("{NAME}: a sign-in was of no use the moment after: {why}");
            headers.push(("set-cookie", self.jar.end_arrival()));
            "You were a moment ago. The browser does not keep the cookies of this site, or what the \
             provider gave has ended already; whoever runs this site finds the reason in its log."
        };
        let page = Page {
            status: 401,
            reason: why,
            title: "You are not signed in",
            text: text.into(),
            link: Some((path, "Sign in")),
            form: None,
        };
        Flow::Answer(page.reply(NAME, headers))
    }
}

/// Gives the browser cookies with the upstream's response, which no cache may keep then: it would
/// give them to others (RFC 9111, 7.3).
fn give(cookies: Vec<String>, effects: &mut Effects) {
    for cookie in cookies {
        effects.add_response_header("set-cookie".into(), cookie.into_bytes().into());
    }
    effects.set_response_header("cache-control".into(), Rc::from(&b"no-store"[..]));
}

/// Whether a browser goes there to show what it gets, as far as it says.
pub(crate) fn is_visit(request: &Request<'_>) -> bool {
    reads(request) && !is_fetched(request)
}

fn reads(request: &Request<'_>) -> bool {
    matches!(request.method(), b"GET" | b"HEAD")
}

/// Fetch Metadata: a browser says what it does with the answer.
fn is_fetched(request: &Request<'_>) -> bool {
    let mode = request.headers().first("sec-fetch-mode");
    mode.is_some_and(|mode| !mode.eq_ignore_ascii_case(b"navigate"))
}

/// Whether it is a program that asks, for which a redirect to a page of another origin is no answer.
fn is_api_client(configured: &ApiClients, request: &Request<'_>) -> bool {
    let headers = request.headers();
    let is = |name: &str, value: &[u8]| {
        headers.first(name).is_some_and(|known| known.eq_ignore_ascii_case(value))
    };
    let is_upgrade = headers.first("upgrade").is_some();
    let is_fetched = is_fetched(request) || is("x-requested-with", b"XMLHttpRequest");
    if request.is_grpc() || is_fetched || is_upgrade {
        return true;
    }
    let accepts = |kind: &str| headers.all("accept").any(|value| names(value, kind));
    if configured.accept.iter().any(|kind| accepts(kind)) && !accepts("text/html") {
        return true;
    }
    if configured.paths.is_empty() {
        return false;
    }
    let is_named = |path: &[u8]| configured.paths.iter().any(|pattern| pattern.matches(path));
    // A path of several readings is no page of a browser.
    let verdict = request.readings().map(|readings| readings?.agree(is_named));
    !matches!(verdict, Some(Ok(false)))
}

/// Whether an `accept` names a media type, whatever its parameters.
fn names(accept: &[u8], kind: &str) -> bool {
    let types = accept.split(|byte| *byte == b',');
    let types = types.filter_map(|part| part.split(|byte| *byte == b';').next());
    types.map(<[u8]>::trim_ascii).any(|name| name.eq_ignore_ascii_case(kind.as_bytes()))
}
