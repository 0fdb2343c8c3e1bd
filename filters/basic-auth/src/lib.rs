//! HTTP Basic authentication (RFC 7617).
//!
//! 1. The identity headers that a client sends are taken off, whatever the rule.
//! 2. `Authorization` comes once, says `Basic` in any case, then any number of spaces, then strict
//!    Base64 of `user:password`, split at the first colon. Anything else is 401, and so is a
//!    control character in the credentials.
//! 3. The user is known, the password is theirs and the moment is one at which it is good, else 401.
//!    The client learns no more than that; the reason is in the log and the metric. A user that
//!    nobody knows costs what a wrong password costs.
//! 4. A user who is not in `allow` gets 403.
//! 5. Who is let through is told to the filters behind and the upstream ([`shared::identity`]); the
//!    credentials are taken off, unless `forward_credentials: true`.
//! 6. A credential found good is good for `verified_cache.ttl` without being hashed again.
//! 7. After `throttle.failures` wrong ones within `throttle.window`, 429 until the window ends,
//!    for right ones too, unless the same client's were found good before. Attempts under way count,
//!    on all workers together. Where they cannot be counted, 503.
//! 8. `verdict: defer` leaves evidence of either outcome and lets a policy decide.
//!
//! It is to be trusted over TLS only, and for as much as its hashes are worth: see the README.

#![forbid(unsafe_code)]

mod config;
mod credentials;
pub mod htpasswd;
pub mod password;
#[cfg(test)]
mod tests;
mod throttle;
mod users;

use std::rc::Rc;

use shared::cache::{Fingerprint, Verified};
use shared::config::{Invalid, Layers, Mode, Scope};
use shared::effects::Effects;
use shared::filter::{Birth, Filter, Flow, Plugin};
use shared::identity::{Finding, IdentityHeaders, conclude};
use shared::reply::Refusal;
use shared::view::Request;

pub use config::{Config, Settings};
use credentials::{Presented, Token};
use throttle::{Attempt, Throttle};
use users::{Checked, User, Users};

/// The plugin: its users, and what it remembers of them.
pub struct BasicAuth {
    users: Users,
    verified: Verified<Rc<User>>,
    throttle: Option<Throttle>,
    identity_headers: IdentityHeaders,
}

impl Plugin for BasicAuth {
    const NAME: &'static str = "basic-auth";
    type Config = Config;
    type Settings = Settings;
    type Filter = Authentication;

    fn new(config: Config, layers: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        config.identity_headers.check(&|_| false)?;
        let users = Users::new(&config, Self::NAME)?;
        for (place, scope) in layers.all() {
            let Some(allow) = scope.settings.allow.named() else { continue };
            users.check(allow).map_err(|error| error.within("allow").within(&place))?;
        }
        let slots = birth.slots(Self::NAME);
        let throttle = |throttle| Throttle::new(&slots, birth.secret_for("throttle"), throttle);
        Ok(Self {
            users,
            verified: Verified::configured(birth.secret_for("verified"), &config.verified_cache),
            throttle: config.throttle.as_ref().map(throttle),
            identity_headers: config.identity_headers,
        })
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        self.identity_headers.strip(request, effects);
    }
}

/// One exchange. It never waits, so there is nothing to remember.
#[derive(Debug, Default)]
pub struct Authentication;

impl Filter for Authentication {
    type Plugin = BasicAuth;

    fn on_request(
        &mut self,
        plugin: &mut BasicAuth,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let settings = &scope.settings;
        let presented = Presented::read(request.sole("authorization"));
        let finding = match plugin.authenticate(&presented, settings, request, effects) {
            Ok(user) => Finding::Known(Rc::clone(&user.credential)),
            Err(no) => Finding::Refused(no.refusal(settings)),
        };
        let is_ours = request.headers().all("authorization").any(credentials::is_basic);
        // In shadow mode the upstream still decides, and needs what the client sent.
        if is_ours && !settings.forward_credentials && scope.mode == Mode::Enforce {
            effects.remove_request_header(Rc::from("authorization"));
        }
        conclude(BasicAuth::NAME, finding, settings.verdict, request, effects)
    }
}

impl BasicAuth {
    fn authenticate(
        &mut self,
        presented: &Presented<'_>,
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Result<Rc<User>, No> {
        let token = match presented {
            Presented::Basic(token) => token,
            Presented::Nothing => return Err(No::Missing),
            Presented::Repeated => return Err(No::Repeated),
            Presented::OtherScheme => return Err(No::OtherScheme),
            Presented::Malformed => return Err(No::Malformed),
        };
        let fingerprint = self.fingerprint(token, request);
        let known = self.verified.find(&fingerprint, request.now());
        let by = if known.is_some() { "cache" } else { "hash" };
        let user = match known {
            Some(user) => user,
            None => {
                let user = self.verify(token, request)?;
                // Remembered before, an expired password would be answered faster than a wrong one.
                user.is_valid(request.now())?;
                self.verified.remember(fingerprint, Rc::clone(&user), request.now());
                user
            }
        };
        user.is_valid(request.now())?;
        settings.allow.named().map_or(Ok(()), |allow| allow.check(&user))?;
        effects.count_by("allowed", "by", by);
        Ok(user)
    }

    /// What a credential is remembered by. Where guesses are counted, what one client may use without
    /// being counted is of no use to another.
    fn fingerprint(&self, token: &Token<'_>, request: &Request<'_>) -> Fingerprint {
        match &self.throttle {
            None => self.verified.fingerprint(token.encoded()),
            Some(_) => {
                let client = throttle::client(request);
                // Base64 has no space, so no client and credential are another pair's.
                self.verified.fingerprint(&[token.encoded(), b" ", &client].concat())
            }
        }
    }

    fn verify(&self, token: &Token<'_>, request: &Request<'_>) -> Result<Rc<User>, No> {
        let pair = token.decode().ok_or(No::Malformed)?;
        let (name, password) = pair.split().ok_or(No::Malformed)?;
        let attempt = match &self.throttle {
            Some(throttle) => Some(throttle.attempt(name, request)?),
            None => None,
        };
        match self.users.verify(name, password) {
            Checked::Right(user) => {
                attempt.iter().for_each(Attempt::succeeded);
                Ok(user)
            }
            Checked::WrongPassword => Err(No::WrongPassword),
            Checked::UnknownUser => Err(No::UnknownUser),
        }
    }
}

/// Why nobody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    Missing,
    Repeated,
    OtherScheme,
    Malformed,
    UnknownUser,
    WrongPassword,
    NotYetValid,
    Expired,
    NotAllowed,
    Throttled { wait: std::time::Duration },
    Uncounted,
}

impl No {
    fn refusal(self, settings: &Settings) -> Refusal {
        let reason = match self {
            Self::Throttled { wait } => {
                return Refusal::too_many("throttled", wait)
                    .with_detail("Too many failed attempts; try again later.");
            }
            Self::NotAllowed => return Refusal::forbidden("not_allowed"),
            Self::Uncounted => return Refusal::unavailable("attempts_not_counted"),
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::OtherScheme => "other_scheme",
            Self::Malformed => "malformed",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
        };
        let refusal = Refusal::unauthorized(reason, challenge(settings));
        match self {
            // What another scheme is meant for is no credential of this one, good or bad.
            Self::Missing | Self::OtherScheme => refusal.of_nothing(),
            _ => refusal,
        }
    }
}

/// RFC 7617, 2: the realm, and the encoding in which users and passwords are sent.
fn challenge(settings: &Settings) -> String {
    format!(r#"Basic {}, charset="UTF-8""#, settings.realm.parameter())
}
