//! CONNECT, which has no path: who may be let through by its credential alone, and nobody without one.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Setup;
use tests::tokens::{Key, claims, jwks};
use tests::upstream::{Answer, Upstream};

const USERS: &str = r#"[{"name": "carol", "password": "p", "groups": ["ops"]}]"#;

fn connect() -> Request {
    Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443")
}

fn basic() -> Value {
    json!({"users": serde_json::from_str::<Value>(USERS).unwrap()})
}

fn keys() -> Value {
    json!({
        "sources": [{"header": "x-api-key"}, {"query": "api_key"}],
        "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme key"}]}],
    })
}

fn tokens() -> Value {
    json!({"providers": [{
        "name": "main",
        "issuer": "https://issuer",
        "audiences": ["shop"],
        "algorithms": ["ES256"],
        "jwks": {"inline": jwks(&[Key::of("p256")])},
    }]})
}

fn bearer(key: &str) -> Request {
    let token = Key::of(key).called("p256").sign("ES256", &claims("https://issuer", "shop"));
    connect().header("authorization", format!("Bearer {token}"))
}

/// Those that are allowed reach an upstream, which answers 418; the others none.
#[track_caller]
fn check(setup: Setup, allowed: &[Request], refused: &[(Request, u16)]) {
    let upstream = Upstream::answering(|_| Answer::status(418, ""));
    let envoy = setup.upstream(&upstream).connect().start();
    for (request, status) in refused {
        assert_eq!(request.send(envoy.address()).status, *status, "{request:?}");
    }
    assert_eq!(upstream.count(), 0);
    for request in allowed {
        upstream.clear();
        assert_eq!(request.send(envoy.address()).status, 418, "{request:?}");
        let got = upstream.last();
        assert_eq!((&*got.method, &*got.target), ("CONNECT", "x.example:443"));
        assert_eq!(got.header("authorization"), None);
        assert_eq!(got.header("x-api-key"), None);
    }
}

#[test]
fn basic_auth_lets_connect_through_with_a_password_alone() {
    let refused = [
        (connect(), 401),
        (connect().basic("carol:x"), 401),
        (connect().basic("carol:p").basic("carol:p"), 401),
        (connect().header("x-auth-subject", "carol"), 401),
        (connect().header("proxy-authorization", "Basic Y2Fyb2w6cA=="), 401), // carol:p
    ];
    check(Setup::new().filter("basic-auth", basic()), &[connect().basic("carol:p")], &refused);
}

#[test]
fn api_key_auth_lets_connect_through_with_a_key_alone() {
    let key = |key: &str| connect().header("x-api-key", key);
    let query = Request::bare("CONNECT", b"x.example:443?api_key=acme+key").header("host", "x");
    let setup = Setup::new().filter("api-key-auth", keys());
    // Envoy takes no query there.
    check(setup, &[key("acme key")], &[(connect(), 401), (key("acme"), 401), (query, 400)]);
}

#[test]
fn jwt_auth_lets_connect_through_with_a_token_alone() {
    let setup = Setup::new().filter("jwt-auth", tokens());
    check(setup, &[bearer("p256")], &[(connect(), 401), (bearer("p256-other"), 401)]);
}

#[test]
fn token_introspection_lets_connect_through_with_a_token_alone() {
    let endpoint = Upstream::answering(|request| {
        let is_good = request.body.starts_with(b"token=good&");
        let says = json!({"active": is_good, "sub": "alice", "token_type": "Bearer"});
        Answer::json(&says)
    });
    let config = json!({
        "endpoint": {"uri": "https://idp.example/introspection", "cluster": "idp"},
        "client": {"id": "proxy", "secret": "s"},
        "any_audience": true,
    });
    let setup =
        Setup::new().filter("token-introspection", config).cluster("idp", Some(endpoint.address()));
    let with = |token: &str| connect().header("authorization", format!("Bearer {token}"));
    check(setup, &[with("good")], &[(connect(), 401), (with("bad"), 401)]);
}

/// There is no path that they could be about.
#[test]
fn rules_of_paths_do_not_open_connect() {
    let open = |mut config: Value| {
        config["rules"] = json!([{"match": {"paths": ["/**"]}, "mode": "off"}]);
        config
    };
    for (filter, config, good) in [
        ("basic-auth", basic(), connect().basic("carol:p")),
        ("api-key-auth", keys(), connect().header("x-api-key", "acme key")),
        ("jwt-auth", tokens(), bearer("p256")),
    ] {
        check(Setup::new().filter(filter, open(config)), &[good], &[(connect(), 401)]);
    }
}

#[test]
fn a_policy_offers_no_connect_to_anybody() {
    let mut users = basic();
    users["verdict"] = json!("defer");
    let policy = json!({
        "schemes": {"basic": {"authenticator": "basic-auth"}},
        "security": [{"basic": []}],
        "services": [{"name": "all", "methods": [
            {"name": "all", "match": {"methods": ["GET", "POST"], "paths": ["/**"]}, "security": "none"},
        ]}],
    });
    let setup = Setup::new().filter("basic-auth", users).filter("access-policy", policy);
    check(setup, &[], &[(connect(), 404), (connect().basic("carol:p"), 404)]);
}
