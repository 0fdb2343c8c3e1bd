//! One slot of the store: a few dozen keys and their states, as bytes.
//!
//! 1. A slot has at most [`SLOT`] bytes. An entry is a key of 64 bits and its state: 24 bytes for a
//!    token bucket, 32 for a fixed window, 64 for a sliding one. The last two bits of the key say
//!    which.
//! 2. What is there is changed in its place. What is new comes last.
//! 3. A full slot gives up what has no use left (a full bucket, a window that is over), then the
//!    coldest: what has used the least of its quota, of equals the oldest. So a key near its limit
//!    stays while a colder one could go.
//! 4. A new key takes over the heat of what it replaces (Space-Saving: Metwally, Agrawal, El Abbadi,
//!    2005), rounded down, but for one request: one that was given up near its limit comes back with
//!    one request or two, not with a full bucket. Rounded up, a flood of keys that send one request
//!    each would in time be as hot as those that are limited, and push them out.
//! 5. Bytes that are no entries are dropped at the next change.

use crate::quota::{Algorithm, Rate};
use crate::state::{COUNTS, Counts, HOT, State};

/// How many bytes of entries a slot has room for.
pub(crate) const SLOT: usize = 768;

const BUCKET: u64 = 0;
const FIXED: u64 = 1;
const SLIDING: u64 = 2;
const KIND: u64 = 3;

/// The key of an entry: a digest, and the shape of what is kept under it.
pub(crate) fn key(digest: u64, algorithm: Algorithm) -> u64 {
    let kind = match algorithm {
        Algorithm::TokenBucket => BUCKET,
        Algorithm::FixedWindow => FIXED,
        Algorithm::SlidingWindow => SLIDING,
    };
    digest & !KIND | kind
}

/// The state that a slot has of a key.
pub(crate) fn find(slot: &[u8], key: u64) -> Option<State> {
    entries(slot).find(|entry| entry.key == key).and_then(|entry| entry.state())
}

/// The slot with another state of a key that it has.
pub(crate) fn replace(slot: &[u8], key: u64, state: &State) -> Option<Vec<u8>> {
    let entry = entries(slot).find(|entry| entry.key == key)?;
    let mut next = slot.to_vec();
    let place = next.get_mut(entry.at..entry.at.saturating_add(entry.bytes.len()))?;
    let written = write(key, state);
    if place.len() != written.len() {
        return None;
    }
    place.copy_from_slice(&written);
    Some(next)
}

/// The slot without what has to go for a new key of this rate, and how much of its quota the new one
/// has used already by that; `amount` is what it is about to use.
pub(crate) fn make_room(slot: &[u8], rate: &Rate, amount: u32, now: u64) -> (Vec<u8>, u32) {
    let needed = size(rate.algorithm);
    let used: usize = entries(slot).map(|entry| entry.bytes.len()).sum();
    if used.saturating_add(needed) <= SLOT {
        return (slot.get(..used).unwrap_or_default().to_vec(), 0);
    }
    let mut kept: Vec<(u64, &[u8])> = Vec::new();
    for entry in entries(slot) {
        let heat = entry.state().map_or(0, |state| state.heat(now));
        if heat > 0 {
            kept.push((heat, entry.bytes));
        }
    }
    let mut hottest = 0;
    while kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>().saturating_add(needed) > SLOT {
        let coldest = kept.iter().enumerate().min_by_key(|(_, (heat, _))| *heat);
        let Some((index, (heat, _))) = coldest else { break };
        hottest = hottest.max(*heat);
        kept.remove(index);
    }
    let slot = kept.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let used = hottest.min(HOT).saturating_mul(u64::from(rate.capacity)) / HOT;
    let used = u32::try_from(used).unwrap_or(u32::MAX);
    (slot, used.min(rate.capacity.saturating_sub(amount)))
}

/// Adds a new key to a slot that has room for it.
pub(crate) fn append(slot: &mut Vec<u8>, key: u64, state: &State) {
    slot.extend_from_slice(&write(key, state));
}

struct Entry<'a> {
    key: u64,
    at: usize,
    bytes: &'a [u8],
}

impl Entry<'_> {
    fn state(&self) -> Option<State> {
        let body = self.bytes.get(8..)?;
        if self.key & KIND == BUCKET {
            let (full, span) = body.split_at_checked(8)?;
            return Some(State::Bucket { full: long(full), span: long(span) });
        }
        let (start, body) = body.split_at_checked(8)?;
        let (step, body) = body.split_at_checked(8)?;
        let (limit, body) = body.split_at_checked(4)?;
        let (numbers, _) = body.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        let counts = match self.key & KIND {
            SLIDING => Counts::Many([(); COUNTS].map(|()| next())),
            _ => Counts::One([next()]),
        };
        Some(State::Window { start: long(start), step: long(step), limit: short(limit), counts })
    }
}

/// The entries of a slot, as far as it holds together.
fn entries(slot: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let slot = slot.get(..SLOT).unwrap_or(slot);
    let mut at: usize = 0;
    std::iter::from_fn(move || {
        let rest = slot.get(at..)?;
        let key = u64::from_le_bytes(*rest.first_chunk::<8>()?);
        let bytes = rest.get(..length(key)?)?;
        let entry = Entry { key, at, bytes };
        at = at.saturating_add(bytes.len());
        Some(entry)
    })
}

const fn length(key: u64) -> Option<usize> {
    match key & KIND {
        BUCKET => Some(size(Algorithm::TokenBucket)),
        FIXED => Some(size(Algorithm::FixedWindow)),
        SLIDING => Some(size(Algorithm::SlidingWindow)),
        _ => None,
    }
}

const fn size(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::TokenBucket => 24,
        Algorithm::FixedWindow => 32,
        Algorithm::SlidingWindow => 64,
    }
}

fn write(key: u64, state: &State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&key.to_le_bytes());
    match state {
        State::Bucket { full, span } => {
            bytes.extend_from_slice(&full.to_le_bytes());
            bytes.extend_from_slice(&span.to_le_bytes());
        }
        State::Window { start, step, limit, counts } => {
            bytes.extend_from_slice(&start.to_le_bytes());
            bytes.extend_from_slice(&step.to_le_bytes());
            bytes.extend_from_slice(&limit.to_le_bytes());
            counts.as_slice().iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        }
    }
    bytes
}

fn long(bytes: &[u8]) -> u64 {
    bytes.try_into().map(u64::from_le_bytes).unwrap_or_default()
}

fn short(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_le_bytes).unwrap_or_default()
}
