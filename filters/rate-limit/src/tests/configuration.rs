//! Mistakes of a configuration, each with its path.

use super::*;

#[track_caller]
fn check(config: Value, message: &str) {
    let error = match Bench::<RateLimit>::configure(&config) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(error, message);
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
    check(service(json!({"cluster": ""})), "service.cluster: is empty, or more than one line");
    check(service(json!({"domain": "a\nb"})), "service.domain: is empty, or more than one line");
    check(
        service(json!({"timeout": "0s"})),
        "service.timeout: a period of zero; leave the field out instead",
    );
    check(service(json!({"timeout": "11s"})), "service.timeout: is not from 1ms to 10s");
    check(
        service(json!({"on_failure": "open"})),
        "service.on_failure: unknown variant `open`, expected one of `deny`, `allow`, `local`",
    );
    check(
        service(json!({"failure": "deny"})),
        "service.failure: unknown field `failure`, expected one of `cluster`, `domain`, `timeout`, `on_failure`",
    );
    limit_is_refused(json!({"counted": "global"}), "limits[0].counted: `global` needs a `service`");
    let on = json!({"counted": "global", "on": "unauthenticated"});
    limit_is_refused(
        on,
        "limits[0].counted: `global` counts requests; `on: unauthenticated` is counted `local`",
    );
}

#[test]
fn quotas_that_are_none() {
    for (quota, message) in [
        (
            json!({"requests": 0, "per": "1s"}),
            "limits[0].quota.requests: invalid value: integer `0`, expected a whole number, 1 at least",
        ),
        (json!({"requests": 1}), "limits[0].quota: missing field `per`"),
        (
            json!({"requests": 1, "per": "0s"}),
            "limits[0].quota.per: a period of zero; leave the field out instead",
        ),
        (
            json!({"requests": 1, "per": "10us"}),
            "limits[0].quota.per: is shorter than a millisecond",
        ),
        (
            json!({"requests": 2_000_000_000, "per": "10s"}),
            "limits[0].quota.requests: 2000000000 is more than 1000000000",
        ),
        (
            json!({"requests": 999_999_999, "per": "10ms"}),
            "limits[0].quota.requests: are more than one a nanosecond",
        ),
        (
            json!({"requests": 1, "per": "1d", "burst": 1_000_000}),
            "limits[0].quota.burst: takes more than a hundred years to come back",
        ),
        (
            json!({"requests": 1, "per": "1s", "burst": 0}),
            "limits[0].quota.burst: invalid value: integer `0`, expected a whole number, 1 at least",
        ),
        (
            json!({"requests": 1, "per": "1s", "bursts": 1}),
            "limits[0].quota.bursts: unknown field `bursts`, expected one of `requests`, `per`, `burst`",
        ),
    ] {
        check(json!({"limits": [limit(quota, json!({}))]}), message);
    }
    let windows = json!({"algorithm": "fixed-window"});
    let quota = json!({"requests": 1, "per": "1s", "burst": 1});
    check(
        json!({"limits": [limit(quota, windows)]}),
        "limits[0].quota.burst: is of a `token-bucket` alone",
    );
    limit_is_refused(
        json!({"tiers": {"gold": {"requests": 1, "per": "0s"}}}),
        "limits[0].tiers.gold.per: a period of zero; leave the field out instead",
    );
    limit_is_refused(
        json!({"tiers": {"gold": {"requests": 1, "per": "1us"}}}),
        "limits[0].tiers.gold.per: is shorter than a millisecond",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn limits_that_are_none() {
    limit_is_refused(
        json!({"name": "a b"}),
        "limits[0].name: a name is 1 to 64 letters, digits, `-` and `_`, and this is none",
    );
    limit_is_refused(
        json!({"name": ""}),
        "limits[0].name: a name is 1 to 64 letters, digits, `-` and `_`, and this is none",
    );
    limit_is_refused(
        json!({"key": []}),
        "limits[0].key: a list of at least one, and this one is empty",
    );
    limit_is_refused(
        json!({"key": ["consumers"]}),
        "limits[0].key[0]: invalid value: string \"consumers\", expected `consumer`, `subject`, `client_address`, `route`, `cluster`, `service`, `service_method`, `host`, `method`, or one of `{ client_address: … }`, `{ header: … }`, `{ query: … }`, `{ cookie: … }`, `{ claim: … }`, `{ path: … }`",
    );
    limit_is_refused(
        json!({"key": [{"header": "a b"}]}),
        "limits[0].key[0].header: `a b` is not the name of a header",
    );
    limit_is_refused(
        json!({"key": [{"header": "a", "claim": "b"}]}),
        "limits[0].key[0]: names not exactly one of them",
    );
    limit_is_refused(json!({"key": [{}]}), "limits[0].key[0]: names not exactly one of them");
    limit_is_refused(
        json!({"key": [{"header": "x-auth-consumer"}]}),
        "limits[0].key[0].header: anybody can send it; the key `consumer` or `subject` says who it is",
    );
    limit_is_refused(
        json!({"key": [{"path": "x"}]}),
        "limits[0].key[0].path: `x` is not a path pattern: it begins with `/`",
    );
    limit_is_refused(
        json!({"key": [{"client_address": {"ipv4_prefix": 33}}]}),
        "limits[0].key[0].client_address.ipv4_prefix: 33 is not from 1 to 32",
    );
    limit_is_refused(
        json!({"key": [{"client_address": {"trusted_hops": 17}}]}),
        "limits[0].key[0].client_address.trusted_hops: 17 is not from 0 to 16",
    );
    limit_is_refused(
        json!({"algorithm": "leaky"}),
        "limits[0].algorithm: unknown variant `leaky`, expected one of `token-bucket`, `sliding-window`, `fixed-window`",
    );
    limit_is_refused(
        json!({"match": {}}),
        "limits[0].match: names nothing to match; what no rule names falls to the top level",
    );
    limit_is_refused(json!({"cost": 0}), "limits[0].cost: is not a cost from 1 to 4294967295");
    limit_is_refused(
        json!({"cost": 11}),
        "limits[0].cost: may be 11, of which quota never lets 10 through at once",
    );
    limit_is_refused(
        json!({"cost": {"header": "x", "greatest": 11}}),
        "limits[0].cost: may be 11, of which quota never lets 10 through at once",
    );
    limit_is_refused(
        json!({"cost": 5, "tiers": {"bad": {"requests": 4, "per": "1s"}}}),
        "limits[0].cost: may be 5, of which tiers.bad never lets 4 through at once",
    );
    limit_is_refused(
        json!({"on": "error"}),
        "limits[0].on: unknown variant `error`, expected `request` or `unauthenticated`",
    );
    limit_is_refused(
        json!({"missing": "refuse"}),
        "limits[0].missing: unknown variant `refuse`, expected `shared` or `exempt`",
    );
    limit_is_refused(
        json!({"on": "unauthenticated", "cost": 2}),
        "limits[0].cost: a failed authentication counts once",
    );
    let twice = limit(json!({"requests": 1, "per": "1s"}), json!({}));
    check(json!({"limits": [twice, twice]}), "limits[1].name: another limit has it");
}

#[test]
fn memory_has_bounds() {
    for (memory, message) in [
        ("1KiB", "memory: is not from 64KiB to 1GiB"),
        ("63KiB", "memory: is not from 64KiB to 1GiB"),
        ("2GiB", "memory: is not from 64KiB to 1GiB"),
        ("x", "memory: `x` is not a size such as `64KiB`"),
    ] {
        check(json!({"memory": memory}), message);
    }
    with(json!({"memory": "64KiB"}));
    check(
        json!({"headers": "yes"}),
        "headers: unknown variant `yes`, expected one of `draft`, `legacy`, `none`",
    );
    check(
        json!({"limit": []}),
        "limit: unknown field; known are mode, errors, limits, headers, memory, service, rules, route_overrides",
    );
}

#[test]
fn nothing_configured_limits_nothing() {
    let mut bench = with(json!({}));
    assert_eq!(get(&mut bench, &[]).line(), "continue #allowed");
}
