//! The filters of `envoy/complete.yaml`, each as a module of its own, one behind the other.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Setup;
use tests::modules::top;
use tests::tokens::{Key, claims, with};
use tests::upstream::Upstream;

use super::{Case, case, high_bytes, large, send_all, vms};

/// The key that the file shows for its demonstration.
const SECRET: &[u8] = b"public, and so for a demonstration alone";

/// The chain of the file, its limits such that only `/files/limited` has one.
fn chain() -> Vec<(String, Value)> {
    let text = fs::read_to_string(top().join("envoy/complete.yaml")).unwrap();
    let file: Value = serde_norway::from_str(&text).unwrap();
    let filters =
        "/static_resources/listeners/1/filter_chains/0/filters/0/typed_config/http_filters";
    let chain = format!("{filters}/0/typed_config/config/configuration/value/chain");
    let chain = file.pointer(&chain).and_then(Value::as_array).expect("a chain").clone();
    let mut chain: Vec<_> = chain
        .into_iter()
        .filter_map(|entry| entry.as_object()?.clone().into_iter().next())
        .collect();
    let (name, limits) = chain.last_mut().unwrap();
    assert_eq!(name, "rate-limit");
    for limit in limits["limits"].as_array_mut().unwrap() {
        limit["quota"] = json!({"requests": 1_000_000, "per": "1s"});
    }
    limits["limits"].as_array_mut().unwrap().push(json!({
        "name": "few",
        "match": {"paths": ["/files/limited"]},
        "key": ["subject"],
        "quota": {"requests": 1, "per": "1h"},
    }));
    chain
}

fn token(more: &Value) -> String {
    let key = Key::secret("", "HS256", SECRET);
    let token = claims("https://issuer.example", "users");
    format!("Bearer {}", key.sign_with(&json!({"alg": "HS256"}), &with(token, more)))
}

fn carol(method: &str, target: &str) -> Request {
    Request::new(method, target).basic("carol:demo")
}

fn key(method: &str, target: &str, key: &str) -> Request {
    Request::new(method, target).header("x-api-key", key)
}

fn bearer(request: Request, more: Value) -> Request {
    request.header("authorization", token(&more))
}

/// Credentials, good and bad.
fn credentials() -> Vec<Case> {
    let acme = "acme demo key";
    let get = |key: &[u8]| Request::get("/users").header("x-api-key", key);
    let read = |password: &str| Request::get("/files/a").basic(password);
    let admin = |more: Value| bearer(Request::get("/users/admin"), more);
    let torn = Request::get("/users/admin").header("authorization", "Bearer a.b");
    let write = || json!({"scope": "api:write"});
    let (other, post) = ("zenith demo key", |with: &str| key("POST", "/users", with));
    vec![
        case("key", get(acme.as_bytes()), 200, true),
        case("another key", get(other.as_bytes()), 200, true),
        case("no key", Request::get("/users"), 401, false),
        case("wrong key", get(b"acme demo kex"), 401, false),
        case("key, high bytes", get(&high_bytes()), 401, false),
        case("two keys", key("GET", "/users", acme).header("x-api-key", acme), 401, false),
        case("password in place of a key", carol("GET", "/users"), 401, false),
        case("password", read("carol:demo"), 200, true),
        case("no password", Request::get("/files/a"), 401, false),
        case("wrong password", read("carol:x"), 401, false),
        case("token", admin(json!({})), 200, true),
        case("token, expired", admin(json!({"exp": 1})), 401, false),
        case("token, of another", admin(json!({"aud": "files"})), 401, false),
        case("token, torn", torn, 401, false),
        case("key and token", bearer(post(acme), write()), 200, true),
        case("key and a lesser token", bearer(post(acme), json!({})), 403, false),
        case("key of another", bearer(post(other), write()), 403, false),
        case("key alone", post(acme), 401, false),
    ]
}

/// All the rest.
fn others() -> Vec<Case> {
    let forged = |request: Request| request.header("x-auth-subject", "root");
    let read = || carol("GET", "/files/a");
    let connect = Request::bare("CONNECT", b"x:443").header("host", "x:443").basic("carol:demo");
    let large_body = |request: Request| request.body(&[b'x'; 20_000]);
    vec![
        case("probe", Request::get("/livez"), 200, false),
        case("probe, ready", Request::get("/readyz"), 200, false),
        case("probe, POST", Request::new("POST", "/livez"), 405, false),
        case("switch on", Request::get("/debug?debug-logs=on"), 200, false),
        case("switch off", Request::get("/debug?debug-logs=off"), 200, false),
        case("open", Request::get("/users/public"), 200, true),
        case("forged", forged(read()), 200, true),
        case("forged, refused", forged(Request::get("/files/a")), 401, false),
        case("body", large_body(carol("POST", "/users")), 200, true),
        case("body, refused", large_body(Request::new("POST", "/users")), 401, false),
        case("another method", carol("PUT", "/users"), 405, false),
        case("nothing there", carol("GET", "/nowhere"), 404, false),
        case("around the policy", carol("GET", "/files/../users/admin"), 401, false),
        case("around it, escaped", carol("GET", "/files/%2e%2e/users/admin"), 401, false),
        case("limited", carol("GET", "/files/limited"), 429, false),
        case("large", large(read()), 200, true),
        case("large, refused", large(Request::get("/files/a")), 401, false),
        case("high bytes", read().header("traceparent", high_bytes()), 200, true),
        case("connect", connect, 404, false),
    ]
}

#[test]
fn two_thousand_hostile_requests_through_the_filters_of_the_complete_example() {
    let (upstream, collector) = (Upstream::start(), Upstream::start());
    let setup =
        chain().iter().fold(Setup::new(), |setup, (name, config)| setup.alone(name, config));
    let envoy = setup
        .upstream(&upstream)
        .cluster("otel-collector", Some(collector.address()))
        .connection_manager(json!({"normalize_path": true, "max_request_headers_kb": 96}))
        .connect()
        .workers(4)
        .start();
    let deadline = Instant::now() + Duration::from_secs(20);
    while Request::get("/readyz").send(envoy.address()).status != 200 {
        assert!(Instant::now() < deadline, "it does not become ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let limited = Request::get("/files/limited").basic("carol:demo");
    assert_eq!(limited.send(envoy.address()).status, 200);
    let before = vms(&envoy);
    assert_eq!(before.1.map(|count| count >= 8 * 4), Some(true), "{before:?}");
    let cases: Vec<_> = credentials().into_iter().chain(others()).collect();
    let passed = send_all(&envoy, &cases, 2_000);
    // But for the pings of health-shortcut, and what used the limit up.
    let got = upstream.received();
    assert_eq!(got.iter().filter(|request| request.target != "/livez").count(), passed + 1);
    let secrets = ["demo key", "Basic ", "Bearer ", "root"];
    let kept = got.iter().any(|request| {
        let head = String::from_utf8_lossy(&request.head).into_owned();
        secrets.iter().any(|secret| head.contains(secret))
    });
    assert!(!kept, "a credential or a forged name went upstream");
    assert_eq!(vms(&envoy), before);
}
