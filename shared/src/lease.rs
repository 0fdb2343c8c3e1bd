//! One worker elected for background work, by a lease in the shared store.
//!
//! 1. Whoever finds the lease free, run out or its own takes it, for `term`.
//! 2. At most one holds it at a time, as far as the workers' clocks agree: they share one process.
//! 3. A holder that stops asking loses it when the term ends; a lease that ends further ahead than
//!    a term (the clock jumped back) counts as run out.
//! 4. Where the store fails, nobody holds it.

use std::time::Duration;

use crate::store::{Change, Store};
use crate::time::Timestamp;

/// Takes or renews the lease in `slot` for `holder`; whether `holder` has it now.
pub fn take(store: Store<'_>, slot: &str, holder: u64, term: Duration, now: Timestamp) -> bool {
    let next = [holder.to_le_bytes(), now.after(term).nanos().to_le_bytes()].concat();
    let outcome = store.update(slot, |bytes| match parse(bytes) {
        Some((other, ends)) if other != holder && ends > now && ends <= now.after(term) => {
            Change::Keep(false)
        }
        _ => Change::Replace(next.clone(), true),
    });
    outcome.unwrap_or(false)
}

fn parse(bytes: &[u8]) -> Option<(u64, Timestamp)> {
    let (holder, ends) = bytes.split_first_chunk::<8>()?;
    let ends = ends.try_into().ok()?;
    Some((u64::from_le_bytes(*holder), Timestamp::from_nanos(u64::from_le_bytes(ends))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TERM: Duration = Duration::from_secs(10);

    fn take_at(proxy: &Proxy, holder: u64, secs: u64) -> bool {
        take(Store::new(proxy), "lease", holder, TERM, Timestamp::from_secs(secs))
    }

    #[test]
    fn one_holds_it_at_a_time() {
        let proxy = Proxy::default();
        assert!(take_at(&proxy, 1, 100));
        assert!(!take_at(&proxy, 2, 105));
        assert!(take_at(&proxy, 1, 109));
        assert!(!take_at(&proxy, 2, 118));
    }

    #[test]
    fn it_passes_on_when_its_term_has_ended() {
        let proxy = Proxy::default();
        assert!(take_at(&proxy, 1, 100));
        assert!(take_at(&proxy, 2, 110));
        assert!(!take_at(&proxy, 1, 111));
    }

    #[test]
    fn a_clock_that_jumped_back_frees_it() {
        let proxy = Proxy::default();
        assert!(take_at(&proxy, 1, 100_000));
        assert!(take_at(&proxy, 2, 100));
    }

    #[test]
    fn garbage_in_the_slot_is_a_free_lease() {
        let proxy = Proxy::default();
        for garbage in [&b"x"[..], &[0; 15], &[255; 40]] {
            Store::new(&proxy).update("lease", |_| Change::Replace(garbage.to_vec(), ())).unwrap();
            assert!(take_at(&proxy, 1, 100));
        }
    }

    #[test]
    fn nobody_holds_it_where_the_store_fails() {
        let proxy = Proxy::default();
        proxy.lose_races(usize::MAX);
        assert!(!take_at(&proxy, 1, 100));
    }
}
