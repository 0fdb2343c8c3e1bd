//! What is kept of one key under one limit, and how it changes: three algorithms, two shapes.
//!
//! 1. A token bucket is the moment at which it is full again (GCRA). A token comes back every
//!    `step`; a request of `n` is let through if the bucket then lacks no more than its capacity.
//! 2. A window is counts by step, the newest first. A request counts from when it comes until its
//!    step and all that follow it in the window are over: one step for a fixed window, of `per`;
//!    nine for a sliding one, of an eighth of `per` each. So a sliding window never lets more through
//!    than its quota in any stretch of `per`, and counts a request for at most an eighth of `per`
//!    too long.
//! 3. A clock that is a little behind ([`BEHIND`]: another worker's reading) is taken to stand at
//!    what was seen last. One that jumped back further finds states of the future: a bucket then is
//!    empty as of now, the counts of a window stand in the present one. Nobody gains by it, and
//!    nobody waits longer than for an empty bucket, or a window.
//! 4. A clock that jumps ahead refills what it would have refilled.
//! 5. What is counted afterwards (a refused login) may go beyond the quota: a bucket owes up to
//!    [`DEBT`] times its capacity.
//! 6. What is given back is what still counts of a charge: of a bucket, what has not come back by
//!    itself since; of a window, what its own step has. No later window gains by it.

use crate::quota::{Algorithm, Rate, STEPS};

/// [`shared::time::BEHIND`] in nanoseconds.
pub(crate) const BEHIND: u64 = shared::time::BEHIND.as_secs().saturating_mul(1_000_000_000);
/// How many times its capacity a bucket may owe.
pub(crate) const DEBT: u64 = 8;
/// How many counts a sliding window has: the step that is running, and those of `per` before it.
pub(crate) const COUNTS: usize = STEPS as usize + 1;
/// A heat of one: all of a quota is used.
pub(crate) const HOT: u64 = 1 << 16;

/// What is kept of one key under one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A token bucket.
    Bucket {
        /// When it is full again, in nanoseconds since 1970.
        full: u64,
        /// How long it takes from empty to full.
        span: u64,
    },
    /// A window.
    Window {
        /// When the newest step began, in nanoseconds since 1970.
        start: u64,
        /// How long a step is.
        step: u64,
        /// The quota.
        limit: u32,
        /// What was counted in each step, the newest first.
        counts: Counts,
    },
}

/// The counts of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Of a fixed one.
    One([u32; 1]),
    /// Of a sliding one.
    Many([u32; COUNTS]),
}

impl Counts {
    /// The counts, the newest first.
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(counts) => counts,
            Self::Many(counts) => counts,
        }
    }

    fn as_mut(&mut self) -> &mut [u32] {
        match self {
            Self::One(counts) => counts,
            Self::Many(counts) => counts,
        }
    }

    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn sum(&self) -> u64 {
        self.as_slice().iter().map(|count| u64::from(*count)).sum()
    }

    /// Lets so many steps pass.
    fn pass(&mut self, steps: u64) {
        let counts = self.as_mut();
        let steps = usize::try_from(steps).unwrap_or(usize::MAX).min(counts.len());
        counts.rotate_right(steps);
        counts.iter_mut().take(steps).for_each(|count| *count = 0);
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether it is let through.
    pub(crate) granted: bool,
    /// What is kept after it: what was before, brought to now, where it is not.
    pub(crate) state: State,
    /// Whether that has to be kept though nothing was granted: the clock had jumped.
    pub(crate) moved: bool,
    /// How the limit stands after it.
    pub(crate) standing: Standing,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How much more would be let through at once.
    pub(crate) remaining: u32,
    /// Nanoseconds until all of the quota is there again.
    pub(crate) reset: u64,
    /// Nanoseconds until the request that was not let through could be.
    pub(crate) wait: u64,
}

impl Rate {
    /// Of a key that nobody knows, or that takes over what another one had used.
    pub(crate) fn fresh(&self, used: u32, now: u64) -> State {
        if self.algorithm == Algorithm::TokenBucket {
            let used = u64::from(used).saturating_mul(self.step);
            return State::Bucket { full: now.saturating_add(used), span: self.span() };
        }
        let mut counts = match self.algorithm {
            Algorithm::SlidingWindow => Counts::Many([0; COUNTS]),
            Algorithm::TokenBucket | Algorithm::FixedWindow => Counts::One([0]),
        };
        if let Some(newest) = counts.as_mut().first_mut() {
            *newest = used;
        }
        let start = now.saturating_sub(now.checked_rem(self.step).unwrap_or_default());
        State::Window { start, step: self.step, limit: self.capacity, counts }
    }

    /// Lets a request that costs `amount` through, or not.
    pub(crate) fn take(&self, state: State, amount: u32, now: u64) -> Taken {
        let (before, moved) = self.renew(state, now);
        let after = self.add(before, amount, now);
        // A bucket may owe, what is taken from it may not.
        let granted = match (before, after) {
            (_, State::Bucket { full, span }) => full <= now.saturating_add(span),
            (State::Window { counts, .. }, _) => {
                counts.sum().saturating_add(u64::from(amount)) <= u64::from(self.capacity)
            }
            _ => false,
        };
        let state = if granted { after } else { before };
        let wait = if granted { 0 } else { self.wait(before, amount, now) };
        Taken { granted, state, moved, standing: Standing { wait, ..self.standing(state, now) } }
    }

    /// Counts what has happened already, whether the quota has room for it or not.
    pub(crate) fn count(&self, state: State, amount: u32, now: u64) -> State {
        let (state, _) = self.renew(state, now);
        match self.add(state, amount, now) {
            State::Bucket { full, span } => {
                let most = now.saturating_add(span.saturating_mul(DEBT));
                State::Bucket { full: full.min(most), span }
            }
            window @ State::Window { .. } => window,
        }
    }

    /// Takes a charge of the time `at` back, as far as it still counts.
    pub(crate) fn give_back(&self, state: State, amount: u32, at: u64, now: u64) -> State {
        match state {
            State::Bucket { full, span } => {
                let lacked = u64::from(amount).saturating_mul(self.step);
                let back = lacked.saturating_sub(now.saturating_sub(at));
                State::Bucket { full: full.saturating_sub(back), span }
            }
            State::Window { start, step, limit, mut counts } => {
                if at < start.saturating_add(step) {
                    let age = usize::try_from(start.saturating_sub(at).div_ceil(step.max(1)));
                    if let Some(count) = age.ok().and_then(|age| counts.as_mut().get_mut(age)) {
                        *count = count.saturating_sub(amount);
                    }
                }
                State::Window { start, step, limit, counts }
            }
        }
    }

    /// How the limit stands.
    pub(crate) fn standing(&self, state: State, now: u64) -> Standing {
        match state {
            State::Bucket { full, span } => {
                let lacks = full.saturating_sub(now);
                let remaining = span.saturating_sub(lacks).checked_div(self.step);
                let remaining = u32::try_from(remaining.unwrap_or_default()).unwrap_or(u32::MAX);
                Standing { remaining, reset: lacks, wait: 0 }
            }
            State::Window { start, step, counts, .. } => {
                let used = u32::try_from(counts.sum()).unwrap_or(u32::MAX);
                let newest = counts.as_slice().iter().position(|count| *count > 0);
                let end = newest.map_or(0, |age| ends(start, step, counts.len(), age));
                let remaining = self.capacity.saturating_sub(used);
                Standing { remaining, reset: end.saturating_sub(now), wait: 0 }
            }
        }
    }

    /// Brings a state to now; whether the clock had jumped back.
    fn renew(&self, state: State, now: u64) -> (State, bool) {
        match state {
            State::Bucket { full, .. } => {
                let span = self.span();
                let furthest = if self.owes { span.saturating_mul(DEBT) } else { span };
                let most = now.saturating_add(furthest).saturating_add(BEHIND);
                let moved = full > most;
                let full = if moved { now.saturating_add(span) } else { full };
                (State::Bucket { full, span }, moved)
            }
            State::Window { start, mut counts, .. } => {
                let (step, limit) = (self.step, self.capacity);
                if start > now.saturating_add(BEHIND) {
                    let used = u32::try_from(counts.sum()).unwrap_or(u32::MAX);
                    return (self.fresh(used.min(limit), now), true);
                }
                let passed = now.saturating_sub(start).checked_div(step).unwrap_or_default();
                counts.pass(passed);
                let start = start.saturating_add(passed.saturating_mul(step));
                (State::Window { start, step, limit, counts }, false)
            }
        }
    }

    /// The state with so much more in it.
    fn add(&self, state: State, amount: u32, now: u64) -> State {
        match state {
            State::Bucket { full, span } => {
                let more = u64::from(amount).saturating_mul(self.step);
                State::Bucket { full: full.max(now).saturating_add(more), span }
            }
            State::Window { start, step, limit, mut counts } => {
                if let Some(newest) = counts.as_mut().first_mut() {
                    *newest = newest.saturating_add(amount);
                }
                State::Window { start, step, limit, counts }
            }
        }
    }

    /// Until when a request has to wait that is not let through now.
    fn wait(&self, state: State, amount: u32, now: u64) -> u64 {
        match state {
            State::Bucket { full, span } => {
                let more = u64::from(amount).saturating_mul(self.step);
                let lacks = full.max(now).saturating_add(more);
                lacks.saturating_sub(now.saturating_add(span))
            }
            State::Window { start, step, counts, .. } => {
                let total = counts.sum().saturating_add(u64::from(amount));
                let mut too_many = total.saturating_sub(u64::from(self.capacity));
                let ages = counts.as_slice().iter().enumerate().rev();
                for (age, count) in ages {
                    too_many = too_many.saturating_sub(u64::from(*count));
                    if too_many == 0 {
                        return ends(start, step, counts.len(), age).saturating_sub(now);
                    }
                }
                ends(start, step, counts.len(), 0).saturating_sub(now)
            }
        }
    }
}

impl State {
    /// How much of its quota is used, as parts of [`HOT`]: what a full table keeps longest.
    pub(crate) fn heat(&self, now: u64) -> u64 {
        match self {
            Self::Bucket { full, span } => {
                let lacks = full.saturating_sub(now);
                if lacks > span.saturating_mul(DEBT).saturating_add(BEHIND) {
                    return 0; // of a clock that has jumped back
                }
                lacks.checked_div(span.div_euclid(HOT).max(1)).unwrap_or_default()
            }
            Self::Window { start, step, limit, counts } => {
                let length = counts.len().saturating_mul(*step);
                if *start > now.saturating_add(length).saturating_add(BEHIND) {
                    return 0;
                }
                let used: u64 = counts
                    .as_slice()
                    .iter()
                    .enumerate()
                    .filter(|(age, _)| ends(*start, *step, counts.len(), *age) > now)
                    .map(|(_, count)| u64::from(*count))
                    .sum();
                used.saturating_mul(HOT).checked_div(u64::from(*limit)).unwrap_or_default()
            }
        }
    }
}

/// When what was counted `age` steps before the newest is over.
fn ends(start: u64, step: u64, steps: u64, age: usize) -> u64 {
    let ahead = steps.saturating_sub(age as u64);
    start.saturating_add(ahead.saturating_mul(step))
}
