//! Four workers and thousands of requests a second: the upstream sees what the quota allows, never
//! one more.

use std::time::Instant;

use super::*;

const ALGORITHMS: [&str; 3] = ["token-bucket", "fixed-window", "sliding-window"];

#[test]
fn one_key_has_its_quota_to_the_last() {
    for algorithm in ALGORITHMS {
        let (envoy, upstream) = start(4, limit(for_good(500), json!({"algorithm": algorithm})));
        assert_eq!(load(&envoy, 8000, 16, &[path(1)]), 500, "{algorithm}");
        assert_eq!(upstream.count(), 500, "{algorithm}");
        let refused = envoy.counted("rate-limit.refused.reason.limited");
        assert_eq!(refused, 7500, "{algorithm}");
    }
}

#[test]
fn a_thousand_keys_have_their_quotas_each() {
    let paths: Vec<_> = (0..1000).map(path).collect();
    for algorithm in ALGORITHMS {
        let by_tenant = json!({"key": [{"path": "/{tenant}"}], "algorithm": algorithm});
        let (envoy, upstream) = start(4, limit(for_good(5), by_tenant));
        assert_eq!(load(&envoy, 8000, 8, &paths), 5000, "{algorithm}");
        let counts = upstream.counts();
        assert_eq!(counts.len(), 1000, "{algorithm}");
        assert!(counts.values().all(|count| *count == 5), "{algorithm}: {counts:?}");
    }
}

#[test]
fn two_limits_are_both_exact() {
    let mut config = limit(for_good(300), json!({}));
    let by_tenant = json!({"name": "b", "quota": for_good(40), "key": [{"path": "/{tenant}"}]});
    config["limits"].as_array_mut().unwrap().push(by_tenant);
    let (envoy, upstream) = start(4, config);
    // Five keys of 40 are 200: the 300 for all are not reached, and no refusal was charged to them.
    assert_eq!(load(&envoy, 4000, 16, &(0..5).map(path).collect::<Vec<_>>()), 200);
    let counts = upstream.counts();
    assert!(counts.len() == 5 && counts.values().all(|count| *count == 40), "{counts:?}");
    assert_eq!(load(&envoy, 400, 4, &[path(5)]), 40);
    assert_eq!(load(&envoy, 400, 4, &(6..400).map(path).collect::<Vec<_>>()), 60);
}

/// With a clock that runs: what comes back in the meantime, and no more.
#[test]
fn a_bucket_gives_back_what_its_rate_says() {
    let quota = json!({"requests": 500, "per": "1s", "burst": 50});
    let (envoy, upstream) = start(4, limit(quota, json!({})));
    let began = Instant::now();
    let admitted = load(&envoy, 20_000, 8, &[path(1)]);
    let passed = began.elapsed().as_secs_f64();
    let exactly = u32::try_from(admitted).map(f64::from).unwrap();
    assert!((50.0..=50.0 + 500.0 * passed).contains(&exactly), "{admitted} in {passed} s");
    assert_eq!(upstream.count(), admitted);
}
