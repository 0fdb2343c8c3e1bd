//! Between filters: what one says of a request that another decides on, and what a client puts there in
//! its own words.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, with};
use tests::upstream::{Answer, Upstream};

const ISSUER: &str = "https://issuer.example";

fn key() -> Key {
    Key::secret("key", "HS256", b"known to the tests, and to nobody that has something to lose")
}

pub(crate) fn token(more: &Value) -> String {
    format!("Bearer {}", key().sign("HS256", &with(claims(ISSUER, "api"), more)))
}

pub(crate) fn tokens(more: &Value) -> Value {
    let provider = json!({
        "name": "issuer",
        "issuer": ISSUER,
        "audiences": ["api"],
        "algorithms": ["HS256"],
        "jwks": {"inline": jwks([&key()])},
        "claims": ["org"],
        "claim_headers": {"x-org": "org"},
    });
    with(json!({"providers": [provider]}), more)
}

fn keys(more: &Value) -> Value {
    let keys = json!([{"id": "a", "value": "acme-key-1"}]);
    with(json!({"consumers": [{"name": "acme", "groups": ["gold"], "keys": keys}]}), more)
}

fn policy(security: Value) -> Value {
    let get = |paths: Value| json!({"methods": ["GET"], "paths": paths});
    json!({
        "schemes": {
            "key": {"authenticator": "api-key-auth"},
            "jwt": {"authenticator": "jwt-auth"},
        },
        "services": [{"name": "shop", "methods": [
            {"name": "open", "match": get(json!(["/open/**"])), "security": "none"},
            {"name": "all", "match": get(json!(["/**"])), "security": [{"key": []}]},
            {"name": "orders", "match": get(json!(["/orders"])), "security": security},
        ]}],
    })
}

/// The filters as the tests run, in modules of their own as a rule, and as one chain.
fn both(filters: &[(&str, Value)], upstream: &Upstream) -> [Envoy; 2] {
    setups(filters).map(|setup| {
        setup
            .upstream(upstream)
            .log_field("groups", "%FILTER_STATE(wasm.gatehouse.groups:PLAIN)%")
            .start()
    })
}

pub(crate) fn setups(filters: &[(&str, Value)]) -> [Setup; 2] {
    let alone = filters
        .iter()
        .fold(Setup::new(), |setup, (name, config)| setup.filter(name, config.clone()));
    let chain: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    [alone, Setup::new().bundled("chain", "chain", &json!({"chain": chain}))]
}

#[test]
fn who_was_enforced_is_not_mixed_with_whom_the_policy_found() {
    let upstream = Upstream::start();
    let defer = json!({"verdict": "defer"});
    let filters = [
        ("api-key-auth", keys(&json!({}))),
        ("jwt-auth", tokens(&defer)),
        ("access-policy", policy(json!([{"jwt": []}]))),
    ];
    for envoy in both(&filters, &upstream) {
        let request = |path: &str| Request::get(path).header("x-api-key", "acme-key-1");
        let orders = request("/orders").header("authorization", token(&json!({"org": "7"})));
        assert_eq!(orders.send(envoy.address()).status, 200);
        let told = upstream.last();
        assert_eq!(told.header("x-auth-subject").as_deref(), Some("alice"), "{told:?}");
        for name in ["x-auth-groups", "x-auth-consumer"] {
            assert!(told.header(name).as_deref() != Some("gold"), "{name}: {told:?}");
            assert!(told.header(name).as_deref() != Some("acme"), "{name}: {told:?}");
        }
        assert_eq!(told.header("x-org").as_deref(), Some("7"));
        // Where the key is what holds, it speaks, and the token of somebody else does not.
        let other = request("/").header("authorization", token(&json!({"org": "7"})));
        assert_eq!(other.send(envoy.address()).status, 200);
        let told = upstream.last();
        assert_eq!(told.header("x-auth-subject").as_deref(), Some("acme"), "{told:?}");
        assert_eq!(told.header("x-auth-groups").as_deref(), Some("gold"), "{told:?}");
        assert_eq!(told.header("x-org"), None, "{told:?}");
        let groups = |log: &Value| log["groups"].as_str().unwrap_or_default().to_owned();
        let log = envoy.access_log(2);
        assert_eq!((groups(&log[0]).as_str(), groups(&log[1]).as_str()), ("", "gold"), "{log:?}");
    }
}

#[test]
fn claim_headers_of_a_token_that_did_not_count_are_taken_back() {
    let upstream = Upstream::start();
    let filters = [
        ("jwt-auth", tokens(&json!({}))),
        ("api-key-auth", keys(&json!({"verdict": "defer"}))),
        ("access-policy", policy(json!([{"key": []}]))),
    ];
    for envoy in both(&filters, &upstream) {
        let request = Request::get("/orders").header("x-api-key", "acme-key-1");
        let request = request.header("authorization", token(&json!({"org": "7"})));
        assert_eq!(request.send(envoy.address()).status, 200);
        let told = upstream.last();
        assert_eq!(told.header("x-auth-subject").as_deref(), Some("acme"), "{told:?}");
        assert_eq!(told.header("x-org"), None, "{told:?}");
    }
}

#[test]
fn a_host_in_front_of_a_path_opens_nothing() {
    let upstream = Upstream::start();
    let filters = [
        ("api-key-auth", keys(&json!({"verdict": "defer"}))),
        ("jwt-auth", tokens(&json!({"verdict": "defer"}))),
        ("access-policy", policy(json!([{"jwt": []}]))),
    ];
    for envoy in both(&filters, &upstream) {
        let status = |path: &str| {
            let request = Request::get(path).header("x-api-key", "acme-key-1");
            request.send(envoy.address()).status
        };
        assert_eq!(
            (status("/orders"), status("/x/orders"), status("/open/orders")),
            (401, 200, 200)
        );
        for path in
            ["//x/orders", "//x:80/orders?y", "/%2Fx/orders", "/\\x/orders", "//open/orders"]
        {
            assert_eq!(status(path), 400, "{path}");
        }
    }
}

/// Some are answered at once, and some wait for the provider meanwhile.
#[test]
fn users_at_the_same_time_are_not_taken_for_each_other() {
    const USERS: usize = 20;
    let upstream = Upstream::start();
    let provider = Upstream::answering(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let token = body.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap();
        let user = token.split('.').next();
        let says = json!({"active": true, "sub": user, "aud": "api", "token_type": "Bearer"});
        Answer::After(Duration::from_millis(5), Box::new(Answer::json(&says)))
    });
    let consumers = (0..USERS).map(|user| {
        json!({"name": format!("key-{user}"), "keys": [{"id": "a", "value": format!("secret-{user}")}]})
    });
    let scheme = |name: &str| json!({"authenticator": name});
    let filters = [
        ("api-key-auth", json!({"verdict": "defer", "consumers": consumers.collect::<Vec<_>>()})),
        ("jwt-auth", tokens(&json!({"verdict": "defer"}))),
        (
            "token-introspection",
            json!({
                "verdict": "defer",
                "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
                "client": {"id": "test", "secret": "secret"},
                "audiences": ["api"],
                "sources": [{"header": "x-opaque"}],
            }),
        ),
        (
            "access-policy",
            json!({
                "schemes": {"key": scheme("api-key-auth"), "jwt": scheme("jwt-auth"),
                    "opaque": scheme("token-introspection")},
                "security": [{"key": []}, {"jwt": []}, {"opaque": []}],
                "services": [{"name": "shop", "methods": [
                    {"name": "all", "match": {"methods": ["GET"], "paths": ["/**"]}},
                ]}],
            }),
        ),
    ];
    let tokens: Vec<_> =
        (0..USERS).map(|user| token(&json!({"sub": format!("jwt-{user}")}))).collect();
    for setup in setups(&filters) {
        upstream.clear();
        let envoy =
            setup.upstream(&upstream).cluster("idp", Some(provider.address())).workers(2).start();
        thread::scope(|scope| {
            for user in 0..USERS {
                let (envoy, tokens) = (&envoy, &tokens);
                scope.spawn(move || {
                    for round in 0..30 {
                        let (name, value) = match round % 3 {
                            0 => ("x-api-key", format!("secret-{user}")),
                            1 => ("authorization", tokens[user].clone()),
                            // Another each time, so that each is asked about.
                            _ => ("x-opaque", format!("opaque-{user}.{round}")),
                        };
                        let who = ["key", "jwt", "opaque"][round % 3];
                        let request = Request::get("/").header("x-me", format!("{who}-{user}"));
                        let answer = request.header(name, value).send(envoy.address());
                        assert_eq!(answer.status, 200, "{who}-{user}: {answer}");
                    }
                });
            }
        });
        let received = upstream.received();
        assert_eq!(received.len(), USERS * 30);
        for request in received {
            assert_eq!(request.header("x-auth-subject"), request.header("x-me"), "{request:?}");
        }
    }
}
