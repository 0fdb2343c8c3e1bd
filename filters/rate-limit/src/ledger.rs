//! The counts of all keys, in fixed memory that the workers share.
//!
//! 1. Keys are hashed (SipHash-2-4, 128 bits, under a secret that the workers share) to a slot of the
//!    store and to what stands for them in it: nobody outside can tell which keys meet.
//! 2. How many slots there are follows from `memory`. Slots of another size of memory are the same
//!    slots: what was counted elsewhere is forgotten, no memory is lost.
//! 3. A change is a compare-and-swap of one slot. One that keeps losing, or a proxy that keeps no
//!    data, is an error for the caller to decide on: nothing was charged then.

use std::hash::Hasher;

use shared::filter::Birth;
use shared::store::{AgreedSecret, Change, Store, StoreFailure};
use shared::time::Timestamp;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::config::Memory;
use crate::quota::Rate;
use crate::state::{State, Taken};
use crate::table::{self, SLOT};

/// What a proxy keeps of a slot beside its bytes: its name, its place in a map, what an allocator
/// rounds up.
const OVERHEAD: usize = 256;

/// The counts.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// What the names of the slots begin with.
    prefix: String,
    slots: u64,
    secret: AgreedSecret,
}

/// Where a key is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    slot: u64,
    key: u64,
}

/// So much of a quota, asked for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Where it is counted.
    pub(crate) place: Place,
    /// How.
    pub(crate) rate: Rate,
    /// How much.
    pub(crate) amount: u32,
}

impl Ledger {
    /// The counts of a plugin, the same on all workers.
    pub(crate) fn new(birth: &Birth<'_>, filter: &str, memory: Memory) -> Self {
        let cost = SLOT.saturating_add(OVERHEAD) as u64;
        let prefix = format!("{}/", birth.slots(filter));
        Self {
            secret: AgreedSecret::new(format!("{prefix}secret"), birth.secret),
            prefix,
            slots: u64::from(memory.0).div_euclid(cost).max(1),
        }
    }

    /// Where `key` is counted under the rate of the limit `id`.
    pub(crate) fn place(
        &self,
        store: Store<'_>,
        id: u64,
        rate: &Rate,
        key: &[u8],
    ) -> Result<Place, StoreFailure> {
        let mut hasher = SipHasher24::new_with_key(&self.secret.get(store)?);
        hasher.write_u64(id);
        hasher.write(key);
        let digest = hasher.finish128();
        let slot = digest.h1.checked_rem(self.slots).unwrap_or_default();
        Ok(Place { slot, key: table::key(digest.h2, rate.algorithm) })
    }

    /// Whether a demand could be met now; nothing is charged.
    pub(crate) fn look(
        &self,
        store: Store<'_>,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Taken, StoreFailure> {
        let now = now.nanos();
        let Demand { place, rate, amount } = demand;
        let bytes = store.read(&self.name(*place))?;
        let state = table::find(&bytes, place.key).unwrap_or_else(|| rate.fresh(0, now));
        Ok(rate.take(state, *amount, now))
    }

    /// Charges a demand if it can be met.
    pub(crate) fn charge(
        &self,
        store: Store<'_>,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Taken, StoreFailure> {
        let now = now.nanos();
        let Demand { place, rate, amount } = demand;
        store.update(&self.name(*place), |bytes| {
            let taken = |state| rate.take(state, *amount, now);
            change(bytes, demand, now, taken, |taken| {
                (taken.granted || taken.moved).then_some(taken.state)
            })
        })
    }

    /// Counts what has happened already, over the quota or not.
    pub(crate) fn count(
        &self,
        store: Store<'_>,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<(), StoreFailure> {
        let now = now.nanos();
        let Demand { place, rate, amount } = demand;
        store.update(&self.name(*place), |bytes| {
            let count = |state| rate.count(state, *amount, now);
            match change(bytes, demand, now, count, |state| Some(*state)) {
                Change::Keep(_) => Change::Keep(()),
                Change::Replace(next, _) => Change::Replace(next, ()),
            }
        })
    }

    /// Takes a charge of the time `at` back, as far as it still counts.
    pub(crate) fn give_back(
        &self,
        store: Store<'_>,
        demand: &Demand,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreFailure> {
        let (at, now) = (at.nanos(), now.nanos());
        let Demand { place, rate, amount } = demand;
        store.update(&self.name(*place), |bytes| {
            let state = table::find(bytes, place.key);
            let back = state.map(|state| rate.give_back(state, *amount, at, now));
            match back.and_then(|state| table::replace(bytes, place.key, &state)) {
                Some(next) => Change::Replace(next, ()),
                None => Change::Keep(()),
            }
        })
    }

    fn name(&self, place: Place) -> String {
        let mut name = String::with_capacity(self.prefix.len().saturating_add(8));
        name.push_str(&self.prefix);
        let mut rest = place.slot;
        loop {
            let digit = u32::try_from(rest % 32).unwrap_or_default();
            name.push(char::from_digit(digit, 32).unwrap_or('0'));
            rest /= 32;
            if rest == 0 {
                return name;
            }
        }
    }
}

/// The next bytes of a slot: `judge` says what becomes of a state, `keep` what of it is kept.
fn change<T>(
    bytes: &[u8],
    demand: &Demand,
    now: u64,
    judge: impl Fn(State) -> T,
    keep: impl Fn(&T) -> Option<State>,
) -> Change<T> {
    let Demand { place, rate, amount } = demand;
    if let Some(state) = table::find(bytes, place.key) {
        let outcome = judge(state);
        let next = keep(&outcome).and_then(|state| table::replace(bytes, place.key, &state));
        return match next {
            Some(next) => Change::Replace(next, outcome),
            None => Change::Keep(outcome),
        };
    }
    let (mut next, used) = table::make_room(bytes, rate, *amount, now);
    let outcome = judge(rate.fresh(used, now));
    match keep(&outcome) {
        Some(state) => {
            table::append(&mut next, place.key, &state);
            Change::Replace(next, outcome)
        }
        None => Change::Keep(outcome),
    }
}
