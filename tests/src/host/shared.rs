//! What the workers of one proxy have in common: shared data and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle; give clones of one to several hosts and they are the workers of one proxy.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Common>>);

#[derive(Default)]
pub(super) struct Common {
    data: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
    pub(super) values: BTreeMap<String, u64>,
    pub(super) histograms: BTreeMap<String, Vec<u64>>,
}

impl Shared {
    /// A value of the shared data.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().get(key.as_bytes()).map(|(value, _)| value)
    }

    /// Sets a value without condition, as another worker might.
    pub fn set(&self, key: &str, value: &[u8]) {
        self.lock().set(key.as_bytes(), value, 0);
    }

    /// Every key of the shared data: no proxy ever takes one away.
    pub fn keys(&self) -> Vec<String> {
        self.lock().data.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Common> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Common {
    pub(super) fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.data.get(key).cloned()
    }

    /// Whether it was set. No CAS (0) always sets; a key that is new is set whatever the CAS.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> bool {
        if cas != 0 && self.data.get(key).is_some_and(|(_, current)| *current != cas) {
            return false;
        }
        self.last_cas = self.last_cas.wrapping_add(1).max(1);
        self.data.insert(key.to_vec(), (value.to_vec(), self.last_cas));
        true
    }
}
