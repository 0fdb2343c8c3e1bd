//! Counters and latency histograms under a bounded number of sets of labels.
//!
//! 1. A set of labels is service, method, class of status and tier: what the policy, the proxy and the
//!    configuration say, never a client's own word. Still, there are at most `max_series` of them, of all
//!    workers together: the sets are agreed on in one slot of the shared store, as digests.
//! 2. What there is no room for is counted under `other`, with its class of status alone. So there are
//!    at most `max_series` + 6 + 1 sets; each has one counter and one histogram.
//! 3. Counts are kept here and handed to the proxy at each tick; latencies are handed over at once.
//! 4. A metric is never given back, by no proxy: another configuration under the same name of the plugin
//!    goes on with the same sets.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use shared::effects::Effects;
use shared::hash::Spread;
use shared::metric::{Kind, Metric, OTHER};
use shared::store::{Change, Store};

/// The labels of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a> {
    pub(crate) service: &'a [u8],
    pub(crate) method: &'a [u8],
    /// `2xx`, or `none` where there is no status.
    pub(crate) class: &'static str,
    pub(crate) tier: &'a str,
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Series {
    filter: &'static str,
    /// The slot of the sets that were agreed on.
    slot: String,
    most: usize,
    known: HashMap<Vec<u8>, Counted, Spread>,
    /// What is counted by the class of status alone.
    others: HashMap<&'static str, Counted>,
    refusals: HashMap<Vec<u8>, Counted, Spread>,
    /// All digests, once there is no room for more.
    full: Option<HashSet<u64>>,
    /// Where the key of a set is put together.
    key: Vec<u8>,
}

/// A counter with what was not handed over yet, and the histogram beside it.
#[derive(Debug)]
struct Counted {
    counter: Rc<Metric>,
    latency: Option<Rc<Metric>>,
    pending: u64,
}

impl Counted {
    fn add(&mut self, nanos: Option<u64>, effects: &mut Effects) {
        self.pending = self.pending.saturating_add(1);
        if let (Some(latency), Some(nanos)) = (&self.latency, nanos) {
            effects.measure(Rc::clone(latency), nanos / 1_000_000);
        }
    }
}

impl Series {
    /// None yet, agreed on in the slots that begin with `slots`.
    pub(crate) fn new(filter: &'static str, slots: &str, most: usize) -> Self {
        Self {
            filter,
            slot: format!("{slots}/series"),
            most,
            known: HashMap::default(),
            others: HashMap::new(),
            refusals: HashMap::default(),
            full: None,
            key: Vec::new(),
        }
    }

    /// Counts an exchange that took so long.
    pub(crate) fn count(
        &mut self,
        labels: &Labels<'_>,
        nanos: Option<u64>,
        store: Store<'_>,
        effects: &mut Effects,
    ) {
        self.write_key(&[
            labels.service,
            labels.method,
            labels.class.as_bytes(),
            labels.tier.as_bytes(),
        ]);
        if let Some(counted) = self.known.get_mut(&self.key) {
            counted.add(nanos, effects);
        } else if self.has_room(store) {
            let mut counted = requests(self.filter, labels);
            counted.add(nanos, effects);
            self.known.insert(self.key.clone(), counted);
        } else {
            let other = Labels {
                service: OTHER.as_bytes(),
                method: OTHER.as_bytes(),
                class: labels.class,
                tier: OTHER,
            };
            let filter = self.filter;
            let counted =
                self.others.entry(labels.class).or_insert_with(|| requests(filter, &other));
            counted.add(nanos, effects);
        }
    }

    /// Counts a refusal: by whom, and why.
    pub(crate) fn count_refusal(
        &mut self,
        by: &[u8],
        reason: &[u8],
        store: Store<'_>,
        effects: &mut Effects,
    ) {
        self.write_key(&[b"refusal", by, reason]);
        if !self.refusals.contains_key(&self.key) && !self.has_room(store) {
            self.write_key(&[]);
        }
        let (by, reason) =
            if self.key.is_empty() { (OTHER.as_bytes(), OTHER.as_bytes()) } else { (by, reason) };
        let filter = self.filter;
        let refusal = || {
            let labels = [("source", by), ("reason", reason)];
            Counted {
                counter: Rc::new(Metric::new(Kind::Counter, filter, "refusals", &labels)),
                latency: None,
                pending: 0,
            }
        };
        self.refusals.entry(self.key.clone()).or_insert_with(refusal).add(None, effects);
    }

    /// Hands over what was counted since.
    pub(crate) fn flush(&mut self, effects: &mut Effects) {
        let all = self.known.values_mut().chain(self.others.values_mut());
        for counted in all.chain(self.refusals.values_mut()) {
            let pending = std::mem::take(&mut counted.pending);
            if pending > 0 {
                effects.measure(Rc::clone(&counted.counter), pending);
            }
        }
    }

    fn write_key(&mut self, parts: &[&[u8]]) {
        self.key.clear();
        for part in parts {
            // A zero byte cannot be in a part, or two sets would be one; they come from headers and states.
            self.key.extend(part.iter().map(|byte| if *byte == 0 { b'?' } else { *byte }));
            self.key.push(0);
        }
    }

    /// Whether the set whose key was written is one of those agreed on, or becomes one.
    fn has_room(&mut self, store: Store<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        let digest = hasher.finish();
        if let Some(full) = &self.full {
            return full.contains(&digest);
        }
        let most = self.most;
        let agreed = store.update(&self.slot, |bytes| {
            let (known, _) = bytes.as_chunks::<8>();
            if known.contains(&digest.to_le_bytes()) {
                Change::Keep(Ok(()))
            } else if known.len() < most {
                Change::Replace([bytes, &digest.to_le_bytes()].concat(), Ok(()))
            } else {
                Change::Keep(Err(known.iter().map(|known| u64::from_le_bytes(*known)).collect()))
            }
        });
        match agreed {
            Ok(Ok(())) => true,
            Ok(Err(all)) => {
                log::warn!(
                    "{}: there is no room for more series, the rest is `other`",
                    self.filter
                );
                self.full = Some(all);
                false
            }
            // Without a store, or in a throng, nothing new is defined; the next exchange tries again.
            Err(_) => false,
        }
    }
}

fn requests(filter: &'static str, labels: &Labels<'_>) -> Counted {
    let labels = [
        ("service", labels.service),
        ("method", labels.method),
        ("status", labels.class.as_bytes()),
        ("tier", labels.tier.as_bytes()),
    ];
    Counted {
        counter: Rc::new(Metric::new(Kind::Counter, filter, "requests", &labels)),
        latency: Some(Rc::new(Metric::new(Kind::Histogram, filter, "duration_ms", &labels))),
        pending: 0,
    }
}
