//! A chain as it is built: what it asks of the proxy, and a proxy that fails or lies.

use serde_json::{Value, json};
use tests::host::{Action, Corruption, Host, Outcome, When};
use tests::modules::{BUNDLE, filters};
use tests::tokens::{Key, jwks};

/// What the host's clock says, in seconds.
const NOW: u64 = 1_767_268_800;

/// Every host call that the chain makes at a request.
const CALLS: [&str; 9] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_property",
];

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 3] = ["proxy_define_metric", "proxy_increment_metric", "proxy_set_property"];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn key() -> Key {
    Key::secret("hmac", "HS256", &[b'x'; 32])
}

fn token() -> String {
    let claims = json!({"iss": "https://issuer", "aud": "shop", "sub": "alice", "exp": NOW + 3600});
    key().sign("HS256", &claims)
}

/// Filters whose verdict is the policy's, each with its configuration.
fn parts() -> [(&'static str, Value); 4] {
    let provider = json!({"name": "main", "issuer": "https://issuer", "audiences": ["shop"],
        "algorithms": ["HS256"], "jwks": {"inline": jwks(&[key()])}});
    let method = |path: &str, security: Value| json!({"name": path, "match": {"methods": ["GET"], "paths": [path]}, "security": security});
    [
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        (
            "api-key-auth",
            json!({"verdict": "defer", "consumers": [
            {"name": "acme", "keys": [{"id": "a", "value": "acme-key"}]}]}),
        ),
        ("jwt-auth", json!({"verdict": "defer", "providers": [provider]})),
        (
            "access-policy",
            json!({
                "schemes": {"key": {"authenticator": "api-key-auth"}, "jwt": {"authenticator": "jwt-auth"}},
                "services": [{"name": "users", "methods": [
                    method("/users", json!([{"jwt": []}])),
                    method("/both", json!([{"jwt": [], "key": []}])),
                ]}],
            }),
        ),
    ]
}

fn config() -> Value {
    let entries = parts().map(|(name, config)| json!({name: config}));
    json!({"chain": entries, "share_evidence": true})
}

fn start() -> Host {
    configured(&config())
}

fn configured(config: &Value) -> Host {
    let mut host = Host::load(BUNDLE).unwrap().root_id("chain");
    host.configure(config.to_string()).unwrap();
    host
}

fn send_as(host: &mut Host, path: &str, more: &[(&str, &str)]) -> Outcome {
    let authorization = format!("Bearer {}", token());
    let mut headers = vec![
        (":method", "GET"),
        (":path", path),
        (":authority", "shop"),
        ("authorization", &authorization),
    ];
    headers.extend(more);
    host.request(&headers).expect("no trap")
}

fn send(host: &mut Host, path: &str) -> Outcome {
    send_as(host, path, &[("x-auth-subject", "root")])
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

const GOOD: &str = "/users";
const BAD: [(&str, u32); 3] = [("/both", 401), ("/other", 404), ("/users/", 404)];

#[test]
fn what_is_permitted_goes_on_and_the_rest_does_not() {
    let mut host = start();
    let outcome = send(&mut host, GOOD);
    assert_eq!((outcome.action, status(&outcome)), (Action::Continue, None));
    let header = |name| outcome.request_headers.get(name);
    assert_eq!(header("x-auth-subject").as_deref(), Some("alice"));
    assert_eq!(header("authorization"), None);
    for (path, expected) in BAD {
        let outcome = send(&mut host, path);
        assert_eq!((outcome.action, status(&outcome)), (Action::Pause, Some(expected)), "{path}");
    }
    assert_eq!(status(&send(&mut host, "/healthz")), Some(200));
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_request_costs_these_host_calls() {
    let calls = |shares: bool| {
        let mut config = config();
        config["share_evidence"] = json!(shares);
        let mut host = configured(&config);
        // The second is the first whose token is remembered.
        send_as(&mut host, GOOD, &[]);
        send_as(&mut host, GOOD, &[]);
        host.reset();
        send_as(&mut host, GOOD, &[]);
        host.calls().iter().map(|(name, count)| (*name, *count)).collect::<Vec<_>>()
    };
    let expected = |states| {
        [
            ("proxy_get_current_time_nanoseconds", 1),
            ("proxy_get_header_map_pairs", 1),
            ("proxy_get_property", 3), // two of metadata, and whether somebody in front has spoken
            ("proxy_increment_metric", 3), // no key, a token of the cache, permitted
            ("proxy_remove_header_map_value", 1),
            ("proxy_replace_header_map_value", 2),
            ("proxy_set_property", states),
        ]
    };
    // The service, the method, the subject; and what the two authenticators leave.
    assert_eq!(calls(true), expected(5));
    assert_eq!(calls(false), expected(3));
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn a_request_costs_this_much_fuel() {
    let warm = |host: &mut Host| {
        send_as(host, GOOD, &[]);
        send_as(host, GOOD, &[]);
        host.reset();
        send_as(host, GOOD, &[]);
        host.fuel_used()
    };
    let chained = warm(&mut start());
    let apart: u64 = parts()
        .into_iter()
        .map(|(name, config)| {
            let known = json!({"scheme": "jwt", "subject": "alice",
                "headers": {"x-auth-subject": "alice", "x-auth-scheme": "jwt"}});
            let evidence = ["gatehouse.evidence.jwt-auth"];
            let mut host = Host::load(name).unwrap().property(&evidence, known.to_string());
            host.configure(config.to_string()).unwrap();
            let fuel = warm(&mut host);
            println!("{name}: {fuel}");
            fuel
        })
        .sum();
    println!("{chained} in a chain, {apart} apart");
    // What filters leave for each other is laid over the view here, and is the proxy's work apart: the
    // chain saves host calls, which no fuel is counted for.
    assert!(chained < 40_000 && chained * 2 < apart * 3, "{chained} in a chain, {apart} apart");
}

#[test]
fn whatever_a_call_returns_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            let mut host = start();
            host.inject(call, When::Always, failure);
            let what = format!("{call} returns {failure}");
            let outcome = send(&mut host, GOOD);
            let is_same = outcome.request_headers.get("x-auth-subject").as_deref() == Some("alice");
            let passed = outcome.action == Action::Continue;
            assert!(!passed || is_same, "{what}");
            assert!(passed || !HARMLESS.contains(&call), "{what}: refused");
            for (path, _) in BAD {
                assert_eq!(send(&mut host, path).action, Action::Pause, "{what}: {path}");
            }
            host.heal();
            assert_eq!(send(&mut host, GOOD).action, Action::Continue, "{what}, after it");
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property"] {
        for lie in Corruption::LIES {
            for (path, _) in BAD {
                let mut host = start();
                host.corrupt(call, When::Always, lie);
                assert_eq!(send(&mut host, path).action, Action::Pause, "{call} {lie:?} {path}");
            }
        }
    }
}

#[test]
fn every_filter_is_there_by_its_root_id() {
    for name in filters() {
        let refused = |root_id: &str, config: &str| {
            let mut host = Host::load(BUNDLE).unwrap().root_id(root_id);
            let refused = host.configure(config).expect_err("refused");
            format!("{refused:?}")
        };
        let message = refused(&name, r#"{"no_such_field": 1}"#);
        assert!(message.contains("no_such_field: unknown field"), "{name}: {message}");
        let message = refused("chain", &format!(r#"{{"chain": [{{"{name}": {{"x": 1}}}}]}}"#));
        assert!(message.contains(&format!("chain[0].{name}.x: unknown field")), "{message}");
    }
    let mut host = Host::load(BUNDLE).unwrap();
    assert!(host.configure("{}").is_err());
}
