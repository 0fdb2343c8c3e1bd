//! Sign-in of browsers: OpenID Connect's authorization-code flow (OpenID Connect Core 1.0; RFC 6749,
//! 7636, 9207, 9700).
//!
//! 1. The identity and claim headers that a client sends are taken off, whatever the rule, and so are
//!    the filter's own cookies: the upstream sees neither.
//! 2. A session is a sealed cookie (`seal`), in parts where it is large (`cookies`). One that is
//!    forged, foreign, cut, too old or unused for too long is none.
//! 3. Without a session, a GET or HEAD of a browser is sent to the provider, with PKCE (S256), and a
//!    `state` and a `nonce` that one cookie per attempt binds to the browser: tabs do not disturb each
//!    other. Other methods get 401 and a page, so that no form is lost in a redirect. API clients
//!    (gRPC, `fetch`, WebSocket, `api_clients`) get 401.
//! 4. The callback is taken once, from the browser that began, from the provider that it was begun
//!    with; its code is exchanged, and the ID token verified as in `jwt-auth`, with `nonce`, `azp`,
//!    `at_hash` and `c_hash`. What goes wrong ends in a page, and never in a redirect; so does a sign-in
//!    whose session is of no use the moment after.
//! 5. Browsers are sent back to a path on `external_url`, which is sealed in the attempt's cookie.
//! 6. A session is refreshed before its access token ends, once for all requests and workers
//!    (`refresh`); the new refresh token replaces the old one. A refresh that fails ends the session
//!    no sooner than its access token ends. So with the ID token, where the upstream gets it.
//! 7. Signing out ends the cookies, the refresh token and, at the provider, the session; a page of
//!    another site cannot cause it.
//! 8. While the provider is not known, nobody is signed in: 503. Sessions that need no refresh go on.
//! 9. `verdict: defer` redirects nobody: it leaves evidence, and a policy decides; `login_path` is
//!    where a sign-in begins, of what shows a page (a GET or HEAD that is no `fetch`).

#![forbid(unsafe_code)]

mod callback;
mod config;
mod cookies;
mod forward;
mod origin;
mod problem;
mod provider;
mod refresh;
mod renewal;
mod seal;
mod session;
mod setup;
mod sign_in;
mod sign_out;
#[cfg(test)]
mod tests;
mod tokens;
mod visit;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use shared::cache::Verified;
use shared::config::{Invalid, Layers, Scope};
use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Filter, Flow, Plugin};
use shared::identity::{Credential, HeaderName, IdentityHeaders};
use shared::jose::{Crypto, Fetch, Mapping, Step};
use shared::view::Request;

use callback::Callback;
pub use config::{Config, Settings};
use cookies::Jar;
use forward::Forward;
use origin::Origin;
use provider::{At, Provider};
use refresh::Shares;
use renewal::Pending;
use seal::Seal;
use session::{Lasting, Session};
use tokens::Tokens;
use visit::is_visit;

const NAME: &str = "oauth2-login";

/// Background calls: the two of a fetch, the end of a refresh token, then refreshes.
const FETCH: u32 = 0;
const FETCH_KEYS: u32 = 1;
const REVOCATION: u32 = 2;
const FIRST_REFRESH: u32 = 3;

/// The plugin: the provider, and what it takes to keep sessions.
pub struct OAuth2Login {
    provider: Provider,
    jar: Jar,
    seal: Seal,
    shares: Shares,
    /// Sessions that were opened lately, by their cookies.
    opened: Verified<Rc<Opened>>,
    /// Refreshes of this worker that are under way, by their calls.
    pending: HashMap<u32, Pending>,
    next_call: u32,
    crypto: Crypto,
    origin: Origin,
    places: Places,
    /// What is asked for, with a space between.
    scope: String,
    parameters: Vec<(String, String)>,
    /// How long ago people may have proved who they are (`max_age`), clocks apart included.
    max_age: Option<Duration>,
    lasting: Lasting,
    mapping: Mapping,
    /// The claims that a session keeps.
    kept: Vec<String>,
    forward: Forward,
    identity_headers: IdentityHeaders,
    /// Further headers that only the proxy may say.
    stripped: Vec<HeaderName>,
}

/// Where what happens.
struct Places {
    callback: String,
    login: Option<String>,
    logout: Option<Logout>,
}

/// Where people sign out, and where they come to then.
#[derive(Clone)]
struct Logout {
    path: String,
    return_to: String,
}

/// A session that was opened.
struct Opened {
    session: Session,
    /// When its ID token ends, where the upstream gets that.
    id_token_ends: Option<u64>,
    credential: Rc<Credential>,
}

impl Plugin for OAuth2Login {
    const NAME: &'static str = NAME;
    type Config = Config;
    type Settings = Settings;
    type Filter = Visit;

    fn new(config: Config, layers: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        setup::plugin(config, layers, birth)
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        self.identity_headers.strip_also(&self.stripped, request, effects);
    }

    fn withhold(&self, request: &Request<'_>, effects: &mut Effects) {
        self.jar.strip(request, effects);
    }

    fn tick(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        let (store, now) = (background.store, background.now);
        self.provider.keyring.poll(store);
        if let Some(call) = self.provider.keyring.refresh(store, now) {
            background.call(FETCH, call);
        }
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        match id {
            FETCH => self.fetched(Step::First, answer, background),
            FETCH_KEYS => self.fetched(Step::Second, answer, background),
            REVOCATION => {
                let is_done = matches!(answer, Answer::Response { status: 200, .. });
                let result = if is_done { "ok" } else { "failed" };
                background.effects.count_by("revoked", "result", result);
            }
            _ => self.refreshed(id, answer, background),
        }
    }
}

impl OAuth2Login {
    /// The document, or the keys, have come or not.
    fn fetched(&mut self, step: Step, answer: &Answer<'_>, background: &mut Background<'_>) {
        let keyring = &mut self.provider.keyring;
        match keyring.answered(answer, background.store, background.now, step) {
            Ok(Fetch::Next(call)) => background.call(FETCH_KEYS, call),
            Ok(Fetch::Done(faults)) => {
                background.effects.count_by("keys", "fetch", "ok");
                for fault in faults {
                    log::warn!("{NAME}: a key is left out: {fault}");
                }
            }
            Err(why) => {
                background.effects.count_by("keys", "fetch", "failed");
                log::warn!("{NAME}: document and keys were not fetched: {why}");
            }
        }
    }
}

/// What the proxy is asked for on behalf of a request.
fn at<'a>(request: &Request<'a>) -> At<'a> {
    At { host: request.host(), store: request.store(), now: request.now() }
}

/// One exchange.
#[derive(Default)]
pub struct Visit {
    phase: Phase,
}

/// What it waits for.
#[derive(Default)]
enum Phase {
    /// Nothing yet, or news of the provider or of a refresh.
    #[default]
    Start,
    /// The tokens for its code.
    Exchange(Box<Callback>),
    /// The key of its ID token.
    Key(Box<Callback>, Box<Tokens>, bool),
}

impl Filter for Visit {
    type Plugin = OAuth2Login;

    fn on_request(
        &mut self,
        plugin: &mut OAuth2Login,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let whole = request.path().unwrap_or_default();
        let path = whole.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let is = |place: &str| place.as_bytes() == path;
        if is(&plugin.places.callback) {
            return plugin.call_back(&mut self.phase, request, effects);
        }
        if let Some(logout) = plugin.places.logout.clone().filter(|logout| is(&logout.path)) {
            return plugin.sign_out(&logout, request, effects);
        }
        if plugin.places.login.as_deref().is_some_and(is) && is_visit(request) {
            return plugin.sign_in("/".into(), true, request, effects);
        }
        plugin.visit(&scope.settings, request, effects)
    }

    fn on_answer(
        &mut self,
        plugin: &mut OAuth2Login,
        _: &Scope<Settings>,
        answer: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        match std::mem::take(&mut self.phase) {
            Phase::Exchange(callback) => {
                plugin.exchanged(&mut self.phase, callback, answer, request, effects)
            }
            // There is one call.
            Phase::Start | Phase::Key(..) => {
                Flow::Refuse(shared::reply::Refusal::unavailable("unexpected_answer"))
            }
        }
    }

    fn on_news(
        &mut self,
        plugin: &mut OAuth2Login,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        match std::mem::take(&mut self.phase) {
            Phase::Key(callback, tokens, refetched) => {
                let begun = (callback, tokens, refetched);
                plugin.verified(&mut self.phase, begun, request, effects)
            }
            Phase::Start | Phase::Exchange(_) => self.on_request(plugin, scope, request, effects),
        }
    }
}
