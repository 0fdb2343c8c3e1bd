//! JSON Web Tokens (RFC 7519) as bearer tokens (RFC 6750).
//!
//! 1. The identity and claim headers that a client sends are taken off, whatever the rule.
//! 2. A token comes once, in one of the provider's `sources`; else 400 (RFC 6750, 3.1).
//! 3. It is read strictly ([`shared::jose`]); its issuer chooses the provider; its algorithm is one
//!    that the provider and the key allow; issuer, audience, times, type and claims are what is
//!    expected; then its signature is checked. Else 401 `invalid_token`.
//! 4. Keys are fetched before the first request needs them, and kept fresh by one worker for all. A
//!    token of a key that is not known causes one fetch, at most once in `refetch`, and waits for it.
//!    While no key is known: 503.
//! 5. A good token that lacks a scope gets 403 `insufficient_scope`, one without a claim that a rule
//!    asks for 403.
//! 6. Who is let through is told to the filters behind and the upstream ([`shared::identity`]); the
//!    token is taken off, unless `forward_credentials: true`.
//! 7. A token found good is good without another check for `verified_cache.ttl`, no longer than it
//!    lives, and only as long as its provider's keys are the same. One that was checked for a rule that
//!    asks for no claims is checked once more for the first that does, and then remembered with them.
//! 8. `verdict: defer` leaves evidence of either outcome and lets a policy decide.

#![forbid(unsafe_code)]

mod config;
mod provider;
mod refusal;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use shared::cache::{Fingerprint, Verified};
use shared::config::{Invalid, Layers, Mode, NonEmpty, Scope};
use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Filter, Flow, Plugin};
use shared::identity::{Finding, HeaderName, IdentityHeaders, conclude};
use shared::jose::{Asked, Crypto, Fetch, Key, KeySet, Lookup, Step, Token, check_scopes};
use shared::sources::{Found, Sources};
use shared::view::Request;

use config::CryptoConfig;
pub use config::{Config, Settings};
use provider::{Checked, Provider};
use refusal::No;

/// The plugin: its providers, and the tokens that it remembers.
pub struct JwtAuth {
    providers: Vec<Provider>,
    /// Every place in which any provider's token may stand.
    sources: Sources,
    verified: Verified<Rc<Checked>>,
    crypto: Crypto,
    identity_headers: IdentityHeaders,
    claim_headers: Vec<HeaderName>,
}

/// A token without an id of its key is tried with so many keys.
const MOST_TRIES: usize = 8;

impl Plugin for JwtAuth {
    const NAME: &'static str = "jwt-auth";
    type Config = Config;
    type Settings = Settings;
    type Filter = Authentication;

    fn new(config: Config, layers: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let mut providers: Vec<Provider> = Vec::new();
        for (index, provider) in config.providers.into_iter().enumerate() {
            let within = |error: Invalid| error.within(&format!("providers[{index}]"));
            let mut provider = Provider::new(provider, birth).map_err(within)?;
            if providers.iter().any(|known| known.name == provider.name) {
                return Err(within(Invalid::at("name", "another provider has it")));
            }
            if providers.iter().any(|known| known.expected.issuer == provider.expected.issuer) {
                return Err(within(Invalid::at("issuer", "another provider has it")));
            }
            // What an earlier plugin of this name has fetched serves from the first request.
            provider.keyring.poll(shared::store::Store::new(birth.host));
            providers.push(provider);
        }
        let sources = Sources::all(providers.iter().map(|provider| &provider.sources));
        check_sources(&sources, &providers)?;
        config.identity_headers.check(&|name| sources.has_header(name))?;
        for (place, scope) in layers.all() {
            check(&scope.settings, &providers).map_err(|error| error.within(&place))?;
        }
        let crypto = match config.crypto {
            CryptoConfig::Auto => Crypto::of(birth.host),
            CryptoConfig::Module => Crypto::here(),
        };
        let by = if crypto.is_of_host() { "the proxy" } else { "this module" };
        log::info!("{}: signatures are checked by {by}", Self::NAME);
        Ok(Self {
            sources,
            claim_headers: providers.iter().flat_map(Provider::claim_headers).cloned().collect(),
            providers,
            verified: Verified::configured(birth.secret, &config.verified_cache),
            crypto,
            identity_headers: config.identity_headers,
        })
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        self.identity_headers.strip_also(&self.claim_headers, request, effects);
    }

    fn tick(&self) -> Option<Duration> {
        let is_remote = self.providers.iter().any(|provider| provider.keyring.is_remote());
        is_remote.then_some(Duration::from_secs(1))
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        let (store, now) = (background.store, background.now);
        for (id, provider) in (0..).zip(&mut self.providers) {
            provider.keyring.poll(store);
            if let Some(call) = provider.keyring.refresh(store, now) {
                background.call(call_id(id, Step::First), call);
            }
        }
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        let (index, step) = call_of(id);
        let Some(provider) = self.providers.get_mut(index) else { return };
        let name = &provider.name;
        match provider.keyring.answered(answer, background.store, background.now, step) {
            Ok(Fetch::Next(call)) => background.call(id.saturating_add(1), call),
            Ok(Fetch::Done(faults)) => {
                background.effects.count_by("keys", "fetch", "ok");
                for fault in faults {
                    log::warn!("{}: {name}: a key is left out: {fault}", Self::NAME);
                }
            }
            Err(why) => {
                background.effects.count_by("keys", "fetch", "failed");
                log::warn!("{}: {name}: no keys were fetched: {why}", Self::NAME);
            }
        }
    }
}

/// Background calls are numbered by provider and step.
fn call_id(provider: u32, step: Step) -> u32 {
    provider.saturating_mul(2).saturating_add(u32::from(step == Step::Second))
}

fn call_of(id: u32) -> (usize, Step) {
    let step = if id.is_multiple_of(2) { Step::First } else { Step::Second };
    (usize::try_from(id >> 1).unwrap_or(usize::MAX), step)
}

/// A provider that takes a header whole would take the scheme of another for a part of its token. A
/// parameter or a cookie has no parts: one that two providers have is the same place.
fn check_sources(all: &Sources, providers: &[Provider]) -> Result<(), Invalid> {
    for (index, provider) in providers.iter().enumerate() {
        if let Some(source) = all.swallowed(&provider.sources) {
            return Err(Invalid::at(
                format!("providers[{index}].sources"),
                format!("another provider takes {source} whole, with any scheme"),
            ));
        }
    }
    Ok(())
}

fn check(settings: &Settings, providers: &[Provider]) -> Result<(), Invalid> {
    let names = settings.providers.iter().flat_map(|names| names.iter());
    for (index, name) in names.enumerate() {
        if providers.iter().all(|provider| provider.name != *name) {
            let message = format!("there is no provider `{name}`");
            return Err(Invalid::at(format!("providers[{index}]"), message));
        }
    }
    check_scopes(&settings.scopes)
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Authentication {
    waiting: Waiting,
}

/// What a request waits for, or has waited for.
#[derive(Debug, Default)]
struct Waiting {
    /// Whether that was a key that was not known.
    refetched: bool,
    /// Whose keys they are.
    provider: Option<usize>,
}

/// What came of a token.
enum Outcome {
    Good(Rc<Checked>, &'static str),
    Pending,
}

impl Filter for Authentication {
    type Plugin = JwtAuth;

    fn on_request(
        &mut self,
        plugin: &mut JwtAuth,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let settings = &scope.settings;
        let outcome = plugin.authenticate(settings, request, effects, &mut self.waiting);
        let finding = match outcome {
            Ok(Outcome::Pending) => return Flow::Hold,
            Ok(Outcome::Good(checked, by)) => {
                effects.count_by("allowed", "by", by);
                Finding::Known(Rc::clone(&checked.credential))
            }
            Err(no) => Finding::Refused(no.refusal(settings)),
        };
        // In shadow mode the upstream still decides, and needs what the client sent.
        if !settings.forward_credentials && scope.mode == Mode::Enforce {
            plugin.sources.strip(request, effects);
        }
        conclude(JwtAuth::NAME, finding, settings.verdict, request, effects)
    }

    fn on_news(
        &mut self,
        plugin: &mut JwtAuth,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        // Asked many times a second for each of many requests, a token is not read again for no news.
        let provider = self.waiting.provider.and_then(|index| plugin.providers.get(index));
        if provider.is_some_and(|provider| provider.keyring.is_under_way(request.now())) {
            return Flow::Hold;
        }
        self.on_request(plugin, scope, request, effects)
    }
}

impl JwtAuth {
    fn authenticate(
        &mut self,
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
        waiting: &mut Waiting,
    ) -> Result<Outcome, No> {
        let found = match self.sources.find(request) {
            Found::One(token) => token,
            Found::Nothing => return Err(No::Missing),
            Found::Repeated => return Err(No::Repeated),
            Found::Malformed => return Err(No::Malformed),
        };
        let fingerprint = self.verified.fingerprint(&found);
        let (checked, by) = match self.remembered(&fingerprint, settings, request) {
            Some(checked) => (checked, "cache"),
            None => match self.verify(&found, settings, request, effects, waiting)? {
                Some(checked) => {
                    let checked = Rc::new(checked);
                    self.verified.remember(fingerprint, Rc::clone(&checked), request.now());
                    (checked, "signature")
                }
                None => return Ok(Outcome::Pending),
            },
        };
        let provider = self.providers.get(checked.provider).ok_or(No::Issuer)?;
        self.check_source(provider, request)?;
        permit(&checked, provider, settings)?;
        Ok(Outcome::Good(checked, by))
    }

    /// A token that was found good, and would be found good again; with its claims, where they are asked for.
    fn remembered(
        &mut self,
        fingerprint: &Fingerprint,
        settings: &Settings,
        request: &Request<'_>,
    ) -> Option<Rc<Checked>> {
        let now = request.now();
        let checked = self.verified.find(fingerprint, now)?;
        let keyring = &self.providers.get(checked.provider)?.keyring;
        let same_keys = match keyring.keys(now) {
            Lookup::Keys(_, generation) => generation == checked.generation,
            Lookup::Wait | Lookup::None => false,
        };
        if !same_keys || checked.expires.is_some_and(|expires| now >= expires) {
            self.verified.forget(fingerprint);
            return None;
        }
        let has_claims = checked.claims.is_some();
        (has_claims || settings.required_claims.is_empty()).then_some(checked)
    }

    /// Checks a token; `None` while its key is being fetched.
    fn verify(
        &mut self,
        text: &[u8],
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
        waiting: &mut Waiting,
    ) -> Result<Option<Checked>, No> {
        let now = request.now();
        let token = Token::read(text)?;
        let issuer = token.claims.text("iss");
        let of_issuer = |provider: &Provider| issuer == Some(&provider.expected.issuer);
        let index = self.providers.iter().position(of_issuer).ok_or(No::Issuer)?;
        let provider = self.providers.get_mut(index).ok_or(No::Issuer)?;
        if settings.providers.as_ref().is_some_and(|names| !names.contains(&provider.name)) {
            return Err(No::Issuer);
        }
        if !provider.algorithms.contains(&token.algorithm) {
            return Err(No::Algorithm);
        }
        // Before the signature, which costs a hundred times as much.
        let expires = provider.expected.check(&token, now)?;
        let mut calls = Calls { id: index, effects, request };
        let refetched = &mut waiting.refetched;
        let Some((keys, generation)) = provider.keys(&token, refetched, &mut calls)? else {
            waiting.provider = Some(index);
            return Ok(None);
        };
        let good = |key: &Key| {
            let signature = (token.signature.0, token.signature.1.as_slice());
            self.crypto.verify(request.host(), key, token.algorithm, token.signed, signature)
        };
        let mut candidates = keys.candidates(token.algorithm, token.key_id.as_deref());
        if !candidates.by_ref().take(MOST_TRIES).any(good) {
            return Err(No::Signature);
        }
        let provider = self.providers.get(index).ok_or(No::Issuer)?;
        let credential = provider
            .credential(&token.claims, expires, &self.identity_headers)
            .map_err(|_| No::Claim)?;
        let claims = (!settings.required_claims.is_empty()).then_some(token.claims);
        Ok(Some(Checked { provider: index, generation, expires, claims, credential }))
    }

    /// A provider's token counts in that provider's places alone.
    fn check_source(&self, provider: &Provider, request: &Request<'_>) -> Result<(), No> {
        let is_sure = self.providers.len() == 1;
        if is_sure || matches!(provider.sources.find(request), Found::One(_)) {
            Ok(())
        } else {
            Err(No::Source)
        }
    }
}

/// What a provider needs to have its keys fetched.
struct Calls<'c, 'r> {
    id: usize,
    effects: &'c mut Effects,
    request: &'c Request<'r>,
}

impl Calls<'_, '_> {
    fn start(&mut self, call: shared::filter::Call) {
        let id = u32::try_from(self.id).unwrap_or(u32::MAX);
        self.effects.call(call_id(id, Step::First), call);
    }
}

impl Provider {
    /// The keys among which the token's is; `None` while they are being fetched.
    fn keys(
        &mut self,
        token: &Token<'_>,
        refetched: &mut bool,
        calls: &mut Calls<'_, '_>,
    ) -> Result<Option<(Rc<KeySet>, u64)>, No> {
        let (now, store) = (calls.request.now(), calls.request.store());
        let (asked, call) = self.keyring.ask(|keys| has_key(keys, token), refetched, store, now);
        if let Some(call) = call {
            calls.start(call);
        }
        match asked {
            Asked::Keys(keys, generation) => Ok(Some((keys, generation))),
            Asked::Wait => Ok(None),
            Asked::Unknown => Err(No::UnknownKey),
            Asked::Keyless => Err(No::Keyless),
        }
    }
}

fn has_key(keys: &KeySet, token: &Token<'_>) -> bool {
    keys.candidates(token.algorithm, token.key_id.as_deref()).next().is_some()
}

/// Whether a good token is good enough.
fn permit(checked: &Checked, provider: &Provider, settings: &Settings) -> Result<(), No> {
    if settings.providers.as_ref().is_some_and(|names| !names.contains(&provider.name)) {
        return Err(No::Issuer);
    }
    let asked = provider.scopes.iter().chain(&settings.scopes);
    if asked.clone().any(|scope| !checked.credential.scopes().contains(scope)) {
        return Err(No::Scope { asked: asked.map(String::as_str).collect::<Vec<_>>().join(" ") });
    }
    let mut required = settings.required_claims.iter();
    let has = |(path, values): (&String, &NonEmpty<Value>)| {
        checked.claims.as_ref().is_some_and(|claims| claims.has(path, values))
    };
    if required.all(has) { Ok(()) } else { Err(No::NotAllowed) }
}
