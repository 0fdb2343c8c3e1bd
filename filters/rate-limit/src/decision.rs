//! What the limits of a request come to: all are checked, then all are charged, then the service is
//! asked about those that it counts.

use std::time::Duration;

use serde_json::json;
use shared::config::Mode;
use shared::effects::Effects;
use shared::filter::Call;
use shared::reply::Refusal;
use shared::store::{Store, StoreFailure};
use shared::time::Timestamp;
use shared::view::Request;

use crate::config::{Counted, Event};
use crate::fields::Stands;
use crate::ledger::{Demand, Ledger};
use crate::limit::{Limit, Tier};
use crate::service::{Pending, Service};
use crate::state::Standing;

/// What becomes of a request.
#[derive(Default)]
pub(crate) struct Verdict<'a> {
    /// How it is refused, if it is.
    pub(crate) refusal: Option<Refusal>,
    /// How the limits stand that there is something to say of.
    pub(crate) stands: Vec<Stands<'a>>,
    /// What is charged if the request turns out not to be authenticated.
    pub(crate) if_unauthenticated: Vec<(&'static str, Demand)>,
    /// The call whose answer says more.
    pub(crate) ask: Option<(Call, Pending)>,
}

/// A limit that a request is under, and what it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The limit.
    pub(crate) limit: &'a Limit,
    /// Its quota.
    pub(crate) tier: &'a Tier,
    /// What of it.
    pub(crate) demand: Demand,
}

/// What stands in the way of a request.
pub(crate) enum No<'a> {
    /// These limits.
    Reached(Vec<Stands<'a>>),
    /// A count is not to be had.
    Unknown(StoreFailure),
}

/// Decides on a request and charges for it.
pub(crate) fn decide<'a>(
    limits: &'a [Limit],
    ledger: &Ledger,
    service: Option<&Service>,
    request: &Request<'_>,
    effects: &mut Effects,
) -> Verdict<'a> {
    let asked = match all_asked(limits, ledger, request, effects) {
        Ok(asked) => asked,
        Err(refusal) => return Verdict { refusal: Some(refusal), ..Verdict::default() },
    };
    let (global, local): (Vec<_>, Vec<_>) = asked.into_iter().partition(Asked::is_global);
    let (enforced, shadow): (Vec<_>, Vec<_>) = local.into_iter().partition(Asked::is_enforced);
    let question = match service {
        Some(service) if !global.is_empty() => match service.question(global, request, effects) {
            Ok(question) => Some((service, question)),
            Err(over) => return refused(No::Reached(over), effects),
        },
        _ => None,
    };
    let till = Till { ledger, store: request.store(), now: request.now() };
    let stands = match till.settle(&enforced) {
        Ok(stands) => stands,
        Err(no) => return refused(no, effects),
    };
    let later = enforced.iter().chain(&shadow).filter(|asked| asked.is_later());
    let if_unauthenticated = later.map(|asked| (asked.limit.name, asked.demand)).collect();
    let ask = question.and_then(|(service, question)| {
        service.ask(question, (&enforced, &stands, &shadow), request, effects)
    });
    if ask.is_none() {
        till.watch(&shadow, effects);
    }
    Verdict { refusal: None, stands, if_unauthenticated, ask }
}

/// The verdict on a request that something stands in the way of.
pub(crate) fn refused<'a>(no: No<'a>, effects: &mut Effects) -> Verdict<'a> {
    let stands = match no {
        No::Unknown(failure) => {
            return Verdict { refusal: Some(unknown(failure)), ..Verdict::default() };
        }
        No::Reached(stands) => stands,
    };
    for Stands { limit, .. } in &stands {
        effects.count_by("limited", "limit", limit.name);
    }
    Verdict { refusal: reached(&stands), stands, ..Verdict::default() }
}

/// The limits that a request is under.
fn all_asked<'a>(
    limits: &'a [Limit],
    ledger: &Ledger,
    request: &Request<'_>,
    effects: &mut Effects,
) -> Result<Vec<Asked<'a>>, Refusal> {
    let mut all = Vec::with_capacity(limits.len());
    for limit in limits {
        let ambiguous = |_| Refusal::ambiguous_path();
        if !limit.concerns(request).map_err(ambiguous)? {
            continue;
        }
        let Some(key) = limit.key(request).map_err(ambiguous)? else { continue };
        let tier = limit.tier(request);
        let amount = if limit.on == Event::Request { limit.cost(request) } else { 1 };
        match ledger.place(request.store(), tier.id, &tier.rate, &key) {
            Ok(place) => {
                let demand = Demand { place, rate: tier.rate, amount };
                all.push(Asked { limit, tier, demand });
            }
            Err(_) if limit.mode == Mode::Shadow => {
                effects.count_by("shadow_unknown", "limit", limit.name);
            }
            Err(failure) => return Err(unknown(failure)),
        }
    }
    Ok(all)
}

impl<'a> Asked<'a> {
    /// Whether it is charged later, if at all.
    pub(crate) fn is_later(&self) -> bool {
        self.limit.on == Event::Unauthenticated
    }

    fn is_global(&self) -> bool {
        self.limit.counted == Counted::Global
    }

    /// Whether it refuses anybody.
    pub(crate) fn is_enforced(&self) -> bool {
        self.limit.mode == Mode::Enforce
    }

    /// How its limit stands.
    pub(crate) const fn stands(&self, standing: Standing) -> Stands<'a> {
        Stands { limit: self.limit, tier: self.tier, standing }
    }
}

/// Where limits are checked and charged.
pub(crate) struct Till<'t, 's> {
    /// The counts.
    pub(crate) ledger: &'t Ledger,
    /// Where they are.
    pub(crate) store: Store<'s>,
    /// The time now.
    pub(crate) now: Timestamp,
}

impl Till<'_, '_> {
    /// Charges all, or none.
    pub(crate) fn settle<'a>(&self, all: &[Asked<'a>]) -> Result<Vec<Stands<'a>>, No<'a>> {
        // What is alone is checked by being charged.
        if all.len() > 1 || all.iter().any(Asked::is_later) {
            self.check(all)?;
        }
        let mut stands = Vec::with_capacity(all.len());
        for (index, asked) in all.iter().enumerate() {
            if asked.is_later() {
                continue;
            }
            let no = match self.ledger.charge(self.store, &asked.demand, self.now) {
                Ok(taken) if taken.granted => {
                    stands.push(asked.stands(taken.standing));
                    continue;
                }
                Ok(taken) => No::Reached(vec![asked.stands(taken.standing)]),
                Err(failure) => No::Unknown(failure),
            };
            self.give_back(all.get(..index).unwrap_or_default(), self.now);
            return Err(no);
        }
        Ok(stands)
    }

    fn check<'a>(&self, all: &[Asked<'a>]) -> Result<(), No<'a>> {
        let mut reached = Vec::new();
        for asked in all {
            let taken = self.ledger.look(self.store, &asked.demand, self.now);
            let taken = taken.map_err(No::Unknown)?;
            if !taken.granted {
                reached.push(asked.stands(taken.standing));
            }
        }
        if reached.is_empty() { Ok(()) } else { Err(No::Reached(reached)) }
    }

    /// Charges each by itself, and counts those that would have refused the request.
    pub(crate) fn watch(&self, shadow: &[Asked<'_>], effects: &mut Effects) {
        for asked in shadow {
            let event = match self.settle(std::slice::from_ref(asked)) {
                Ok(_) => continue,
                Err(No::Reached(_)) => "shadow_limited",
                Err(No::Unknown(_)) => "shadow_unknown",
            };
            effects.count_by(event, "limit", asked.limit.name);
        }
    }

    /// Takes charges of the time `at` back.
    pub(crate) fn give_back(&self, charged: &[Asked<'_>], at: Timestamp) {
        for asked in charged.iter().filter(|asked| !asked.is_later()) {
            if let Err(failure) = self.ledger.give_back(self.store, &asked.demand, at, self.now) {
                let name = asked.limit.name;
                log::warn!("rate-limit: a charge of {name} is not given back: {failure:?}");
            }
        }
    }
}

/// The refusal of who has reached limits: it says when the last of them lets a request through.
fn reached(stands: &[Stands<'_>]) -> Option<Refusal> {
    let last = stands.iter().max_by_key(|stands| stands.standing.wait)?;
    let reason = match last.limit.on {
        Event::Request => "limited",
        Event::Unauthenticated => "too_many_failures",
    };
    let names: Vec<_> = stands.iter().map(|stands| stands.limit.name).collect();
    let detail = format!("The limit `{}` is reached; try again later.", last.limit.name);
    let refusal = Refusal::too_many(reason, Duration::from_nanos(last.standing.wait));
    // draft-ietf-httpapi-ratelimit-headers-10, 7.1.
    let kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
    let title = "Request cannot be satisfied as assigned quota has been exceeded";
    Some(refusal.with_detail(detail).with_problem(kind, title, "violated-policies", json!(names)))
}

fn unknown(failure: StoreFailure) -> Refusal {
    Refusal::unavailable(match failure {
        StoreFailure::Contended => "contended",
        StoreFailure::Unavailable => "store_unavailable",
    })
}
