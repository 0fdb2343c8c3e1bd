//! What lines show of bodies while the switch is on.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Envoy;

use super::start;

fn on(payloads: Value) -> (Envoy, tests::upstream::Upstream) {
    let (envoy, upstream) =
        start(json!({"debug": {"allow": [{"addresses": ["127.0.0.1"]}]}, "payloads": payloads}));
    for _ in 0..2 {
        Request::get("/debug?debug-logs=on").send(envoy.address());
        // All workers look once a second.
        std::thread::sleep(std::time::Duration::from_millis(1300));
    }
    (envoy, upstream)
}

fn post(envoy: &Envoy, path: &str, kind: &str, body: &str) -> Value {
    let request = Request::new("POST", path).header("content-type", kind).body(body.as_bytes());
    assert_eq!(request.send(envoy.address()).status, 200);
    let find = || {
        envoy
            .access_log(1)
            .into_iter()
            .find(|line| line["http.url"] == path && line["http.method"] == "POST")
    };
    for _ in 0..100 {
        if let Some(line) = find() {
            return line;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no line of {path}");
}

#[test]
fn bodies_are_shown_without_secrets_and_cut() {
    let (envoy, upstream) = on(json!({"max_bytes": "64B", "redact": ["ssn"]}));
    let body = r#"{"name": "alice", "pass\u0077ord": "hunter2", "SSN": 17}"#;
    let line = post(&envoy, "/open/a", "application/json; charset=utf-8", body);
    assert_eq!(line["payload"], r#"{"name":"alice","pass\u0077ord":"***","SSN":"***"}"#, "{line}");
    assert_eq!(line["result"], r#"{"result":1,"access_token":"***"}"#);
    assert_eq!(upstream.last().body, body.as_bytes(), "it goes on as it came");
    let long = format!(r#"{{"a": "{}", "token": "hunter2"}}"#, "x".repeat(100_000));
    let line = post(&envoy, "/open/b", "application/json", &long);
    let shown = line["payload"].as_str().unwrap();
    assert!(shown.starts_with(r#"{"a":"xxx"#) && shown.ends_with(" ... <clue/log.truncated>"));
    assert!(shown.len() < 100, "{shown}");
    assert_eq!(upstream.last().body.len(), long.len());
    let line = post(&envoy, "/open/c", "application/x-www-form-urlencoded", "password=hunter2");
    assert_eq!(line.get("payload"), None);
}

#[test]
fn nothing_is_shown_while_it_is_off() {
    let (envoy, _upstream) = on(json!({}));
    Request::get("/debug?debug-logs=off").send(envoy.address());
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let request = Request::new("POST", "/open/broken").header("content-type", "application/json");
    request.body(br#"{"a": 1}"#).send(envoy.address());
    let begin = std::time::Instant::now();
    loop {
        let lines = envoy.access_log(1);
        if let Some(line) = lines.iter().find(|line| line["http.url"] == "/open/broken") {
            assert_eq!((line.get("payload"), line.get("result")), (None, None));
            return;
        }
        assert!(begin.elapsed().as_secs() < 15);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
