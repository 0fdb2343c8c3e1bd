//! What the workers tell each other of tokens, so that one of them asks for all.
//!
//! 1. A token has one of [`SLOTS`] slots of the shared store. Whoever claims it by compare-and-swap
//!    asks, and puts the answer there; the others wait for that, and read it themselves.
//! 2. The slots are all there is: a token that meets another in its slot while that one is being
//!    asked about is asked about by each worker for itself; so is every token where the store fails.
//!    An answer gives way to the next claim.
//! 3. A token is known by a SipHash-2-4 of 128 bits under a secret that the workers share. A slot
//!    holds an answer of the endpoint, and no token.
//! 4. A claim that nobody concludes holds the others up no longer than an answer may take. A clock
//!    that jumped back makes claims and answers of the future worthless.

use std::hash::Hasher as _;
use std::time::Duration;

use shared::cache::Fingerprint;
use shared::filter::Birth;
use shared::store::{Change, Store};
use shared::time::{BEHIND, Timestamp};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::refusal::Fault;

/// How many tokens there is room for; with the longest answer in each, 4 MiB.
pub(crate) const SLOTS: u8 = 128;

/// The slots.
pub(crate) struct Shelf {
    slots: Vec<String>,
    /// How long a claim holds.
    term: Duration,
}

/// What a worker that wants to know of a token is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Ask.
    Ask,
    /// Wait: another worker asks.
    Wait,
    /// Read what was answered then.
    Read(Timestamp, Vec<u8>),
    /// Give up: there was no answer.
    GiveUp(Fault),
}

/// What a slot says of a token.
enum Record<'a> {
    /// It is being asked about, until then at the latest.
    Claimed(Timestamp),
    /// This was answered then.
    Answered(Timestamp, &'a [u8]),
    /// Nothing was answered, as was found out then.
    Failed(Timestamp, Fault),
}

impl Shelf {
    pub(crate) fn new(name: &str, term: Duration) -> Self {
        Self { slots: (0..SLOTS).map(|slot| format!("{name}/{slot}")).collect(), term }
    }

    /// Whose turn it is to ask about a token for which a request has waited since `since`; an
    /// answer of the time `stale` is none.
    pub(crate) fn turn(
        &self,
        store: Store<'_>,
        token: &Fingerprint,
        since: Timestamp,
        stale: Option<Timestamp>,
        now: Timestamp,
    ) -> Turn {
        let ends = now.after(self.term);
        let outcome = store.update(self.slot(token), |bytes| {
            let claim = || Change::Replace(write(token, &Record::Claimed(ends)), Turn::Ask);
            let Some((known, record)) = parse(bytes) else { return claim() };
            let is_ours = known == token.bytes();
            match record {
                Record::Claimed(until) if until > now && until <= ends.after(BEHIND) => {
                    Change::Keep(if is_ours { Turn::Wait } else { Turn::Ask })
                }
                Record::Answered(at, body)
                    if is_ours && at <= now.after(BEHIND) && stale != Some(at) =>
                {
                    Change::Keep(Turn::Read(at, body.to_vec()))
                }
                Record::Failed(at, fault) if is_ours && since < at && at <= now.after(BEHIND) => {
                    Change::Keep(Turn::GiveUp(fault))
                }
                _ => claim(),
            }
        });
        outcome.unwrap_or(Turn::Ask)
    }

    /// Says what came of asking.
    pub(crate) fn put(
        &self,
        store: Store<'_>,
        token: &Fingerprint,
        outcome: Result<&[u8], Fault>,
        now: Timestamp,
    ) {
        let record = match outcome {
            Ok(body) => Record::Answered(now, body),
            Err(fault) => Record::Failed(now, fault),
        };
        let ends = now.after(self.term);
        let outcome = store.update(self.slot(token), |bytes| match parse(bytes) {
            Some((other, Record::Claimed(until)))
                if other != token.bytes() && until > now && until <= ends.after(BEHIND) =>
            {
                Change::Keep(())
            }
            _ => Change::Replace(write(token, &record), ()),
        });
        if outcome.is_err() {
            log::debug!("the proxy does not keep an answer for the other workers");
        }
    }

    fn slot(&self, token: &Fingerprint) -> &str {
        let [first, ..] = token.bytes();
        let index = usize::from(first.checked_rem(SLOTS).unwrap_or_default());
        self.slots.get(index).map_or("", String::as_str)
    }
}

fn write(token: &Fingerprint, record: &Record<'_>) -> Vec<u8> {
    let (kind, time, rest): (u8, _, &[u8]) = match record {
        Record::Claimed(until) => (0, until, &[]),
        Record::Answered(at, body) => (1, at, body),
        Record::Failed(at, fault) => (2, at, &[fault.number()]),
    };
    [&token.bytes(), &[kind][..], &time.nanos().to_le_bytes(), rest].concat()
}

fn parse(bytes: &[u8]) -> Option<([u8; 16], Record<'_>)> {
    let (token, rest) = bytes.split_first_chunk::<16>()?;
    let (kind, rest) = rest.split_first()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let time = Timestamp::from_nanos(u64::from_le_bytes(*time));
    let record = match (kind, rest) {
        (0, []) => Record::Claimed(time),
        (1, body) => Record::Answered(time, body),
        (2, [fault]) => Record::Failed(time, Fault::of_number(*fault)?),
        _ => return None,
    };
    Some((*token, record))
}

/// The secret under which tokens are known: of all workers that ask the same endpoint as the same
/// client (`name`), or, where the store fails, of this one alone.
pub(crate) fn secret(birth: &Birth<'_>, slot: &str, name: &[u8]) -> [u8; 16] {
    let shared = Store::new(birth.host).update(slot, |bytes| match bytes.try_into() {
        Ok(secret) => Change::Keep(secret),
        Err(_) => Change::Replace(birth.secret.to_vec(), birth.secret),
    });
    let mut hasher = SipHasher24::new_with_key(&shared.unwrap_or(birth.secret));
    hasher.write(name);
    hasher.finish128().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use shared::cache::Verified;
    use shared::testing::Proxy;

    use super::*;

    const TERM: Duration = Duration::from_secs(3);

    fn shelf() -> Shelf {
        Shelf::new("shelf", TERM)
    }

    fn token(text: &str) -> Fingerprint {
        let secret = [7; 16];
        Verified::<()>::new(secret, NonZeroUsize::MIN, TERM).fingerprint(text.as_bytes())
    }

    /// Two tokens of one slot.
    fn meeting() -> (Fingerprint, Fingerprint) {
        let (one, shelf) = (token("one"), shelf());
        let meets = |other: &Fingerprint| shelf.slot(other) == shelf.slot(&one);
        (one, (0..).map(|number| token(&number.to_string())).find(meets).unwrap())
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn turn(proxy: &Proxy, token: &Fingerprint, secs: u64) -> Turn {
        shelf().turn(Store::new(proxy), token, at(secs), None, at(secs))
    }

    #[test]
    fn one_asks_and_the_others_wait_and_read() {
        let (proxy, token) = (Proxy::default(), token("a"));
        assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
        assert_eq!(turn(&proxy, &token, 102), Turn::Wait);
        shelf().put(Store::new(&proxy), &token, Ok(b"body"), at(102));
        assert_eq!(turn(&proxy, &token, 103), Turn::Read(at(102), b"body".to_vec()));
        let stale = shelf().turn(Store::new(&proxy), &token, at(103), Some(at(102)), at(103));
        assert_eq!(stale, Turn::Ask);
    }

    #[test]
    fn an_answer_of_the_future_is_worthless() {
        let (proxy, token) = (Proxy::default(), token("a"));
        shelf().put(Store::new(&proxy), &token, Ok(b"body"), at(102));
        assert_eq!(turn(&proxy, &token, 101), Turn::Read(at(102), b"body".to_vec()), "a little");
        assert_eq!(turn(&proxy, &token, 99), Turn::Ask);
    }

    #[test]
    fn a_claim_ends() {
        let (proxy, token) = (Proxy::default(), token("a"));
        assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
        assert_eq!(turn(&proxy, &token, 103), Turn::Ask);
        assert_eq!(turn(&proxy, &token, 104), Turn::Wait);
        assert_eq!(turn(&proxy, &token, 10), Turn::Ask, "the clock jumped back");
    }

    #[test]
    fn a_failure_is_for_those_who_waited_for_it() {
        let (proxy, token) = (Proxy::default(), token("a"));
        assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
        shelf().put(Store::new(&proxy), &token, Err(Fault::Timeout), at(102));
        let waited = shelf().turn(Store::new(&proxy), &token, at(101), None, at(102));
        assert_eq!(waited, Turn::GiveUp(Fault::Timeout));
        assert_eq!(turn(&proxy, &token, 102), Turn::Ask);
    }

    #[test]
    fn a_token_that_meets_another_is_asked_about_all_the_same() {
        let (proxy, (one, other)) = (Proxy::default(), meeting());
        assert_eq!(turn(&proxy, &one, 100), Turn::Ask);
        assert_eq!(turn(&proxy, &other, 100), Turn::Ask);
        shelf().put(Store::new(&proxy), &other, Ok(b"other"), at(101));
        assert_eq!(turn(&proxy, &one, 101), Turn::Wait, "its claim stands");
        shelf().put(Store::new(&proxy), &one, Ok(b"one"), at(101));
        assert_eq!(turn(&proxy, &other, 101), Turn::Ask, "an answer gives way");
        assert_eq!(proxy.shared_keys(), 1);
    }

    #[test]
    fn where_the_store_fails_everybody_asks() {
        let (proxy, token) = (Proxy::default(), token("a"));
        proxy.lose_races(usize::MAX);
        assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
        assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
    }

    #[test]
    fn garbage_in_a_slot_is_nothing() {
        let (proxy, token) = (Proxy::default(), token("a"));
        for garbage in [&b"x"[..], &[0; 24], &[2; 27], &[255; 400]] {
            let write = |_: &[u8]| Change::Replace(garbage.to_vec(), ());
            Store::new(&proxy).update(shelf().slot(&token), write).unwrap();
            assert_eq!(turn(&proxy, &token, 100), Turn::Ask);
        }
    }

    #[test]
    fn the_space_is_bounded() {
        let proxy = Proxy::default();
        for number in 0..10_000 {
            let token = token(&number.to_string());
            turn(&proxy, &token, 100);
            shelf().put(Store::new(&proxy), &token, Ok(&[b'x'; 100]), at(100));
        }
        assert_eq!(proxy.shared_keys(), usize::from(SLOTS));
        assert!(proxy.shared_bytes() < 128 * 200);
    }
}
