//! The way to the provider.

use shared::effects::Effects;
use shared::filter::Flow;
use shared::reply::{Refusal, redirect};
use shared::time::Timestamp;
use shared::view::Request;

use crate::cookies::{end_of, set};
use crate::problem::Problem;
use crate::provider::{Document, Known};
use crate::seal::Kind;
use crate::session::{ATTEMPT, Attempt};
use crate::tokens::form;
use crate::{FETCH, NAME, OAuth2Login, at};

/// How many attempts a browser may have under way.
const MOST_ATTEMPTS: usize = 5;

impl OAuth2Login {
    /// Sends a browser to the provider, to come back to `path`. `page`: whether it shows pages.
    pub(crate) fn sign_in(
        &mut self,
        path: String,
        page: bool,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let document = match self.document(request, effects) {
            Known::Document(document) => document,
            Known::Wait => return Flow::Hold,
            Known::Nothing if page => {
                return Problem::Unavailable.page(&path, Vec::new(), effects);
            }
            Known::Nothing => return Flow::Refuse(Refusal::unavailable("provider_unavailable")),
        };
        let attempt = Attempt::new(path, request);
        let text = serde_json::to_vec(&attempt).unwrap_or_default();
        let Some(sealed) = self.seal.seal(Kind::Attempt, &text, request.random()) else {
            return Flow::Refuse(Refusal::unavailable("no_key"));
        };
        let mut cookies = self.surplus(request);
        cookies.push(set(&self.jar.attempt(&attempt.state), &sealed, ATTEMPT));
        effects.count("begun");
        let cookies = cookies.into_iter().map(|cookie| ("set-cookie", cookie)).collect();
        Flow::Answer(redirect(NAME, "sign_in", self.authorization(&document, &attempt), cookies))
    }

    /// What is known of the provider; a fetch of it is started where it is time.
    pub(crate) fn document(&mut self, request: &Request<'_>, effects: &mut Effects) -> Known {
        let (known, call) = self.provider.document(at(request));
        if let Some(call) = call {
            effects.call(FETCH, call);
        }
        known
    }

    /// OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3.
    fn authorization(&self, document: &Document, attempt: &Attempt) -> String {
        let (redirect_uri, challenge) = (self.redirect_uri(), attempt.challenge());
        let ours = [
            ("response_type", "code"),
            ("client_id", &self.provider.client),
            ("redirect_uri", &redirect_uri),
            ("scope", &self.scope),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let more = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        with_query(&document.authorization, &form(ours.into_iter().chain(more)))
    }

    /// Where the provider sends browsers back to.
    pub(crate) fn redirect_uri(&self) -> String {
        self.origin.at(&self.places.callback)
    }

    /// Ends the oldest attempts of a browser that has many, and those that are none.
    fn surplus(&self, request: &Request<'_>) -> Vec<String> {
        let now = request.now();
        let mut attempts: Vec<_> = self
            .jar
            .attempts(request)
            .map(|(name, sealed)| (self.open_attempt(sealed, now).map(|open| open.started), name))
            .collect();
        // Those that are none come first.
        attempts.sort_unstable();
        let is_open = |started: &Option<u64>| started.is_some();
        let open = attempts.iter().filter(|(started, _)| is_open(started)).count();
        let closed = attempts.len().saturating_sub(open);
        let surplus = open.saturating_add(1).saturating_sub(MOST_ATTEMPTS).saturating_add(closed);
        attempts.iter().take(surplus).filter_map(|(_, name)| end_of(name)).collect()
    }

    /// The attempt that is sealed in a cookie, if it may still be concluded.
    pub(crate) fn open_attempt(&self, sealed: &[u8], now: Timestamp) -> Option<Attempt> {
        let text = self.seal.open(Kind::Attempt, sealed)?;
        let attempt: Attempt = serde_json::from_slice(&text).ok()?;
        attempt.is_open(now).then_some(attempt)
    }
}

/// An address with parameters behind it.
pub(crate) fn with_query(address: &str, query: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{query}")
}
