//! Which traces are recorded, where nobody has decided yet.
//!
//! 1. A ratio goes by the right-most 56 bits of the trace id (W3C level 2, OpenTelemetry's consistent
//!    sampling): two proxies with one ratio decide alike.
//! 2. So many a second: every trace has the same chance, which follows the rate of requests, counted
//!    over all workers together. A trace is not kept because it came first after a pause, as a plain
//!    limit would have it. A budget of the same rate, for ten traces or one second at once, caps what
//!    a sudden rush would record before the chance has followed.
//! 3. The workers meet in one slot of the shared store: each ten times a second, and once for each
//!    trace that is recorded. Where the store fails, each worker counts for itself.
//! 4. Places of a configuration with the same rate share its budget.

use std::time::Duration;

use shared::store::{Change, Store};
use shared::time::Timestamp;
use shared::trace::TraceId;

/// How many values the random part of a trace id can have.
const ALL: f64 = (1_u64 << 56) as f64;
/// How often a worker looks what the others have counted.
const LOOK: Duration = Duration::from_millis(100);
/// How long requests are counted for one rate.
const WINDOW: Duration = Duration::from_secs(1);
/// How many traces may be recorded at once, at least.
const BURST: f64 = 10.0;

/// Whether a trace is among `ratio` of all.
pub(crate) fn is_among(trace_id: TraceId, ratio: f64) -> bool {
    // Those with the greatest numbers, as OpenTelemetry has it: R >= T.
    #[expect(clippy::cast_precision_loss, reason = "to 53 of 56 bits")]
    let random = trace_id.randomness() as f64;
    random >= ALL * (1.0 - ratio)
}

/// The samplers of a plugin, one for each rate.
#[derive(Default)]
pub(crate) struct Samplers {
    prefix: String,
    list: Vec<Adaptive>,
}

impl Samplers {
    /// Samplers whose slots of the shared store begin with `prefix`.
    pub(crate) const fn new(prefix: String) -> Self {
        Self { prefix, list: Vec::new() }
    }

    /// Whether a trace is among `rate` a second.
    pub(crate) fn decide(
        &mut self,
        rate: f64,
        trace_id: TraceId,
        now: Timestamp,
        store: Store<'_>,
    ) -> bool {
        if let Some(known) = self.list.iter_mut().find(|sampler| sampler.is_for(rate)) {
            return known.decide(trace_id, now, store);
        }
        let mut sampler =
            Adaptive::new(rate, format!("{}/sampled/{:x}", self.prefix, rate.to_bits()));
        let decision = sampler.decide(trace_id, now, store);
        self.list.push(sampler);
        decision
    }
}

/// So many a second.
struct Adaptive {
    rate: f64,
    slot: String,
    /// Requests since this worker last looked.
    seen: u64,
    /// The chance of a trace, as this worker last knew it.
    chance: f64,
    looked: Option<Timestamp>,
    /// What this worker counts by itself where the store fails.
    own: Shared,
}

impl Adaptive {
    fn new(rate: f64, slot: String) -> Self {
        Self { rate, slot, seen: 0, chance: 1.0, looked: None, own: Shared::default() }
    }

    fn is_for(&self, rate: f64) -> bool {
        self.rate.to_bits() == rate.to_bits()
    }

    fn decide(&mut self, trace_id: TraceId, now: Timestamp, store: Store<'_>) -> bool {
        self.seen = self.seen.saturating_add(1);
        // A clock that jumped back makes what is known old, too.
        let is_fresh = |looked: Timestamp| looked <= now && now.since(looked) < LOOK;
        if !self.looked.is_some_and(is_fresh) {
            // What was seen before a long pause says nothing of now.
            if self.looked.is_some_and(|looked| now.since(looked) >= WINDOW) {
                self.seen = 1;
            }
            self.look(now, store, false);
        }
        is_among(trace_id, self.chance) && self.look(now, store, true)
    }

    /// Tells the others what was seen, learns the chance, and spends of the budget if `spend` says so;
    /// whether there was any left.
    fn look(&mut self, now: Timestamp, store: Store<'_>, spend: bool) -> bool {
        let (seen, rate) = (self.seen, self.rate);
        let outcome = store.update(&self.slot, |bytes| {
            let mut shared = Shared::parse(bytes).unwrap_or_default();
            let outcome = shared.look(rate, seen, now, spend);
            Change::Replace(shared.write(), outcome)
        });
        let outcome = outcome.unwrap_or_else(|_| self.own.look(rate, seen, now, spend));
        self.seen = 0;
        self.looked = Some(now);
        self.chance = outcome.chance;
        outcome.spent
    }
}

/// What the workers know together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shared {
    /// Since when requests are counted; 0 for not yet.
    since: u64,
    /// How many there were since.
    count: u64,
    /// How many a second there were before.
    before: f64,
    /// What is left of the budget, as of `filled`.
    left: f64,
    filled: u64,
}

/// What a worker learns.
struct Outcome {
    chance: f64,
    spent: bool,
}

impl Shared {
    fn look(&mut self, rate: f64, seen: u64, now: Timestamp, spend: bool) -> Outcome {
        if self.since == 0 || self.since > now.nanos() || self.filled > now.nanos() {
            *self = Self {
                since: now.nanos(),
                filled: now.nanos(),
                left: burst(rate),
                ..Self::default()
            };
        }
        self.count = self.count.saturating_add(seen);
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
        let count = self.count as f64;
        let elapsed = now.since(Timestamp::from_nanos(self.since));
        if elapsed >= WINDOW {
            *self = Self {
                since: now.nanos(),
                count: 0,
                before: count / elapsed.as_secs_f64(),
                ..*self
            };
        }
        // What has come in this window so far is the least that it will have.
        let requests = if elapsed >= WINDOW { self.before } else { self.before.max(count) };
        let since_filled = now.since(Timestamp::from_nanos(self.filled)).as_secs_f64();
        self.left = (self.left + rate * since_filled).min(burst(rate));
        self.filled = now.nanos();
        let spent = spend && self.left >= 1.0;
        if spent {
            self.left -= 1.0;
        }
        Outcome { chance: (rate / requests.max(rate)).min(1.0), spent }
    }

    fn write(self) -> Vec<u8> {
        let numbers =
            [self.since, self.count, self.before.to_bits(), self.left.to_bits(), self.filled];
        numbers.map(u64::to_le_bytes).concat()
    }

    /// `None` for what is no such bytes, or holds what is no amount.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [since, count, before, left, filled] = *<&[_; 5]>::try_from(numbers).ok()?;
        let amount =
            |bytes| Some(f64::from_le_bytes(bytes)).filter(|amount| (0.0..1e12).contains(amount));
        rest.is_empty().then_some(Self {
            since: u64::from_le_bytes(since),
            count: u64::from_le_bytes(count),
            before: amount(before)?,
            left: amount(left)?,
            filled: u64::from_le_bytes(filled),
        })
    }
}

fn burst(rate: f64) -> f64 {
    rate.max(BURST)
}

#[cfg(test)]
mod tests;
