//! What the usual request costs each filter, and a chain of six: host calls and instructions, which are the
//! same on every machine. `cargo test -p tests --test module -- costs --nocapture` prints the table.

#![allow(clippy::print_stdout, reason = "what it counts is for people")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::host::{Host, Outcome, Trap};
use tests::modules::BUNDLE;
use tests::tokens::{Key, jwks};

use crate::jwt_auth::all_good;

/// What the host's clock says, in seconds.
const NOW: u64 = 1_767_268_800;

/// What a browser or a service sends, with what Envoy adds.
pub(crate) const USUAL: [(&str, &str); 9] = [
    (":method", "GET"),
    (":path", "/users/7?full=yes"),
    (":authority", "shop.example"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, br"),
    ("user-agent", "tester/1.0"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-request-id", "8d3e3bd0-7a71-4be7-9f34-0b4d5bd1ac8a"),
];

/// A filter or a chain, the requests that it gets, and the most that one may cost.
struct Case {
    what: &'static str,
    hosts: Vec<Made>,
    /// What the requests have that make it warm.
    before: Vec<(&'static str, String)>,
    more: Vec<(&'static str, String)>,
    /// Host calls and instructions.
    most: (u64, u64),
}

type Made = Box<dyn Fn() -> Host>;

fn key() -> Key {
    Key::secret("hmac", "HS256", &[b'x'; 32])
}

fn bearer() -> (&'static str, String) {
    // As long as one that is signed with RSA.
    let claims = json!({"iss": "https://issuer", "aud": "shop", "sub": "alice", "exp": NOW + 3600,
        "note": "x".repeat(300)});
    ("authorization", format!("Bearer {}", key().sign("HS256", &claims)))
}

/// What comes with a token that no other request has, as `make bench` sends them.
fn fresh(id: u32) -> Vec<(&'static str, String)> {
    let claims = json!({"iss": "https://issuer", "aud": "shop", "sub": "alice", "exp": NOW + 3600,
        "iat": NOW, "scope": "read write", "jti": id.to_string()});
    let token = Key::of("rsa").sign("RS256", &claims);
    vec![(":path", format!("/users/7?full=yes&access_token={token}"))]
}

/// The proxy checks the signatures of such tokens.
fn never_seen() -> Host {
    let provider = json!({"name": "main", "issuer": "https://issuer", "audiences": ["shop"],
        "algorithms": ["RS256"], "jwks": {"inline": jwks(&[Key::of("rsa")])},
        "sources": [{"query": "access_token"}]});
    let mut host = Host::load("jwt-auth").unwrap().foreign("verify_signature", all_good);
    host.configure(json!({"providers": [provider]}).to_string()).unwrap();
    host
}

fn alone(name: &str, config: &Value) -> Host {
    let known = json!({"scheme": "jwt", "subject": "alice",
        "headers": {"x-auth-subject": "alice", "x-auth-scheme": "jwt"}});
    let mut host = Host::load(name)
        .unwrap()
        .property(&["gatehouse.evidence.jwt-auth"], known.to_string())
        .property(&["source", "address"], "203.0.113.7:1234")
        .property(&["request", "duration"], 7_000_000_u64.to_le_bytes());
    if matches!(name, "telemetry" | "rate-limit") {
        host = host.property(&["gatehouse.subject"], "alice");
    }
    if name == "telemetry" {
        host =
            host.property(&["gatehouse.service"], "users").property(&["gatehouse.method"], "show");
    }
    host.configure(config.to_string()).unwrap();
    host
}

/// The six filters of a service, in their order.
fn six() -> [(&'static str, Value); 6] {
    let provider = json!({"name": "main", "issuer": "https://issuer", "audiences": ["shop"],
        "algorithms": ["HS256"], "jwks": {"inline": jwks(&[key()])}});
    let method = json!({"name": "show", "match": {"methods": ["GET"], "paths": ["/users/{id}"]}});
    [
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        ("trace-context", json!({})),
        ("telemetry", json!({})),
        ("jwt-auth", json!({"providers": [provider], "verdict": "defer"})),
        (
            "access-policy",
            json!({"schemes": {"jwt": {"authenticator": "jwt-auth"}}, "security": [{"jwt": []}],
                "services": [{"name": "users", "methods": [method]}]}),
        ),
        (
            "rate-limit",
            json!({"limits": [{"name": "each", "key": ["subject"],
                "quota": {"requests": 1000, "per": "1s"}}]}),
        ),
    ]
}

fn chain(shares: bool) -> Host {
    let entries = six().map(|(name, config)| json!({name: config}));
    let mut host = Host::load(BUNDLE)
        .unwrap()
        .root_id("chain")
        .property(&["request", "duration"], 7_000_000_u64.to_le_bytes());
    let config = json!({"chain": entries, "share_evidence": shares});
    host.configure(config.to_string()).unwrap();
    host
}

fn made(name: &'static str, config: &Value) -> Made {
    let config = config.clone();
    Box::new(move || alone(name, &config))
}

fn one(
    name: &'static str,
    config: &Value,
    more: Vec<(&'static str, String)>,
    most: (u64, u64),
) -> Case {
    Case { what: name, hosts: vec![made(name, config)], before: more.clone(), more, most }
}

fn cases() -> Vec<Case> {
    let parts = six();
    let part = |name: &str| &parts.iter().find(|(part, _)| *part == name).unwrap().1;
    let users = json!({"users": [{"name": "carol", "password": "secret"}]});
    let keys: Vec<_> = (0..10_000)
        .map(|n| json!({"id": n.to_string(), "value": format!("key-number-{n}")}))
        .collect();
    let keys = json!({"consumers": [{"name": "acme", "keys": keys}]});
    let enforced = json!({"providers": part("jwt-auth")["providers"]});
    let basic = vec![("authorization", "Basic Y2Fyb2w6c2VjcmV0".to_owned())];
    let traced =
        vec![("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".to_owned())];
    let all = || [vec![bearer()], traced.clone()].concat();
    let apart = parts.iter().map(|(name, config)| made(name, config)).collect();
    vec![
        one("health-shortcut", part("health-shortcut"), vec![], (1, 2_100)),
        one("basic-auth", &users, basic, (11, 11_700)),
        one("api-key-auth", &keys, vec![("x-api-key", "key-number-7".into())], (13, 16_500)),
        one("jwt-auth", &enforced, vec![bearer()], (11, 19_500)),
        Case {
            what: "jwt-auth, a token never seen",
            hosts: vec![Box::new(never_seen)],
            before: fresh(1),
            more: fresh(2),
            most: (14, 72_000),
        },
        one("access-policy", part("access-policy"), vec![], (11, 15_000)),
        one("rate-limit", part("rate-limit"), vec![], (11, 16_000)),
        one("trace-context", part("trace-context"), traced.clone(), (7, 16_000)),
        one("telemetry", part("telemetry"), vec![], (8, 10_000)),
        Case { what: "six modules", hosts: apart, before: all(), more: all(), most: (45, 80_000) },
        Case {
            what: "a chain of the six",
            hosts: vec![Box::new(|| chain(true))],
            before: all(),
            more: all(),
            most: (27, 80_000),
        },
        Case {
            what: "the chain, its evidence kept",
            hosts: vec![Box::new(|| chain(false))],
            before: all(),
            more: all(),
            most: (26, 80_000),
        },
    ]
}

/// A whole exchange, from the head of the request to the access log.
fn exchange(host: &mut Host, more: &[(&'static str, String)]) -> Result<Outcome, Trap> {
    let usual = USUAL.iter().filter(|(name, _)| more.iter().all(|(other, _)| name != other));
    let usual = usual.map(|(name, value)| (*name, (*value).to_owned()));
    let headers: Vec<_> = usual.chain(more.iter().cloned()).collect();
    let opened = host.request(&headers)?;
    assert!(opened.local_reply.is_none(), "{:?}", opened.local_reply);
    host.respond(opened.stream, &[(":status", "200")], true)?;
    host.finish(opened.stream)
}

impl Case {
    /// What the fourth exchange costs, when all is remembered and defined: each host call, and instructions.
    fn cost(&self, made: &Made) -> (BTreeMap<&'static str, u64>, u64) {
        let mut host = self.warm(made);
        exchange(&mut host, &self.more).expect("no trap");
        (host.calls().clone(), host.fuel_used())
    }

    /// A host that has had three exchanges.
    fn warm(&self, made: &Made) -> Host {
        let mut host = made();
        for _ in 0..3 {
            exchange(&mut host, &self.before).expect("no trap");
        }
        host.reset();
        host
    }
}

#[test]
fn the_usual_request_costs_no_more_than_this() {
    let mut beyond = Vec::new();
    println!("| what | host calls | instructions |\n| --- | ---: | ---: |");
    for case in cases() {
        let costs: Vec<_> = case.hosts.iter().map(|made| case.cost(made)).collect();
        let calls: u64 = costs.iter().flat_map(|(calls, _)| calls.values()).sum();
        let fuel: u64 = costs.iter().map(|(_, fuel)| fuel).sum();
        println!("| {} | {calls} | {fuel} |", case.what);
        if calls > case.most.0 || fuel > case.most.1 {
            beyond.push(format!("{}: {calls} and {fuel} of {:?}: {costs:?}", case.what, case.most));
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// As much as Envoy takes of headers, and as many ways to read it as there are, under twenty rules.
#[test]
fn a_long_path_costs_little_more_than_its_length() {
    let rules: Vec<_> = (0..20)
        .map(|number| json!({"match": {"paths": [format!("/rule-{number}/**")]}, "mode": "shadow"}))
        .collect();
    let users = json!({"users": [{"name": "carol", "password": "secret"}], "rules": rules});
    for (name, config, path) in [
        ("basic-auth", &users, format!("/x/{}%3b%255c%25253f%3f", "a".repeat(55_000))),
        ("basic-auth", &users, format!("/x/{}%3b%255c%25253f%3f", "a".repeat(650))),
        ("telemetry", &json!({}), format!("/%{}", "25".repeat(28_000))),
        ("telemetry", &json!({}), format!("/%{}64ebug/pprof/%", "25".repeat(28_000))),
    ] {
        let mut host = alone(name, config);
        host.reset();
        let usual = USUAL.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let headers: Vec<_> = usual
            .map(|(name, value)| if name == ":path" { (name, path.clone()) } else { (name, value) })
            .collect();
        host.request(&headers).expect("no trap");
        let fuel = host.fuel_used();
        println!("{name}, {} bytes: {fuel}", path.len());
        assert!(fuel < 8_000_000, "{name}: {fuel} for {} bytes", path.len());
    }
}

/// Where the instructions go: `FUEL_OF='a chain of the six' cargo test … -- --ignored profile --nocapture`,
/// with modules that have names (`strip = false`, `wasm-opt -g`). The module is stopped after so much fuel
/// and so much more, and says where it was.
#[test]
#[ignore = "a profile, to be read"]
fn profile() {
    let what = std::env::var("FUEL_OF").unwrap_or_else(|_| "a chain of the six".to_owned());
    let step: u64 = std::env::var("FUEL_STEP").map_or(100, |step| step.parse().unwrap());
    let case = cases().into_iter().find(|case| case.what == what).expect("a case");
    for (number, made) in case.hosts.iter().enumerate() {
        let (_, all) = case.cost(made);
        let (mut own, mut within) = (BTreeMap::new(), BTreeMap::new());
        for at in (step..all).step_by(usize::try_from(step).unwrap()) {
            let mut stack = stopped(&mut case.warm(made), at, &case.more);
            if let Some(first) = stack.first() {
                *own.entry(first.clone()).or_insert(0) += 1;
            }
            stack.sort();
            stack.dedup();
            stack.into_iter().for_each(|name| *within.entry(name).or_insert(0) += 1);
        }
        println!("{number}: {all}");
        show("own", &own, step);
        show("with what they call", &within, step);
    }
}

/// The functions that the module was in when so much fuel was used, the innermost first.
fn stopped(host: &mut Host, at: u64, more: &[(&'static str, String)]) -> Vec<String> {
    host.stop_after(at);
    let Err(trap) = exchange(host, more) else { return Vec::new() };
    let frames =
        trap.0.lines().filter_map(|line| line.split_once('!').map(|(_, name)| name.trim()));
    frames.map(str::to_owned).collect()
}

fn show(title: &str, counts: &BTreeMap<String, u64>, step: u64) {
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    println!("{title}:");
    for (name, count) in all.into_iter().take(60) {
        println!("{:>8} {name}", count * step);
    }
}
