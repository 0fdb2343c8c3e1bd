//! Mistakes of a configuration, each with its path.

use super::*;

#[track_caller]
fn check(config: Value, message: &str) {
    let error = match Bench::<RateLimit>::configure(&config) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(message), "{error}");
}

#[track_caller]
fn limit_is_refused(more: Value, message: &str) {
    check(json!({"limits": [limit(json!({"requests": 10, "per": "1m"}), more)]}), message);
}

#[test]
fn services_that_are_none() {
    let service = |more: Value| {
        let mut service = json!({"cluster": "ratelimit", "domain": "gatehouse"});
        for (name, value) in more.as_object().unwrap() {
            service[name] = value.clone();
        }
        json!({"service": service})
    };
    check(json!({"service": {"cluster": "a"}}), "service: missing field `domain`");
    check(service(json!({"cluster": ""})), "service.cluster: is empty");
    check(service(json!({"domain": "a\nb"})), "service.domain: is empty, or more");
    check(service(json!({"timeout": "0s"})), "service.timeout: ");
    check(service(json!({"timeout": "11s"})), "service.timeout: is not from 1ms to 10s");
    check(service(json!({"on_failure": "open"})), "service.on_failure: ");
    check(service(json!({"failure": "deny"})), "service.failure: unknown");
    limit_is_refused(json!({"counted": "global"}), "limits[0].counted: `global` needs a `service`");
    let on = json!({"counted": "global", "on": "unauthenticated"});
    limit_is_refused(on, "limits[0].counted: `global` counts requests");
}

#[test]
fn quotas_that_are_none() {
    for (quota, message) in [
        (json!({"requests": 0, "per": "1s"}), "limits[0].quota.requests: "),
        (json!({"requests": 1}), "limits[0].quota: missing field `per`"),
        (json!({"requests": 1, "per": "0s"}), "limits[0].quota.per: "),
        (json!({"requests": 1, "per": "10us"}), "limits[0].quota.per: is shorter"),
        (json!({"requests": 2_000_000_000, "per": "10s"}), "limits[0].quota.requests: "),
        (json!({"requests": 999_999_999, "per": "10ms"}), "limits[0].quota.requests: are more"),
        (json!({"requests": 1, "per": "1d", "burst": 1_000_000}), "limits[0].quota.burst: takes"),
        (json!({"requests": 1, "per": "1s", "burst": 0}), "limits[0].quota.burst: "),
        (json!({"requests": 1, "per": "1s", "bursts": 1}), "limits[0].quota.bursts: unknown"),
    ] {
        check(json!({"limits": [limit(quota, json!({}))]}), message);
    }
    let windows = json!({"algorithm": "fixed-window"});
    let quota = json!({"requests": 1, "per": "1s", "burst": 1});
    check(
        json!({"limits": [limit(quota, windows)]}),
        "limits[0].quota.burst: is of a `token-bucket`",
    );
    limit_is_refused(
        json!({"tiers": {"gold": {"requests": 1, "per": "0s"}}}),
        "limits[0].tiers.gold.per",
    );
    limit_is_refused(
        json!({"tiers": {"gold": {"requests": 1, "per": "1us"}}}),
        "limits[0].tiers.gold.per: is shorter",
    );
}

#[test]
fn limits_that_are_none() {
    limit_is_refused(json!({"name": "a b"}), "limits[0].name: ");
    limit_is_refused(json!({"name": ""}), "limits[0].name: ");
    limit_is_refused(json!({"key": []}), "limits[0].key: ");
    limit_is_refused(json!({"key": ["consumers"]}), "limits[0].key[0]: ");
    limit_is_refused(json!({"key": [{"header": "a b"}]}), "limits[0].key[0].header: ");
    limit_is_refused(
        json!({"key": [{"header": "a", "claim": "b"}]}),
        "limits[0].key[0]: names not exactly one",
    );
    limit_is_refused(json!({"key": [{}]}), "limits[0].key[0]: names not exactly one");
    limit_is_refused(json!({"key": [{"header": "x-auth-consumer"}]}), "limits[0].key[0].header: ");
    limit_is_refused(json!({"key": [{"path": "x"}]}), "limits[0].key[0].path: ");
    limit_is_refused(
        json!({"key": [{"client_address": {"ipv4_prefix": 33}}]}),
        "limits[0].key[0].client_address.ipv4_prefix: 33 is not from 1 to 32",
    );
    limit_is_refused(
        json!({"key": [{"client_address": {"trusted_hops": 17}}]}),
        "limits[0].key[0].client_address.trusted_hops: ",
    );
    limit_is_refused(json!({"algorithm": "leaky"}), "limits[0].algorithm: ");
    limit_is_refused(json!({"match": {}}), "limits[0].match: ");
    limit_is_refused(json!({"cost": 0}), "limits[0].cost: ");
    limit_is_refused(json!({"cost": 11}), "limits[0].cost: may be 11");
    limit_is_refused(json!({"cost": {"header": "x", "greatest": 11}}), "limits[0].cost: may be 11");
    limit_is_refused(
        json!({"cost": 5, "tiers": {"bad": {"requests": 4, "per": "1s"}}}),
        "limits[0].cost: may be 5, of which tiers.bad",
    );
    limit_is_refused(json!({"on": "error"}), "limits[0].on: ");
    limit_is_refused(json!({"missing": "refuse"}), "limits[0].missing: ");
    limit_is_refused(
        json!({"on": "unauthenticated", "cost": 2}),
        "limits[0].cost: a failed authentication counts once",
    );
    let twice = limit(json!({"requests": 1, "per": "1s"}), json!({}));
    check(json!({"limits": [twice, twice]}), "limits[1].name: another limit has it");
}

#[test]
fn memory_has_bounds() {
    for memory in ["1KiB", "63KiB", "2GiB", "x"] {
        check(json!({"memory": memory}), "memory: ");
    }
    with(json!({"memory": "64KiB"}));
    check(json!({"headers": "yes"}), "headers: ");
    check(json!({"limit": []}), "limit: unknown field");
}

#[test]
fn nothing_configured_limits_nothing() {
    let mut bench = with(json!({}));
    assert_eq!(get(&mut bench, &[]).line(), "continue #allowed");
}
