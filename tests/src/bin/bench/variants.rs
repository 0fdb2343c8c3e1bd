//! What is measured.

use serde_json::{Value, json};
use tests::envoy::Setup;

use crate::chain;
use crate::load::Load;
use crate::tokens::{self, Kind};
use crate::{Section, Target, Variant};

/// Signatures take long enough to be seen in fewer requests.
const FEWER: u32 = 4;

/// All sections; a load of the first has so many requests.
pub(crate) fn sections(requests: u32) -> Vec<Section> {
    vec![
        usual(requests),
        traced(requests),
        remembered(requests),
        policy_behind_a_key(requests),
        limits(requests),
        chain::section(requests),
        never_seen("RS256 tokens never seen before", tokens::RS256, requests / FEWER),
        never_seen("ES256 tokens never seen before", tokens::ES256, requests / FEWER),
    ]
}

fn usual(requests: u32) -> Section {
    let credentials = ["authorization: Basic Y2Fyb2w6cw==", "x-api-key: key-number-5000"];
    let users = json!({"users": [{"name": "carol", "password": "s"}]});
    let probes = json!({"endpoints": [
        {"path": "/livez", "report": "liveness"},
        {"path": "/readyz", "report": "readiness"},
        {"path": "/healthz", "report": "dependencies"},
    ]});
    let native = json!({"name": "native", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
        // `htpasswd -nbs carol s`
        "users": {"inline_string": "carol:{SHA}oPFJCiDQIRyZe0S8NX4Zct6riuM="},
    }});
    let ours = |name, filter: &str, config, target| Variant {
        targets: vec![Target::Above("empty", target)],
        ..variant(name, Setup::new().filter(filter, config))
    };
    Section {
        name: "A password, a key",
        load: Load::same(&credentials.map(str::to_owned), requests),
        variants: vec![
            no_filter(),
            variant("native basic_auth", Setup::new().native(native)),
            variant("empty", Setup::new().filter("empty", json!({}))),
            variant("floor of an authenticator", Setup::new().filter("floor", json!({}))),
            ours("health-shortcut, another path", "health-shortcut", probes, 1.0),
            ours("basic-auth, cached credential", "basic-auth", users, 3.0),
            ours("api-key-auth, 10,000 keys", "api-key-auth", ten_thousand_keys(), 4.0),
        ],
    }
}

/// A trace that goes on: every request of the load has a `traceparent`.
fn traced(requests: u32) -> Section {
    let ours = |name, config| Variant {
        targets: vec![Target::Above("empty", 3.0)],
        ..variant(name, Setup::new().filter("trace-context", config))
    };
    let all = ["w3c", "b3", "jaeger", "datadog", "xray", "google"];
    Section {
        name: "A trace",
        load: Load::same(&[], requests),
        variants: vec![
            no_filter(),
            variant("empty", Setup::new().filter("empty", json!({}))),
            ours("trace-context, as it is", json!({})),
            ours("trace-context, no overrides", json!({"route_overrides": false})),
            ours("trace-context, W3C and B3", json!({"extract": all, "inject": ["w3c", "b3"]})),
        ],
    }
}

fn ten_thousand_keys() -> Value {
    let key = |index: u32| json!({"id": index.to_string(), "value": format!("key-number-{index}")});
    let keys: Vec<_> = (0..10_000).map(key).collect();
    json!({"consumers": [{"name": "acme", "keys": keys}]})
}

/// What a policy costs, with the authenticator that it needs in front, as `empty` has it in front too.
fn policy_behind_a_key(requests: u32) -> Section {
    let twin = "empty behind a key";
    let small = "access-policy, 20 operations";
    let behind = |filter: &str, config| {
        let mut keys = ten_thousand_keys();
        keys["verdict"] = json!("defer");
        Setup::new().filter("api-key-auth", keys).filter(filter, config)
    };
    let ours = |name, operations, target| Variant {
        targets: vec![target],
        counter: Some("access-policy.allowed"),
        ..variant(name, behind("access-policy", policy(operations)))
    };
    Section {
        name: "A policy behind a key",
        load: Load::same(&["x-api-key: key-number-5000".to_owned()], requests),
        variants: vec![
            no_filter(),
            variant(twin, behind("empty", json!({}))),
            ours(small, 20, Target::Above(twin, 3.0)),
            ours("access-policy, 2000 operations", 2000, Target::PartOf(small, 1.1)),
        ],
    }
}

/// What a limit costs, next to Envoy's own, and whether that grows with the keys that it has seen.
fn limits(requests: u32) -> Section {
    let one = "rate-limit by path, 1 key seen";
    let limited = |key: Value| {
        // So slow to come back that no key is forgotten in the meantime.
        let quota = json!({"requests": 1_000_000, "per": "3000d"});
        let limits = json!([{"name": "a", "key": [key], "quota": quota}]);
        Setup::new().filter("rate-limit", json!({"limits": limits}))
    };
    let ours = |name, key, target| Variant {
        targets: vec![target],
        counter: Some("rate-limit.allowed"),
        ..variant(name, limited(key))
    };
    let by_path = || json!({"path": "/users/{id}"});
    Section {
        name: "A limit by key",
        load: Load::same(&["x-key: a".to_owned()], requests),
        variants: vec![
            no_filter(),
            variant("local_ratelimit by header", Setup::new().native(local_ratelimit())),
            variant("empty", Setup::new().filter("empty", json!({}))),
            ours("rate-limit by header", json!({"header": "x-key"}), Target::Above("empty", 4.0)),
            ours(one, by_path(), Target::Above("empty", 4.0)),
            Variant {
                seen: 1_000_000,
                ..ours("rate-limit by path, 1,000,000", by_path(), Target::PartOf(one, 1.3))
            },
        ],
    }
}

/// Envoy's own, of one bucket for each value of a header.
fn local_ratelimit() -> Value {
    let bucket =
        json!({"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "60s"});
    let always = json!({"default_value": {"numerator": 100}});
    json!({"name": "native", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "native",
        "filter_enabled": always,
        "filter_enforced": always,
        "token_bucket": bucket,
        "descriptors": [{"entries": [{"key": "key"}], "token_bucket": bucket}],
        "rate_limits": [{"actions": [
            {"request_headers": {"header_name": "x-key", "descriptor_key": "key"}},
        ]}],
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
    }})
}

/// A policy of so many operations, of which every request is for one and the same.
fn policy(operations: u32) -> Value {
    let method = |index: u32| {
        let path = if index == 0 { "/users/{id}".into() } else { format!("/s{index}/{{id}}") };
        json!({"name": index.to_string(), "match": {"methods": ["GET"], "paths": [path]}})
    };
    let methods: Vec<_> = (0..operations).map(method).collect();
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}},
        "services": [{"name": "users", "security": [{"key": []}], "methods": methods}],
    })
}

/// The same token again and again.
fn remembered(requests: u32) -> Section {
    let kind = tokens::IN_HEADER;
    let bearer = kind.tokens().take(1).map(|token| format!("authorization: Bearer {token}"));
    Section {
        name: "An RS256 token, remembered",
        load: Load::same(&bearer.collect::<Vec<_>>(), requests),
        variants: vec![
            no_filter(),
            variant("jwt_authn", Setup::new().native(kind.native(false))),
            variant("jwt_authn with a cache", Setup::new().native(kind.native(true))),
            Variant {
                targets: vec![
                    Target::PartOf("jwt_authn", 0.3),
                    Target::Above("jwt_authn with a cache", 5.0),
                ],
                counter: Some("jwt-auth.allowed.by.cache"),
                ..variant("jwt-auth", Setup::new().filter("jwt-auth", kind.ours()))
            },
        ],
    }
}

/// Another token at each request.
fn never_seen(name: &'static str, kind: Kind, requests: u32) -> Section {
    Section {
        name,
        load: Load::each(kind.tokens(), requests),
        variants: vec![
            no_filter(),
            variant("jwt_authn", Setup::new().native(kind.native(false))),
            variant("jwt_authn with a cache", Setup::new().native(kind.native(true))),
            Variant {
                targets: vec![Target::PartOf("jwt_authn", 1.3)],
                counter: Some("jwt-auth.allowed.by.signature"),
                ..variant("jwt-auth", Setup::new().filter("jwt-auth", kind.ours()))
            },
        ],
    }
}

pub(crate) fn no_filter() -> Variant {
    variant("no filter", Setup::new())
}

/// One worker and no access log: what that reads of a filter's state is not the filter's cost.
pub(crate) fn variant(name: &'static str, setup: Setup) -> Variant {
    let setup = setup.connection_manager(json!({"access_log": []})).workers(1);
    Variant { name, targets: Vec::new(), counter: None, seen: 0, setup }
}
