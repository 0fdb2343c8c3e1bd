//! What limits do, alone and together, and what they say.

use std::cell::Cell;

use shared::driver::Step;
use shared::headers::Headers;
use shared::store::{Version, WriteFailure};
use shared::testing::Proxy;
use shared::time::Timestamp;
use shared::view::{Host, Map, Unreadable};

use super::*;

fn ten() -> Value {
    json!({"requests": 10, "per": "10s"})
}

#[test]
fn a_bucket_is_full_at_first_and_refilled_evenly() {
    let mut bench = bench(json!([limit(ten(), json!({}))]));
    assert_eq!(passing(&mut bench, 15), 10);
    pass_time(&bench, 999);
    assert_eq!(passing(&mut bench, 5), 0);
    pass_time(&bench, 1);
    assert_eq!(passing(&mut bench, 5), 1);
    pass_time(&bench, 3_500);
    assert_eq!(passing(&mut bench, 5), 3);
    pass_time(&bench, 500_000);
    assert_eq!(passing(&mut bench, 15), 10);
}

#[test]
fn a_burst_is_how_many_come_at_once() {
    let quota = json!({"requests": 10, "per": "10s", "burst": 3});
    let mut bench = bench(json!([limit(quota, json!({}))]));
    assert_eq!(passing(&mut bench, 15), 3);
    pass_time(&bench, 2_000);
    assert_eq!(passing(&mut bench, 15), 2);
}

#[test]
fn a_fixed_window_begins_at_a_multiple_of_its_length() {
    let mut bench = bench(json!([limit(ten(), json!({"algorithm": "fixed-window"}))]));
    // 1,800,000,000 seconds are a multiple of ten.
    pass_time(&bench, 9_000);
    assert_eq!(passing(&mut bench, 15), 10);
    pass_time(&bench, 999);
    assert_eq!(passing(&mut bench, 15), 0);
    pass_time(&bench, 1);
    assert_eq!(passing(&mut bench, 15), 10);
}

#[test]
fn a_sliding_window_lets_no_more_through_in_any_stretch_of_its_length() {
    let quota = json!({"requests": 10, "per": "8s"});
    let mut bench = bench(json!([limit(quota, json!({"algorithm": "sliding-window"}))]));
    pass_time(&bench, 7_900);
    assert_eq!(passing(&mut bench, 15), 10);
    // The step of a second in which they came ends in 100ms, and then counts for 8s.
    pass_time(&bench, 8_099);
    assert_eq!(passing(&mut bench, 15), 0);
    pass_time(&bench, 1);
    assert_eq!(passing(&mut bench, 15), 10);
}

#[test]
fn one_limits_refusal_charges_no_other() {
    let small = json!({"name": "small", "quota": {"requests": 2, "per": "1h"}});
    let mut bench = bench(json!([limit(ten(), json!({})), small]));
    assert_eq!(passing(&mut bench, 10), 2);
    let outcome = get(&mut bench, &[]);
    assert_eq!(outcome.header("retry-after"), Some("1800"));
    // Of the large one, two are used.
    let mut large = with(json!({"limits": [limit(ten(), json!({}))]}));
    std::mem::swap(&mut large.proxy, &mut bench.proxy);
    assert_eq!(passing(&mut large, 15), 8);
}

/// A proxy on which another worker does the same as this one, a moment before its second write.
struct Overtaking<'a> {
    proxy: &'a Proxy,
    writes: Cell<u32>,
}

impl Host for Overtaking<'_> {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        self.proxy.now()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.proxy.random(bytes)
    }

    fn headers(&self, map: Map) -> Result<Headers, Unreadable> {
        self.proxy.headers(map)
    }

    fn header(&self, map: Map, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        self.proxy.header(map, name)
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.proxy.property(path)
    }

    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Unreadable> {
        self.proxy.shared(key)
    }

    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), WriteFailure> {
        self.writes.set(self.writes.get() + 1);
        let written = self.proxy.share(key, value, version);
        if self.writes.get() == 2 { Err(WriteFailure::Overtaken) } else { written }
    }
}

#[test]
fn a_charge_is_given_back_where_a_later_one_is_overtaken() {
    for algorithm in ["token-bucket", "fixed-window", "sliding-window"] {
        let b = json!({"name": "b", "quota": {"requests": 2, "per": "1h"}});
        let a = limit(ten(), json!({"algorithm": algorithm}));
        let mut both = bench(json!([a.clone(), b]));
        assert_eq!(passing(&mut both, 1), 1);
        // Both find room; then the other worker takes the last of `b`.
        let host = Overtaking { proxy: &both.proxy, writes: Cell::new(0) };
        let request = Request::new(&host);
        let mut effects = Effects::default();
        let step = both.instance.on_request(&mut Run::default(), &request, &mut effects);
        let Step::Reply(reply) = step else { panic!("let through") };
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["violated-policies"], json!(["b"]));
        let mut alone = bench(json!([a]));
        std::mem::swap(&mut alone.proxy, &mut both.proxy);
        assert_eq!(passing(&mut alone, 15), 9, "{algorithm}");
    }
}

#[test]
fn who_is_refused_learns_when_to_come_back_and_why() {
    let mut bench = bench(json!([limit(ten(), json!({"name": "per-day"}))]));
    passing(&mut bench, 10);
    let outcome = get(&mut bench, &[]);
    let reply = outcome.reply().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (429, Some(8)));
    assert_eq!(reply.details, "gatehouse.rate-limit.limited");
    assert_eq!(outcome.header("retry-after"), Some("1"));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["violated-policies"], json!(["per-day"]));
    assert_eq!(body["detail"], "The limit `per-day` is reached; try again later.");
    assert_eq!(
        fields(&outcome),
        r#"ratelimit-policy: "per-day";q=10;w=10 | ratelimit: "per-day";r=0;t=10 #refused[reason=limited]"#
    );
    assert!(outcome.effects.to_string().starts_with("#limited[limit=per-day]"));
}

#[test]
fn the_longest_wait_of_all_is_told() {
    let slow = json!({"name": "slow", "quota": {"requests": 1, "per": "1m"}});
    let quick = json!({"name": "quick", "quota": {"requests": 1, "per": "1s"}});
    let mut bench = bench(json!([slow, quick]));
    passing(&mut bench, 1);
    let outcome = get(&mut bench, &[]);
    assert_eq!(outcome.header("retry-after"), Some("60"));
    let body: Value = serde_json::from_slice(&outcome.reply().unwrap().body).unwrap();
    assert_eq!(body["violated-policies"], json!(["slow", "quick"]));
}

#[test]
fn responses_say_how_the_limits_stand() {
    let day = json!({"name": "day", "quota": {"requests": 100, "per": "1d"}, "algorithm": "fixed-window"});
    let limits = json!([limit(json!({"requests": 3, "per": "1500ms"}), json!({})), day]);
    let mut draft = bench(limits.clone());
    let outcome = get(&mut draft, &[]);
    assert_eq!(
        fields(&outcome),
        r#"ratelimit-policy: "a";q=3, "day";q=100;w=86400 | ratelimit: "a";r=2;t=1, "day";r=99;t=57600 #allowed"#
    );
    let mut legacy = with(json!({"limits": limits, "headers": "legacy"}));
    get(&mut legacy, &[]);
    assert_eq!(
        fields(&get(&mut legacy, &[])),
        "x-ratelimit-limit: 3 | x-ratelimit-remaining: 1 | x-ratelimit-reset: 1 #allowed"
    );
    let mut none = with(json!({"limits": limits, "headers": "none"}));
    assert_eq!(get(&mut none, &[]).line(), "continue #allowed");
}

#[test]
fn a_cost_is_charged() {
    let mut fixed = bench(json!([limit(ten(), json!({"cost": 4}))]));
    assert_eq!(passing(&mut fixed, 5), 2);
    let cost = json!({"cost": {"header": "X-Cost", "greatest": 5, "default": 2}});
    for (values, left) in [
        (&[][..], 8),
        (&["3"], 7),
        (&["5"], 5),
        (&["6"], 5),
        (&["0"], 5),
        (&["-1"], 5),
        (&["1.0"], 5),
        (&[""], 5),
        (&["99999999999999999999"], 5),
        (&["1", "1"], 5),
    ] {
        let mut bench = bench(json!([limit(ten(), cost.clone())]));
        let headers: Vec<_> = values.iter().map(|value| ("x-cost", *value)).collect();
        let outcome = get(&mut bench, &headers);
        assert!(fields(&outcome).contains(&format!(";r={left};")), "{values:?} {outcome:?}");
    }
}

#[test]
fn a_request_that_costs_more_than_is_left_waits_for_all_of_it() {
    let cost = json!({"cost": {"header": "x-cost", "greatest": 10}});
    let mut bench = bench(json!([limit(ten(), cost)]));
    get(&mut bench, &[("x-cost", "6")]);
    assert_eq!(get(&mut bench, &[("x-cost", "9")]).header("retry-after"), Some("5"));
    assert!(passes(&mut bench, &[("x-cost", "4")]));
}

#[test]
fn a_tier_is_the_most_generous_of_the_groups() {
    let tiers = json!({"tiers": {
        "gold": {"requests": 3, "per": "1s"},
        "silver": {"requests": 4, "per": "1m"},
        "bad": {"requests": 1, "per": "1h"},
    }});
    for (groups, admitted) in [
        ("", 2),
        ("other", 2),
        ("gold", 3),
        ("silver,gold", 3),
        ("x,silver", 4),
        ("bad", 1),
        ("goldx", 2),
    ] {
        let quota = json!({"requests": 2, "per": "1h"});
        let mut bench = bench(json!([limit(quota, tiers.clone())]));
        bench.proxy.set_property(&["gatehouse.groups"], groups.as_bytes());
        assert_eq!(passing(&mut bench, 9), admitted, "{groups}");
    }
}

#[test]
fn a_limit_is_for_what_it_matches() {
    let of_writes = json!({"match": {"methods": ["POST"]}});
    let mut bench = bench(json!([limit(json!({"requests": 1, "per": "1h"}), of_writes)]));
    assert_eq!(passing(&mut bench, 5), 5);
    let post = [(":method", "POST")];
    assert!(passes(&mut bench, &post));
    assert!(!passes(&mut bench, &post));
    assert!(passes(&mut bench, &[]));
}

#[test]
fn a_path_of_two_readings_is_refused() {
    let limits = json!([limit(ten(), json!({"match": {"paths": ["/a/**"]}}))]);
    let mut bench = bench(limits);
    let outcome = get(&mut bench, &[(":path", "/a/..%2fb")]);
    assert_eq!(outcome.reply().unwrap().details, "gatehouse.rate-limit.ambiguous_path");
}

#[test]
fn a_limit_in_shadow_counts_and_refuses_nobody() {
    let shadow = limit(json!({"requests": 1, "per": "1h"}), json!({"name": "s", "mode": "shadow"}));
    let mut bench = bench(json!([limit(ten(), json!({})), shadow]));
    let first = get(&mut bench, &[]).line();
    assert!(!first.contains("shadow") && !first.contains("\"s\""), "{first}");
    let second = get(&mut bench, &[]).line();
    assert!(second.starts_with("continue #shadow_limited[limit=s]"), "{second}");
    let mut off = with(
        json!({"limits": [limit(json!({"requests": 1, "per": "1h"}), json!({"mode": "off"}))]}),
    );
    assert_eq!(get(&mut off, &[]).line(), "continue #allowed");
    assert_eq!(get(&mut off, &[]).line(), "continue #allowed");
}

#[test]
fn a_filter_in_shadow_says_nothing_and_refuses_nobody() {
    let config = json!({"mode": "shadow", "limits": [limit(json!({"requests": 1, "per": "1h"}), json!({}))]});
    let mut bench = with(config);
    assert_eq!(get(&mut bench, &[]).line(), "continue #allowed");
    assert_eq!(
        get(&mut bench, &[]).line(),
        "continue #limited[limit=a] #shadow_refused[reason=limited]"
    );
}

#[test]
fn a_count_that_cannot_be_had_refuses() {
    let mut contended = bench(json!([limit(ten(), json!({}))]));
    get(&mut contended, &[]);
    contended.proxy.lose_races(usize::MAX);
    let reply = get(&mut contended, &[]);
    assert_eq!(reply.reply().unwrap().details, "gatehouse.rate-limit.contended");
    assert_eq!(reply.reply().unwrap().status, 503);
    let mut shadow = bench(json!([limit(ten(), json!({"mode": "shadow"}))]));
    get(&mut shadow, &[]);
    shadow.proxy.lose_races(usize::MAX);
    assert_eq!(get(&mut shadow, &[]).line(), "continue #shadow_unknown[limit=a] #allowed");
}

#[test]
fn races_that_are_lost_a_few_times_change_nothing() {
    let mut bench = bench(json!([limit(ten(), json!({}))]));
    for lost in [3, 20, 0, 31, 1] {
        bench.proxy.lose_races(lost);
        assert!(passes(&mut bench, &[]));
    }
    assert_eq!(passing(&mut bench, 15), 5);
}

fn failures() -> Value {
    let key = json!(["client_address"]);
    limit(json!({"requests": 2, "per": "10s"}), json!({"on": "unauthenticated", "key": key}))
}

fn answer(bench: &mut Bench<RateLimit>, headers: &[(&str, &str)]) -> Option<String> {
    bench.proxy.set_property(&["source", "address"], b"192.0.2.1:5");
    let (mut run, outcome): (Run<RateLimit>, _) =
        bench.begin(&[(":method", "GET"), (":path", "/")]);
    match outcome.reply() {
        Some(reply) => Some(reply.details.clone()),
        None => {
            bench.respond(&mut run, headers);
            None
        }
    }
}

#[test]
fn failed_authentications_are_charged_and_others_are_not() {
    let mut bench = bench(json!([failures()]));
    for _ in 0..20 {
        assert_eq!(answer(&mut bench, &[(":status", "200")]), None);
        assert_eq!(answer(&mut bench, &[(":status", "403")]), None);
    }
    assert_eq!(answer(&mut bench, &[(":status", "401")]), None);
    assert_eq!(answer(&mut bench, &[(":status", "200"), ("grpc-status", "16")]), None);
    let refused = Some("gatehouse.rate-limit.too_many_failures".to_owned());
    assert_eq!(answer(&mut bench, &[(":status", "200")]), refused);
    pass_time(&bench, 5_000);
    assert_eq!(answer(&mut bench, &[(":status", "200")]), None);
}

#[test]
fn failures_of_requests_under_way_at_once_are_owed() {
    let mut bench = bench(json!([failures()]));
    bench.proxy.set_property(&["source", "address"], b"192.0.2.1:5");
    let head = [(":method", "GET"), (":path", "/")];
    let mut runs: Vec<_> = (0..6).map(|_| bench.begin(&head).0).collect();
    for run in &mut runs {
        bench.respond(run, &[(":status", "401")]);
    }
    // Two are the quota; four are owed, and one has to be there: 25 seconds.
    pass_time(&bench, 24_999);
    assert!(answer(&mut bench, &[(":status", "200")]).is_some());
    pass_time(&bench, 1);
    assert!(answer(&mut bench, &[(":status", "200")]).is_none());
}

#[test]
fn rules_and_metadata_have_limits_of_their_own() {
    let strict = json!([limit(json!({"requests": 1, "per": "1h"}), json!({"name": "strict"}))]);
    let rules = json!([
        {"match": {"paths": ["/login"]}, "limits": strict},
        {"match": {"paths": ["/healthz"]}, "mode": "off"},
    ]);
    let mut bench = with(json!({"limits": [limit(ten(), json!({}))], "rules": rules}));
    let login = [(":path", "/login")];
    assert!(passes(&mut bench, &login));
    assert!(!passes(&mut bench, &login));
    for _ in 0..20 {
        assert!(passes(&mut bench, &[(":path", "/healthz")]));
    }
    assert_eq!(passing(&mut bench, 15), 10);
}

#[test]
fn a_clock_that_jumps_back_lets_nobody_gain_or_wait_longer_than_a_quota_takes() {
    for algorithm in ["token-bucket", "fixed-window", "sliding-window"] {
        let mut bench = bench(json!([limit(ten(), json!({"algorithm": algorithm}))]));
        bench.proxy.pass(Duration::from_secs(86_400));
        assert_eq!(passing(&mut bench, 15), 10, "{algorithm}");
        bench.proxy.set_now(Timestamp::from_secs(1_800_000_000));
        assert_eq!(passing(&mut bench, 15), 0, "{algorithm}");
        pass_time(&bench, 12_000);
        assert_eq!(passing(&mut bench, 15), 10, "{algorithm}");
    }
}

#[test]
fn a_clock_a_little_behind_gains_nobody_anything() {
    for algorithm in ["token-bucket", "fixed-window", "sliding-window"] {
        let mut bench = bench(json!([limit(ten(), json!({"algorithm": algorithm}))]));
        pass_time(&bench, 500);
        assert_eq!(passing(&mut bench, 15), 10, "{algorithm}");
        for back in [1_u64, 10, 100, 1000] {
            let now = Timestamp::from_nanos(1_800_000_000_500_000_000 - back * 1_000_000);
            bench.proxy.set_now(now);
            assert_eq!(passing(&mut bench, 3), 0, "{algorithm} {back}");
        }
        bench.proxy.set_now(Timestamp::from_nanos(1_800_000_000_500_000_000));
        pass_time(&bench, 999);
        assert_eq!(passing(&mut bench, 3), 0, "{algorithm}");
    }
}
