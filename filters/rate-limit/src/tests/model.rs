//! The algorithms against models, on sequences of requests with a clock of their own.

use proptest::prelude::*;
use shared::time::Timestamp;

use super::models::{ALGORITHMS, Counting, Granted, Step, sequence, sum};
use super::*;
use crate::quota::Rate;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => Just(0), 4 => 0..300_u64, 1 => 0..5_000_u64, 1 => 0..40_000_u64];
    let step = (gap, 0..3_u8, prop_oneof![3 => Just(1), 1 => 1..=4_u32]);
    prop::collection::vec(step.prop_map(|(gap, key, cost)| Step { gap, key, cost }), 1..200)
}

/// Runs a sequence through the filter and through the model.
fn check(counting: Counting, steps: &[Step]) -> Vec<Granted> {
    let mut bench = with(serde_json::from_str(&counting.config()).unwrap());
    counting.check(steps, |now, Step { key, cost, .. }| {
        bench.proxy.set_now(Timestamp::from_nanos(now));
        passes(&mut bench, &[("k", &key.to_string()), ("cost", &cost.to_string())])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_granted_is_what_the_model_grants(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
        steps in steps(),
        requests in 4..12_u32,
        burst in 4..12_u32,
    ) {
        check(Counting { algorithm, requests, per: 5_000_000_000, burst }, &steps);
    }

    /// Never more than the quota in any stretch of `per`, and nobody refused whom nine eighths of it
    /// would admit.
    #[test]
    fn a_sliding_window_errs_by_an_eighth_and_to_one_side(steps in steps(), requests in 4..12_u32) {
        let (per, step) = (5_000_000_000_u64, 625_000_000_u64);
        let counting = Counting { algorithm: "sliding-window", requests, per, burst: 1 };
        let granted = check(counting, &steps);
        for key in &granted {
            for (end, _) in key {
                let stretch = sum(key, |at| at <= *end && end - at < per);
                prop_assert!(stretch <= u64::from(requests));
            }
        }
        let mut now = 1_800_000_000_000_000_000;
        for Step { gap, key, cost } in steps {
            now += gap * 1_000_000;
            let before: Granted =
                granted[usize::from(key)].iter().copied().filter(|(at, _)| *at < now).collect();
            let room = sum(&before, |at| now - at < per + step) + u64::from(cost);
            prop_assert!(room > u64::from(requests) || counting.may(&before, now, cost));
        }
    }

    /// Whatever the clock does, nobody is refused for longer than the quota takes to come back, and
    /// nothing is let through beyond the quota while the clock stands.
    #[test]
    fn a_clock_may_jump_either_way(
        jumps in prop::collection::vec(-100_000_i64..100_000, 1..20),
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
    ) {
        let quota = json!({"requests": 4, "per": "5s"});
        let mut bench = bench(json!([limit(quota, json!({"algorithm": algorithm}))]));
        let mut now = 1_800_000_000_000_i64;
        for jump in jumps {
            now += jump;
            let moment = u64::try_from(now).unwrap() * 1_000_000;
            bench.proxy.set_now(Timestamp::from_nanos(moment));
            prop_assert!(passing(&mut bench, 10) <= 4);
        }
        passing(&mut bench, 10);
        pass_time(&bench, 5_000 + 625 + 2_000);
        prop_assert_eq!(passing(&mut bench, 10), 4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Whatever is given back and when: what was let through for good has been within the quota.
    #[test]
    fn what_is_given_back_lets_no_more_through(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
        steps in prop::collection::vec((0..2_000_u64, 1..=4_u32, prop::option::of(0..5_000_u64)), 1..60),
        requests in 4..12_u32,
        burst in 4..12_u32,
    ) {
        let per = 5_000_000_000;
        let counting = Counting { algorithm, requests, per, burst };
        let rate = rate(&counting);
        let mut now = 1_800_000_000_000_000_000;
        let mut state = rate.fresh(0, now);
        let (mut open, mut kept): (Vec<(u64, u64, u32)>, Granted) = Default::default();
        for (gap, cost, returns) in steps {
            let then = now + gap * 1_000_000;
            open.sort_unstable();
            while let Some((end, at, cost)) = open.first().copied().filter(|(end, ..)| *end <= then) {
                state = rate.give_back(state, cost, at, end);
                open.remove(0);
            }
            now = then;
            let taken = rate.take(state, cost, now);
            state = taken.state;
            match returns {
                Some(after) if taken.granted => open.push((now + after * 1_000_000, now, cost)),
                None if taken.granted => {
                    prop_assert!(counting.may(&kept, now, cost), "{now}: {kept:?}");
                    kept.push((now, cost));
                }
                _ => {}
            }
        }
    }

    /// What is given back at once is as though it had not been.
    #[test]
    fn what_is_given_back_at_once_is_there_again(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
        steps in steps(),
    ) {
        let counting = Counting { algorithm, requests: 6, per: 5_000_000_000, burst: 6 };
        let rate = rate(&counting);
        let mut states = [rate.fresh(0, 1_800_000_000_000_000_000); 3];
        counting.check(&steps, |now, Step { key, cost, .. }| {
            let state = &mut states[usize::from(*key)];
            let other = rate.take(*state, 1, now);
            if other.granted {
                *state = rate.give_back(other.state, 1, now, now);
            }
            let taken = rate.take(*state, *cost, now);
            *state = taken.state;
            taken.granted
        });
    }
}

fn rate(counting: &Counting) -> Rate {
    let config: Value = serde_json::from_str(&counting.config()).unwrap();
    let limit = &config["limits"][0];
    let algorithm = serde_json::from_value(limit["algorithm"].clone()).unwrap();
    Rate::new(algorithm, serde_json::from_value(limit["quota"].clone()).unwrap()).unwrap()
}

/// `tests/module/rate_limit.rs` runs the same on the built module.
#[test]
fn sequences_by_number_come_out_as_the_model_says() {
    for number in 1..=100 {
        let (counting, steps) = sequence(number);
        check(counting, &steps);
    }
}
