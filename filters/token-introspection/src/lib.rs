//! OAuth 2.0 tokens that their provider is asked about (RFC 7662), as bearer tokens (RFC 6750).
//!
//! 1. The identity and claim headers that a client sends are taken off, whatever the rule.
//! 2. A token comes once, in one of the `sources`; else 400 (RFC 6750, 3.1). What cannot be a token
//!    (RFC 6749, A.12) is 401, and nobody is asked about it.
//! 3. The endpoint is asked about a token once, however many requests on however many workers wait
//!    for its answer ([`shelf`]), and about `max_calls` tokens at a time on a worker; one more is 503.
//! 4. What has no proper answer is 503: an endpoint that is down, slow, refuses this client, answers
//!    with anything but what RFC 7662 has ([`endpoint`]). It is never a verdict, and not remembered.
//! 5. A token that is not active is 401, and so is one of another issuer, audience or type, one that
//!    has expired, and one that is bound to a proof of possession ([`evaluate`]).
//! 6. A good token that lacks a scope gets 403 `insufficient_scope`, one without a claim that a rule
//!    asks for 403.
//! 7. A good token is remembered for `cache.ttl`, no longer than it lives; one that is not good for
//!    `cache.negative_ttl`, elsewhere: no flood of made-up tokens drives good ones out.
//! 8. Who is let through is told to the filters behind and the upstream ([`shared::identity`]); the
//!    token is taken off, unless `forward_credentials: true`.
//! 9. `verdict: defer` leaves evidence of either outcome and lets a policy decide.

#![forbid(unsafe_code)]

mod config;
mod endpoint;
mod evaluate;
mod inquiries;
mod refusal;
mod shelf;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use shared::cache::{Fingerprint, Verified};
use shared::config::{Invalid, Layers, Mode, Scope};
use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Call, Filter, Flow, Plugin};
use shared::identity::{Finding, HeaderName, conclude};
use shared::jose::check_scopes;
use shared::sources::{Found, Sources};
use shared::store::Store;
use shared::time::Timestamp;
use shared::view::Request;

pub use config::{Config, Settings};
use endpoint::Endpoint;
use evaluate::{Checked, Evaluation};
use inquiries::{Asker, Full, Hearing, Inquiries};
use refusal::{Fault, No};
use shelf::{Shelf, Turn};

/// The plugin: its endpoint, and what it heard of tokens.
pub struct TokenIntrospection {
    endpoint: Endpoint,
    evaluation: Evaluation,
    sources: Sources,
    claim_headers: Vec<HeaderName>,
    // Of one type, so that there is one code for both.
    good: Verified<Result<Rc<Checked>, No>>,
    bad: Verified<Result<Rc<Checked>, No>>,
    /// How long either is remembered.
    lifetimes: (Duration, Duration),
    inquiries: Inquiries,
    shelf: Shelf,
    /// The last fault that was logged, and when.
    logged: Option<(Fault, Timestamp)>,
}

/// What a call may take longer than its time limit before it is given up.
const GRACE: Duration = Duration::from_secs(1);
/// How often the same fault is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

impl Plugin for TokenIntrospection {
    const NAME: &'static str = "token-introspection";
    type Config = Config;
    type Settings = Settings;
    type Filter = Authentication;

    fn new(
        mut config: Config,
        layers: &Layers<Settings>,
        birth: &Birth<'_>,
    ) -> Result<Self, Invalid> {
        for (place, scope) in layers.all() {
            check_scopes(&scope.settings.scopes).map_err(|error| error.within(&place))?;
        }
        let sources = config.sources.take().unwrap_or_else(evaluate::bearer);
        config.identity_headers.check(&|name| sources.has_header(name))?;
        let calls = config.endpoint.max_calls.0.get();
        let (entries, cache) = (config.cache.entries.0, &config.cache);
        let (ttl, negative_ttl) = (cache.ttl.duration(), cache.negative_ttl.duration());
        let evaluation = Evaluation::new(&mut config, &sources)?;
        let endpoint = Endpoint::new(config.endpoint, config.client)?;
        let slots = birth.slots(Self::NAME);
        // One secret for both memories and the shelf: a token is hashed once.
        let secret = shelf::secret(birth, &format!("{slots}/secret"), &endpoint.name());
        Ok(Self {
            claim_headers: evaluation.claim_headers(),
            evaluation,
            sources,
            good: Verified::new(secret, entries, ttl),
            bad: Verified::new(secret, entries, negative_ttl),
            lifetimes: (ttl, negative_ttl),
            inquiries: Inquiries::new(calls),
            shelf: Shelf::new(&slots, endpoint.timeout.saturating_add(GRACE)),
            endpoint,
            logged: None,
        })
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        let headers = self.evaluation.identity_headers();
        headers.strip_also(&self.claim_headers, request, effects);
    }

    /// While requests wait, so that they hear what other workers were answered.
    fn on_tick(&mut self, background: &mut Background<'_>) {
        for key in self.inquiries.keys() {
            self.pursue(&key, background);
        }
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        // Too late: nobody waits for it.
        let Some(key) = self.inquiries.of_call(id) else { return };
        let (store, now) = (background.store, background.now);
        let read =
            endpoint::body(answer).and_then(|body| endpoint::read(body).map(|says| (body, says)));
        let outcome = match read {
            Ok((body, says)) => {
                let result = if says == endpoint::Says::Inactive { "inactive" } else { "active" };
                background.effects.count_by("calls", "result", result);
                self.shelf.put(store, &key, Ok(body), now);
                let outcome = self.evaluation.check(says, now).map(Rc::new);
                self.remember(key, &outcome, now, now);
                outcome
            }
            Err(fault) => {
                background.effects.count_by("calls", "result", "failed");
                self.shelf.put(store, &key, Err(fault), now);
                self.log(fault, answer, now);
                Err(No::Unanswered(fault))
            }
        };
        self.inquiries.conclude(&key, outcome);
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Authentication {
    /// What will be heard of its token, once that is being asked about.
    awaited: Option<Hearing>,
}

/// What is known of a token.
enum Standing {
    /// It is good, as was found out this way.
    Good(Rc<Checked>, &'static str),
    /// It is being asked about.
    Open(Hearing),
}

impl Filter for Authentication {
    type Plugin = TokenIntrospection;

    fn on_request(
        &mut self,
        plugin: &mut TokenIntrospection,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        match plugin.authenticate(request, effects) {
            Ok(Standing::Open(hearing)) => {
                self.awaited = Some(hearing);
                Flow::Hold
            }
            Ok(Standing::Good(checked, by)) => {
                plugin.decide(Ok(&checked), by, scope, request, effects)
            }
            Err(no) => plugin.decide(Err(no), "", scope, request, effects),
        }
    }

    fn on_news(
        &mut self,
        plugin: &mut TokenIntrospection,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Some(hearing) = &self.awaited else {
            return self.on_request(plugin, scope, request, effects);
        };
        match hearing.outcome() {
            None => Flow::Hold,
            Some(Ok(checked)) => plugin.decide(Ok(checked), "endpoint", scope, request, effects),
            Some(Err(no)) => plugin.decide(Err(no.clone()), "", scope, request, effects),
        }
    }
}

impl TokenIntrospection {
    fn authenticate(
        &mut self,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Result<Standing, No> {
        let found = match self.sources.find(request) {
            Found::One(token) => token,
            Found::Nothing => return Err(No::Missing),
            Found::Repeated => return Err(No::Repeated),
            Found::Malformed => return Err(No::Malformed),
        };
        let token = well_formed(&found)?;
        let (key, now) = (self.good.fingerprint(&found), request.now());
        if let Some(outcome) = self.remembered(&key, now) {
            return Ok(Standing::Good(outcome?, "cache"));
        }
        if let Some(hearing) = self.inquiries.join(&key) {
            return Ok(Standing::Open(hearing));
        }
        self.inquiries.room().map_err(|Full| No::Unanswered(Fault::Busy))?;
        let asker = match self.ask(&key, token, request.store(), now, now) {
            Asked::Heard(outcome) => return Ok(Standing::Good(outcome?, "worker")),
            Asked::Call(id, call) => {
                effects.call(id, call);
                Asker::Here(id, self.ends(now))
            }
            Asked::Elsewhere => Asker::Elsewhere,
        };
        Ok(Standing::Open(self.inquiries.open(key, token, asker, now)))
    }

    /// What a token was found to be: good, as long as it lives, or not.
    fn remembered(&mut self, key: &Fingerprint, now: Timestamp) -> Option<Result<Rc<Checked>, No>> {
        match self.good.find(key, now) {
            Some(outcome) if !is_over(&outcome, now) => Some(outcome),
            _ => self.bad.find(key, now),
        }
    }

    /// Finds out of a token by way of the other workers, or asks.
    fn ask(
        &mut self,
        key: &Fingerprint,
        token: &str,
        store: Store<'_>,
        since: Timestamp,
        now: Timestamp,
    ) -> Asked {
        let mut stale = None;
        loop {
            match self.shelf.turn(store, key, since, stale, now) {
                Turn::Wait => return Asked::Elsewhere,
                Turn::GiveUp(fault) => return Asked::Heard(Err(No::Unanswered(fault))),
                Turn::Ask => break,
                // A second answer that is no good either: the clock is not to be relied on.
                Turn::Read(..) if stale.is_some() => break,
                Turn::Read(at, body) => match self.heard(key, &body, at, since, now) {
                    Some(outcome) => return Asked::Heard(outcome),
                    None => stale = Some(at),
                },
            }
        }
        let id = self.inquiries.next_call();
        Asked::Call(id, self.endpoint.call(token))
    }

    /// What another worker's answer of the time `at` comes to; nothing where that is too old for who
    /// has waited since `since`.
    fn heard(
        &mut self,
        key: &Fingerprint,
        body: &[u8],
        at: Timestamp,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Result<Rc<Checked>, No>> {
        let outcome = self.evaluation.check(endpoint::read(body).ok()?, now).map(Rc::new);
        let (ttl, negative_ttl) = self.lifetimes;
        let lifetime = if outcome.is_ok() { ttl } else { negative_ttl };
        let is_fresh = at <= now && now.since(at) < lifetime && !is_over(&outcome, now);
        if !is_fresh && at < since {
            return None;
        }
        self.remember(*key, &outcome, at, now);
        Some(outcome)
    }

    /// Remembers what came of an answer of the time `at`.
    fn remember(
        &mut self,
        key: Fingerprint,
        outcome: &Result<Rc<Checked>, No>,
        at: Timestamp,
        now: Timestamp,
    ) {
        if !is_over(outcome, now) {
            let memory = if outcome.is_ok() { &mut self.good } else { &mut self.bad };
            memory.remember(key, outcome.clone(), at);
        }
    }

    /// Looks after a token that requests wait for.
    fn pursue(&mut self, key: &Fingerprint, background: &mut Background<'_>) {
        let now = background.now;
        let Some(inquiry) = self.inquiries.get_mut(key) else { return };
        let (token, since) = (inquiry.token.clone(), inquiry.since);
        match inquiry.asker {
            Asker::Here(id, ends) if now >= ends => {
                inquiry.asker = Asker::Overdue(id, now.after(GRACE));
            }
            // The proxy owes an answer, and does not give it.
            Asker::Overdue(_, ends) if now >= ends => {
                self.inquiries.conclude(key, Err(No::Unanswered(Fault::Timeout)));
            }
            Asker::Here(..) | Asker::Overdue(..) => {}
            Asker::Elsewhere => match self.ask(key, &token, background.store, since, now) {
                Asked::Elsewhere => {}
                Asked::Heard(outcome) => self.inquiries.conclude(key, outcome),
                Asked::Call(id, call) => {
                    let ends = self.ends(now);
                    if let Some(inquiry) = self.inquiries.get_mut(key) {
                        inquiry.asker = Asker::Here(id, ends);
                        background.call(id, call);
                    }
                }
            },
        }
    }

    /// When the proxy ends a call that begins now.
    fn ends(&self, now: Timestamp) -> Timestamp {
        now.after(self.endpoint.timeout)
    }

    /// Turns what is known of the token into what happens.
    fn decide(
        &self,
        standing: Result<&Rc<Checked>, No>,
        by: &'static str,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let settings = &scope.settings;
        let permitted = standing.and_then(|checked| permit(checked, settings).map(|()| checked));
        let finding = match permitted {
            Ok(checked) => {
                effects.count_by("allowed", "by", by);
                Finding::Known(Rc::clone(&checked.credential))
            }
            Err(no) => Finding::Refused(no.refusal(settings)),
        };
        // In shadow mode the upstream still decides, and needs what the client sent.
        if !settings.forward_credentials && scope.mode == Mode::Enforce {
            self.sources.strip(request, effects);
        }
        conclude(Self::NAME, finding, settings.verdict, request, effects)
    }

    /// Says in the log what is wrong with the endpoint: not for every token.
    fn log(&mut self, fault: Fault, answer: &Answer<'_>, now: Timestamp) {
        let is_new = self
            .logged
            .is_none_or(|(known, at)| known != fault || at > now || now.since(at) >= LOG_INTERVAL);
        if !is_new {
            return;
        }
        self.logged = Some((fault, now));
        let (name, why) = (Self::NAME, fault.reason());
        match answer {
            Answer::Response { status, .. } if fault == Fault::ClientRefused => {
                log::error!("{name}: {why}: the endpoint answers {status} to `client`");
            }
            Answer::Response { status, .. } => {
                log::warn!("{name}: {why}: the answer of the endpoint is {status}");
            }
            Answer::Failed(failure) => log::warn!("{name}: {why}: {failure:?}"),
        }
    }
}

/// How a token is found out of.
enum Asked {
    /// It is known.
    Heard(Result<Rc<Checked>, No>),
    /// By this call, of this number.
    Call(u32, Call),
    /// Another worker asks.
    Elsewhere,
}

/// Whether a good token has ended.
fn is_over(outcome: &Result<Rc<Checked>, No>, now: Timestamp) -> bool {
    outcome.as_ref().is_ok_and(|checked| checked.ends.is_some_and(|ends| ends <= now))
}

/// RFC 6749, A.12: printable ASCII, and at least one.
fn well_formed(token: &[u8]) -> Result<&str, No> {
    let is_printable = token.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match std::str::from_utf8(token) {
        Ok(token) if is_printable && !token.is_empty() => Ok(token),
        _ => Err(No::Malformed),
    }
}

/// Whether a good token is good enough.
fn permit(checked: &Checked, settings: &Settings) -> Result<(), No> {
    if settings.scopes.iter().any(|scope| !checked.credential.scopes().contains(scope)) {
        return Err(No::Scope { asked: settings.scopes.join(" ") });
    }
    let has =
        |(path, values): (&String, &shared::config::NonEmpty<_>)| checked.claims.has(path, values);
    if settings.required_claims.iter().all(has) { Ok(()) } else { Err(No::NotAllowed) }
}
