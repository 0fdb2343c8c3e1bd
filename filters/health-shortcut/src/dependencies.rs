//! The dependencies and their pings.
//!
//! 1. Every worker looks now and then whether a ping is due. The one that writes first that it
//!    pings is the one that does ([`crate::results`]). So each dependency is pinged once an
//!    interval, and a worker that dies is not missed; a lease for all would be held by the plugin
//!    of an old configuration for as long as its listener drains.
//! 2. A status of 200 to 299 is OK. Anything else, and no answer in time, is not.
//! 3. The answer to a ping of another configuration is for nobody.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use shared::filter::{Answer, Background, Birth, Call, CallFailure, Plugin as _};
use shared::store::{Change, Store};
use shared::time::Timestamp;

use crate::HealthShortcut;
use crate::config::Dependency;
use crate::results::{Results, Turn, Watched};

/// How often it is looked whether a ping is due.
const SHORTEST_TICK: Duration = Duration::from_millis(100);
const LONGEST_TICK: Duration = Duration::from_millis(500);
/// How many looks there are to an interval.
const LOOKS: u32 = 10;

/// All dependencies of a plugin.
pub(crate) struct Dependencies {
    list: Vec<Pinged>,
    /// The slot of the results.
    slot: String,
    /// When this plugin was configured.
    born: Timestamp,
    /// The number of the first one's calls. It is another for each plugin, so that an answer that
    /// was meant for the one before is not taken for one of ours.
    first_id: u32,
}

/// A dependency, and this worker's ping of it.
struct Pinged {
    dependency: Dependency,
    watched: Watched,
    /// Since when a ping is under way.
    asked: Option<Timestamp>,
}

impl Dependencies {
    /// Those of a plugin whose slots in the store begin with `slots`.
    pub(crate) fn new(list: Vec<Dependency>, slots: &str, birth: &Birth<'_>) -> Self {
        let pinged = |dependency| Pinged { watched: watched(&dependency), dependency, asked: None };
        let first_id = birth.secret.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Self {
            list: list.into_iter().map(pinged).collect(),
            slot: format!("{slots}/results"),
            born: birth.now,
            first_id,
        }
    }

    /// What is known. Where the store fails, that is nothing.
    pub(crate) fn results(&self, store: Store<'_>) -> Results {
        self.parse(&store.read(&self.slot).unwrap_or_default())
    }

    /// Those that `listed` picks, and whether each is OK.
    pub(crate) fn status(
        &self,
        results: &Results,
        now: Timestamp,
        listed: impl Fn(&Dependency) -> bool,
    ) -> Vec<(&str, bool)> {
        let list = self.list.iter().filter(|pinged| listed(&pinged.dependency));
        list.map(|pinged| (&*pinged.dependency.name, results.is_ok(&pinged.watched, now))).collect()
    }

    /// How often [`Self::ping`] has to be called.
    pub(crate) fn tick_period(&self) -> Duration {
        let shortest = self.list.iter().map(|pinged| pinged.dependency.interval).min();
        let period = shortest
            .map_or(LONGEST_TICK, |interval| interval.checked_div(LOOKS).unwrap_or(interval));
        period.clamp(SHORTEST_TICK, LONGEST_TICK)
    }

    /// Pings what is due and nobody else pings. The first call also notes when the plugin started.
    pub(crate) fn ping(&mut self, background: &mut Background<'_>) {
        let now = background.now;
        let claimed = background.store.update(&self.slot, |bytes| self.claim(bytes, now));
        for index in claimed.unwrap_or_default() {
            let Some(pinged) = usize::try_from(index).ok().and_then(|at| self.list.get_mut(at))
            else {
                continue;
            };
            pinged.asked = Some(now);
            background.call(self.first_id.wrapping_add(index), call(&pinged.dependency));
        }
    }

    /// Notes how a ping ended.
    pub(crate) fn answered(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        let index = usize::try_from(id.wrapping_sub(self.first_id)).unwrap_or(usize::MAX);
        let Some(pinged) = self.list.get_mut(index) else { return };
        let Some(asked) = pinged.asked.take() else { return };
        let ok = matches!(answer, Answer::Response { status: 200..=299, .. });
        background.effects.count_by("pinged", "result", if ok { "ok" } else { "not_ok" });
        let (key, now) = (pinged.watched.key, background.now);
        let turn = background.store.update(&self.slot, |bytes| {
            let Some(mut results) = Results::parse(bytes) else { return Change::Keep(Turn::Same) };
            match results.answer(key, asked, now, ok) {
                Some(turn) => Change::Replace(results.bytes(), turn),
                None => Change::Keep(Turn::Same),
            }
        });
        let (filter, name) = (HealthShortcut::NAME, &pinged.dependency.name);
        match turn {
            Ok(Turn::Failed) => log::warn!("{filter}: {name} is NOT OK: {}", said(answer)),
            Ok(Turn::Recovered) => log::info!("{filter}: {name} is OK again"),
            Ok(Turn::Same) | Err(_) => {}
        }
    }

    /// Writes down what this worker pings now: the numbers of the dependencies that are due.
    fn claim(&self, bytes: &[u8], now: Timestamp) -> Change<Vec<u32>> {
        let mut results = self.parse(bytes);
        let due = (0..).zip(&self.list).filter(|(_, pinged)| results.is_due(&pinged.watched, now));
        let due: Vec<(u32, &Pinged)> = due.collect();
        let is_ours = |key| self.list.iter().any(|pinged| pinged.watched.key == key);
        for (_, pinged) in &due {
            results.ask(&pinged.watched, now, is_ours);
        }
        let claimed = due.iter().map(|(index, _)| *index).collect();
        let next = results.bytes();
        if next == bytes { Change::Keep(claimed) } else { Change::Replace(next, claimed) }
    }

    fn parse(&self, bytes: &[u8]) -> Results {
        Results::parse(bytes).unwrap_or_else(|| Results::new(self.born))
    }
}

fn watched(dependency: &Dependency) -> Watched {
    let Dependency { name, cluster, host, path, interval, timeout, required: _ } = dependency;
    // The same on every worker: they run the same module. Nobody from outside chooses the texts.
    let mut key = DefaultHasher::new();
    (name, cluster, host, path).hash(&mut key);
    Watched { key: key.finish(), interval: *interval, timeout: *timeout }
}

fn call(dependency: &Dependency) -> Call {
    let Dependency { cluster, host, path, timeout, .. } = dependency;
    let mut call = Call::get(cluster, host, path, *timeout);
    call.headers.push(("user-agent", "gatehouse-health-shortcut".into()));
    call
}

/// What a log says of the end of a ping. Of the answer it shows the status alone.
fn said(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Response { status, .. } => format!("status {status}"),
        Answer::Failed(CallFailure::Rejected) => "the proxy does not take the call".into(),
        Answer::Failed(CallFailure::NoHost) => "its cluster has no host".into(),
        Answer::Failed(CallFailure::Broken | CallFailure::TooLong) => "no answer".into(),
    }
}
