//! What is asked of the service, and what its answers mean.
//!
//! 1. One call for a request, with a descriptor for each of its global limits. Its entries are
//!    `limit`, with the limit's name, and the parts of the key in their order.
//! 2. The overall code is the verdict. Which limits are over is said by the statuses: one for each
//!    descriptor, or none at all (Limitador), and then it may be any of them.
//! 3. An answer with another number of statuses, or with a code that is neither `OK` nor
//!    `OVER_LIMIT`, is no answer.
//! 4. A key that is over with nothing remaining is over until it resets: nobody is asked meanwhile.
//! 5. A quota in an answer is so many requests, until so long, for which nobody is asked. One with an
//!    `id` is shared by descriptors that we cannot know: it is not used, the service is asked.

use std::time::Duration;

use shared::filter::{Answer, Call};
use shared::headers::Headers;
use shared::store::Store;
use shared::time::Timestamp;

use super::config::Config;
use super::grpc::{self, Failure};
use super::headers::{Added, allowed};
use super::memory::{Fingerprint, Known, LONGEST, Memory};
use super::wire::{
    DescriptorStatus, Entry, Quota, RateLimitDescriptor, RateLimitOverride, RateLimitRequest,
    RateLimitResponse, UInt64Value,
};

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const OK: i32 = 1;
const OVER_LIMIT: i32 = 2;
/// When to come back where nobody says.
const A_MOMENT: Duration = Duration::from_secs(1);

/// The service, as it is asked.
#[derive(Debug)]
pub(crate) struct Client {
    cluster: String,
    domain: String,
    timeout: Duration,
    memory: Memory,
}

/// One counter that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// What tells the limit and its quota from any other.
    pub(crate) id: [u8; 8],
    /// `limit` and its name, then the parts of its key.
    pub(crate) entries: Vec<(String, String)>,
    /// What the request costs.
    pub(crate) cost: u32,
    /// So many in so much time, for services that count by what they are told.
    pub(crate) quota: Option<(u32, Duration)>,
}

/// What is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Over {
    /// Which, by their place among the descriptors; empty where the service does not say.
    pub(crate) places: Vec<usize>,
    /// Until none of them is.
    pub(crate) wait: Duration,
}

/// What the service answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// What is over; `None` lets the request go on.
    pub(crate) over: Option<Over>,
    /// How each limit stands; empty where the service does not say.
    pub(crate) standings: Vec<Option<Standing>>,
    /// For the client.
    pub(crate) response_headers: Vec<Added>,
    /// For the upstream.
    pub(crate) request_headers: Vec<Added>,
}

/// How a limit stands, in the service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many in a window.
    pub(crate) limit: u32,
    /// How long the window is.
    pub(crate) window: Duration,
    /// How many more.
    pub(crate) remaining: u32,
    /// Until the window ends.
    pub(crate) reset: Duration,
}

impl Client {
    /// A client that remembers in the slots `<slots>/…`; `secret` is drawn on this worker.
    pub(crate) fn new(config: &Config, slots: &str, secret: [u8; 16]) -> Self {
        Self {
            cluster: config.cluster.0.clone(),
            domain: config.domain.0.clone(),
            timeout: config.timeout.0.duration(),
            memory: Memory::new(slots, secret),
        }
    }

    /// Those of these that are known to be over.
    pub(crate) fn over(
        &self,
        store: Store<'_>,
        descriptors: &[Descriptor],
        now: Timestamp,
    ) -> Option<Over> {
        let mut over = Over::default();
        for (place, descriptor) in descriptors.iter().enumerate() {
            let key = self.key(store, descriptor);
            let known = key.and_then(|key| self.memory.recall(store, key, now));
            if let Some(known) = known.filter(|known| known.granted == 0) {
                over.places.push(place);
                over.wait = over.wait.max(known.until.since(now));
            }
        }
        (!over.places.is_empty()).then_some(over)
    }

    /// Takes what was granted to these beforehand; whether it was.
    pub(crate) fn take(
        &self,
        store: Store<'_>,
        descriptors: &[Descriptor],
        now: Timestamp,
    ) -> bool {
        self.take_all(store, descriptors, now) || self.take_set(store, descriptors, now)
    }

    /// The call that asks about these.
    pub(crate) fn call(&self, descriptors: &[Descriptor]) -> Call {
        let costs = descriptors.iter().map(|descriptor| descriptor.cost);
        let request = RateLimitRequest {
            domain: self.domain.clone(),
            descriptors: descriptors.iter().map(Descriptor::message).collect(),
            // Services that know no addend of a descriptor's own charge none less than it costs.
            hits_addend: costs.max().unwrap_or(1),
        };
        grpc::call(&self.cluster, PATH, &request, self.timeout)
    }

    /// What an answer says of these, and, of the request that has `headers`, what to add to it.
    pub(crate) fn judge(
        &self,
        store: Store<'_>,
        descriptors: &[Descriptor],
        answer: &Answer<'_>,
        headers: &Headers,
        now: Timestamp,
    ) -> Result<Judgement, Failure> {
        let response: RateLimitResponse = grpc::message(answer)?;
        let statuses = &response.statuses;
        let known = |code: i32| matches!(code, OK | OVER_LIMIT);
        if !known(response.overall_code)
            || !(statuses.is_empty() || statuses.len() == descriptors.len())
            || !statuses.iter().all(|status| known(status.code))
        {
            return Err(Failure::Malformed);
        }
        self.learn(store, descriptors, &response, now);
        let over = (response.overall_code == OVER_LIMIT).then(|| over(statuses));
        Ok(Judgement {
            over,
            standings: statuses.iter().map(Standing::of).collect(),
            response_headers: allowed(response.response_headers_to_add, None),
            request_headers: allowed(response.request_headers_to_add, Some(headers)),
        })
    }

    /// Remembers what holds for more than this request.
    fn learn(
        &self,
        store: Store<'_>,
        descriptors: &[Descriptor],
        response: &RateLimitResponse,
        now: Timestamp,
    ) {
        for (descriptor, status) in descriptors.iter().zip(&response.statuses) {
            // A status that is over in an answer that is not: the service only watches the limit.
            let over = status.code == OVER_LIMIT && response.overall_code == OVER_LIMIT;
            let known = if over { ended(status, now) } else { granted(status.quota.as_ref(), now) };
            let known = known.filter(|_| over || status.code == OK);
            if let (Some(known), Some(key)) = (known, self.key(store, descriptor)) {
                self.memory.note(store, key, known, now);
            }
        }
        let quota = granted(response.quota.as_ref(), now);
        if let (OK, Some(known)) = (response.overall_code, quota)
            && let Some(key) = self.key_of_set(store, descriptors)
        {
            self.memory.note(store, key, known, now);
        }
    }

    /// Takes what each descriptor was granted by itself; all or nothing.
    fn take_all(&self, store: Store<'_>, descriptors: &[Descriptor], now: Timestamp) -> bool {
        let granted = |descriptor| {
            let key = self.key(store, descriptor)?;
            self.memory
                .recall(store, key, now)
                .is_some_and(|known| known.granted > 0)
                .then_some(key)
        };
        let keys: Option<Vec<_>> = descriptors.iter().map(granted).collect();
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return false };
        let all = keys.iter().zip(descriptors);
        for (place, (key, descriptor)) in all.clone().enumerate() {
            if !self.memory.take(store, *key, descriptor.cost, now) {
                for (key, descriptor) in all.take(place) {
                    self.memory.give_back(store, *key, descriptor.cost, now);
                }
                return false;
            }
        }
        true
    }

    /// Takes what they were granted together.
    fn take_set(&self, store: Store<'_>, descriptors: &[Descriptor], now: Timestamp) -> bool {
        let cost = descriptors.iter().map(|descriptor| descriptor.cost).max().unwrap_or(1);
        let key = self.key_of_set(store, descriptors);
        let known = key.and_then(|key| self.memory.recall(store, key, now));
        match (key, known) {
            (Some(key), Some(known)) if known.granted > 0 => {
                self.memory.take(store, key, cost, now)
            }
            _ => false,
        }
    }

    fn key(&self, store: Store<'_>, descriptor: &Descriptor) -> Option<Fingerprint> {
        self.memory.fingerprint(store, self.parts("descriptor").chain(descriptor.parts())).ok()
    }

    fn key_of_set(&self, store: Store<'_>, descriptors: &[Descriptor]) -> Option<Fingerprint> {
        let of_each = descriptors
            .iter()
            .flat_map(|descriptor| std::iter::once(&b"descriptor"[..]).chain(descriptor.parts()));
        self.memory.fingerprint(store, self.parts("set").chain(of_each)).ok()
    }

    /// Another service knows other things.
    fn parts<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a [u8]> {
        [&*self.cluster, &*self.domain, kind].into_iter().map(str::as_bytes)
    }
}

impl Descriptor {
    /// With another quota it is another key, of which nothing is known.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.iter().flat_map(|(key, value)| [key, value]);
        std::iter::once(&self.id[..]).chain(entries.map(String::as_bytes))
    }

    fn message(&self) -> RateLimitDescriptor {
        let entry =
            |(key, value): &(String, String)| Entry { key: key.clone(), value: value.clone() };
        let limit = self.quota.and_then(|(requests, per)| RateLimitOverride::new(requests, per));
        RateLimitDescriptor {
            entries: self.entries.iter().map(entry).collect(),
            limit,
            hits_addend: Some(UInt64Value { value: u64::from(self.cost) }),
        }
    }
}

impl Standing {
    fn of(status: &DescriptorStatus) -> Option<Self> {
        let limit = status.current_limit?;
        let window = limit.window()?;
        let reset =
            status.duration_until_reset.map_or(window, |reset| reset.duration().min(window));
        let (limit, remaining) = (limit.requests_per_unit, status.limit_remaining);
        Some(Self { limit, window, remaining: remaining.min(limit), reset })
    }
}

/// Which are over, and when to come back.
fn over(statuses: &[DescriptorStatus]) -> Over {
    let over = statuses.iter().enumerate().filter(|(_, status)| status.code == OVER_LIMIT);
    let wait = over.clone().map(|(_, status)| match status.duration_until_reset {
        Some(reset) => reset.duration(),
        None => Standing::of(status).map_or(A_MOMENT, |standing| standing.reset),
    });
    let wait = wait.max().unwrap_or(A_MOMENT).clamp(A_MOMENT, LONGEST);
    Over { places: over.map(|(place, _)| place).collect(), wait }
}

/// How long a key stays over. With something remaining it is this request alone that was too much.
fn ended(status: &DescriptorStatus, now: Timestamp) -> Option<Known> {
    let reset = status.duration_until_reset.filter(|_| status.limit_remaining == 0)?;
    Some(Known { granted: 0, until: now.after(reset.duration()) })
}

fn granted(quota: Option<&Quota>, now: Timestamp) -> Option<Known> {
    let quota = quota.filter(|quota| quota.id.is_empty() && quota.requests > 0)?;
    let until = quota.valid_until?.moment();
    (until > now).then_some(Known { granted: quota.requests, until })
}
