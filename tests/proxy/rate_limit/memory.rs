//! Any number of keys in fixed memory.

use std::time::Instant;

use super::*;

/// How many keys; `RATE_LIMIT_KEYS` says otherwise.
fn keys() -> usize {
    std::env::var("RATE_LIMIT_KEYS").map_or(2_000_000, |text| text.parse().expect("a number"))
}

/// How many a request is a new one of, each of a limit of its own.
const OF_ONE: usize = 10;
/// How many requests come between two looks at who is limited.
const AT_ONCE: usize = 20_000;

/// One limit for all, and as many more as it takes for those that are new.
fn config() -> Value {
    let quota = json!({"requests": 5, "per": "1h"});
    let of_new = |number: usize| json!({"name": number.to_string(), "quota": quota, "key": [{"path": "/new/{k}"}], "missing": "exempt"});
    let all = json!({"name": "all", "quota": quota, "key": [{"path": "/{kind}/{k}"}]});
    let limits: Vec<_> = [all].into_iter().chain((1..OF_ONE).map(of_new)).collect();
    json!({"limits": limits, "memory": "4MiB", "headers": "none", "route_overrides": false})
}

#[test]
fn two_million_keys_take_the_memory_that_is_set_and_a_limited_client_stays_limited() {
    let envoy = setup(config()).connection_manager(json!({"access_log": []})).workers(2).start();
    let limited = || get(&envoy, "/limited/0").status;
    assert!((0..5).all(|_| limited() == 200));
    // What connections and workers need once.
    assert_eq!(load(&envoy, 20_000, 1, &["/limited/0".to_owned()]), 0);
    let before = envoy.memory();
    let began = Instant::now();
    for first in (0..keys() / OF_ONE).step_by(AT_ONCE) {
        let paths: Vec<_> = (first..first + AT_ONCE).map(|key| format!("/new/{key}")).collect();
        // The first request of whoever is new is let through, however full the table is.
        assert_eq!(load(&envoy, AT_ONCE, 1, &paths), AT_ONCE);
        assert_eq!(limited(), 429, "after {first}");
    }
    let grown = envoy.memory().saturating_sub(before) >> 10;
    println!("{} keys in {:?}: {grown} KiB more", keys(), began.elapsed());
    assert!(grown <= 6 << 10, "{grown} KiB more");
}
