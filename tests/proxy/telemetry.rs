//! `telemetry` in the real Envoy.

mod bodies;
mod debug;
mod metrics;
mod probes;

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Upstream};

/// What the access log prints, alone on its line, where there is one.
fn access_log() -> Value {
    json!({
        "name": "lines",
        "filter": {"extension_filter": {
            "name": "has_line",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": "'wasm.gatehouse.log' in filter_state",
            },
        }},
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "{folder}/access.log",
            "log_format": {"text_format_source": {
                "inline_string": "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%\n",
            }},
        },
    })
}

/// Behind a filter that knows the key `acme-key` of acme, or leaves the request to others.
fn keys() -> Value {
    json!({
        "consumers": [{"name": "acme", "groups": ["ops"], "keys": [{"id": "a", "value": "acme-key"}]}],
        "verdict": "defer",
    })
}

fn policy() -> Value {
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}},
        "security": [{"key": []}],
        "services": [{"name": "acme.users", "methods": [
            {"name": "show", "match": {"methods": ["GET"], "paths": ["/users/{id}"]}},
            {"name": "open", "match": {"methods": ["GET", "POST"], "paths": ["/open/**"]}, "security": "none"},
        ]}],
    })
}

fn setup(config: Value) -> Setup {
    Setup::new()
        .filter("api-key-auth", keys())
        .filter("telemetry", config)
        .filter("access-policy", policy())
        .connection_manager(json!({"access_log": [access_log()]}))
}

fn start(config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::answering(|request| match request.target.as_str() {
        "/open/broken" => Answer::status(500, "broken"),
        "/open/missing" => Answer::status(404, "missing"),
        _ => Answer::Http(
            200,
            vec![("content-type".into(), "application/json".into())],
            br#"{"result": 1, "access_token": "hunter2"}"#.to_vec(),
        ),
    });
    (setup(config).upstream(&upstream).start(), upstream)
}

fn get(envoy: &Envoy, path: &str) -> u16 {
    Request::get(path).send(envoy.address()).status
}

fn with_key(path: &str) -> Request {
    Request::get(path).header("x-api-key", "acme-key")
}

#[test]
fn an_exchange_is_one_line_in_clues_keys() {
    let (envoy, _upstream) = start(json!({"lines": "all", "query": {"allow": ["page"]}}));
    let request = with_key("/users/7?page=2&token=hunter2")
        .header("x-request-id", "abc")
        .header("user-agent", "test");
    assert_eq!(request.send(envoy.address()).status, 200);
    let line = envoy.access_log(1).remove(0);
    let expected = json!({
        "level": "info",
        "msg": "end",
        "goa.service": "acme.users",
        "goa.method": "show",
        "consumer": "acme",
        "http.method": "GET",
        "http.url": "/users/7?page=2",
        "http.remote_addr": "127.0.0.1",
        "http.status": 200,
        "http.bytes": 40,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} of {line}");
    }
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    assert!(line["http.time_ms"].is_u64(), "{line}");
    assert!(line["request_id"].is_string(), "{line}");
    assert_eq!(line.get("http.header.user-agent"), None, "nothing asked for more");
    let first = line.as_object().unwrap().keys().next();
    assert_eq!(first.map(String::as_str), Some("time"));
}

#[test]
fn an_exchange_that_is_slow_asks_for_its_line() {
    let slow = Duration::from_millis(400);
    let upstream = Upstream::answering(move |request| match request.target.as_str() {
        "/open/slow" => Answer::After(slow, Box::new(Answer::ok("late"))),
        _ => Answer::ok("at once"),
    });
    let envoy = setup(json!({"slower_than": "300ms"})).upstream(&upstream).start();
    for path in ["/open/1", "/open/slow", "/open/2"] {
        assert_eq!(get(&envoy, path), 200);
    }
    assert_eq!(get(&envoy, "/nothing"), 404, "the last line of all");
    let lines = envoy.access_log(2);
    let paths: Vec<_> = lines.iter().map(|line| line["http.url"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/open/slow", "/nothing"]);
    assert!(lines[0]["http.time_ms"].as_u64().unwrap() >= 400, "{}", lines[0]);
    assert_eq!(lines[0]["level"], "info");
}

#[test]
fn lines_are_kept_back_until_something_asks() {
    let (envoy, _upstream) = start(json!({}));
    let traced = |flags: &str| {
        let id = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        with_key("/users/1").header("traceparent", format!("00-{id}-{flags}"))
    };
    assert_eq!(with_key("/users/7").send(envoy.address()).status, 200);
    assert_eq!(get(&envoy, "/open/missing"), 404);
    assert_eq!(traced("00").send(envoy.address()).status, 200);
    // Those four ask.
    assert_eq!(get(&envoy, "/open/broken"), 500);
    assert_eq!(get(&envoy, "/users/8"), 401);
    assert_eq!(get(&envoy, "/nothing"), 404);
    assert_eq!(traced("01").header("user-agent", "test").send(envoy.address()).status, 200);
    let lines = envoy.access_log(4);
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["http.url"].as_str().unwrap(), line["level"].as_str().unwrap()))
        .collect();
    let expected = [
        ("/open/broken", "error"),
        ("/users/8", "warn"),
        ("/nothing", "info"),
        ("/users/1", "info"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(lines[1]["reason"], "gatehouse.access-policy.unauthenticated", "{}", lines[1]);
    assert_eq!(lines[2]["reason"], "gatehouse.access-policy.not_found");
    assert_eq!(lines[0]["details"], "via_upstream");
    assert_eq!(lines[3]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(lines[3]["span_id"], "b7ad6b7169203331");
    assert_eq!(lines[3]["http.header.user-agent"], "test");
}

#[test]
fn the_proxys_own_log_can_have_them() {
    let (envoy, _upstream) = start(json!({"output": "proxy_log", "lines": "all"}));
    get(&envoy, "/open/broken");
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains("\"msg\":\"end\"")).expect("a line");
    let json: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    assert_eq!((&json["http.url"], &json["level"]), (&json!("/open/broken"), &json!("error")));
    assert!(line.contains("[error]"), "{line}");
}

#[test]
fn a_hostile_request_is_one_line_that_parses_and_shows_no_secret() {
    let (envoy, _upstream) = start(json!({
        "lines": "all",
        "headers": {"allow": ["user-agent", "x-note"]},
        "query": {"allow": ["page"]},
    }));
    let request = Request::bare(
        "GET",
        b"/open/a\"},{\"x\":\"\xff\x80\\u0041'%0a%00?page=\"2\"&token=hunter2#hunter2",
    )
    .header("host", b"sh\xc3\xa4op\"")
    .header("user-agent", b"a\"b\\c\td\xff\xfe\xed\xa0\x80\xe2\x80\xa8\xe2\x80\xae")
    .header("x-note", vec![b'\\'; 5000])
    .header("authorization", "Bearer hunter2")
    .header("cookie", "session=hunter2")
    .header("x-api-key", "hunter2")
    .header("referer", "https://x/?token=hunter2");
    let status = request.send(envoy.address()).status;
    let request_2 = Request::bare("GET", b"/open/x?page=\"2\"&token=hunter2")
        .header("host", "shop")
        .header(
            "user-agent",
            b"a\"b\\c\td\xff\xfe\xed\xa0\x80\xe2\x80\xa8\xe2\x80\xae\x7f"
                .strip_suffix(b"\x7f")
                .unwrap(),
        )
        .header("x-note", vec![b'\\'; 5000])
        .header("x-api-key", "hunter2")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(request_2.send(envoy.address()).status, 200);
    // `access_log` parses every line there is.
    let lines = envoy.access_log(2);
    assert_eq!(lines.len(), 2, "{status}");
    for line in &lines {
        let text = line.to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
    let line = &lines[1];
    assert_eq!(line["http.url"], "/open/x?page=\"2\"");
    let agent = line["http.header.user-agent"].as_str().unwrap();
    assert!(agent.starts_with("a\"b\\c\td\u{fffd}"), "{agent:?}");
    let note = line["http.header.x-note"].as_str().unwrap();
    assert_eq!(note, format!("{} ... <clue/log.truncated>", "\\".repeat(1024)));
}

#[test]
fn grpc_has_its_own_keys_and_its_status_counts() {
    let (envoy, _upstream) = start(json!({}));
    let request =
        Request::new("POST", "/acme.Users/Show").header("content-type", "application/grpc");
    assert_eq!(request.send(envoy.address()).status, 200);
    let line = envoy.access_log(1).remove(0);
    assert_eq!(line["grpc.service"], "acme.Users", "{line}");
    assert_eq!(line["grpc.method"], "Show");
    assert_eq!(line["grpc.code"], "Unimplemented");
    assert_eq!(line["reason"], "gatehouse.access-policy.not_found");
}

#[test]
fn what_is_to_be_skipped_has_no_line_unless_it_fails() {
    let (envoy, _upstream) = start(json!({"lines": "all", "skip": {"paths": ["/open/**"]}}));
    assert_eq!(get(&envoy, "/open/a"), 200);
    assert_eq!(get(&envoy, "/open/broken"), 500);
    with_key("/users/1").send(envoy.address());
    let lines = envoy.access_log(2);
    let urls: Vec<_> = lines.iter().map(|line| line["http.url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["/open/broken", "/users/1"]);
}

#[test]
fn a_client_that_goes_away_is_a_line_too() {
    let upstream = Upstream::answering(|_| Answer::Hang);
    let envoy = setup(json!({})).upstream(&upstream).start();
    let request = Request::get("/open/x");
    request.abandon(envoy.address(), Duration::from_millis(200));
    let line = envoy.access_log(1).remove(0);
    assert_eq!((&line["http.status"], &line["level"]), (&json!(0), &json!("error")), "{line}");
}
