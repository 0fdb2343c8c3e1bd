//! What becomes of a request that the service is asked about.
//!
//! 1. What this proxy counts is checked and charged first: what is refused here is charged nowhere
//!    else. What the service refuses is given back here, as far as it still counts by then.
//! 2. A limit that is known to be over refuses before anything is charged.
//! 3. Limits in `shadow` are asked about in the same call. If the service says that the request is
//!    over and not by which limit, it is by those that are enforced, if there are any.
//! 4. Without an answer: `deny` refuses (503) and gives back what was charged, `allow` lets the
//!    request go on, `local` counts it here.

use std::time::Duration;

use shared::effects::Effects;
use shared::filter::{Answer, Birth, Call};
use shared::reply::Refusal;
use shared::time::Timestamp;
use shared::view::Request;

use super::client::{Client, Descriptor, Judgement, Over};
use super::config::{Config, OnFailure};
use super::descriptor;
use crate::config::{Announce, Settings};
use crate::decision::{Asked, No, Till, Verdict, refused};
use crate::fields::Stands;
use crate::ledger::{Demand, Ledger};
use crate::limit::Limit;
use crate::state::Standing;

/// The service of a plugin.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    on_failure: OnFailure,
}

/// What there is to ask about a request.
pub(crate) struct Question<'a> {
    asked: Vec<Asked<'a>>,
    descriptors: Vec<Descriptor>,
}

/// What is kept of a request while the service is asked.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What was charged here.
    charged: Vec<Held>,
    /// When.
    at: Timestamp,
    /// What is charged here and refuses nobody, should the request go on.
    shadow: Vec<Held>,
    /// What is asked, one for each descriptor.
    asked: Vec<Held>,
    descriptors: Vec<Descriptor>,
}

/// A limit that a request is under.
#[derive(Clone, Copy, Debug)]
struct Held {
    name: &'static str,
    tier: u64,
    demand: Demand,
    standing: Standing,
}

impl Service {
    /// The service that is configured. It remembers under the name of the plugin.
    pub(crate) fn new(config: &Config, birth: &Birth<'_>, filter: &str) -> Self {
        let slots = format!("{}/service", birth.slots(filter));
        let client = Client::new(config, &slots, birth.secret);
        Self { client, on_failure: config.on_failure }
    }

    /// What there is to ask; or the limits that are known to be over.
    pub(crate) fn question<'a>(
        &self,
        asked: Vec<Asked<'a>>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Result<Question<'a>, Vec<Stands<'a>>> {
        let descriptors: Vec<_> = asked.iter().map(|asked| describe(asked, request)).collect();
        let over = self.client.over(request.store(), &descriptors, request.now());
        let Some(Over { places, wait }) = over else { return Ok(Question { asked, descriptors }) };
        effects.count_by("service", "result", "known");
        let of = |place: &usize| asked.get(*place).copied();
        let enforced = places.iter().filter_map(of).filter(Asked::is_enforced);
        let stands: Vec<_> = enforced.map(|asked| asked.stands(over_for(wait))).collect();
        if !stands.is_empty() {
            return Err(stands);
        }
        for asked in places.iter().filter_map(of) {
            effects.count_by("shadow_limited", "limit", asked.limit.name);
        }
        let mut place = 0..;
        let mut is_left = || place.next().is_some_and(|place| !places.contains(&place));
        let left = asked.into_iter().zip(descriptors).filter(|_| is_left());
        let (asked, descriptors) = left.unzip();
        Ok(Question { asked, descriptors })
    }

    /// The call to make, if one is to be made, about a request of which this proxy has charged the
    /// first, which left the second, and has yet to charge the third.
    pub(crate) fn ask<'a>(
        &self,
        question: Question<'a>,
        (charged, stands, shadow): (&[Asked<'a>], &[Stands<'a>], &[Asked<'a>]),
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Option<(Call, Pending)> {
        let Question { asked, descriptors } = question;
        if descriptors.is_empty() {
            return None;
        }
        if self.client.take(request.store(), &descriptors, request.now()) {
            effects.count_by("service", "result", "granted");
            return None;
        }
        let call = self.client.call(&descriptors);
        let now = charged.iter().filter(|asked| !asked.is_later());
        let charged = now.zip(stands).map(|(asked, stands)| Held::of(asked, stands.standing));
        let hold = |asked: &Asked<'_>| Held::of(asked, Standing::default());
        let (charged, asked) = (charged.collect(), asked.iter().map(hold).collect());
        let shadow = shadow.iter().map(hold).collect();
        Some((call, Pending { charged, at: request.now(), shadow, asked, descriptors }))
    }
}

impl Pending {
    /// The call has ended.
    pub(crate) fn conclude<'a>(
        self,
        service: &Service,
        ledger: &Ledger,
        settings: &'a Settings,
        answer: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Verdict<'a> {
        let (store, now) = (request.store(), request.now());
        let headers = request.headers();
        let judged = service.client.judge(store, &self.descriptors, answer, headers, now);
        let Settings { limits, headers } = settings;
        let here = Here { till: Till { ledger, store, now }, limits, form: *headers };
        match judged {
            Ok(judgement) => self.judged(&here, judgement, effects),
            Err(failure) => {
                effects.count_by("service", "result", failure.word());
                self.failed(&here, service.on_failure, effects)
            }
        }
    }

    fn judged<'a>(
        &self,
        here: &Here<'a, '_, '_>,
        judged: Judgement,
        effects: &mut Effects,
    ) -> Verdict<'a> {
        let Judgement { over, standings, response_headers, request_headers } = judged;
        effects.count_by("service", "result", if over.is_some() { "over" } else { "ok" });
        for (name, value) in response_headers {
            // Under `legacy` those are ours to say.
            if here.form != Announce::Legacy || !name.starts_with("x-ratelimit-") {
                effects.set_response_header(name, value);
            }
        }
        let over = over.map(|over| self.over(here, &over, effects)).unwrap_or_default();
        if !over.is_empty() {
            self.give_back(here);
            return refused(No::Reached(over), effects);
        }
        for (name, value) in request_headers {
            effects.set_request_header(name, value);
        }
        let told = self.asked.iter().zip(standings).filter_map(|(held, standing)| {
            let (asked, told) = (here.asked(held)?, standing?);
            let (remaining, reset) = (told.remaining, nanos(told.reset));
            let standing = Standing { remaining, reset, wait: 0 };
            asked.is_enforced().then(|| asked.stands(standing))
        });
        let stands = self.charged(here).chain(told).collect();
        self.allowed(here, stands, effects)
    }

    /// The enforced limits that are over; those in shadow are counted.
    fn over<'a>(
        &self,
        here: &Here<'a, '_, '_>,
        over: &Over,
        effects: &mut Effects,
    ) -> Vec<Stands<'a>> {
        let said = !over.places.is_empty();
        let is_over = |place: &usize| !said || over.places.contains(place);
        let places = self.asked.iter().enumerate().filter(|(place, _)| is_over(place));
        let asked: Vec<_> = places.filter_map(|(_, held)| here.asked(held)).collect();
        let (enforced, in_shadow): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(Asked::is_enforced);
        if said || enforced.is_empty() {
            for asked in in_shadow {
                effects.count_by("shadow_limited", "limit", asked.limit.name);
            }
        }
        enforced.iter().map(|asked| asked.stands(over_for(over.wait))).collect()
    }

    /// Nobody has counted.
    fn failed<'a>(
        &self,
        here: &Here<'a, '_, '_>,
        on_failure: OnFailure,
        effects: &mut Effects,
    ) -> Verdict<'a> {
        let asked: Vec<_> = self.asked.iter().filter_map(|held| here.asked(held)).collect();
        let (enforced, shadow): (Vec<_>, Vec<_>) = asked.into_iter().partition(Asked::is_enforced);
        let mut stands: Vec<_> = self.charged(here).collect();
        match on_failure {
            OnFailure::Local => {
                match here.till.settle(&enforced) {
                    Ok(more) => stands.extend(more),
                    Err(no) => {
                        self.give_back(here);
                        return refused(no, effects);
                    }
                }
                here.till.watch(&shadow, effects);
            }
            OnFailure::Deny if !enforced.is_empty() => {
                self.give_back(here);
                let refusal = Some(Refusal::unavailable("service_failed"));
                return Verdict { refusal, ..Verdict::default() };
            }
            OnFailure::Deny | OnFailure::Allow => {
                for asked in shadow {
                    effects.count_by("shadow_unknown", "limit", asked.limit.name);
                }
            }
        }
        self.allowed(here, stands, effects)
    }

    fn allowed<'a>(
        &self,
        here: &Here<'a, '_, '_>,
        stands: Vec<Stands<'a>>,
        effects: &mut Effects,
    ) -> Verdict<'a> {
        let shadow: Vec<_> = self.shadow.iter().filter_map(|held| here.asked(held)).collect();
        here.till.watch(&shadow, effects);
        Verdict { stands, ..Verdict::default() }
    }

    fn charged<'a>(&self, here: &Here<'a, '_, '_>) -> impl Iterator<Item = Stands<'a>> {
        let stands = |held: &Held| Some(here.asked(held)?.stands(held.standing));
        self.charged.iter().filter_map(stands)
    }

    fn give_back(&self, here: &Here<'_, '_, '_>) {
        let charged: Vec<_> = self.charged.iter().filter_map(|held| here.asked(held)).collect();
        here.till.give_back(&charged, self.at);
    }
}

/// What a request that was asked about comes back to.
struct Here<'a, 't, 's> {
    till: Till<'t, 's>,
    limits: &'a [Limit],
    form: Announce,
}

impl<'a> Here<'a, '_, '_> {
    fn asked(&self, held: &Held) -> Option<Asked<'a>> {
        let limit = self.limits.iter().find(|limit| limit.name == held.name)?;
        Some(Asked { limit, tier: limit.tier_of(held.tier), demand: held.demand })
    }
}

impl Held {
    const fn of(asked: &Asked<'_>, standing: Standing) -> Self {
        let Asked { limit, tier, demand } = asked;
        Self { name: limit.name, tier: tier.id, demand: *demand, standing }
    }
}

fn describe(asked: &Asked<'_>, request: &Request<'_>) -> Descriptor {
    let Asked { limit, tier, demand } = asked;
    let quota = &tier.quota;
    Descriptor {
        id: tier.id.to_le_bytes(),
        entries: descriptor::entries(limit.name, limit.parts(request)),
        cost: demand.amount,
        quota: Some((quota.requests.get(), quota.per.duration())),
    }
}

fn over_for(wait: Duration) -> Standing {
    Standing { remaining: 0, reset: nanos(wait), wait: nanos(wait) }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
