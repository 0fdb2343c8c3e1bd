//! API keys.
//!
//! 1. The identity headers that a client sends are taken off, whatever the rule.
//! 2. A key stands in one of `sources`, once ([`shared::sources`]). None is 401, and so is more than
//!    one, an empty one, and one that cannot be a key.
//! 3. The key is known, and the moment is one at which it is good, else 401. The client learns no
//!    more than that; the reason is in the log and the metric.
//! 4. A consumer who is not in `allow` gets 403, and so does one who lacks one of `scopes`.
//! 5. Who is let through is told to the filters behind and the upstream ([`shared::identity`]). Keys
//!    are taken off wherever they stand, good or not, unless `forward_credentials: true`.
//! 6. `verdict: defer` leaves evidence of either outcome and lets a policy decide.
//!
//! Neither the number of keys nor which there are shows in the time that it takes: see `keys.rs`.

#![forbid(unsafe_code)]

mod config;
mod consumers;
mod keys;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use shared::config::{Invalid, Layers, Mode, Scope};
use shared::effects::Effects;
use shared::filter::{Birth, Filter, Flow, Plugin};
use shared::identity::{Credential, Finding, IdentityHeaders, conclude};
use shared::reply::Refusal;
use shared::sources::{Found, Sources};
use shared::view::Request;

pub use config::{Config, Settings};
use consumers::{Consumers, Key};
use keys::Digest;

/// The plugin: the keys that there are, and where they stand.
pub struct ApiKeyAuth {
    consumers: Consumers,
    sources: Sources,
    identity_headers: IdentityHeaders,
}

impl Plugin for ApiKeyAuth {
    const NAME: &'static str = "api-key-auth";
    type Config = Config;
    type Settings = Settings;
    type Filter = Authentication;

    fn new(config: Config, layers: &Layers<Settings>, _birth: &Birth<'_>) -> Result<Self, Invalid> {
        let Config { sources, consumers, identity_headers } = config;
        identity_headers.check(&|name| sources.has_header(name))?;
        let credential = |identity| Credential::new(Self::NAME, identity, &identity_headers);
        let consumers = Consumers::new(&consumers, credential)?;
        for (place, scope) in layers.all() {
            consumers.check(&scope.settings).map_err(|error| error.within(&place))?;
        }
        Ok(Self { consumers, sources, identity_headers })
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        self.identity_headers.strip(request, effects);
    }
}

/// One exchange. It never waits, so there is nothing to remember.
#[derive(Debug, Default)]
pub struct Authentication;

impl Filter for Authentication {
    type Plugin = ApiKeyAuth;

    fn on_request(
        &mut self,
        plugin: &mut ApiKeyAuth,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let settings = &scope.settings;
        let finding = match plugin.authenticate(settings, request) {
            Ok(key) => {
                effects.count("allowed");
                Finding::Known(Rc::clone(&key.credential))
            }
            Err(no) => Finding::Refused(no.refusal(&plugin.sources, settings)),
        };
        // In shadow mode the upstream still decides, and needs what the client sent.
        if !settings.forward_credentials && scope.mode == Mode::Enforce {
            plugin.sources.strip(request, effects);
        }
        conclude(ApiKeyAuth::NAME, finding, settings.verdict, request, effects)
    }
}

impl ApiKeyAuth {
    fn authenticate(&self, settings: &Settings, request: &Request<'_>) -> Result<&Key, No> {
        let presented = match self.sources.find(request) {
            Found::One(presented) => presented,
            Found::Nothing => return Err(No::Missing),
            Found::Repeated => return Err(No::Repeated),
            Found::Malformed => return Err(No::Malformed),
        };
        if presented.is_empty() {
            return Err(No::Empty);
        }
        let key = self.consumers.find(&Digest::of(&presented)).ok_or(No::UnknownKey)?;
        key.is_valid(request.now())?;
        settings.allow.named().map_or(Ok(()), |allow| allow.check(&key.consumer))?;
        if !settings.scopes.iter().all(|scope| key.consumer.scopes.contains(scope)) {
            return Err(No::InsufficientScope);
        }
        Ok(key)
    }
}

/// Why nobody was recognised, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    Missing,
    Repeated,
    Malformed,
    Empty,
    UnknownKey,
    NotYetValid,
    Expired,
    NotAllowed,
    InsufficientScope,
}

impl No {
    fn refusal(self, sources: &Sources, settings: &Settings) -> Refusal {
        let reason = match self {
            Self::NotAllowed => return Refusal::forbidden("not_allowed"),
            Self::InsufficientScope => return Refusal::forbidden("insufficient_scope"),
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::UnknownKey => "unknown_key",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
        };
        let refusal = Refusal::unauthorized(reason, challenge(sources, settings));
        if self == Self::Missing { refusal.of_nothing() } else { refusal }
    }
}

/// RFC 9110, 11.6.1: the schemes that `authorization` is read with. Where a key stands elsewhere
/// there is no scheme for it, and a 401 needs one: `ApiKey`.
fn challenge(sources: &Sources, settings: &Settings) -> String {
    let realm = settings.realm.parameter();
    let schemes: Vec<_> = sources.schemes().map(|scheme| format!("{scheme} {realm}")).collect();
    if schemes.is_empty() { format!("ApiKey {realm}") } else { schemes.join(", ") }
}
