//! Chains of the real filters do what the filters do behind each other, each in a module of its own.

#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use serde_json::{Value, json};
use shared::bundle::configure;
use shared::config::{Environment, Invalid};
use shared::filter::Birth;
use shared::runner::Runner;
use shared::testing::{Stack, Sum};

use crate::FILTERS;

/// A generator (SplitMix64), so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        of[usize::try_from((z ^ (z >> 31)) % of.len() as u64).unwrap()]
    }
}

fn make(root_id: &str, config: &Value, birth: &Birth<'_>) -> Result<Box<dyn Runner>, Invalid> {
    configure(FILTERS, root_id, config.to_string().as_bytes(), &Environment::default(), birth)
}

/// The filters as modules of their own, and as one chain.
fn both(filters: &[(&str, Value)]) -> (Stack, Stack) {
    let chain: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    let alone = |birth: &Birth<'_>| {
        filters.iter().map(|(name, config)| make(name, config, birth)).collect()
    };
    let chained = |birth: &Birth<'_>| Ok(vec![make("chain", &json!({"chain": chain}), birth)?]);
    (Stack::new(alone).unwrap(), Stack::new(chained).unwrap())
}

fn users(verdict: &str, mode: &str) -> (&'static str, Value) {
    let users = json!([{"name": "carol", "password": "s", "groups": ["ops"]}]);
    ("basic-auth", json!({"users": users, "verdict": verdict, "mode": mode}))
}

fn keys(verdict: &str, forwards: bool) -> (&'static str, Value) {
    let consumers = json!([{"name": "acme", "scopes": ["api:read"], "keys": [{"id": "k", "value": "acme-key"}]}]);
    let rules = json!([{"match": {"paths": ["/off/**"]}, "mode": "off"}]);
    let config = json!({"consumers": consumers, "verdict": verdict, "forward_credentials": forwards, "rules": rules});
    ("api-key-auth", config)
}

fn probes() -> (&'static str, Value) {
    ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]}))
}

fn policy(mode: &str) -> (&'static str, Value) {
    let methods = |name: &str, path: &str, security: Value| json!({"name": name, "match": {"methods": ["GET"], "paths": [path]}, "security": security});
    let services = json!([{"name": "users", "methods": [
        methods("open", "/open", json!("none")),
        methods("optional", "/optional", json!([{"key": ["api:read"]}, {"basic": []}, "anonymous"])),
        methods("either", "/either", json!([{"key": []}, {"basic": []}])),
        methods("both", "/both", json!([{"key": ["api:read"], "basic": []}])),
        methods("write", "/write", json!([{"key": ["api:write"]}])),
        methods("off", "/off/{id}", json!([{"key": []}])),
    ]}]);
    let schemes =
        json!({"key": {"authenticator": "api-key-auth"}, "basic": {"authenticator": "basic-auth"}});
    ("access-policy", json!({"schemes": schemes, "services": services, "mode": mode}))
}

fn request(dice: &mut Dice) -> Vec<(&'static str, &'static str)> {
    let paths = [
        "/open",
        "/optional",
        "/either",
        "/both",
        "/write",
        "/off/1",
        "/healthz",
        "/else",
        "/both%2f",
        "/%zz",
    ];
    let mut headers = vec![
        (":method", dice.pick(&["GET", "GET", "GET", "POST"])),
        (":path", dice.pick(&paths)),
        (":authority", "shop"),
    ];
    let more: [&[(&str, &str)]; 6] = [
        &[("authorization", "Basic Y2Fyb2w6cw=="), ("authorization", "Basic Y2Fyb2w6eA==")],
        &[("x-api-key", "acme-key"), ("x-api-key", "wrong"), ("x-api-key", "")],
        &[("x-auth-subject", "root"), ("x_auth_subject", "root"), ("x-auth-groups", "ops")],
        &[("content-type", "application/grpc")],
        &[("x-high", "\u{e4}"), ("cookie", "a=b")],
        &[("x-api-key", "acme-key"), ("authorization", "Basic Y2Fyb2w6cw==")],
    ];
    for choices in more {
        if dice.pick(&[true, false]) {
            headers.push(dice.pick(choices));
        }
    }
    headers
}

fn without_writes(sum: &Sum) -> Sum {
    Sum { writes: 0, ..sum.clone() }
}

#[test]
fn a_chain_answers_as_its_filters_do_behind_each_other() {
    let mut dice = Dice(8);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..60 {
        let verdicts = ["defer", "defer", "enforce"];
        let mut filters = vec![
            users(dice.pick(&verdicts), dice.pick(&["enforce", "enforce", "shadow"])),
            keys(dice.pick(&verdicts), dice.pick(&[false, true])),
        ];
        if dice.pick(&[true, false]) {
            filters.reverse();
        }
        if dice.pick(&[true, true, false]) {
            filters.push(policy(dice.pick(&["enforce", "enforce", "shadow"])));
        }
        if dice.pick(&[true, false]) {
            filters.insert(0, probes());
        }
        let (mut alone, mut chained) = both(&filters);
        for _ in 0..50 {
            let headers = request(&mut dice);
            let (one, other) = (alone.send(&headers), chained.send(&headers));
            let what = format!("round {round}: {headers:?} under {filters:?}");
            assert_eq!(without_writes(&one), without_writes(&other), "{what}");
            assert!(other.writes <= one.writes, "{what}: {} writes", other.writes);
            seen.insert(one.verdict);
        }
    }
    // Or it would have shown nothing.
    assert!(seen.len() >= 12, "{seen:?}");
}

/// With those who look at responses and ends: traces, lines and limits.
#[test]
fn what_is_refused_is_seen_to_its_end_as_behind_each_other() {
    let traces = json!({"sampling": {"root": "always"}, "response": {"traceresponse": true}});
    let limit = json!({"name": "all", "quota": {"requests": 20, "per": "1h"}});
    let filters = [
        probes(),
        ("trace-context", traces),
        ("telemetry", json!({"lines": "all"})),
        users("defer", "enforce"),
        keys("defer", false),
        policy("enforce"),
        ("rate-limit", json!({"limits": [limit]})),
    ];
    let (mut dice, (mut alone, mut chained)) = (Dice(15), both(&filters));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let headers = request(&mut dice);
        let (one, other) = (alone.send(&headers), chained.send(&headers));
        assert_eq!(without_writes(&one), without_writes(&other), "{headers:?}");
        assert!(one.state.contains_key("gatehouse.trace_id") || one.verdict.contains("health"));
        assert_eq!(alone.respond("ratelimit"), chained.respond("ratelimit"), "{headers:?}");
        assert_eq!(alone.log(), chained.log(), "{headers:?}");
        seen.insert(one.verdict);
    }
    assert!(seen.contains("429 gatehouse.rate-limit.limited") && seen.len() >= 9, "{seen:?}");
}

#[test]
fn a_chain_reads_its_request_once() {
    let filters = [probes(), users("defer", "enforce"), keys("defer", false), policy("enforce")];
    let (mut alone, mut chained) = both(&filters);
    let headers = [(":method", "GET"), (":path", "/either"), ("x-api-key", "acme-key")];
    assert_eq!(alone.send(&headers).verdict, "continue");
    assert_eq!(chained.send(&headers).verdict, "continue");
    let mut reads = chained.proxy.reads();
    reads.sort();
    // The address is for who tries passwords.
    let expected =
        ["gatehouse.subject", "headers", "xds.route_metadata", "xds.virtual_host_metadata"];
    assert_eq!(reads, expected);
    assert_eq!(alone.proxy.reads().len(), 12);
}

#[test]
fn every_filter_is_one_by_its_name_alone_or_in_a_chain() {
    for kind in FILTERS {
        let birth = |config: Value, root_id: &str| {
            let stack = Stack::new(|birth| Ok(vec![make(root_id, &config, birth)?]));
            stack.err().map(|error| error.to_string())
        };
        let unknown = json!({"no_such_field": 1});
        let alone = birth(unknown.clone(), kind.name()).expect("refused");
        assert!(alone.starts_with("no_such_field: unknown field"), "{}: {alone}", kind.name());
        let chained = birth(json!({"chain": [{kind.name(): unknown}]}), "chain");
        assert_eq!(chained, Some(format!("chain[0].{}.{alone}", kind.name())));
    }
}

#[test]
fn metadata_is_for_each_filter_by_its_name() {
    use prost::Message as _;
    let (_, mut chained) = both(&[users("enforce", "enforce"), keys("enforce", false)]);
    let ours = shared::testing::structure(&json!({"basic-auth": {"mode": "off"}}));
    let metadata = Metadata { filter_metadata: [("gatehouse".to_owned(), ours)].into() };
    let request = [(":method", "GET"), (":path", "/"), ("x-api-key", "acme-key")];
    assert_eq!(chained.send(&request).verdict, "401 gatehouse.basic-auth.missing");
    chained.proxy.set_property(&["xds", "route_metadata"], &metadata.encode_to_vec());
    assert_eq!(chained.send(&request).verdict, "continue");
}

/// `envoy.config.core.v3.Metadata`, as far as it concerns us.
#[derive(prost::Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: std::collections::HashMap<String, prost_types::Struct>,
}
