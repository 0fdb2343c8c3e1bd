//! The switch, profiles, and how long things take.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::Request;
use tests::envoy::Envoy;

use super::{get, setup, start, with_key};

fn lines(envoy: &Envoy) -> usize {
    // Envoy writes its access log once in a while, or when asked.
    envoy.post("/reopen_logs");
    envoy.access_log(0).len()
}

/// Waits until every worker writes lines, or none does.
#[track_caller]
fn wait_for(envoy: &Envoy, on: bool) {
    let begin = Instant::now();
    loop {
        let before = lines(envoy);
        for _ in 0..12 {
            assert_eq!(get(envoy, "/open/x"), 200);
        }
        std::thread::sleep(Duration::from_millis(300));
        if lines(envoy) - before == if on { 12 } else { 0 } {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "not {on} on all workers");
    }
}

#[test]
fn the_switch_is_for_all_workers_and_goes_off_by_itself() {
    let (envoy, upstream) = start(json!({
        "debug": {"allow": [{"addresses": ["127.0.0.1"]}], "for": "6s"},
    }));
    wait_for(&envoy, false);
    let turn = |query: &str| Request::get(query).send(envoy.address());
    let answer = turn("/debug?debug-logs=on");
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"debug-logs":"on"}"#));
    let since = Instant::now();
    wait_for(&envoy, true);
    assert_eq!(turn("/debug").text(), r#"{"debug-logs":"on"}"#);
    while turn("/debug").text() != r#"{"debug-logs":"off"}"# {
        assert!(since.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(since.elapsed() > Duration::from_secs(5), "{:?}", since.elapsed());
    wait_for(&envoy, false);
    turn("/debug?debug-logs=on");
    assert_eq!(turn("/debug?debug-logs=off").text(), r#"{"debug-logs":"off"}"#);
    wait_for(&envoy, false);
    assert!(upstream.received().iter().all(|request| !request.target.contains("debug")));
    assert!(envoy.counted("telemetry.debug_switched.result.on") >= 2);
}

#[test]
fn the_switch_is_not_there_for_anybody_else() {
    for allow in [
        json!([{"addresses": ["10.0.0.0/8"]}]),
        json!([{"consumers": ["acme"]}]),
        json!([{"addresses": ["10.0.0.0/8"], "groups": ["ops"]}]),
        json!([{"groups": ["root"]}]),
    ] {
        let (envoy, upstream) = start(json!({"debug": {"allow": allow}}));
        for path in
            ["/debug?debug-logs=on", "/%64ebug?debug-logs=on", "//debug", "/debug;x?debug-logs=on"]
        {
            assert_eq!(get(&envoy, path), 404, "{path} {allow}");
        }
        let key = with_key("/debug?debug-logs=on").send(envoy.address()).status;
        assert_eq!(key, if allow.to_string().contains("acme") { 200 } else { 404 }, "{allow}");
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn profiles_are_for_nobody_or_for_some() {
    let (envoy, upstream) = start(json!({}));
    for path in [
        "/debug/pprof/",
        "/debug/pprof",
        "/debug/pprof/heap",
        "//debug//pprof/",
        "/%64ebug/pprof/trace",
        "/debug%2fpprof/",
        "/open/../debug/pprof/",
        "/debug/%70prof/goroutine?debug=2",
        "/debug;x/pprof/",
        "/Debug/Pprof/",
        "/open/%2e%2e/debug/pprof/cmdline",
        "/debug%5cpprof/",
    ] {
        let answer = Request::bare("GET", path.as_bytes())
            .header("host", "x")
            .header("x-api-key", "acme-key");
        assert_eq!(answer.send(envoy.address()).status, 404, "{path}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(get(&envoy, "/open/debug-pprof"), 200);
    drop(envoy);
    let config = json!({"pprof": {"allow": [{"groups": ["ops"]}]}});
    let envoy = setup(config).upstream(&upstream).start();
    assert_eq!(get(&envoy, "/open/debug/pprof/heap"), 404);
    assert_eq!(with_key("/open/debug/pprof/heap").send(envoy.address()).status, 200);
}

#[test]
fn a_trusted_caller_is_told_where_the_time_went() {
    let upstream = tests::upstream::Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(60));
        tests::upstream::Answer::ok("ok")
    });
    let config = json!({"server_timing": {"allow": [{"consumers": ["acme"]}]}});
    let envoy = setup(config).upstream(&upstream).start();
    let timing = |request: Request| request.send(envoy.address()).header("server-timing");
    assert_eq!(timing(with_key("/users/1")), None, "it has to be asked for");
    assert_eq!(timing(Request::get("/open/x").header("x-gatehouse-timing", "1")), None);
    let told = timing(with_key("/users/1").header("x-gatehouse-timing", "1")).expect("told");
    let of = |name: &str| -> f64 {
        let entry = told.split(", ").find_map(|entry| entry.strip_prefix(&format!("{name};dur=")));
        entry.unwrap_or_else(|| panic!("no {name} in {told}")).parse().unwrap()
    };
    assert!(of("upstream") >= 59.0 && of("total") >= of("upstream"), "{told}");
    assert!(of("access-policy") < of("total") && of("api-key-auth") < of("total"), "{told}");
}
