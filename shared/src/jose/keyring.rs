//! The keys of a provider, kept fresh: one fetch for all workers.
//!
//! 1. A small slot in the shared store says who fetches, when it was tried, when it went well and
//!    which set is the newest. Whoever replaces it by compare-and-swap fetches; the others read what
//!    it publishes in a second slot.
//! 2. Keys are fetched before the first request needs them, then every `refresh`, and when a token
//!    names a key that is not known, at most once in `refetch`, however lately they were fetched.
//! 3. A fetch that fails is tried again after a second, then two, then four, at most every half
//!    minute. Until then the last good set serves, for `max_stale` from when it was fetched.
//! 4. A set that does not parse never replaces one that does. Redirects are not followed. Where a
//!    discovery document leads to the keys, it is published with them, as fresh as they are.
//! 5. A worker that claims a fetch and is gone before it ends holds the others up for as long as a
//!    fetch may take, no longer. Nor does a clock that jumps.

use std::hash::Hasher as _;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use siphasher::sip::SipHasher24;

use super::jwk::KeySet;
use super::remote::{Place, Remote};
use crate::config::json;
use crate::filter::{Answer, Call};
use crate::store::{Change, Store};
use crate::time::Timestamp;

/// The longest between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// The keys of a provider.
#[derive(Debug)]
pub struct Keyring {
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Inline(Rc<KeySet>),
    Remote(Box<Fetched>),
}

#[derive(Debug)]
struct Fetched {
    remote: Remote,
    state_slot: String,
    keys_slot: String,
    keys: Option<Rc<KeySet>>,
    /// The discovery document that led to them.
    document: Option<Rc<Value>>,
    /// The one of the fetch that is under way.
    next_document: Vec<u8>,
    /// What else a document has to be.
    check: Check,
    /// Which set `keys` is, as the state numbers it.
    generation: u64,
    state: State,
}

/// Says what is wrong with a discovery document.
pub type Check = fn(&Value) -> Result<(), String>;

/// What the workers tell each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// When the last fetch began.
    tried: Timestamp,
    /// When an unknown key last caused one.
    asked: Timestamp,
    /// Until when nobody else begins one.
    taken_until: Timestamp,
    /// Whether it is under way.
    under_way: bool,
    /// How many failed in a row.
    failures: u32,
    /// When the newest set was fetched; zero for never.
    fetched: Timestamp,
    /// Which set that is.
    generation: u64,
}

/// What a keyring has to say to who needs a key.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Keys, and which set they are.
    Keys(Rc<KeySet>, u64),
    /// None yet: somebody is fetching them.
    Wait,
    /// None, and none soon.
    None,
}

/// What there is for who needs a certain key.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Keys among which it is, and which set they are.
    Keys(Rc<KeySet>, u64),
    /// Somebody is fetching.
    Wait,
    /// It is not among the keys.
    Unknown,
    /// There are no keys, and none soon.
    Keyless,
}

/// Why keys are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// They are there to be kept fresh.
    Fresh,
    /// A token names one that is not known.
    Unknown,
}

impl Keyring {
    /// Keys that stand in the configuration.
    pub fn inline(keys: KeySet) -> Self {
        Self { origin: Origin::Inline(Rc::new(keys)) }
    }

    /// Keys that are fetched; `slots` is the prefix of the plugin's slots.
    pub fn remote(slots: &str, remote: Remote) -> Self {
        Self::checked(slots, remote, |_| Ok(()))
    }

    /// The same; a discovery document that `check` refuses is as good as none.
    pub fn checked(slots: &str, remote: Remote, check: Check) -> Self {
        // Slots of the same provider alone are shared, over a change of the configuration too.
        let name = format!("{slots}/keys/{:016x}", hash(remote.name().as_bytes()));
        let fetched = Fetched {
            remote,
            state_slot: format!("{name}/state"),
            keys_slot: format!("{name}/set"),
            keys: None,
            document: None,
            next_document: Vec::new(),
            check,
            generation: 0,
            state: State::default(),
        };
        Self { origin: Origin::Remote(Box::new(fetched)) }
    }

    /// Whether there is anything to fetch.
    pub const fn is_remote(&self) -> bool {
        matches!(self.origin, Origin::Remote(_))
    }

    /// Learns what other workers have published.
    pub fn poll(&mut self, store: Store<'_>) {
        if let Origin::Remote(fetched) = &mut self.origin {
            fetched.poll(store);
        }
    }

    /// The call to make where it is time, and this worker's turn, to fetch the keys.
    pub fn refresh(&mut self, store: Store<'_>, now: Timestamp) -> Option<Call> {
        match &mut self.origin {
            Origin::Inline(_) => None,
            Origin::Remote(fetched) => fetched.claim(store, now, Want::Fresh),
        }
    }

    /// The call to make for a key that is not known, where it may be fetched and is this worker's
    /// turn.
    pub fn refetch(&mut self, store: Store<'_>, now: Timestamp) -> Option<Call> {
        match &mut self.origin {
            Origin::Inline(_) => None,
            Origin::Remote(fetched) => fetched.claim(store, now, Want::Unknown),
        }
    }

    /// The keys, if they are not too old.
    pub fn keys(&self, now: Timestamp) -> Lookup {
        let fetched = match &self.origin {
            Origin::Inline(keys) => return Lookup::Keys(Rc::clone(keys), 0),
            Origin::Remote(fetched) => fetched,
        };
        match &fetched.keys {
            Some(keys) if now.since(fetched.state.fetched) <= fetched.remote.max_stale => {
                Lookup::Keys(Rc::clone(keys), fetched.generation)
            }
            _ if fetched.state.is_under_way(now) => Lookup::Wait,
            _ => Lookup::None,
        }
    }

    /// The discovery document, if it is not too old.
    pub fn document(&self, now: Timestamp) -> Option<Rc<Value>> {
        match (&self.origin, self.keys(now)) {
            (Origin::Remote(fetched), Lookup::Keys(..)) => fetched.document.clone(),
            _ => None,
        }
    }

    /// The keys among which is the one that `has` looks for, and the call to start. A key that is not
    /// known is fetched once: `refetched` remembers it for who asks again.
    pub fn ask(
        &mut self,
        has: impl Fn(&KeySet) -> bool,
        refetched: &mut bool,
        store: Store<'_>,
        now: Timestamp,
    ) -> (Asked, Option<Call>) {
        let mut call = None;
        let mut lookup = self.keys(now);
        if matches!(lookup, Lookup::None) {
            self.poll(store);
            call = self.refresh(store, now);
            lookup = self.keys(now);
        }
        match lookup {
            Lookup::Keys(keys, number) if has(&keys) => return (Asked::Keys(keys, number), call),
            Lookup::Keys(..) if !self.is_remote() => return (Asked::Unknown, call),
            Lookup::Keys(..) => {}
            Lookup::Wait => return (Asked::Wait, call),
            Lookup::None => return (Asked::Keyless, call),
        }
        if !*refetched {
            *refetched = true;
            self.poll(store);
            call = call.or_else(|| self.refetch(store, now));
        }
        let asked = match self.keys(now) {
            Lookup::Keys(keys, number) if has(&keys) => Asked::Keys(keys, number),
            _ if self.is_under_way(now) => Asked::Wait,
            _ => Asked::Unknown,
        };
        (asked, call)
    }

    /// Whether somebody is fetching.
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        match &self.origin {
            Origin::Inline(_) => false,
            Origin::Remote(fetched) => fetched.state.is_under_way(now),
        }
    }

    /// The answer to a call of [`Self::refresh`] or [`Self::refetch`], or to the one after it; the
    /// call that comes next, or what went wrong.
    pub fn answered(
        &mut self,
        answer: &Answer<'_>,
        store: Store<'_>,
        now: Timestamp,
        step: Step,
    ) -> Result<Fetch, String> {
        let Origin::Remote(fetched) = &mut self.origin else {
            return Err("nothing was asked".into());
        };
        let outcome = body(answer).and_then(|body| fetched.read(body, store, now, step));
        if outcome.is_err() {
            fetched.failed(store, now);
        }
        outcome
    }
}

/// Which call of a fetch was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first.
    First,
    /// The one for the keys, which the discovery document led to.
    Second,
}

/// What an answer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The keys are there; what is wrong with some.
    Done(Vec<String>),
    /// Another call.
    Next(Call),
}

impl Fetched {
    fn poll(&mut self, store: Store<'_>) {
        let Some(state) = store.read(&self.state_slot).ok().and_then(|bytes| State::parse(&bytes))
        else {
            return;
        };
        self.state = state;
        if state.generation == self.generation {
            return;
        }
        let Ok(bytes) = store.read(&self.keys_slot) else { return };
        let Some((generation, document, text)) = read_published(&bytes) else { return };
        // The slot may be a set ahead of the state, or behind it: the next poll sees both.
        if generation == state.generation
            && let Ok((keys, _)) = KeySet::of_provider(text)
        {
            self.keys = Some(Rc::new(keys));
            self.document = json::parse(document).ok().map(Rc::new);
            self.generation = state.generation;
        }
    }

    fn claim(&mut self, store: Store<'_>, now: Timestamp, want: Want) -> Option<Call> {
        // Without a look at the store where it cannot be time.
        if !self.state.is_due(now, want, &self.remote) {
            return None;
        }
        let longest = self.remote.longest();
        let outcome = store.update(&self.state_slot, |bytes| {
            let state = State::parse(bytes).unwrap_or_default();
            if !state.is_due(now, want, &self.remote) {
                return Change::Keep((state, false));
            }
            let asked = if want == Want::Unknown { now } else { state.asked };
            let taken_until = now.after(longest);
            let state = State { tried: now, asked, taken_until, under_way: true, ..state };
            Change::Replace(state.write(), (state, true))
        });
        let (state, is_ours) = outcome.ok()?;
        self.state = state;
        if !is_ours {
            // Somebody was faster, and may have published already.
            self.poll(store);
            return None;
        }
        self.remote.first_call().ok()
    }

    fn read(
        &mut self,
        body: &[u8],
        store: Store<'_>,
        now: Timestamp,
        step: Step,
    ) -> Result<Fetch, String> {
        if let (Place::Discovered(discovery), Step::First) = (&self.remote.place, step) {
            let (url, document) = discovery.keys(body)?;
            (self.check)(&document)?;
            self.next_document = body.to_vec();
            return Ok(Fetch::Next(self.remote.call(&url, &discovery.keys_cluster)));
        }
        let (keys, faults) = KeySet::of_provider(body)?;
        let document = std::mem::take(&mut self.next_document);
        // Whatever this worker knew: the slot may hold a set whose fetch was not concluded.
        let (generation, bytes) = published(&document, body);
        let publish = |known: &[u8]| {
            if known == bytes { Change::Keep(()) } else { Change::Replace(bytes.clone(), ()) }
        };
        store.update(&self.keys_slot, publish).map_err(|_| "the proxy does not keep the keys")?;
        if generation != self.generation {
            self.keys = Some(Rc::new(keys));
            self.document = json::parse(&document).ok().map(Rc::new);
            self.generation = generation;
        }
        self.conclude(store, |state| State {
            under_way: false,
            taken_until: now,
            failures: 0,
            fetched: now,
            generation,
            ..state
        });
        Ok(Fetch::Done(faults))
    }

    fn failed(&mut self, store: Store<'_>, now: Timestamp) {
        self.conclude(store, |state| {
            let failures = state.failures.saturating_add(1);
            let backoff = Duration::from_secs(1_u64 << state.failures.min(5)).min(LONGEST_BACKOFF);
            State { under_way: false, taken_until: now.after(backoff), failures, ..state }
        });
    }

    fn conclude(&mut self, store: Store<'_>, next: impl Fn(State) -> State) {
        let outcome = store.update(&self.state_slot, |bytes| {
            let state = next(State::parse(bytes).unwrap_or_default());
            Change::Replace(state.write(), state)
        });
        // Where the store fails, this worker goes by its own.
        self.state = outcome.unwrap_or_else(|_| next(self.state));
    }
}

impl State {
    const LEN: usize = 8 * 5 + 4 + 1;

    fn is_under_way(&self, now: Timestamp) -> bool {
        self.under_way && now < self.taken_until && self.tried <= now
    }

    fn is_due(&self, now: Timestamp, want: Want, remote: &Remote) -> bool {
        // A state of the future (the clock jumped back) holds nobody up.
        let is_taken = now < self.taken_until && self.tried <= now;
        let is_old =
            self.generation == 0 || self.fetched > now || now.since(self.fetched) >= remote.refresh;
        let is_late = self.asked > now || now.since(self.asked) >= remote.refetch;
        !is_taken && (is_old || want == Want::Unknown && is_late)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (times, rest) = bytes.split_first_chunk::<40>()?;
        let (times, _) = times.as_chunks::<8>();
        let [tried, asked, taken_until, fetched, generation] = times else { return None };
        let (failures, under_way) = rest.split_first_chunk::<4>()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_nanos(u64::from_le_bytes(*bytes));
        Some(Self {
            tried: time(tried),
            asked: time(asked),
            taken_until: time(taken_until),
            under_way: under_way == [1],
            failures: u32::from_le_bytes(*failures),
            fetched: time(fetched),
            generation: u64::from_le_bytes(*generation),
        })
    }

    fn write(&self) -> Vec<u8> {
        let times = [self.tried, self.asked, self.taken_until, self.fetched].map(Timestamp::nanos);
        let mut bytes: Vec<u8> = times.iter().flat_map(|time| time.to_le_bytes()).collect();
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.failures.to_le_bytes());
        bytes.push(u8::from(self.under_way));
        bytes
    }
}

/// What is published: which set it is, the length of the document, the document, the keys.
fn published(document: &[u8], keys: &[u8]) -> (u64, Vec<u8>) {
    let length = u32::try_from(document.len()).unwrap_or(u32::MAX).to_le_bytes();
    let rest = [&length, document, keys].concat();
    let generation = hash(&rest);
    (generation, [&generation.to_le_bytes(), rest.as_slice()].concat())
}

fn read_published(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (generation, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (document, keys) = rest.split_at_checked(length)?;
    Some((u64::from_le_bytes(*generation), document, keys))
}

fn body<'a>(answer: &Answer<'a>) -> Result<&'a [u8], String> {
    match answer {
        Answer::Response { status: 200, body, .. } => Ok(*body),
        Answer::Response { status: status @ 300..=399, .. } => {
            Err(format!("the answer is {status}; redirects are not followed"))
        }
        Answer::Response { status, .. } => Err(format!("the answer is {status}")),
        Answer::Failed(failure) => Err(format!("there is no answer: {failure:?}")),
    }
}

/// A number for a text, never zero. Nobody gains by another text of the same number: the texts are
/// the provider's and the configuration's.
pub(super) fn hash(text: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(b"gatehouse's keys");
    hasher.write(text);
    hasher.finish().max(1)
}
