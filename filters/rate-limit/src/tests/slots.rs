//! Fixed memory: what goes, what stays.

use super::*;
use crate::quota::{Algorithm, Rate};
use crate::state::{HOT, State};
use crate::table;

const NOW: u64 = 1_800_000_000_000_000_000;

fn rate(algorithm: Algorithm, requests: u32) -> Rate {
    let quota = json!({"requests": requests, "per": "10s"});
    Rate::new(algorithm, serde_json::from_value(quota).unwrap()).unwrap()
}

const ALL: [Algorithm; 3] =
    [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow];

/// A slot after these keys have used so much each.
fn slot(rate: &Rate, used: &[(u64, u32)]) -> Vec<u8> {
    let mut slot = Vec::new();
    for (digest, used) in used {
        let (mut next, already) = table::make_room(&slot, rate, *used, NOW);
        let taken = rate.take(rate.fresh(already, NOW), *used, NOW);
        assert!(taken.granted);
        table::append(&mut next, table::key(digest << 2, rate.algorithm), &taken.state);
        slot = next;
    }
    slot
}

fn remaining(slot: &[u8], rate: &Rate, digest: u64) -> Option<u32> {
    let state: State = table::find(slot, table::key(digest << 2, rate.algorithm))?;
    Some(rate.take(state, 0, NOW).standing.remaining)
}

#[test]
fn states_are_read_as_they_were_written() {
    for algorithm in ALL {
        let rate = rate(algorithm, 10);
        let slot = slot(&rate, &[(1, 3), (2, 10), (3, 1)]);
        let left = [1, 2, 3, 4].map(|digest| remaining(&slot, &rate, digest));
        assert_eq!(left, [Some(7), Some(0), Some(9), None], "{algorithm:?}");
    }
}

#[test]
fn kinds_share_a_slot() {
    let mut bytes = Vec::new();
    for (digest, algorithm) in (1..).zip(ALL) {
        bytes.extend(slot(&rate(algorithm, 10), &[(digest, 4)]));
    }
    for (digest, algorithm) in (1..).zip(ALL) {
        assert_eq!(remaining(&bytes, &rate(algorithm, 10), digest), Some(6));
    }
}

#[test]
fn a_full_slot_gives_up_the_coldest_and_the_new_key_takes_its_heat_over() {
    for algorithm in ALL {
        let rate = rate(algorithm, 10);
        let mut used: Vec<_> = (1..=64).map(|digest| (digest, 5)).collect();
        used[2].1 = 9; // near its limit
        used[3].1 = 4; // the coldest
        let room = table::SLOT / slot(&rate, &used[..1]).len();
        let full = slot(&rate, &used[..room]);
        let next = slot(&rate, &[&used[..room], &[(99, 1)]].concat());
        assert_eq!(remaining(&full, &rate, 4), Some(6));
        assert_eq!(remaining(&next, &rate, 4), None, "{algorithm:?}");
        assert_eq!(remaining(&next, &rate, 3), Some(1), "{algorithm:?}");
        // 4 taken over, 1 its own; the parts of a heat round down.
        let newcomer = remaining(&next, &rate, 99).unwrap();
        assert!((5..=6).contains(&newcomer), "{algorithm:?} {newcomer}");
    }
}

#[test]
fn where_all_are_at_their_limit_a_new_key_has_one_request() {
    for algorithm in ALL {
        let rate = rate(algorithm, 10);
        let hot: Vec<_> = (1..=64).map(|digest| (digest, 10)).collect();
        let room = table::SLOT / slot(&rate, &hot[..1]).len();
        let next = slot(&rate, &[&hot[..room], &[(99, 1)]].concat());
        assert_eq!(remaining(&next, &rate, 99), Some(0), "{algorithm:?}");
    }
}

#[test]
fn what_has_no_use_left_goes_first() {
    let rate = rate(Algorithm::TokenBucket, 10);
    let used: Vec<_> = (1..=32).map(|digest| (digest, 10)).collect();
    let full = slot(&rate, &used);
    let (next, already) = table::make_room(&full, &rate, 1, NOW + 10_000_000_000);
    assert_eq!((next.len(), already), (0, 0));
}

#[test]
fn nonsense_in_a_slot_is_dropped() {
    let rate = rate(Algorithm::TokenBucket, 10);
    let good = slot(&rate, &[(1, 3)]);
    for nonsense in [&[255_u8; 37][..], &[0; 7], &[0; 23], &[3; 24]] {
        let bytes = [&good, nonsense].concat();
        assert_eq!(remaining(&bytes, &rate, 1), Some(7));
        let (mut next, _) = table::make_room(&bytes, &rate, 1, NOW);
        table::append(&mut next, table::key(2 << 2, rate.algorithm), &rate.fresh(1, NOW));
        assert_eq!(remaining(&next, &rate, 2), Some(9), "{nonsense:?}");
        assert_eq!(remaining(&next, &rate, 1), Some(7));
    }
}

#[test]
fn heat_is_the_part_of_a_quota_that_is_used() {
    for algorithm in ALL {
        let rate = rate(algorithm, 10);
        let heat = |used, later: u64| rate.fresh(used, NOW).heat(NOW + later);
        let near = |heat: u64, part: u64| heat.abs_diff(HOT * part / 10) < 10;
        assert!(
            near(heat(0, 0), 0) && near(heat(5, 0), 5) && near(heat(10, 0), 10),
            "{algorithm:?}"
        );
        assert_eq!(heat(10, 12_000_000_000), 0, "{algorithm:?}");
        // The clock has jumped back: nobody knows.
        assert_eq!(rate.fresh(10, NOW).heat(NOW - 200_000_000_000), 0, "{algorithm:?}");
    }
}

#[test]
fn any_number_of_keys_stays_in_its_memory_and_a_limited_one_stays_limited() {
    let quota = json!({"requests": 5, "per": "1h"});
    let limits = json!([limit(quota, json!({"key": [{"header": "k"}]}))]);
    let mut bench = with(json!({"memory": "64KiB", "limits": limits}));
    for _ in 0..5 {
        assert!(passes(&mut bench, &[("k", "limited")]));
    }
    for n in 0..20_000 {
        get(&mut bench, &[("k", &n.to_string())]);
        if n % 100 == 0 {
            assert!(!passes(&mut bench, &[("k", "limited")]), "{n}");
        }
    }
    assert!(bench.proxy.shared_keys() <= 65, "{}", bench.proxy.shared_keys());
    assert!(bench.proxy.shared_bytes() <= 64 * 1024, "{}", bench.proxy.shared_bytes());
}

#[test]
fn another_memory_has_the_same_slots() {
    let limits =
        json!([limit(json!({"requests": 1000, "per": "1h"}), json!({"key": [{"header": "k"}]}))]);
    let mut small = with(json!({"memory": "64KiB", "limits": limits}));
    let mut large = with(json!({"memory": "128KiB", "limits": limits}));
    for n in 0..2000 {
        get(&mut large, &[("k", &n.to_string())]);
    }
    let slots = large.proxy.shared_keys();
    std::mem::swap(&mut small.proxy, &mut large.proxy);
    for n in 0..2000 {
        get(&mut small, &[("k", &n.to_string())]);
    }
    assert_eq!(small.proxy.shared_keys(), slots);
}
