//! What the workers of a proxy share: a fixed number of slots, replaced by compare-and-swap.
//!
//! 1. A slot is changed by a pure closure from its bytes to its next bytes. It is called again when
//!    another worker was faster.
//! 2. After [`TRIES`] lost races the change is given up ([`StoreFailure::Contended`]): the caller
//!    says what that means.
//! 3. Keys are never made from what a client sends: proxies do not delete shared data. A plugin has
//!    a fixed number of slots; what is kept per client goes into one of them ([`crate::tally`]).

use std::cell::OnceCell;

use crate::view::Host;

/// How often a change is tried before it is given up.
pub const TRIES: usize = 32;

/// Which value of a slot was read; named when it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// There was none yet.
    Absent,
    /// The proxy's number of it.
    Number(u32),
}

/// Why shared data was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// Another worker replaced it first.
    Overtaken,
    /// The proxy does not do it.
    Refused,
}

/// Why a change did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// Other workers were faster, [`TRIES`] times.
    Contended,
    /// The proxy has no shared data, or fails.
    Unavailable,
}

/// What becomes of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    Keep(T),
    /// These are its next bytes.
    Replace(Vec<u8>, T),
}

/// The shared slots.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    host: &'a dyn Host,
}

impl<'a> Store<'a> {
    /// The slots behind a proxy.
    pub const fn new(host: &'a dyn Host) -> Self {
        Self { host }
    }

    /// The proxy that keeps them.
    pub(crate) const fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// The bytes of a slot; empty where nobody wrote it.
    pub fn read(&self, slot: &str) -> Result<Vec<u8>, StoreFailure> {
        self.host.shared(slot).map(|(bytes, _)| bytes).map_err(|_| StoreFailure::Unavailable)
    }

    /// Changes a slot by what `change` makes of its bytes.
    pub fn update<T>(
        &self,
        slot: &str,
        mut change: impl FnMut(&[u8]) -> Change<T>,
    ) -> Result<T, StoreFailure> {
        for _ in 0..TRIES {
            let (bytes, version) = self.host.shared(slot).map_err(|_| StoreFailure::Unavailable)?;
            match change(&bytes) {
                Change::Keep(outcome) => return Ok(outcome),
                Change::Replace(next, outcome) => match self.host.share(slot, &next, version) {
                    Ok(()) => return Ok(outcome),
                    Err(WriteFailure::Overtaken) => {}
                    Err(WriteFailure::Refused) => return Err(StoreFailure::Unavailable),
                },
            }
        }
        Err(StoreFailure::Contended)
    }
}

/// A secret that the workers agree on, in a slot of its own: the one that came first. With it keys are
/// spread over slots, so that nobody outside can tell which meet.
#[derive(Clone, Debug)]
pub struct AgreedSecret {
    slot: String,
    offered: [u8; 16],
    agreed: OnceCell<[u8; 16]>,
}

impl AgreedSecret {
    /// That of a slot, to which this worker offers its own.
    pub const fn new(slot: String, offered: [u8; 16]) -> Self {
        Self { slot, offered, agreed: OnceCell::new() }
    }

    /// The secret, which is read once.
    pub fn get(&self, store: Store<'_>) -> Result<[u8; 16], StoreFailure> {
        if let Some(secret) = self.agreed.get() {
            return Ok(*secret);
        }
        let secret = store.update(&self.slot, |bytes| match bytes.try_into() {
            Ok(secret) => Change::Keep(secret),
            Err(_) => Change::Replace(self.offered.to_vec(), self.offered),
        })?;
        Ok(*self.agreed.get_or_init(|| secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn append(byte: u8) -> impl FnMut(&[u8]) -> Change<usize> {
        move |bytes| Change::Replace([bytes, &[byte]].concat(), bytes.len())
    }

    #[test]
    fn a_change_sees_what_the_last_one_wrote() {
        let proxy = Proxy::default();
        let store = Store::new(&proxy);
        assert_eq!(store.read("slot"), Ok(Vec::new()));
        assert_eq!(store.update("slot", append(1)), Ok(0));
        assert_eq!(store.update("slot", append(2)), Ok(1));
        assert_eq!(store.read("slot"), Ok(vec![1, 2]));
    }

    #[test]
    fn a_lost_race_is_tried_again_on_the_new_bytes() {
        let proxy = Proxy::default();
        proxy.lose_races(3);
        assert_eq!(Store::new(&proxy).update("slot", append(1)), Ok(3));
    }

    #[test]
    fn endless_races_end_in_an_error() {
        let proxy = Proxy::default();
        proxy.lose_races(usize::MAX);
        assert_eq!(Store::new(&proxy).update("slot", append(1)), Err(StoreFailure::Contended));
    }

    #[test]
    fn keeping_writes_nothing() {
        let proxy = Proxy::default();
        assert_eq!(Store::new(&proxy).update("slot", |_| Change::Keep(7)), Ok(7));
        assert_eq!(proxy.shared_keys(), 0);
    }
}
