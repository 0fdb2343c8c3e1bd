//! `rate-limit` in the real Envoy: what is let through is counted at the upstream.

mod address;
mod callers;
mod exact;
mod fields;
mod memory;
mod update;
mod values;
mod windows;

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::{Envoy, Setup, Trial};
use tests::upstream::{Answer, Upstream};

fn start(workers: u32, config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let envoy = setup(config).upstream(&upstream).workers(workers).start();
    (envoy, upstream)
}

fn setup(config: Value) -> Setup {
    Setup::new().filter("rate-limit", config)
}

/// So many in a time that no test sees the end of.
fn for_good(requests: u32) -> Value {
    json!({"requests": requests, "per": "3000d"})
}

/// One limit, with more fields.
fn limit(quota: Value, more: Value) -> Value {
    let mut limit = json!({"name": "a", "quota": quota});
    for (name, value) in more.as_object().unwrap() {
        limit[name] = value.clone();
    }
    json!({"limits": [limit]})
}

fn get(envoy: &Envoy, path: &str) -> Response {
    Request::get(path).send(envoy.address())
}

/// Sends GETs over so many connections at once, each with several under way, and says how many were
/// answered 200; the others were answered 429.
fn load(envoy: &Envoy, requests: usize, connections: usize, paths: &[String]) -> usize {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(paths.join("\n").as_bytes()).expect("written");
    let output = Command::new("h2load")
        .args(["-t", "1", "-m", "20", "-n", &requests.to_string()])
        .args(["-c", &connections.to_string(), "-B", &format!("http://{}", envoy.address()), "-i"])
        .arg(file.path())
        .output()
        .unwrap_or_else(|error| panic!("h2load: {error}; run `make setup`"));
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("status codes: ")).expect("a summary");
    let counts: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [ok, 0, refused, 0] = counts[..] else { panic!("{said}") };
    assert_eq!(ok + refused, requests, "{said}");
    ok
}

fn path(number: usize) -> String {
    format!("/{number}")
}

#[test]
fn a_limit_by_consumer_with_tiers_by_group_behind_an_authenticator() {
    let upstream = Upstream::start();
    let keys = json!({"consumers": [
        {"name": "acme", "keys": [{"id": "1", "value": "acme-key"}]},
        {"name": "globex", "groups": ["gold"], "keys": [{"id": "2", "value": "globex-key"}]},
    ]});
    let tiers = json!({"key": ["consumer"], "tiers": {"gold": for_good(4)}});
    let envoy = Setup::new()
        .filter("api-key-auth", keys)
        .filter("rate-limit", limit(for_good(2), tiers))
        .upstream(&upstream)
        .workers(4)
        .start();
    for (key, admitted) in [("acme-key", 2), ("globex-key", 4), ("wrong", 0)] {
        upstream.clear();
        for _ in 0..8 {
            Request::get("/").header("x-api-key", key).send(envoy.address());
        }
        assert_eq!(upstream.count(), admitted, "{key}");
    }
    assert_eq!(envoy.counted("rate-limit.limited.limit.a"), 10);
}

#[test]
fn limits_come_from_the_metadata_of_a_route_too() {
    let upstream = Upstream::start();
    let of_route = json!({"limits": [{"name": "strict", "quota": for_good(1)}]});
    let envoy = setup(limit(for_good(100), json!({})))
        .upstream(&upstream)
        .route(json!({
            "match": {"path": "/login"},
            "route": {"cluster": "upstream"},
            "metadata": {"filter_metadata": {"gatehouse": {"rate-limit": of_route}}},
        }))
        .start();
    let statuses: Vec<_> = (0..3).map(|_| get(&envoy, "/login").status).collect();
    assert_eq!(statuses, [200, 429, 429]);
    assert_eq!(get(&envoy, "/").status, 200);
}

#[test]
fn the_configuration_may_be_yaml() {
    let upstream = Upstream::start();
    let cost = json!({"cost": 2, "key": ["method", {"header": "x"}, {"client_address": {"ipv4_prefix": 24}}]});
    let config = limit(for_good(4), cost);
    let envoy = Setup::new().filter_of_struct("rate-limit", config).upstream(&upstream).start();
    let statuses: Vec<_> = (0..3).map(|_| get(&envoy, "/").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn mistakes_are_refused_by_their_path() {
    let trial = Trial::beside(&setup(limit(for_good(1), json!({}))));
    let quota = json!({"requests": 1, "per": "1s", "burts": 1});
    let said = trial.error(&setup(limit(quota, json!({}))));
    assert!(said.contains("limits[0].quota.burts: unknown field"), "{said}");
    let said = trial.error(&setup(json!({"memory": "1KiB"})));
    assert!(said.contains("memory: is not from 64KiB to 1GiB"), "{said}");
}

#[test]
fn probes_are_not_charged_behind_health_shortcut_nor_by_a_rule_in_front_of_it() {
    let probes = json!({"endpoints": [{"path": "/livez", "report": "liveness"}]});
    let mut limited = limit(for_good(2), json!({}));
    limited["rules"] = json!([{"match": {"paths": ["/livez"]}, "mode": "off"}]);
    let behind = Setup::new()
        .filter("health-shortcut", probes.clone())
        .filter("rate-limit", limit(for_good(2), json!({})));
    let before = Setup::new().filter("rate-limit", limited).filter("health-shortcut", probes);
    for setup in [behind, before] {
        let upstream = Upstream::start();
        let envoy = setup.upstream(&upstream).start();
        assert!((0..20).all(|_| get(&envoy, "/livez").status == 200));
        let statuses: Vec<_> = (0..3).map(|_| get(&envoy, "/").status).collect();
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!(get(&envoy, "/livez").status, 200);
        assert_eq!(upstream.count(), 2);
    }
}

/// A probe that goes on to the upstream is charged neither by what it asks nor by whom it comes from.
#[test]
fn probes_that_the_upstream_answers_are_not_charged() {
    let endpoints = json!([{"path": "/livez", "report": "liveness"}]);
    let probes = json!({"endpoints": endpoints, "answer": "upstream"});
    let limited = || limit(for_good(2), json!({}));
    let behind = || Setup::new().filter("health-shortcut", probes.clone());
    let apart = behind().alone("rate-limit", &limited());
    for setup in [behind().filter("rate-limit", limited()), apart] {
        let upstream = Upstream::start();
        let envoy = setup.upstream(&upstream).start();
        assert!((0..20).all(|_| get(&envoy, "/livez").status == 200));
        let statuses: Vec<_> = (0..3).map(|_| get(&envoy, "/").status).collect();
        assert_eq!(statuses, [200, 200, 429]);
        // Even now, and only what is a probe.
        assert_eq!([get(&envoy, "/livez").status, get(&envoy, "/livez/").status], [200, 429]);
        let post = Request::new("POST", "/livez").send(envoy.address());
        assert_eq!((post.status, upstream.count()), (429, 23));
    }
    // In front, nobody has told it yet.
    let upstream = Upstream::start();
    let before = Setup::new().filter("rate-limit", limited()).filter("health-shortcut", probes);
    let envoy = before.upstream(&upstream).start();
    let statuses: Vec<_> = (0..3).map(|_| get(&envoy, "/livez").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}

/// Three failures by address, in front of an authenticator.
fn failures() -> Value {
    limit(for_good(3), json!({"on": "unauthenticated", "key": ["client_address"]}))
}

fn users() -> Value {
    json!({"users": [{"name": "carol", "password": "s"}]})
}

fn login(envoy: &Envoy, pair: &str) -> Response {
    Request::get("/").basic(pair).send(envoy.address())
}

#[test]
fn failed_authentications_are_limited_by_address() {
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("rate-limit", failures())
        .filter("basic-auth", users())
        .upstream(&upstream)
        .workers(4)
        .start();
    for _ in 0..10 {
        assert_eq!(login(&envoy, "carol:s").status, 200);
    }
    for _ in 0..3 {
        assert_eq!(login(&envoy, "carol:wrong").status, 401);
    }
    for pair in ["carol:wrong", "carol:s"] {
        let refused = login(&envoy, pair);
        assert_eq!(refused.status, 429, "{refused}");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(upstream.count(), 10);
    assert_eq!(envoy.counted("rate-limit.unauthenticated.limit.a"), 3);
    assert_eq!(envoy.counted("rate-limit.refused.reason.too_many_failures"), 2);
}

#[test]
fn failures_that_a_policy_or_the_upstream_finds_count_too() {
    let policy = json!({
        "schemes": {"basic": {"authenticator": "basic-auth"}},
        "services": [{"name": "all", "security": [{"basic": []}], "methods": [
            {"name": "get", "match": {"methods": ["GET", "POST"], "paths": ["/**"]}},
        ]}],
    });
    let mut deferring = users();
    deferring["verdict"] = json!("defer");
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("rate-limit", failures())
        .filter("basic-auth", deferring)
        .filter("access-policy", policy)
        .upstream(&upstream)
        .start();
    let statuses: Vec<_> = (0..5).map(|_| login(&envoy, "carol:wrong").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(upstream.count(), 0);
    let upstream = Upstream::answering(|_| Answer::status(401, ""));
    let envoy = setup(failures()).upstream(&upstream).start();
    let statuses: Vec<_> = (0..5).map(|_| get(&envoy, "/").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
}

#[test]
fn failures_of_grpc_count_too() {
    let envoy = Setup::new().filter("rate-limit", failures()).filter("basic-auth", users()).start();
    let call = Request::new("POST", "/s/m").header("content-type", "application/grpc").body(b"");
    let statuses: Vec<_> =
        (0..5).map(|_| call.send(envoy.address()).header("grpc-status").unwrap()).collect();
    assert_eq!(statuses, ["16", "16", "16", "8", "8"]);
}
