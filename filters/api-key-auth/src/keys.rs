//! Keys, of which nothing is kept but what recognises them.
//!
//! 1. A key is kept as its SHA-256, whichever way it was configured. What is presented is hashed once
//!    and looked up in a map, so that ten thousand keys cost what one costs.
//! 2. The comparison behind the look-up ends at the first byte that differs, and that may be measured.
//!    It tells nothing of a key: what is compared are digests, and to choose a key with a digest that
//!    begins as another's means to guess hashes, as if there were nothing to measure. Where in the map
//!    is looked is decided by a hash under a secret of the worker.
//! 3. A fast hash without salt serves for keys that nobody can guess, such as 32 random bytes. It does
//!    not for passwords, which are for `basic-auth`. The shortest key taken is [`SHORTEST`] bytes.

use sha2::{Digest as _, Sha256};
use shared::config::{Invalid, Secret};
use shared::sources::MAX_CREDENTIAL;

use crate::config::KeyEntry;

/// The shortest key that is taken, in bytes.
pub(crate) const SHORTEST: usize = 8;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// The digest of what a client presents.
    pub(crate) fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }

    /// The digest of a key as it is configured.
    pub(crate) fn parse(key: &KeyEntry) -> Result<Self, Invalid> {
        match (&key.value, &key.sha256) {
            (Some(value), None) => Self::of_plain(value).map_err(|why| Invalid::at("value", why)),
            (None, Some(hex)) => Self::of_hex(hex.expose())
                .ok_or_else(|| Invalid::at("sha256", "is not 64 hexadecimal digits")),
            _ => Err(Invalid::at("", "has either `value` or `sha256`")),
        }
    }

    fn of_plain(value: &Secret) -> Result<Self, String> {
        let value = value.expose();
        if value.is_empty() {
            return Err("is empty".into());
        }
        if value.contains(char::is_control) || value.trim() != value {
            return Err("has a control character, or white space at an end".into());
        }
        if !(SHORTEST..=MAX_CREDENTIAL).contains(&value.len()) {
            return Err(format!("is not from {SHORTEST} to {MAX_CREDENTIAL} bytes long"));
        }
        Ok(Self::of(value.as_bytes()))
    }

    fn of_hex(text: &str) -> Option<Self> {
        let mut digits = text.chars().map(|digit| digit.to_digit(16));
        let mut digest = [0; 32];
        for byte in &mut digest {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(digest))
    }
}
