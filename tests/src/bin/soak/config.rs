//! What the filters are told: every one of them, with bounds that are reached within minutes.

use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "soak";
/// Of a client that asks too often.
pub(crate) const QUOTA: u32 = 1;

/// The filters in their order; `turn` is what changes, from one configuration to the next.
pub(crate) fn filters(turn: u64) -> Vec<(&'static str, Value)> {
    let realm = format!("Turn {}", turn % 2);
    vec![
        (
            "trace-context",
            json!({"sampling": {"root": {"ratio": 0.1}},
                "export": {"cluster": "idp", "host": "collector.example", "service": realm}}),
        ),
        (
            "telemetry",
            json!({"lines": "all", "metrics": {"max_series": 64}, "headers": {"allow": ["user-agent"]}}),
        ),
        ("health-shortcut", probes(turn)),
        ("rate-limit", limits()),
        ("oauth2-login", login(turn)),
        (
            "basic-auth",
            json!({"verdict": "defer", "realm": realm,
                "users": [{"name": "carol", "password": "secret"}]}),
        ),
        (
            "api-key-auth",
            json!({"verdict": "defer", "realm": realm,
                "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "an api key"}]}]}),
        ),
        ("jwt-auth", tokens(&realm)),
        ("token-introspection", opaque(&realm)),
        ("access-policy", policy(&realm)),
    ]
}

fn probes(turn: u64) -> Value {
    json!({
        "version": format!("{turn}"),
        "endpoints": [{"path": "/healthz", "report": "dependencies"}],
        "dependencies": [{"name": "idp", "cluster": "idp", "path": "/jwks", "interval": "5s", "timeout": "5s"}],
    })
}

/// A limit for each client, in little memory; and one that a service counts.
fn limits() -> Value {
    let quota = json!({"requests": QUOTA, "per": "1s"});
    json!({
        "memory": "64KiB",
        "limits": [
            {"name": "client", "key": [{"header": "x-client"}], "missing": "exempt", "quota": quota},
            {"name": "fleet", "key": [{"header": "x-fleet"}], "missing": "exempt", "counted": "global",
             "quota": {"requests": 1_000_000, "per": "1s"}},
        ],
        "service": {"cluster": "limits", "domain": "soak", "timeout": "10s", "on_failure": "deny"},
    })
}

/// Each turn has a key of its own; the two before it open sessions too.
fn login(turn: u64) -> Value {
    let key = |turn: u64| {
        let number = (turn + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [second, third] = [17, 39].map(|bits| number.rotate_left(bits) ^ 0x5bd1_e995_0b4f_3a71);
        format!("{number:016x}{second:016x}{third:016x}")
    };
    let keys: Vec<_> = [turn + 2, turn + 1, turn, turn + 3].into_iter().map(key).collect();
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/app/**", "/oauth2/callback"]}, "mode": "enforce"}],
        "issuer": ISSUER,
        "discovery": {"cluster": "idp", "refresh": "10s", "refetch": "1s", "timeout": "10s"},
        "client": {"id": "soak", "secret": "secret"},
        "scopes": ["openid", "offline_access"],
        "external_url": "https://app.example",
        "session": {"keys": keys},
    })
}

fn tokens(realm: &str) -> Value {
    json!({
        "verdict": "defer",
        "realm": realm,
        "verified_cache": {"entries": 128},
        "providers": [{
            "name": "main",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["ES256"],
            "jwks": {"uri": "https://issuer.example/jwks", "cluster": "idp",
                "refresh": "5s", "refetch": "1s", "timeout": "10s"},
        }],
    })
}

fn opaque(realm: &str) -> Value {
    json!({
        "verdict": "defer",
        "realm": realm,
        "endpoint": {"uri": "https://issuer.example/introspect", "cluster": "idp", "timeout": "10s"},
        "client": {"id": "soak", "secret": "secret"},
        "audiences": [AUDIENCE],
        "sources": [{"header": "x-opaque"}],
        "cache": {"entries": 64, "ttl": "10s", "negative_ttl": "5s"},
    })
}

fn policy(realm: &str) -> Value {
    let method = |name: &str, path: &str, security: Value| {
        let methods = json!(["GET", "POST"]);
        json!({"name": name, "match": {"methods": methods, "paths": [path]}, "security": security})
    };
    json!({
        "realm": realm,
        "schemes": {
            "basic": {"authenticator": "basic-auth"},
            "key": {"authenticator": "api-key-auth"},
            "jwt": {"authenticator": "jwt-auth"},
            "opaque": {"authenticator": "token-introspection"},
        },
        "services": [{"name": "soak", "methods": [
            method("any", "/any/{id}", json!([{"basic": []}, {"key": []}, {"jwt": []}, {"opaque": []}])),
            method("write", "/write", json!([{"jwt": ["api:write"]}])),
            method("both", "/both", json!([{"key": [], "jwt": []}])),
            method("app", "/app/**", json!("none")),
        ]}],
    })
}
