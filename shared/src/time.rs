//! Moments, as the proxy's clock gives them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, de::Error};

/// How far behind one worker's clock may be another's: what is that far in the future is of another
/// worker, what is further is of a clock that has jumped back since.
pub const BEHIND: Duration = Duration::from_secs(2);

/// A moment: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// The clock behind it may jump either way, so differences saturate at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment so many nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment so many seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time from `earlier` to this moment; zero where `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment so long after this one; the greatest there is where that would pass it.
    pub fn after(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(self.secs())).unwrap_or(UNIX_EPOCH);
        humantime::format_rfc3339_seconds(time).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// From RFC 3339 in UTC (`2027-01-01T00:00:00Z`).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: SystemTime = humantime::parse_rfc3339(&text).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not a moment in UTC such as `2027-01-01T00:00:00Z` (RFC 3339)"
            ))
        })?;
        let since = time
            .duration_since(UNIX_EPOCH)
            .map_err(|_| D::Error::custom(format!("`{text}` lies before 1970")))?;
        Ok(Self::default().after(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn reads_and_prints_rfc3339() {
        let moment: Timestamp = serde_json::from_str(r#""2027-01-01T00:00:00Z""#).unwrap();
        assert_eq!(moment, Timestamp::from_secs(1_798_761_600));
        assert_eq!(moment.to_string(), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [r#""2027-01-01""#, r#""2027-01-01T00:00:00+01:00""#, r#""""#, "5"] {
            assert!(serde_json::from_str::<Timestamp>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn differences_survive_a_clock_that_jumps_back() {
        let (early, late) = (Timestamp::from_secs(1), Timestamp::from_secs(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(Timestamp::from_nanos(u64::MAX).after(Duration::MAX).nanos(), u64::MAX);
    }
}
