//! A bounded memory of credentials that were found good, so that a strong check is paid once.
//!
//! 1. It holds no credential: an entry is found by a SipHash-2-4 of 128 bits under a secret drawn for
//!    this cache. Who does not know the secret cannot make a credential that another one's entry
//!    answers for: that is to forge a MAC, at one try per request. (SHA-256 does the same for ten times
//!    the instructions, at every request.)
//! 2. It holds at most `entries`; the one used least recently goes first.
//! 3. An entry is good for `ttl` from when the credential was checked, not from its last use.
//! 4. A clock that jumped back makes entries of the future worthless.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use serde::{Deserialize, Deserializer, de::Error};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::config::Period;
use crate::hash::Spread;
use crate::time::Timestamp;

/// How much is remembered (`verified_cache`): at most `entries`, `DEFAULT` unless told, for `ttl`,
/// five minutes unless told.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CacheConfig<const DEFAULT: usize> {
    /// How many, from 1 to 65536.
    #[serde(default)]
    entries: Entries<DEFAULT>,
    /// How long after they were checked.
    #[serde(default = "five_minutes")]
    ttl: Period,
}

const fn five_minutes() -> Period {
    Period::from_secs(300)
}

impl<const DEFAULT: usize> Default for CacheConfig<DEFAULT> {
    fn default() -> Self {
        Self { entries: Entries::default(), ttl: five_minutes() }
    }
}

/// A number of entries that fits in a worker's memory.
#[derive(Clone, Copy, Debug)]
struct Entries<const DEFAULT: usize>(NonZeroUsize);

impl<const DEFAULT: usize> Default for Entries<DEFAULT> {
    fn default() -> Self {
        Self(NonZeroUsize::new(DEFAULT).unwrap_or(NonZeroUsize::MIN))
    }
}

impl<'de, const DEFAULT: usize> Deserialize<'de> for Entries<DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = u64::deserialize(deserializer)?;
        let fits = usize::try_from(entries).ok().filter(|entries| *entries <= 65_536);
        fits.and_then(NonZeroUsize::new)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{entries} is not from 1 to 65536")))
    }
}

#[cfg(feature = "schema")]
impl<const DEFAULT: usize> schemars::JsonSchema for Entries<DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Entries".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 1, "maximum": 65_536})
    }
}

/// What stands for a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// It as bytes, for caches elsewhere that are under the same secret.
    pub const fn bytes(&self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

impl Hash for Fingerprint {
    /// It is a hash already, and a secret one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64((self.0 >> 64) as u64);
    }
}

/// Verified credentials, and what each stands for.
pub struct Verified<T> {
    secret: [u8; 16],
    ttl: Duration,
    entries: LruCache<Fingerprint, (Timestamp, T), Spread>,
}

impl<T: Clone> Verified<T> {
    /// An empty cache of the configured size; `secret` is drawn for it and used nowhere else.
    pub fn configured<const N: usize>(secret: [u8; 16], config: &CacheConfig<N>) -> Self {
        Self::new(secret, config.entries.0, config.ttl.duration())
    }

    /// An empty cache of at most `entries`, each good for `ttl`.
    pub fn new(secret: [u8; 16], entries: NonZeroUsize, ttl: Duration) -> Self {
        Self { secret, ttl, entries: LruCache::with_hasher(entries, Spread::default()) }
    }

    /// What stands for `credential` in this cache.
    pub fn fingerprint(&self, credential: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(credential);
        Fingerprint(hasher.finish128().as_u128())
    }

    /// What a credential stands for, if it was found good not too long ago.
    pub fn find(&mut self, fingerprint: &Fingerprint, now: Timestamp) -> Option<T> {
        let (checked, value) = self.entries.get(fingerprint)?;
        if *checked <= now && now.since(*checked) < self.ttl {
            return Some(value.clone());
        }
        self.entries.pop(fingerprint);
        None
    }

    /// Remembers that a credential was found good.
    pub fn remember(&mut self, fingerprint: Fingerprint, value: T, now: Timestamp) {
        self.entries.put(fingerprint, (now, value));
    }

    /// Forgets a credential.
    pub fn forget(&mut self, fingerprint: &Fingerprint) {
        self.entries.pop(fingerprint);
    }

    /// How many credentials are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn cache(entries: usize) -> Verified<&'static str> {
        Verified::new([7; 16], NonZeroUsize::new(entries).unwrap(), Duration::from_secs(60))
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn remembers_what_was_found_good() {
        let mut cache = cache(2);
        let key = cache.fingerprint(b"credential");
        assert_eq!(cache.find(&key, at(100)), None);
        cache.remember(key, "alice", at(100));
        assert_eq!(cache.find(&key, at(159)), Some("alice"));
    }

    #[test]
    fn forgets_a_time_after_the_check_however_often_used() {
        let mut cache = cache(2);
        let key = cache.fingerprint(b"credential");
        cache.remember(key, "alice", at(100));
        assert!(cache.find(&key, at(159)).is_some());
        assert_eq!(cache.find(&key, at(160)), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn an_entry_of_the_future_is_worthless() {
        let mut cache = cache(2);
        let key = cache.fingerprint(b"credential");
        cache.remember(key, "alice", at(100));
        assert_eq!(cache.find(&key, at(99)), None);
    }

    #[test]
    fn is_bounded_and_drops_what_was_used_least_recently() {
        let mut cache = cache(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|key| cache.fingerprint(key));
        cache.remember(a, "a", at(1));
        cache.remember(b, "b", at(1));
        assert!(cache.find(&a, at(2)).is_some());
        cache.remember(c, "c", at(2));
        assert_eq!((cache.len(), cache.find(&b, at(2))), (2, None));
    }

    #[test]
    fn the_same_credential_has_another_fingerprint_elsewhere() {
        let other = Verified::<()>::new([8; 16], NonZeroUsize::MIN, Duration::from_secs(1));
        assert!(cache(1).fingerprint(b"x") != other.fingerprint(b"x"));
    }
}
