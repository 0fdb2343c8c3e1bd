//! What the service has said that holds for some time, so that it need not be asked again: a key that
//! is over until it resets, and so many requests that are granted beforehand.
//!
//! 1. Fixed memory, shared by all workers: [`SHARDS`] slots of [`ENTRIES`] keys of 24 bytes, 48 KiB in
//!    all. A key is a hash of 64 bits under a secret that the workers share.
//! 2. A full slot gives up the entry that ends first. To forget costs a call, nothing else.
//! 3. Nothing is held for longer than [`LONGEST`], whatever the service says; nor is what lies further
//!    ahead than it did when it was noted, which is of a clock that has jumped back.
//! 4. Where the store fails, nothing is known: the service is asked.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use shared::store::{AgreedSecret, Change, Store, StoreFailure};
use shared::time::Timestamp;

/// In how many slots the keys are kept.
pub(crate) const SHARDS: u64 = 32;
/// How many keys a slot has room for.
pub(crate) const ENTRIES: usize = 64;
/// How long something is held at most.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// The memory, in the slots `<name>/<shard>`.
#[derive(Debug)]
pub(super) struct Memory {
    slots: Vec<String>,
    secret: AgreedSecret,
}

/// What stands for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How many requests are granted; none of a key that is over.
    pub(super) granted: u32,
    /// Until when.
    pub(super) until: Timestamp,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    known: Known,
    /// How many seconds it was to hold when it was noted, and one for other workers' clocks.
    term: u32,
}

impl Memory {
    /// A memory under `name`, which has to be the same on all workers; `secret` is drawn on this one.
    pub(super) fn new(name: &str, secret: [u8; 16]) -> Self {
        Self {
            slots: (0..SHARDS).map(|shard| format!("{name}/{shard}")).collect(),
            secret: AgreedSecret::new(format!("{name}/secret"), secret),
        }
    }

    /// What stands for the key of these parts, in this order.
    pub(super) fn fingerprint<'a>(
        &self,
        store: Store<'_>,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Fingerprint, StoreFailure> {
        let mut hasher = SipHasher24::new_with_key(&self.secret.get(store)?);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Ok(Fingerprint(hasher.finish()))
    }

    /// What is known of a key.
    pub(super) fn recall(
        &self,
        store: Store<'_>,
        key: Fingerprint,
        now: Timestamp,
    ) -> Option<Known> {
        let bytes = store.read(self.slot(key)?).ok()?;
        parse(&bytes).find(|entry| entry.key == key.0 && holds(entry, now)).map(|entry| entry.known)
    }

    /// Notes what is known of a key from now on, in place of what was.
    pub(super) fn note(&self, store: Store<'_>, key: Fingerprint, known: Known, now: Timestamp) {
        let Some(slot) = self.slot(key) else { return };
        let known = Known { until: known.until.min(now.after(LONGEST)), ..known };
        let term = u32::try_from(left(known, now).saturating_add(1)).unwrap_or(u32::MAX);
        let noted = store.update(slot, |bytes| {
            let others = |entry: &Entry| entry.key != key.0 && holds(entry, now);
            let mut entries: Vec<_> = parse(bytes).filter(others).collect();
            if entries.len() >= ENTRIES {
                entries.sort_unstable_by_key(|entry| entry.known.until);
                entries.drain(..entries.len().saturating_sub(ENTRIES - 1));
            }
            entries.push(Entry { key: key.0, known, term });
            Change::Replace(write(&entries), ())
        });
        if let Err(failure) = noted {
            log::debug!("rate-limit: what the service said is not kept: {failure:?}");
        }
    }

    /// Takes so many of the requests that are granted to a key; whether there were as many.
    pub(super) fn take(
        &self,
        store: Store<'_>,
        key: Fingerprint,
        cost: u32,
        now: Timestamp,
    ) -> bool {
        self.change(store, key, now, |granted| granted.checked_sub(cost))
    }

    /// Gives back what was taken; not to a key that is over by now.
    pub(super) fn give_back(&self, store: Store<'_>, key: Fingerprint, cost: u32, now: Timestamp) {
        self.change(store, key, now, |granted| granted.checked_add(cost).filter(|_| granted > 0));
    }

    fn change(
        &self,
        store: Store<'_>,
        key: Fingerprint,
        now: Timestamp,
        to: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        let changed = store.update(slot, |bytes| {
            let mut entries: Vec<_> = parse(bytes).collect();
            let entry = entries.iter_mut().find(|entry| entry.key == key.0 && holds(entry, now));
            let next = entry.and_then(|entry| Some((to(entry.known.granted)?, entry)));
            let Some((granted, entry)) = next else { return Change::Keep(false) };
            entry.known.granted = granted;
            // None granted would read as over. What is used up is asked for again.
            entries.retain(|entry| entry.key != key.0 || granted > 0);
            Change::Replace(write(&entries), true)
        });
        changed.unwrap_or(false)
    }

    fn slot(&self, key: Fingerprint) -> Option<&str> {
        let shard = usize::try_from(key.0.rem_euclid(SHARDS)).ok()?;
        self.slots.get(shard).map(String::as_str)
    }
}

fn holds(entry: &Entry, now: Timestamp) -> bool {
    now < entry.known.until && left(entry.known, now) <= entry.term.into()
}

/// In how many seconds it ends.
fn left(known: Known, now: Timestamp) -> u64 {
    known.until.secs().saturating_sub(now.secs())
}

fn parse(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.as_chunks::<24>().0.iter().filter_map(|bytes| {
        let (key, rest) = bytes.split_first_chunk::<8>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (granted, rest) = rest.split_first_chunk::<4>()?;
        let term = u32::from_le_bytes(*rest.first_chunk::<4>()?);
        let until = Timestamp::from_nanos(u64::from_le_bytes(*until));
        let known = Known { granted: u32::from_le_bytes(*granted), until };
        Some(Entry { key: u64::from_le_bytes(*key), known, term })
    })
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len().saturating_mul(24));
    for Entry { key, known, term } in entries {
        let rest = u64::from(*term) << 32 | u64::from(known.granted);
        let numbers = [*key, known.until.nanos(), rest];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::Proxy;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn memory() -> Memory {
        Memory::new("memory", [7; 16])
    }

    fn known(granted: u32, secs: u64) -> Known {
        Known { granted, until: Timestamp::from_secs(secs) }
    }

    fn key(memory: &Memory, proxy: &Proxy, name: &str) -> Fingerprint {
        memory.fingerprint(Store::new(proxy), [name.as_bytes()].into_iter()).unwrap()
    }

    #[test]
    fn what_is_noted_holds_until_it_ends() {
        let (memory, proxy) = (memory(), Proxy::default());
        let (store, key) = (Store::new(&proxy), key(&memory, &proxy, "a"));
        assert_eq!(memory.recall(store, key, NOW), None);
        memory.note(store, key, known(0, 1010), NOW);
        assert_eq!(memory.recall(store, key, Timestamp::from_secs(1009)), Some(known(0, 1010)));
        assert_eq!(memory.recall(store, key, Timestamp::from_secs(1010)), None);
    }

    #[test]
    fn nothing_holds_for_longer_than_a_day_or_after_the_clock_jumped_back() {
        let (memory, proxy) = (memory(), Proxy::default());
        let (store, key) = (Store::new(&proxy), key(&memory, &proxy, "a"));
        memory.note(store, key, known(0, u64::MAX / 2), NOW);
        assert_eq!(memory.recall(store, key, NOW), Some(known(0, 1000 + 86_400)));
        assert_eq!(memory.recall(store, key, Timestamp::from_secs(997)), None);
        memory.note(store, key, known(2, 1060), NOW);
        assert_eq!(memory.recall(store, key, NOW), Some(known(2, 1060)));
        assert_eq!(memory.recall(store, key, Timestamp::from_secs(997)), None);
        assert!(!memory.take(store, key, 1, Timestamp::from_secs(997)));
        assert!(memory.take(store, key, 1, NOW), "and is not touched");
    }

    #[test]
    fn what_is_granted_is_taken_to_the_last_and_then_unknown() {
        let (memory, proxy) = (memory(), Proxy::default());
        let (store, key) = (Store::new(&proxy), key(&memory, &proxy, "a"));
        memory.note(store, key, known(3, 1010), NOW);
        assert!(memory.take(store, key, 2, NOW));
        assert!(!memory.take(store, key, 2, NOW));
        memory.give_back(store, key, 1, NOW);
        assert!(memory.take(store, key, 2, NOW));
        assert!(!memory.take(store, key, 1, NOW));
        assert_eq!(memory.recall(store, key, NOW), None);
    }

    #[test]
    fn a_flood_of_keys_stays_in_its_memory() {
        let (memory, proxy) = (memory(), Proxy::default());
        let store = Store::new(&proxy);
        let hot = key(&memory, &proxy, "hot");
        memory.note(store, hot, known(0, 2000), NOW);
        for n in 0..20_000 {
            let key = key(&memory, &proxy, &n.to_string());
            memory.note(store, key, known(0, 1010), NOW);
        }
        assert!(proxy.shared_bytes() <= 32 * (ENTRIES * 24 + 16) + 32);
        assert_eq!(memory.recall(store, hot, NOW), Some(known(0, 2000)));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let (memory, proxy) = (memory(), Proxy::default());
        let of = |parts: [&'static [u8]; 2]| {
            memory.fingerprint(Store::new(&proxy), parts.into_iter()).unwrap()
        };
        assert_ne!(of([b"ab", b"c"]), of([b"a", b"bc"]));
    }

    #[test]
    fn nonsense_in_a_slot_is_nothing() {
        for len in 0..100 {
            assert!(!parse(&vec![0xff; len]).any(|entry| holds(&entry, NOW)));
        }
    }

    #[test]
    fn a_store_that_fails_knows_nothing() {
        let (memory, proxy) = (memory(), Proxy::default());
        let key = key(&memory, &proxy, "a");
        proxy.fail();
        memory.note(Store::new(&proxy), key, known(0, 1010), NOW);
        assert_eq!(memory.recall(Store::new(&proxy), key, NOW), None);
        assert!(!memory.take(Store::new(&proxy), key, 1, NOW));
    }
}
