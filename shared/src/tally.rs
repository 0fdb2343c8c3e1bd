//! How often something happened per key within a window, in fixed memory, shared by all workers.
//!
//! 1. Keys are hashed to one of [`SHARDS`] slots of the store, each with room for [`ENTRIES`] keys of
//!    16 bytes: 128 KiB in all. The hash is keyed with a secret that the workers share, so nobody
//!    outside can tell which keys meet in a slot.
//! 2. A key's window begins with its first event and ends `window` later; then it is forgotten.
//! 3. A full slot gives up an entry whose window has ended, else the one with the lowest count, the
//!    oldest of those. In the second case the new key takes over the count and the window of the one
//!    that it replaces (Space-Saving: Metwally, Agrawal, El Abbadi, 2005): no key is ever counted
//!    lower than it came, so a flood of keys cannot make room for one near its limit. It can make
//!    new keys seem hotter than they are, until the windows end.
//! 4. A window that begins more than its length in the future (the clock jumped back) has ended.
//! 5. Where the store fails, the caller learns it.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::store::{AgreedSecret, Change, Store, StoreFailure};
use crate::time::Timestamp;

/// In how many slots the keys are kept.
pub const SHARDS: u8 = 64;
/// How many keys a slot has room for.
pub const ENTRIES: usize = 128;

/// Counts per key, in the slots `<name>/<shard>`.
#[derive(Clone, Debug)]
pub struct Tally {
    slots: Vec<String>,
    window: Duration,
    secret: AgreedSecret,
}

/// What a key's count came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many events the key's window has.
    pub events: u32,
    /// How long until the window ends.
    pub ends_in: Duration,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    began: u32,
    events: u32,
}

impl Tally {
    /// A tally under `name`, which has to be the same on all workers; `secret` is drawn on this one.
    pub fn new(name: &str, window: Duration, secret: [u8; 16]) -> Self {
        // A tally of another window is another tally.
        let name = format!("{name}/{}s", window.as_secs());
        Self {
            slots: (0..SHARDS).map(|shard| format!("{name}/{shard}")).collect(),
            window,
            secret: AgreedSecret::new(format!("{name}/secret"), secret),
        }
    }

    /// Counts one event of `key` and says what that makes.
    pub fn add(&self, store: Store<'_>, key: &[u8], now: Timestamp) -> Result<Count, StoreFailure> {
        let (slot, key) = self.place(store, key)?;
        let now = seconds(now);
        store.update(slot, |bytes| {
            let mut entries = parse(bytes);
            entries.retain(|entry| self.is_open(entry, now));
            let entry = match entries.iter_mut().find(|entry| entry.key == key) {
                Some(entry) => {
                    entry.events = entry.events.saturating_add(1);
                    *entry
                }
                None => admit(&mut entries, Entry { key, began: now, events: 1 }),
            };
            Change::Replace(write(&entries), self.count(&entry, now))
        })
    }

    /// Takes one event of `key` back: it turned out not to count. `now` may have passed meanwhile.
    pub fn take_back(
        &self,
        store: Store<'_>,
        key: &[u8],
        now: Timestamp,
    ) -> Result<Count, StoreFailure> {
        let (slot, key) = self.place(store, key)?;
        store.update(slot, |bytes| {
            let mut entries = parse(bytes);
            let found = entries.iter_mut().find(|entry| entry.key == key);
            let Some(entry) = found else {
                return Change::Keep(Count { events: 0, ends_in: Duration::ZERO });
            };
            entry.events = entry.events.saturating_sub(1);
            let count = self.count(entry, seconds(now));
            entries.retain(|entry| entry.events > 0);
            Change::Replace(write(&entries), count)
        })
    }

    /// The slot of a key, and what stands for the key in it.
    fn place(&self, store: Store<'_>, key: &[u8]) -> Result<(&str, u64), StoreFailure> {
        let mut hasher = SipHasher24::new_with_key(&self.secret.get(store)?);
        hasher.write(key);
        let key = hasher.finish();
        let shard = usize::try_from(key.rem_euclid(u64::from(SHARDS))).unwrap_or_default();
        let slot = self.slots.get(shard).ok_or(StoreFailure::Unavailable)?;
        Ok((slot, key))
    }

    fn is_open(&self, entry: &Entry, now: u32) -> bool {
        let window = self.window.as_secs().max(1);
        u64::from(now.saturating_sub(entry.began)) < window
            && u64::from(entry.began.saturating_sub(now)) <= window
    }

    fn count(&self, entry: &Entry, now: u32) -> Count {
        let passed = u64::from(now.saturating_sub(entry.began));
        let ends_in = self.window.as_secs().max(1).saturating_sub(passed);
        Count { events: entry.events, ends_in: Duration::from_secs(ends_in) }
    }
}

/// Makes room for a new key, and says as what it is counted.
fn admit(entries: &mut Vec<Entry>, new: Entry) -> Entry {
    if entries.len() < ENTRIES {
        entries.push(new);
        return new;
    }
    let coldest = entries.iter_mut().min_by_key(|entry| (entry.events, entry.began));
    let Some(coldest) = coldest else { return new };
    let events = coldest.events.saturating_add(new.events);
    *coldest = Entry { events, began: coldest.began, ..new };
    *coldest
}

fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.secs()).unwrap_or(u32::MAX)
}

fn parse(bytes: &[u8]) -> Vec<Entry> {
    let (entries, _) = bytes.as_chunks::<16>();
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
    entries
        .iter()
        .filter_map(|bytes| {
            let (key, rest) = bytes.split_first_chunk::<8>()?;
            let (began, events) = rest.split_at_checked(4)?;
            Some(Entry {
                key: u64::from_le_bytes(*key),
                began: number(began),
                events: number(events),
            })
        })
        .collect()
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len().saturating_mul(16));
    for entry in entries {
        bytes.extend_from_slice(&entry.key.to_le_bytes());
        bytes.extend_from_slice(&entry.began.to_le_bytes());
        bytes.extend_from_slice(&entry.events.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const WINDOW: Duration = Duration::from_secs(60);

    fn add(proxy: &Proxy, key: &str, secs: u64) -> Count {
        let tally = Tally::new("tally", WINDOW, [7; 16]);
        tally.add(Store::new(proxy), key.as_bytes(), Timestamp::from_secs(secs)).unwrap()
    }

    #[test]
    fn counts_each_key_by_itself() {
        let proxy = Proxy::default();
        assert_eq!(add(&proxy, "a", 100), Count { events: 1, ends_in: WINDOW });
        assert_eq!(add(&proxy, "a", 110), Count { events: 2, ends_in: Duration::from_secs(50) });
        assert_eq!(add(&proxy, "b", 110).events, 1);
    }

    #[test]
    fn a_window_ends_and_the_key_begins_anew() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100);
        assert_eq!(add(&proxy, "a", 159).events, 2);
        assert_eq!(add(&proxy, "a", 160).events, 1);
    }

    #[test]
    fn a_clock_that_jumped_back_begins_anew() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100_000);
        assert_eq!(add(&proxy, "a", 100).events, 1);
    }

    #[test]
    fn an_event_can_be_taken_back() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100);
        let tally = Tally::new("tally", WINDOW, [7; 16]);
        let count = tally.take_back(Store::new(&proxy), b"a", Timestamp::from_secs(100)).unwrap();
        assert_eq!(count.events, 0);
        assert_eq!(add(&proxy, "a", 101).events, 1);
    }

    #[test]
    fn a_flood_of_keys_stays_in_its_memory_and_does_not_free_a_hot_one() {
        let proxy = Proxy::default();
        for _ in 0..5 {
            add(&proxy, "hot", 100);
        }
        for n in 0..50_000 {
            add(&proxy, &format!("cold {n}"), 101);
        }
        assert!(proxy.shared_bytes() <= usize::from(SHARDS) * (ENTRIES * 16 + 32) + 64);
        assert!(add(&proxy, "hot", 102).events >= 6);
    }

    #[test]
    fn a_flood_of_hot_keys_does_not_free_a_hot_one_either() {
        let proxy = Proxy::default();
        for _ in 0..5 {
            add(&proxy, "victim", 100);
        }
        for n in 0..SHARDS as usize * ENTRIES * 2 {
            for _ in 0..6 {
                add(&proxy, &format!("hot {n}"), 101);
            }
        }
        assert!(add(&proxy, "victim", 102).events >= 6);
    }

    #[test]
    fn the_first_workers_secret_is_everybodys() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100);
        let other = Tally::new("tally", WINDOW, [8; 16]);
        let count = other.add(Store::new(&proxy), b"a", Timestamp::from_secs(101)).unwrap();
        assert_eq!(count.events, 2);
    }

    #[test]
    fn taking_back_late_leaves_the_other_keys_alone() {
        let proxy = Proxy::default();
        for n in 0..2000 {
            add(&proxy, &format!("{n}"), 150);
        }
        let tally = Tally::new("tally", WINDOW, [7; 16]);
        // The clock of whoever takes back stood still, or the windows begin in its future.
        tally.take_back(Store::new(&proxy), b"5", Timestamp::from_secs(20)).unwrap();
        assert!((6..2000).all(|n| add(&proxy, &format!("{n}"), 150).events == 2));
    }

    #[test]
    fn a_worker_whose_clock_is_behind_counts_on() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100);
        assert_eq!(add(&proxy, "a", 99).events, 2);
    }

    #[test]
    fn another_window_is_another_tally() {
        let proxy = Proxy::default();
        add(&proxy, "a", 100);
        let other = Tally::new("tally", Duration::from_secs(10), [7; 16]);
        let count = other.add(Store::new(&proxy), b"a", Timestamp::from_secs(100)).unwrap();
        assert_eq!(count.events, 1);
    }

    #[test]
    fn garbage_in_a_slot_counts_as_nothing() {
        let proxy = Proxy::default();
        for shard in 0..SHARDS {
            let slot = format!("tally/60s/{shard}");
            Store::new(&proxy).update(&slot, |_| Change::Replace(vec![255; 37], ())).unwrap();
        }
        assert_eq!(add(&proxy, "a", 100).events, 1);
    }
}
