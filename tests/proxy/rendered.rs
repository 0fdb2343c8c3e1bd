//! What `gatehouse` makes, in the real Envoy: a rendered bootstrap, and the policy of the document that
//! Goa writes for the production guide's example.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::modules::top;
use tests::upstream::Upstream;

use crate::drain::program;

fn run(arguments: &[&str], text: &str) -> String {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_rendered_bootstrap_runs_whatever_its_modules_are() {
    for form in ["modules", "bundle", "chain"] {
        a_rendered_bootstrap_runs(form);
    }
}

fn a_rendered_bootstrap_runs(form: &str) {
    let upstream = Upstream::start();
    let file = json!({
        "name": "shop",
        "as": form,
        "admin": "127.0.0.1:0",
        "modules": top().join("dist"),
        "listeners": [{"name": "main", "address": "127.0.0.1:0"}],
        "upstreams": [
            {"name": "users", "address": upstream.address().to_string()},
            {"name": "issuer", "address": "localhost:443", "tls": true},
        ],
        "filters": [
            {"health-shortcut": {"endpoints": [{"path": "/livez", "report": "liveness"}]}},
            {"basic-auth": {"users": [{"name": "carol", "password": "${CAROL:-s}"}]}},
        ],
    });
    let envoy = Envoy::of_yaml(&run(&["render", "-", "--for", "envoy"], &file.to_string()), 2);
    let address = envoy.listener("main");
    assert_eq!(Request::get("/livez").send(address).status, 200);
    assert_eq!(Request::get("/users").send(address).status, 401);
    assert_eq!(Request::get("/users").basic("carol:s").send(address).status, 200);
    assert_eq!(Request::get("/a%2fb").basic("carol:s").send(address).status, 400);
    assert_eq!(upstream.last().header("x-auth-subject").as_deref(), Some("carol"));
}

#[test]
fn a_rendered_bootstrap_tells_of_every_exchange() {
    for form in ["modules", "bundle", "chain"] {
        a_rendered_bootstrap_tells(form);
    }
}

fn a_rendered_bootstrap_tells(form: &str) {
    let upstream = Upstream::start();
    let methods = json!([{"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}}]);
    let file = json!({
        "name": "shop",
        "as": form,
        "admin": "127.0.0.1:0",
        "modules": top().join("dist"),
        "listeners": [
            {"name": "main", "address": "127.0.0.1:0"},
            {"name": "plain", "address": "127.0.0.1:0", "redirect": 443},
        ],
        "upstreams": [{"name": "users", "address": upstream.address().to_string()}],
        "filters": [
            {"trace-context": {"trust": "never"}},
            {"telemetry": {"lines": "all"}},
            {"basic-auth": {"verdict": "defer", "users": [{"name": "carol", "password": "${CAROL:-s}"}]}},
            {"access-policy": {
                "schemes": {"basic": {"authenticator": "basic-auth"}},
                "security": [{"basic": []}],
                "services": [{"name": "users", "methods": methods}],
            }},
        ],
    });
    let text = run(&["render", "-", "--for", "envoy"], &file.to_string());
    run(&["check", "--strict", "-"], &text);
    assert!(text.contains("allowed_capabilities"), "{text}");
    let log = format!("file.v3.FileAccessLog\n{:20}path: '{{folder}}/access.log'", "");
    let envoy = Envoy::of_yaml(&text.replace("stream.v3.StdoutAccessLog", &log), 2);
    let main = envoy.listener("main");
    let list = || Request::get("/users").header("x-http-method-override", "DELETE");
    assert_eq!(list().send(main).status, 401);
    let answer = list().basic("carol:s").send(main);
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-request-id").is_some());
    let received = upstream.last();
    assert_eq!(received.header("x-http-method-override"), None);
    let redirect = Request::bare("GET", b"/users?page=2").header("host", "shop.example:80");
    let redirect = redirect.basic("carol:s").send(envoy.listener("plain"));
    assert_eq!(redirect.status, 308);
    assert_eq!(redirect.header("location").as_deref(), Some("https://shop.example/users?page=2"));
    assert_eq!(upstream.count(), 1);

    let log = envoy.access_log(4);
    let (lines, exchanges): (Vec<_>, Vec<_>) = log.iter().partition(|line| line["msg"] == "end");
    let refusal = lines.iter().find(|line| line["http.status"] == 401).expect("a line of it");
    assert_eq!(refusal["reason"], "gatehouse.access-policy.unauthenticated");
    let end = exchanges.iter().find(|line| line["status"] == 200).expect("a line of it");
    assert_eq!((&end["operation"], &end["subject"]), (&json!("list"), &json!("carol")));
    let trace = received.header("traceparent").unwrap();
    assert_eq!(end["trace_id"].as_str(), trace.split('-').nth(1));
}

/// The document that Goa writes for the example: older, or newer.
fn document(is_newer: bool) -> Value {
    let mut document = json!({
        "openapi": "3.0.3",
        "security": [{"basic__": []}],
        "paths": {
            "/users": {"get": {"operationId": "users#list",
                "security": [{"api_key_header_Authorization": []}]}},
            "/users/admin": {"get": {"operationId": "users#admin",
                "security": [{"jwt_header_Authorization": []}]}},
            "/users/public": {"get": {"operationId": "users#public"}},
        },
        "components": {"securitySchemes": {
            "api_key_header_Authorization": {"type": "apiKey", "in": "header", "name": "Authorization"},
            "jwt_header_Authorization": {"type": "http", "scheme": "bearer"},
        }},
    });
    if is_newer {
        document["paths"]["/users/public"]["get"]["security"] = json!([]);
    }
    document
}

#[test]
fn the_policy_of_goas_document_gives_the_verdicts_of_the_guide() {
    for is_newer in [true, false] {
        let mut arguments = vec!["policy", "-", "--dialect", "goa", "--json"];
        if !is_newer {
            arguments.extend(["--public", "users#public"]);
        }
        let policy = run(&arguments, &document(is_newer).to_string());
        verdicts(&serde_json::from_str(&policy).unwrap());
    }
}

fn verdicts(policy: &Value) {
    let upstream = Upstream::start();
    let key = tests::tokens::Key::of("p256");
    let envoy = Setup::new()
        // As in the document: the key is all of `Authorization`, or behind a word of its own.
        .filter(
            "api-key-auth",
            json!({
                "verdict": "defer",
                "sources": [{"header": "authorization", "prefix": "Key"}],
                "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme-key-1"}]}],
            }),
        )
        .filter(
            "jwt-auth",
            json!({
                "verdict": "defer",
                "providers": [{"name": "main", "issuer": "https://issuer", "any_audience": true,
                    "algorithms": ["ES256"], "jwks": {"inline": tests::tokens::jwks([&key])}}],
            }),
        )
        .filter("access-policy", policy.clone())
        .upstream(&upstream)
        .workers(2)
        .start();
    let claims = json!({"iss": "https://issuer", "sub": "alice", "exp": 4_000_000_000_u64});
    let token = format!("Bearer {}", key.sign("ES256", &claims));
    for (method, path, authorization, status) in [
        ("GET", "/users", "", 401),
        ("GET", "/users", "Key acme-key-1", 200),
        ("GET", "/users", token.as_str(), 401),
        ("GET", "/users/admin", "Key acme-key-1", 401),
        ("GET", "/users/admin", &token, 200),
        ("GET", "/users/public", "", 200),
        ("OPTIONS", "/users", "Key acme-key-1", 405),
        ("HEAD", "/users", "Key acme-key-1", 405),
        ("POST", "/users", "Key acme-key-1", 405),
        ("GET", "/users/", "Key acme-key-1", 404),
        ("GET", "/users/admin/x", &token, 404),
        ("GET", "/other", "Key acme-key-1", 404),
    ] {
        let before = upstream.count();
        let mut request = Request::new(method, path);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        assert_eq!(request.send(envoy.address()).status, status, "{method} {path} {authorization}");
        assert_eq!(upstream.count() - before, usize::from(status == 200), "{method} {path}");
    }
}
