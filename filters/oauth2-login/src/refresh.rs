//! One refresh of a session for all workers.
//!
//! 1. Who is to refresh a session first claims it, in a slot of the shared store; who finds it
//!    claimed waits. So a refresh token, which many providers take once, is sent once.
//! 2. What came of it stays in the slot for a minute ([`GRACE`]), sealed as it is in the cookie: for
//!    the requests that were under way with the old cookie.
//! 3. A claim whose call is never concluded holds the others up for as long as a call may take. An
//!    entry that would last longer than one of its kind does, under any configuration, is of a clock
//!    that has jumped back.
//! 4. There are [`SLOTS`] slots with [`MOST`] sessions each. The result that ends first gives way;
//!    claims do not.
//! 5. Other proxies of the same keys do not see the slots. Two that refresh one session at once are
//!    two to the provider: the one that is refused goes on with the access token while that lasts,
//!    and leaves the browser's cookie alone, which may be the other's by then.

use std::time::Duration;

use shared::store::{Change, Store, StoreFailure};
use shared::time::{BEHIND, Timestamp};

use crate::provider::LONGEST_CALL;
use crate::renewal::MARGIN;

/// How long the outcome of a refresh is kept.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// How long after a refresh that could not be made it is tried again.
const RETRY: Duration = Duration::from_secs(5);
const SLOTS: u32 = 128;
const MOST: usize = 4;
/// The longest id of a session, and the longest outcome, in bytes.
const MAX_ID: usize = 64;
const MAX_SEALED: usize = 24 * 1024;

/// The slots.
pub(crate) struct Shares {
    prefix: String,
    /// How long a claim holds.
    term: Duration,
}

/// What became of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// It is under way.
    Claimed,
    /// This is the session now, sealed.
    Renewed(Vec<u8>),
    /// The provider does not go on with it.
    Refused,
    /// The provider could not be asked, or what it said was of no use.
    Failed,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is this worker's to refresh the session.
    Ours,
    /// It is, or was, another's.
    Theirs,
    /// There is no room for a claim.
    Full,
}

struct Entry {
    id: Vec<u8>,
    generation: u32,
    until: Timestamp,
    share: Share,
}

impl Shares {
    /// The slots behind this prefix; a claim holds for `term`.
    pub(crate) fn new(prefix: &str, term: Duration) -> Self {
        Self { prefix: format!("{prefix}/sessions"), term }
    }

    /// What became of the refresh that leads beyond `generation`.
    pub(crate) fn look(
        &self,
        store: Store<'_>,
        (id, generation): (&str, u32),
        now: Timestamp,
    ) -> Result<Option<Share>, StoreFailure> {
        let entries = Self::read(&store.read(&self.slot(id))?, now);
        let beyond = |entry: &Entry| entry.id == id.as_bytes() && entry.generation > generation;
        Ok(entries.into_iter().find(beyond).map(|entry| entry.share))
    }

    /// Claims the refresh that leads to `generation`.
    pub(crate) fn claim(
        &self,
        store: Store<'_>,
        (id, generation): (&str, u32),
        now: Timestamp,
    ) -> Result<Claim, StoreFailure> {
        store.update(&self.slot(id), |bytes| {
            let mut entries = Self::read(bytes, now);
            let same = |entry: &Entry| entry.id == id.as_bytes();
            if entries.iter().any(|entry| same(entry) && entry.generation >= generation) {
                return Change::Keep(Claim::Theirs);
            }
            entries.retain(|entry| !same(entry));
            if entries.len() >= MOST && !make_room(&mut entries) {
                return Change::Keep(Claim::Full);
            }
            let (id, until) = (id.as_bytes().to_vec(), now.after(self.term));
            entries.push(Entry { id, generation, until, share: Share::Claimed });
            Change::Replace(write(&entries), Claim::Ours)
        })
    }

    /// Says what became of a refresh.
    pub(crate) fn publish(
        &self,
        store: Store<'_>,
        (id, generation): (&str, u32),
        now: Timestamp,
        share: &Share,
    ) -> Result<(), StoreFailure> {
        let until = now.after(longest(share));
        store.update(&self.slot(id), |bytes| {
            let mut entries = Self::read(bytes, now);
            entries.retain(|entry| entry.id != id.as_bytes());
            if entries.len() >= MOST && !make_room(&mut entries) {
                return Change::Keep(());
            }
            let (id, share) = (id.as_bytes().to_vec(), share.clone());
            entries.push(Entry { id, generation, until, share });
            Change::Replace(write(&entries), ())
        })
    }

    /// The entries of a slot that still count; none where the bytes do not hold together.
    fn read(mut bytes: &[u8], now: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let Some((entry, rest)) = read_one(bytes) else { return Vec::new() };
            let latest = now.after(longest(&entry.share)).after(BEHIND);
            if now < entry.until && entry.until <= latest {
                entries.push(entry);
            }
            bytes = rest;
        }
        entries
    }

    fn slot(&self, id: &str) -> String {
        // An id is random, and no client can choose one.
        let mix = |hash: u32, byte: u8| hash.wrapping_mul(31).wrapping_add(u32::from(byte));
        format!("{}/{}", self.prefix, id.bytes().fold(0, mix) % SLOTS)
    }
}

/// How long an entry lasts at most; a claim, under whatever configuration it was made.
const fn longest(share: &Share) -> Duration {
    match share {
        Share::Claimed => LONGEST_CALL.saturating_add(MARGIN),
        Share::Renewed(_) | Share::Refused => GRACE,
        Share::Failed => RETRY,
    }
}

/// Takes out the outcome that ends first, if there is one.
fn make_room(entries: &mut Vec<Entry>) -> bool {
    let outcomes = entries.iter().enumerate().filter(|(_, entry)| entry.share != Share::Claimed);
    let first = outcomes.min_by_key(|(_, entry)| entry.until).map(|(index, _)| index);
    if let Some(index) = first {
        entries.remove(index);
    }
    first.is_some()
}

fn read_one(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (&[kind, length], rest) = bytes.split_first_chunk::<2>()?;
    let (id, rest) = rest.split_at_checked(usize::from(length))?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let (until, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (sealed, rest) = rest.split_at_checked(length)?;
    let share = match kind {
        0 => Share::Claimed,
        1 => Share::Renewed(sealed.to_vec()),
        2 => Share::Refused,
        3 => Share::Failed,
        _ => return None,
    };
    let generation = u32::from_le_bytes(*generation);
    let until = Timestamp::from_nanos(u64::from_le_bytes(*until));
    Some((Entry { id: id.to_vec(), generation, until, share }, rest))
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (kind, sealed): (u8, &[u8]) = match &entry.share {
            Share::Claimed => (0, &[]),
            Share::Renewed(sealed) => (1, sealed),
            Share::Refused => (2, &[]),
            Share::Failed => (3, &[]),
        };
        let lengths = (u8::try_from(entry.id.len()), u32::try_from(sealed.len()));
        let (Ok(id_length), Ok(length)) = lengths else { continue };
        if entry.id.len() > MAX_ID || sealed.len() > MAX_SEALED {
            continue;
        }
        bytes.extend_from_slice(&[kind, id_length]);
        bytes.extend_from_slice(&entry.id);
        bytes.extend_from_slice(&entry.generation.to_le_bytes());
        bytes.extend_from_slice(&entry.until.nanos().to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(sealed);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::testing::Proxy;

    use super::*;

    const TERM: Duration = Duration::from_secs(6);

    fn shares() -> Shares {
        Shares::new("x", TERM)
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn one_refreshes_and_the_others_learn_of_it() {
        let (proxy, shares) = (Proxy::default(), shares());
        let store = Store::new(&proxy);
        assert_eq!(shares.look(store, ("a", 0), at(100)), Ok(None));
        assert_eq!(shares.claim(store, ("a", 1), at(100)), Ok(Claim::Ours));
        assert_eq!(shares.claim(store, ("a", 1), at(101)), Ok(Claim::Theirs));
        assert_eq!(shares.look(store, ("a", 0), at(101)), Ok(Some(Share::Claimed)));
        shares.publish(store, ("a", 1), at(102), &Share::Renewed(b"new".to_vec())).unwrap();
        let renewed = Ok(Some(Share::Renewed(b"new".to_vec())));
        assert_eq!(shares.look(store, ("a", 0), at(161)), renewed);
        assert_eq!(shares.look(store, ("a", 1), at(161)), Ok(None));
        assert_eq!(shares.claim(store, ("a", 2), at(161)), Ok(Claim::Ours));
        assert_eq!(shares.look(store, ("a", 0), at(161)), Ok(Some(Share::Claimed)));
    }

    #[test]
    fn a_claim_that_is_not_concluded_runs_out() {
        let (proxy, shares) = (Proxy::default(), shares());
        let store = Store::new(&proxy);
        assert_eq!(shares.claim(store, ("a", 1), at(100)), Ok(Claim::Ours));
        assert_eq!(shares.claim(store, ("a", 1), at(105)), Ok(Claim::Theirs));
        assert_eq!(shares.claim(store, ("a", 1), at(106)), Ok(Claim::Ours));
    }

    #[test]
    fn a_claim_of_another_configuration_counts() {
        let (proxy, shares) = (Proxy::default(), shares());
        let (store, before) = (Store::new(&proxy), Shares::new("x", LONGEST_CALL + MARGIN));
        assert_eq!(before.claim(store, ("a", 1), at(100)), Ok(Claim::Ours));
        assert_eq!(shares.claim(store, ("a", 1), at(101)), Ok(Claim::Theirs));
    }

    #[test]
    fn what_is_of_the_future_is_nothing() {
        let (proxy, shares) = (Proxy::default(), shares());
        let store = Store::new(&proxy);
        assert_eq!(shares.claim(store, ("a", 1), at(100)), Ok(Claim::Ours));
        assert_eq!(shares.claim(store, ("a", 1), at(99)), Ok(Claim::Theirs), "a little");
        assert_eq!(shares.claim(store, ("a", 1), at(30)), Ok(Claim::Ours));
        for share in [Share::Renewed(b"new".to_vec()), Share::Refused, Share::Failed] {
            shares.publish(store, ("a", 1), at(100), &share).unwrap();
            assert_eq!(shares.look(store, ("a", 0), at(99)), Ok(Some(share)));
            assert_eq!(shares.look(store, ("a", 0), at(97)), Ok(None));
        }
    }

    #[test]
    fn slots_do_not_grow() {
        let (proxy, shares) = (Proxy::default(), shares());
        let store = Store::new(&proxy);
        let sealed = Share::Renewed(vec![b'x'; 20_000]);
        for number in 0..2_000 {
            let id = format!("session {number}");
            assert_eq!(shares.claim(store, (&id, 1), at(100)), Ok(Claim::Ours), "{id}");
            shares.publish(store, (&id, 1), at(100), &sealed).unwrap();
            assert_eq!(shares.look(store, (&id, 0), at(100)), Ok(Some(sealed.clone())));
        }
        assert!((64..=128).contains(&proxy.shared_keys()), "{}", proxy.shared_keys());
        assert!(proxy.shared_bytes() <= 128 * 4 * 20_100, "{}", proxy.shared_bytes());
    }

    #[test]
    fn claims_do_not_give_way() {
        let mut entries: Vec<_> = (0..MOST)
            .map(|n| Entry {
                id: vec![u8::try_from(n).unwrap()],
                generation: 1,
                until: at(200),
                share: Share::Claimed,
            })
            .collect();
        assert!(!make_room(&mut entries));
        entries[2].share = Share::Refused;
        assert!(make_room(&mut entries) && entries.len() == 3);
    }

    #[test]
    fn a_store_that_fails_is_no_answer() {
        let (proxy, shares) = (Proxy::default(), shares());
        proxy.lose_races(usize::MAX);
        assert!(shares.claim(Store::new(&proxy), ("a", 1), at(100)).is_err());
    }

    proptest! {
        #[test]
        fn garbage_in_a_slot_is_an_empty_slot(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Shares::read(&bytes, at(100));
        }
    }
}
