//! The switch, profiles, and how long things take.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Upstream};

use super::{get, keys, setup, start, with_key};

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

/// All that Go's `net/http/pprof` serves, below `/debug/pprof/`.
const PROFILES: [&str; 11] = [
    "",
    "allocs",
    "block",
    "cmdline",
    "goroutine",
    "heap",
    "mutex",
    "profile",
    "symbol",
    "threadcreate",
    "trace",
];

/// Each profile as it is written and in other spellings.
fn spellings() -> Vec<String> {
    let of = |name: &&str| {
        [
            format!("/debug/pprof/{name}"),
            format!("/debug/pprof/{name}?debug=2"),
            format!("//debug//pprof//{name}"),
            format!("/%64ebug/pprof/{name}"),
            format!("/debug/%70prof/{name}"),
            format!("/debug%2fpprof%2F{name}"),
            format!("/debug%5cpprof/{name}"),
            format!("/open/../debug/pprof/{name}"),
            format!("/open/%2e%2e/debug/./pprof/{name}"),
            format!("/debug;x/pprof;y=1/{name}"),
            format!("/Debug/Pprof/{name}"),
            format!("/open/debug/pprof/{name}"),
        ]
    };
    let whole = ["/debug/pprof", "/debug/pprof?debug=2", "/debug//pprof", "/debug%2fpprof"];
    PROFILES.iter().flat_map(of).chain(whole.map(str::to_owned)).collect()
}

/// Nothing but this filter refuses anything here.
#[test]
fn profiles_are_for_nobody_or_for_some() {
    let upstream = Upstream::start();
    let envoy = Setup::new().filter("telemetry", json!({})).upstream(&upstream).start();
    for path in ["/open/debug-pprof", "/debugging/pprof/heap", "/debug", "/?next=/debug/pprof/"] {
        assert_eq!(get(&envoy, path), 200, "{path}");
    }
    upstream.clear();
    let paths = spellings();
    for path in &paths {
        let request = Request::bare("GET", path.as_bytes()).header("host", "x");
        assert_eq!(request.send(envoy.address()).status, 404, "{path}");
        assert_eq!(upstream.count(), 0, "{path}");
    }
    assert_eq!(envoy.counted("telemetry.refused.reason.pprof"), paths.len() as u64);
    let log = envoy.access_log(4 + paths.len());
    for path in &paths {
        let line = log.iter().find(|line| line["path"] == **path).expect(path);
        assert_eq!(line["details"], "gatehouse.telemetry.pprof", "{path}");
    }
    let envoy = Setup::new()
        .filter("api-key-auth", keys())
        .filter("telemetry", json!({"pprof": {"allow": [{"groups": ["ops"]}]}}))
        .upstream(&upstream)
        .start();
    for name in PROFILES {
        upstream.clear();
        let path = format!("/debug/pprof/{name}");
        assert_eq!((get(&envoy, &path), upstream.count()), (404, 0), "{path}");
        assert_eq!(with_key(&path).send(envoy.address()).status, 200, "{path}");
        assert_eq!(upstream.last().target, path);
    }
}

/// What the proxy takes for the client's address counts, and what it trusts is what it is told to.
#[test]
fn an_address_that_a_client_claims_is_not_believed() {
    let allow = json!({"allow": [{"addresses": ["10.0.0.0/8"]}]});
    let config = json!({"debug": allow, "pprof": allow, "server_timing": allow});
    for (own_peer, is_believed) in [(true, false), (false, true)] {
        let upstream = Upstream::start();
        let envoy = Setup::new()
            .filter("telemetry", config.clone())
            .connection_manager(json!({"use_remote_address": own_peer}))
            .upstream(&upstream)
            .start();
        let send = |path: &str| {
            let request = Request::get(path).header("x-forwarded-for", "10.0.0.1");
            let request =
                request.header("x-real-ip", "10.0.0.1").header("forwarded", "for=10.0.0.1");
            request.header("x-gatehouse-timing", "1").send(envoy.address())
        };
        let status = if is_believed { 200 } else { 404 };
        assert_eq!(send("/debug/pprof/heap").status, status);
        assert_eq!(send("/x").header("server-timing").is_some(), is_believed);
        let switched = send("/debug?debug-logs=on");
        assert_eq!(switched.text().contains("debug-logs\":\"on"), is_believed, "{switched}");
        let counted = envoy.counted("telemetry.debug_switched.result.on");
        assert_eq!(counted, u64::from(is_believed));
    }
}

#[test]
fn a_trusted_caller_is_told_where_the_time_went() {
    let upstream = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(60));
        Answer::ok("ok")
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
