//! How often something happened per key within a window, in fixed memory, shared by all workers.
//!
//! 1. Keys are hashed (SHA-256, 64 bits of it) to one of [`SHARDS`] slots of the store, each with
//!    room for [`ENTRIES`] keys of 16 bytes: 128 KiB in all.
//! 2. A key's window begins with its first event and ends `window` later; then it is forgotten.
//! 3. A full shard gives up an entry whose window has ended, else the one with the lowest count,
//!    the oldest of those: a key near its limit stays while a colder one can go.
//! 4. A window that begins in the future (the clock jumped back) has ended.
//! 5. Where the store fails, the caller learns it.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::store::{Change, Store, StoreFailure};
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
    /// A tally under `name`, which has to be the same on all workers.
    pub fn new(name: &str, window: Duration) -> Self {
        Self { slots: (0..SHARDS).map(|shard| format!("{name}/{shard}")).collect(), window }
    }

    /// Counts one event of `key` and says what that makes.
    pub fn add(&self, store: Store<'_>, key: &[u8], now: Timestamp) -> Result<Count, StoreFailure> {
        self.change(store, key, now, |events| events.saturating_add(1))
    }

    /// Takes one event of `key` back: it turned out not to count.
    pub fn take_back(
        &self,
        store: Store<'_>,
        key: &[u8],
        now: Timestamp,
    ) -> Result<Count, StoreFailure> {
        self.change(store, key, now, |events| events.saturating_sub(1))
    }

    fn change(
        &self,
        store: Store<'_>,
        key: &[u8],
        now: Timestamp,
        next: impl Fn(u32) -> u32,
    ) -> Result<Count, StoreFailure> {
        let key = hash(key);
        let shard = usize::try_from(key.rem_euclid(u64::from(SHARDS))).unwrap_or_default();
        let slot = self.slots.get(shard).ok_or(StoreFailure::Unavailable)?;
        let now = u32::try_from(now.secs()).unwrap_or(u32::MAX);
        store.update(slot, |bytes| {
            let mut entries = parse(bytes);
            entries.retain(|entry| self.is_open(entry, now));
            let known = entries.iter().find(|entry| entry.key == key).copied();
            let before = known.unwrap_or(Entry { key, began: now, events: 0 });
            let entry = Entry { events: next(before.events), ..before };
            entries.retain(|entry| entry.key != key);
            if entries.len() >= ENTRIES {
                evict(&mut entries);
            }
            if entry.events > 0 {
                entries.push(entry);
            }
            Change::Replace(write(&entries), self.count(&entry, now))
        })
    }

    fn is_open(&self, entry: &Entry, now: u32) -> bool {
        entry.began <= now
            && u64::from(now.saturating_sub(entry.began)) < self.window.as_secs().max(1)
    }

    fn count(&self, entry: &Entry, now: u32) -> Count {
        let passed = u64::from(now.saturating_sub(entry.began));
        let ends_in = self.window.as_secs().max(1).saturating_sub(passed);
        Count { events: entry.events, ends_in: Duration::from_secs(ends_in) }
    }
}

fn evict(entries: &mut Vec<Entry>) {
    let coldest = entries.iter().enumerate().min_by_key(|(_, entry)| (entry.events, entry.began));
    if let Some((index, _)) = coldest {
        entries.swap_remove(index);
    }
}

/// Second preimages of 64 bits are out of reach, and with them a victim of somebody's choosing.
fn hash(key: &[u8]) -> u64 {
    let digest = Sha256::digest(key);
    digest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default()
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
        let tally = Tally::new("tally", WINDOW);
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
        let tally = Tally::new("tally", WINDOW);
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
        assert!(proxy.shared_bytes() <= usize::from(SHARDS) * (ENTRIES * 16 + 32));
        assert_eq!(add(&proxy, "hot", 102).events, 6);
    }

    #[test]
    fn garbage_in_a_slot_counts_as_nothing() {
        let proxy = Proxy::default();
        for shard in 0..SHARDS {
            let slot = format!("tally/{shard}");
            Store::new(&proxy).update(&slot, |_| Change::Replace(vec![255; 37], ())).unwrap();
        }
        assert_eq!(add(&proxy, "a", 100).events, 1);
    }
}
