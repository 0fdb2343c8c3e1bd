//! How much is let through, as it is written, and as the algorithms count it.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;
use shared::config::{Invalid, Period};

/// So many in so much time (`quota`, and each of `tiers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Quota {
    /// How many requests, or how much of what they cost: 1 to 1,000,000,000.
    pub(crate) requests: NonZeroU32,
    /// In which time: at least a millisecond, and a nanosecond for each of `requests`.
    pub(crate) per: Period,
    /// How many may come at once, of a token bucket: 1 to 1,000,000,000; default `requests`.
    pub(crate) burst: Option<NonZeroU32>,
}

/// How a quota is counted (`algorithm`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Algorithm {
    /// A bucket of `burst` tokens, refilled evenly: GCRA.
    #[default]
    TokenBucket,
    /// In no stretch of `per`, wherever it begins, more than `requests`.
    SlidingWindow,
    /// Windows of `per` that begin at multiples of it since 1970 (UTC).
    FixedWindow,
}

/// A quota, as an algorithm counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Which algorithm.
    pub(crate) algorithm: Algorithm,
    /// How much at once: the burst of a bucket, the quota of a window.
    pub(crate) capacity: u32,
    /// Nanoseconds: until a token comes back (bucket), or of a step of the window.
    pub(crate) step: u64,
    /// Whether more may be counted than the quota has: what has happened already.
    pub(crate) owes: bool,
}

/// In how many steps a sliding window moves.
pub(crate) const STEPS: u64 = 8;

/// The greatest number of `requests` and `burst`.
const MOST: u32 = 1_000_000_000;
/// The longest that a bucket may take to be full again: a hundred years.
const LONGEST: u64 = 100 * 366 * 86_400 * 1_000_000_000;

impl Rate {
    /// A quota under an algorithm, or why it is none.
    pub(crate) fn new(algorithm: Algorithm, quota: Quota) -> Result<Self, Invalid> {
        let Quota { requests, per, burst } = quota;
        let per = nanos(per.duration());
        let requests = in_bounds("requests", requests)?;
        let burst = burst.map(|burst| in_bounds("burst", burst)).transpose()?;
        if per < 1_000_000 {
            return Err(Invalid::at("per", "is shorter than a millisecond"));
        }
        if per < u64::from(requests) {
            return Err(Invalid::at("requests", "are more than one a nanosecond"));
        }
        let (capacity, step) = match algorithm {
            // Rounded up: never more than the quota.
            Algorithm::TokenBucket => {
                (burst.unwrap_or(requests), per.div_ceil(u64::from(requests)))
            }
            Algorithm::SlidingWindow => (requests, per.div_ceil(STEPS)),
            Algorithm::FixedWindow => (requests, per),
        };
        if algorithm != Algorithm::TokenBucket && burst.is_some() {
            return Err(Invalid::at("burst", "is of a `token-bucket` alone"));
        }
        if step.checked_mul(u64::from(capacity)).is_none_or(|span| span > LONGEST)
            && algorithm == Algorithm::TokenBucket
        {
            return Err(Invalid::at("burst", "takes more than a hundred years to come back"));
        }
        Ok(Self { algorithm, capacity, step, owes: false })
    }

    /// Nanoseconds until a bucket is full that is empty.
    pub(crate) fn span(&self) -> u64 {
        self.step.saturating_mul(u64::from(self.capacity))
    }
}

impl Quota {
    /// Which of two lets more through in the long run; of equals, at once.
    pub(crate) fn generosity(&self) -> (u128, u32) {
        let per = self.per.duration().as_nanos();
        let rate = (u128::from(self.requests.get()) << 64).checked_div(per);
        (rate.unwrap_or_default(), self.burst.unwrap_or(self.requests).get())
    }
}

fn in_bounds(field: &str, number: NonZeroU32) -> Result<u32, Invalid> {
    let number = number.get();
    if number > MOST {
        return Err(Invalid::at(field, format!("{number} is more than {MOST}")));
    }
    Ok(number)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
