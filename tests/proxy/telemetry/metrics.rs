//! Counters and histograms, and how many there can be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::modules::top;
use tests::upstream::Upstream;

use super::{get, policy, setup, start, with_key};

/// What Prometheus scrapes of ours, once a line says so; counts come within a second or two.
#[track_caller]
fn scrape(envoy: &Envoy, wanted: &str) -> String {
    let begin = Instant::now();
    loop {
        let page = envoy.page("/stats/prometheus?filter=gatehouse.telemetry");
        if page.contains(wanted) {
            return page;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "no {wanted} in\n{page}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An Envoy that has the shipped `stats_config`.
fn with_labels(setup: &Setup) -> Envoy {
    let text = std::fs::read_to_string(top().join("envoy/stats-tags.yaml")).unwrap();
    setup.start_with_yaml(&text)
}

#[test]
fn a_scrape_shows_labels() {
    let upstream = Upstream::start();
    let tiers =
        json!([{"name": "gold", "consumers": ["acme"]}, {"name": "ops", "groups": ["ops"]}]);
    let envoy = with_labels(&setup(json!({"metrics": {"tiers": tiers}})).upstream(&upstream));
    for _ in 0..3 {
        with_key("/users/7").send(envoy.address());
    }
    get(&envoy, "/users/7");
    let labels =
        r#"filter="telemetry",method="show",service="acme.users",status="2xx",tier="gold""#;
    // Envoy merges the histograms of its workers every five seconds.
    let count = r#"_count{filter="telemetry",service="acme.users",method="show",status="2xx",tier="gold"} 3"#;
    let page = scrape(&envoy, count);
    let has = |start: &str, end: &str| {
        page.lines().any(|line| {
            line.starts_with(start) && sorted(line).contains(labels) && line.ends_with(end)
        })
    };
    assert!(has("gatehouse_requests{", " 3"), "{page}");
    assert!(has("gatehouse_duration_ms_count{", " 3"), "{page}");
    let page = scrape(&envoy, "gatehouse_refusals{");
    let refusal = r#"filter="telemetry",reason="unauthenticated",source="access-policy""#;
    let refusals =
        |line: &str| line.starts_with("gatehouse_refusals{") && sorted(line).contains(refusal);
    assert!(page.lines().any(refusals), "{page}");
    // otelhttp's buckets.
    assert!(page.contains(r#"le="7500""#) && page.contains(r#"le="75""#), "{page}");
}

/// A line of Prometheus, its labels in order.
fn sorted(line: &str) -> String {
    let Some((_, rest)) = line.split_once('{') else { return String::new() };
    let Some((labels, _)) = rest.split_once('}') else { return String::new() };
    let mut labels: Vec<_> = labels.split(',').collect();
    labels.sort_unstable();
    labels.join(",")
}

fn series(envoy: &Envoy) -> usize {
    let page: Value =
        serde_json::from_str(&envoy.page("/stats?format=json&filter=gatehouse.telemetry")).unwrap();
    let stats = page["stats"].as_array().unwrap();
    stats.iter().filter(|stat| stat["name"].is_string()).count()
        + stats
            .iter()
            .filter_map(|stat| stat["histograms"]["computed_quantiles"].as_array())
            .map(Vec::len)
            .sum::<usize>()
}

#[test]
fn random_requests_add_no_series() {
    // A thousand consumers with a key each; whoever it is, there are two tiers.
    let consumer =
        |n| json!({"name": format!("c{n}"), "keys": [{"id": "a", "value": format!("key-of-{n}")}]});
    let consumers: Vec<_> = (0..1000).map(consumer).collect();
    let gold: Vec<_> = (0..100).map(|n| format!("c{n}")).collect();
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("api-key-auth", json!({"consumers": consumers, "verdict": "defer"}))
        .filter(
            "telemetry",
            json!({"metrics": {"max_series": 16, "tiers": [{"name": "gold", "consumers": gold}]}}),
        )
        .filter("access-policy", policy())
        .upstream(&upstream)
        .start();
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    let mut connections: Vec<_> =
        (0..4).map(|_| Connection::open(envoy.address()).unwrap()).collect();
    let (mut seed, mut statuses) = (7_u64, BTreeMap::new());
    for round in 0..25_000 {
        let mut batch = 0;
        for connection in &mut connections {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Every fourth path is one of the policy's, every second key is somebody's.
            let random = (seed >> 33) as usize;
            let path = if random.is_multiple_of(4) {
                format!("/users/{seed:x}")
            } else {
                format!("/{seed:x}/{round}")
            };
            let known = format!("key-of-{}", random / 8 % 1000);
            let key = if (random / 4).is_multiple_of(2) { known } else { format!("{seed:x}") };
            let request = Request::bare(methods[random / 8 % methods.len()], path.as_bytes())
                .header("host", format!("h{seed:x}.example"))
                .header("x-api-key", key)
                .header("content-length", "0");
            connection.send_bytes(&request.bytes()).unwrap();
            batch += 1;
        }
        for connection in connections.iter_mut().take(batch) {
            let status = connection.receive().unwrap().status;
            *statuses.entry(status).or_insert(0) += 1;
        }
    }
    let found: Vec<_> = statuses.keys().copied().collect();
    assert_eq!(found, [200, 401, 404, 405], "{statuses:?}");
    assert!(scrape(&envoy, "not_found").contains("gold"));
    // Each set is one counter and one histogram, refusals are a counter: 16, `other` by six classes, and
    // `other` of refusals.
    let found = series(&envoy);
    assert!(found <= 2 * (16 + 6) + 1, "{found}");
    let counted = || -> u64 {
        envoy.stats("gatehouse.telemetry.requests;").into_iter().map(|(_, count)| count).sum()
    };
    let begin = Instant::now();
    while counted() < 100_000 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", counted());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(counted(), 100_000, "each is counted once");
}

#[test]
fn what_there_is_no_room_for_is_other_on_all_workers() {
    let services: Vec<_> = (0..20)
        .map(|index| json!({"name": format!("s{index}"), "methods": [
            {"name": "m", "match": {"methods": ["GET"], "paths": [format!("/s{index}")]}, "security": "none"}]}))
        .collect();
    let envoy = Setup::new()
        .filter("telemetry", json!({"metrics": {"max_series": 5}}))
        .filter("access-policy", json!({"services": services}))
        .workers(3)
        .start();
    for round in 0..15 {
        for index in 0..20 {
            assert_eq!(get(&envoy, &format!("/s{}", (index + round) % 20)), 200);
        }
    }
    let begin = Instant::now();
    let all = || envoy.stats("gatehouse.telemetry.requests;");
    while all().iter().map(|(_, count)| count).sum::<u64>() < 300 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", all());
        std::thread::sleep(Duration::from_millis(100));
    }
    let others =
        "wasmcustom.gatehouse.telemetry.requests;service=other;method=other;status=2xx;tier=other";
    assert_eq!(all().len(), 6, "{:?}", all());
    assert!(all().iter().any(|(name, _)| name == others), "{:?}", all());
}

#[test]
fn metrics_can_be_left_out() {
    let (envoy, _upstream) = start(json!({"metrics": {"enabled": false}}));
    get(&envoy, "/open/x");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(envoy.stats("gatehouse.telemetry.requests"), []);
}
