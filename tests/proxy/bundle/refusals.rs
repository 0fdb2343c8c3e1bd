//! A refusal hides its exchange from nobody: telemetry and trace-context see it whole, in a chain as in modules of their own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Upstream};

use super::{chain, deferred, keys, policy, probes, users};

fn filters() -> [(&'static str, Value); 7] {
    let traces = json!({
        "sampling": {"root": "always"},
        "response": {"traceresponse": true},
        "request_id": {"accept": "never"},
        "export": {"cluster": "collector", "service": "edge", "interval": "100ms"},
    });
    let limit = json!({"name": "per-subject", "match": {"paths": ["/either/x"]}, "key": ["subject"],
        "quota": {"requests": 2, "per": "1h"}});
    [
        ("health-shortcut", probes()),
        ("trace-context", traces),
        ("telemetry", json!({"lines": "asked"})),
        ("basic-auth", deferred(users())),
        ("api-key-auth", deferred(keys())),
        ("access-policy", policy()),
        ("rate-limit", json!({"limits": [limit]})),
    ]
}

/// Each with its status and why: `gatehouse.` is left out.
fn exchanges() -> Vec<(Request, u16, &'static str)> {
    let key = |path: &str| Request::get(path).header("x-api-key", "acme-key-1");
    vec![
        (Request::get("/either/x"), 401, "access-policy.unauthenticated"),
        (key("/write"), 403, "access-policy.insufficient_scope"),
        (key("/nowhere"), 404, "access-policy.not_found"),
        (Request::new("POST", "/open").body(b"x"), 405, "access-policy.method_not_allowed"),
        (key("/either%2fx"), 400, "access-policy.ambiguous_path"),
        (key("/either/x"), 200, ""),
        (key("/either/x"), 200, ""),
        (key("/either/x"), 429, "rate-limit.limited"),
        (Request::get("/either/torn").basic("carol:s"), 503, ""),
    ]
}

/// What differs from one exchange to the next.
const MOVING: [&str; 6] =
    ["time", "trace_id", "span_id", "request_id", "http.time_ms", "http.host"];

/// The exchange as telemetry tells it, after the client, the log and the collector were heard of the same trace.
fn told(line: &Value, answer: &Response, status: u16, reason: &str) -> Value {
    let text = line["line"].as_str().unwrap_or_else(|| panic!("there is no line: {line}"));
    let mut told: Value = serde_json::from_str(text).unwrap();
    assert_eq!(told["http.status"], status, "{told}");
    // The proxy's own refusals have its own reason.
    let said = if status < 400 { &Value::Null } else { &line["details"] };
    assert_eq!(&told["reason"], said, "{told}");
    if !reason.is_empty() {
        assert_eq!(line["details"], format!("gatehouse.{reason}"));
    }
    let response = answer.header("traceresponse").unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(told["trace_id"], response.split('-').nth(1).unwrap());
    assert_eq!(told["request_id"].as_str(), answer.header("x-request-id").as_deref());
    assert!(told["request_id"].is_string(), "{told}");
    for name in MOVING {
        assert!(told.as_object_mut().unwrap().remove(name).is_some(), "no {name} in {told}");
    }
    told
}

/// What telemetry has counted, once it has counted so many exchanges.
fn counts(envoy: &Envoy, exchange_count: u64) -> BTreeMap<String, u64> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let counts = envoy.stats("wasmcustom.gatehouse.telemetry.");
        let requests = counts.iter().filter(|(name, _)| name.contains("telemetry.requests"));
        let sum: u64 = requests.map(|(_, count)| count).sum();
        if sum == exchange_count {
            // The worker may be in the middle of it.
            std::thread::sleep(Duration::from_millis(200));
            return envoy.stats("wasmcustom.gatehouse.telemetry.").into_iter().collect();
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Everything that is told of the exchanges, behind a setup of the filters.
fn all(setup: Setup) -> (Vec<Value>, BTreeMap<String, u64>) {
    let collector = Upstream::start();
    let upstream = Upstream::answering(|request| match request.target.as_str() {
        "/either/torn" => Answer::Reset,
        _ => Answer::ok("ok"),
    });
    let envoy = setup
        .upstream(&upstream)
        .cluster("collector", Some(collector.address()))
        .log_field("line", "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%")
        .start();
    // A probe is in front of both, and is nobody's business.
    assert_eq!(Request::get("/healthz").send(envoy.address()).header("traceresponse"), None);
    let exchanges = exchanges();
    let answers: Vec<_> =
        exchanges.iter().map(|(request, _, _)| request.send(envoy.address())).collect();
    let lines = envoy.access_log(exchanges.len() + 1);
    assert_eq!(lines[0]["line"], Value::Null);
    let mut all_told = Vec::new();
    for ((line, answer), (_, status, reason)) in lines[1..].iter().zip(&answers).zip(&exchanges) {
        assert_eq!(answer.status, *status, "{answer}");
        all_told.push(told(line, answer, *status, reason));
    }
    let traces = answers.iter().map(|answer| answer.header("traceresponse").unwrap());
    for trace in traces {
        wait_for_span(&collector, trace.split('-').nth(1).unwrap());
    }
    assert_eq!(upstream.count(), 3);
    (all_told, counts(&envoy, exchanges.len() as u64))
}

fn wait_for_span(collector: &Upstream, trace: &str) {
    let id = u128::from_str_radix(trace, 16).unwrap().to_be_bytes();
    let deadline = Instant::now() + Duration::from_secs(20);
    let has = || {
        let mut exports = collector.received().into_iter();
        exports.any(|export| export.body.windows(id.len()).any(|part| part == id))
    };
    while !has() {
        assert!(Instant::now() < deadline, "no span of {trace}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_refusal_is_told_traced_and_counted_in_a_chain_as_in_modules_of_their_own() {
    let filters = filters();
    let alone =
        filters.iter().fold(Setup::new(), |setup, (name, config)| setup.alone(name, config));
    let (alone, chained) =
        (all(alone), all(Setup::new().bundled("chain", "chain", &chain(&filters))));
    assert_eq!(alone, chained);
    let (_, counts) = chained;
    for (_, _, reason) in exchanges().iter().filter(|(_, _, reason)| !reason.is_empty()) {
        let (source, reason) = reason.split_once('.').unwrap();
        let name =
            format!("wasmcustom.gatehouse.telemetry.refusals;source={source};reason={reason}");
        assert_eq!(counts.get(&name), Some(&1), "{name} in {counts:?}");
    }
}
