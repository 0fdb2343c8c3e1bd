//! Exact limits in fixed memory, shared by all workers of the proxy.
//!
//! 1. All limits of a request are checked, then all are charged: one that refuses charges no other.
//!    Where another worker was faster between the two, what was charged is given back: for that
//!    moment others may be refused, never let through, for it.
//! 2. Limits are counted by key (`key`), apart for each quota (`tiers`): a limit whose quota changes
//!    begins anew. One of the same name and quota, in whatever place it is configured, is the same.
//! 3. A request that lacks a part of the key is counted with all that lack it; `missing: exempt` lets
//!    them pass uncounted.
//! 4. Counts are as exact as `state` says, in the memory that `table` and `ledger` say.
//! 5. A count that cannot be had (other workers were faster 32 times in a row, or the proxy keeps no
//!    data) refuses the request, 503; under `mode: shadow` it is let through.
//! 6. `on: unauthenticated` charges a request when it has been answered 401 (or `grpc-status: 16`),
//!    by whomever behind this filter, and refuses those that come when too many were. Requests
//!    under way at once are not refused by each other's failures; those are owed, and delay the next.
//! 7. `mode: shadow` counts, and refuses nobody. What is in shadow is not announced.
//! 8. `counted: global` limits are counted by a rate-limit service for the whole fleet. What is counted
//!    here is checked and charged first: what is refused here is charged nowhere else, and what the
//!    service refuses is given back here. `service/question` says more.
//! 9. A health probe that `health-shortcut` in front lets go on is charged to no limit.
//! 10. Whoever may choose a key chooses among quotas: a header or a path as a key alone limits nobody
//!     who means it.

#![forbid(unsafe_code)]

mod address;
mod config;
mod decision;
mod fields;
mod key;
mod ledger;
mod limit;
mod names;
mod quota;
#[cfg(feature = "schema")]
mod schema;
mod service;
mod state;
mod table;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "test code")]
mod tests;

use shared::config::{Invalid, Layers, Mode, Scope};
use shared::driver::goes_on_as_probe;
use shared::effects::Effects;
use shared::filter::{Answer, Birth, Filter, Flow, Plugin};
use shared::reply::Refusal;
use shared::view::{Request, Response};

pub use config::{Config, Settings};
use decision::{Verdict, decide};
use ledger::{Demand, Ledger};
use service::{Pending, Service};

/// The plugin: the counts. The limits are in its settings.
#[derive(Debug)]
pub struct RateLimit {
    ledger: Ledger,
    service: Option<Service>,
}

impl Plugin for RateLimit {
    const NAME: &'static str = "rate-limit";
    type Config = Config;
    type Settings = Settings;
    type Filter = Exchange;

    fn new(config: Config, layers: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        service::check(config.service.as_ref(), layers)?;
        let service = config.service.map(|config| Service::new(&config, birth, Self::NAME));
        Ok(Self { ledger: Ledger::new(birth, Self::NAME, config.memory), service })
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    /// What is charged if the request turns out not to be authenticated, and for which limit.
    if_unauthenticated: Vec<(&'static str, Demand)>,
    /// What is kept while the service is asked.
    pending: Option<Pending>,
}

impl Filter for Exchange {
    type Plugin = RateLimit;

    fn on_request(
        &mut self,
        plugin: &mut RateLimit,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let limits = &scope.settings.limits;
        if !limits.is_empty() && goes_on_as_probe(request) {
            return Flow::Continue;
        }
        let service = plugin.service.as_ref();
        let mut verdict = decide(limits, &plugin.ledger, service, request, effects);
        self.if_unauthenticated = std::mem::take(&mut verdict.if_unauthenticated);
        match verdict.ask.take() {
            Some((call, pending)) => {
                self.pending = Some(pending);
                Flow::Wait(call)
            }
            None => conclude(&verdict, scope, effects),
        }
    }

    fn on_answer(
        &mut self,
        plugin: &mut RateLimit,
        scope: &Scope<Settings>,
        answer: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let (Some(pending), Some(service)) = (self.pending.take(), &plugin.service) else {
            return Flow::Refuse(Refusal::unavailable("unexpected_answer"));
        };
        let settings = &scope.settings;
        let verdict = pending.conclude(service, &plugin.ledger, settings, answer, request, effects);
        conclude(&verdict, scope, effects)
    }

    fn on_response(
        &mut self,
        plugin: &mut RateLimit,
        response: &Response<'_>,
        effects: &mut Effects,
    ) {
        if self.if_unauthenticated.is_empty() || !is_unauthenticated(response) {
            return;
        }
        let Some(now) = response.now() else { return };
        for (name, demand) in &self.if_unauthenticated {
            match plugin.ledger.count(response.store(), demand, now) {
                Ok(()) => effects.count_by("unauthenticated", "limit", name),
                Err(failure) => log::error!("rate-limit: {name} is not counted: {failure:?}"),
            }
        }
    }
}

/// What becomes of a request on which the verdict is known.
fn conclude(verdict: &Verdict<'_>, scope: &Scope<Settings>, effects: &mut Effects) -> Flow {
    if scope.mode == Mode::Enforce {
        fields::announce(scope.settings.headers, &verdict.stands, effects);
    }
    if let Some(refusal) = &verdict.refusal {
        return Flow::Refuse(refusal.clone());
    }
    effects.count("allowed");
    Flow::Continue
}

/// Whether a response says that the credentials are missing or not good.
fn is_unauthenticated(response: &Response<'_>) -> bool {
    response.status() == 401 || response.headers().first("grpc-status") == Some(b"16")
}
