//! Paths as long as Envoy takes them, made to be read in as many ways as there are, in the real Envoy: none holds
//! a worker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Setup;
use tests::upstream::Upstream;

/// A request that took a worker for less than a hundredth of a second takes no longer than this, whoever else is at work.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn no_long_path_holds_a_worker() {
    let upstream = Upstream::start();
    let rules: Vec<Value> = (0..20)
        .map(|number| json!({"match": {"paths": [format!("/rule-{number}/**")]}, "mode": "shadow"}))
        .collect();
    let users = json!({"users": [{"name": "carol", "password": "s"}], "rules": rules});
    let method = json!({"name": "all", "match": {"methods": ["GET"], "paths": ["/**"]}});
    let policy = json!({"security": "none", "services": [{"name": "all", "methods": [method]}]});
    let envoy = Setup::new()
        .filter("telemetry", json!({}))
        .filter("basic-auth", users)
        .filter("access-policy", policy)
        .connection_manager(json!({"max_request_headers_kb": 1024}))
        .upstream(&upstream)
        .workers(1)
        .start();
    for (path, status) in [
        (format!("/%{}", "25".repeat(28_000)), 400),
        (format!("/%{}", "25".repeat(400_000)), 400),
        (format!("/%{}64ebug/pprof/%", "25".repeat(28_000)), 404),
        (format!("/x/{}%3b%255c%25253f%3f", "a".repeat(55_000)), 400),
        (format!("/x/{}%3b%255c%25253f%3f", "a".repeat(800_000)), 400),
        // There is but one way to read these.
        (format!("/x/{}", "a".repeat(55_000)), 200),
        (format!("/x/{}?{}", "a".repeat(100), "%25".repeat(15_000)), 200),
    ] {
        let begun = Instant::now();
        let answer = Request::get(&path).basic("carol:s").send(envoy.address());
        let (taken, start) = (begun.elapsed(), &path[..40]);
        assert_eq!(answer.status, status, "{start}…");
        assert!(taken < SOON, "{start}…, {} bytes: {taken:?}", path.len());
    }
    assert_eq!(upstream.count(), 2);
}
