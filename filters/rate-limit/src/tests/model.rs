//! The algorithms against models that are slow and obviously right, on sequences of requests with a
//! clock of their own.

use proptest::prelude::*;

use super::*;

/// What comes: so many milliseconds after the last, for one of a few keys, at a cost.
#[derive(Clone, Copy, Debug)]
struct Step {
    gap: u64,
    key: u8,
    cost: u32,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => Just(0), 4 => 0..300_u64, 1 => 0..5_000_u64, 1 => 0..40_000_u64];
    let step = (gap, 0..3_u8, prop_oneof![3 => Just(1), 1 => 1..=4_u32]);
    prop::collection::vec(step.prop_map(|(gap, key, cost)| Step { gap, key, cost }), 1..200)
}

/// What was granted to one key: when (nanoseconds), and how much.
type Granted = Vec<(u64, u32)>;

/// Runs a sequence through the filter; `may` says what is to come of each request, from what was
/// granted to its key before.
fn check(
    quota: &Value,
    algorithm: &str,
    steps: &[Step],
    may: impl Fn(&Granted, u64, u32) -> bool,
) -> Vec<Granted> {
    let fields = json!({
        "algorithm": algorithm,
        "key": [{"header": "k"}],
        "cost": {"header": "cost", "greatest": 4},
    });
    let mut bench = bench(json!([limit(quota.clone(), fields)]));
    let mut granted = vec![Granted::new(); 3];
    let mut now = 1_800_000_000_000_000_000;
    for (index, Step { gap, key, cost }) in steps.iter().enumerate() {
        now += gap * 1_000_000;
        bench.proxy.set_now(shared::time::Timestamp::from_nanos(now));
        let of = &mut granted[usize::from(*key)];
        let expected = may(of, now, *cost);
        let headers = [("k", &*key.to_string()), ("cost", &*cost.to_string())];
        assert_eq!(passes(&mut bench, &headers), expected, "{algorithm} {quota} step {index}");
        if expected {
            of.push((now, *cost));
        }
    }
    granted
}

fn sum(granted: &Granted, counts: impl Fn(u64) -> bool) -> u64 {
    granted.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| u64::from(*cost)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// A bucket is filled drop by drop, a nanosecond at a time as it were.
    #[test]
    fn a_token_bucket_is_a_bucket(steps in steps(), requests in 4..12_u32, burst in 4..12_u32) {
        let per = 5_000_000_000_u64;
        let quota = json!({"requests": requests, "per": "5s", "burst": burst});
        check(&quota, "token-bucket", &steps, |granted, now, cost| {
            let token = per.div_ceil(u64::from(requests));
            let full = token * u64::from(burst);
            let (mut level, mut then) = (full, 0);
            for (at, cost) in granted {
                level = (level + (at - then)).min(full) - u64::from(*cost) * token;
                then = *at;
            }
            (level + (now - then)).min(full) >= u64::from(cost) * token
        });
    }

    #[test]
    fn a_fixed_window_counts_what_came_in_it(steps in steps(), requests in 4..12_u32) {
        let per = 5_000_000_000_u64;
        let quota = json!({"requests": requests, "per": "5s"});
        check(&quota, "fixed-window", &steps, |granted, now, cost| {
            let used = sum(granted, |at| at / per == now / per);
            used + u64::from(cost) <= u64::from(requests)
        });
    }

    /// Exactly: what came in this step of an eighth and the eight before it. And so: never more than
    /// the quota in any stretch of `per`, and nobody refused whom nine eighths of it would admit.
    #[test]
    fn a_sliding_window_errs_by_an_eighth_and_to_one_side(steps in steps(), requests in 4..12_u32) {
        let (per, step) = (5_000_000_000_u64, 625_000_000_u64);
        let quota = json!({"requests": requests, "per": "5s"});
        let granted = check(&quota, "sliding-window", &steps, |granted, now, cost| {
            let used = sum(granted, |at| now / step - at / step <= 8);
            let admitted = used + u64::from(cost) <= u64::from(requests);
            let in_nine_eighths = sum(granted, |at| now - at < per + step);
            assert!(admitted || in_nine_eighths + u64::from(cost) > u64::from(requests));
            admitted
        });
        for key in granted {
            for (end, _) in &key {
                let stretch = sum(&key, |at| at <= *end && end - at < per);
                assert!(stretch <= u64::from(requests));
            }
        }
    }

    /// Whatever the clock does, nobody is refused for longer than the quota takes to come back, and
    /// nothing is let through beyond the quota while the clock stands.
    #[test]
    fn a_clock_may_jump_either_way(
        jumps in prop::collection::vec(-100_000_i64..100_000, 1..20),
        algorithm in prop::sample::select(vec!["token-bucket", "fixed-window", "sliding-window"]),
    ) {
        let quota = json!({"requests": 4, "per": "5s"});
        let mut bench = bench(json!([limit(quota, json!({"algorithm": algorithm}))]));
        let mut now = 1_800_000_000_000_i64;
        for jump in jumps {
            now += jump;
            let moment = u64::try_from(now).unwrap() * 1_000_000;
            bench.proxy.set_now(shared::time::Timestamp::from_nanos(moment));
            prop_assert!(passing(&mut bench, 10) <= 4);
        }
        passing(&mut bench, 10);
        pass_time(&bench, 5_000 + 625 + 2_000);
        prop_assert_eq!(passing(&mut bench, 10), 4);
    }
}
