//! Who it is: passwords, keys, tokens.

use serde_json::{Value, json};
use tests::upstream::{Answer, Upstream};

use super::tokens::{self, Kind};
use super::{a_key, keys, native};
use crate::load::Load;
use crate::plan::{Section, Target, Variant, bare};

/// Signatures take long enough to be seen in fewer requests.
const FEWER: u32 = 4;

pub(super) fn usual(requests: u32) -> Section {
    let credentials = ["authorization: Basic Y2Fyb2w6cw==".to_owned(), a_key()];
    let users = json!({"users": [{"name": "carol", "password": "s"}]});
    let probes = json!({"endpoints": [
        {"path": "/livez", "report": "liveness"},
        {"path": "/readyz", "report": "readiness"},
        {"path": "/healthz", "report": "dependencies"},
    ]});
    // `htpasswd -nbs carol s`
    let natively = json!({"users": {"inline_string": "carol:{SHA}oPFJCiDQIRyZe0S8NX4Zct6riuM="}});
    let natively = bare().native(native("native", "basic_auth.v3.BasicAuth", natively));
    let ours = |name, filter: &str, config, most| {
        Variant::ours(name, bare().filter(filter, config)).target(Target::Above("empty", most))
    };
    Section::new(
        "One filter each; every request has a password and a key.",
        Load::same(&credentials, requests),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's basic_auth", natively).stat("http.main.basic_auth.allowed"),
            Variant::empty(),
            Variant::floor(bare(), "settings credential leave tell event"),
            ours("health-shortcut, another path", "health-shortcut", probes, 1.0),
            ours("basic-auth, remembered", "basic-auth", users, 3.0),
            ours("api-key-auth, 10,000 keys", "api-key-auth", keys(10_000), 3.0),
        ],
    )
}

/// The same token again and again.
pub(super) fn remembered(requests: u32) -> Section {
    let kind = tokens::IN_HEADER;
    let with_cache = "Envoy's jwt_authn with a cache";
    let ours = Variant::ours("jwt-auth", bare().filter("jwt-auth", kind.ours()))
        .counts("jwt-auth.allowed.by.cache")
        .target(Target::PartOf(JWT_AUTHN, 0.3))
        .target(Target::Above(with_cache, 5.0));
    Section::new(
        "One token at every request.",
        Load::same(&[kind.bearer()], requests),
        vec![
            Variant::no_filter(),
            jwt_authn(JWT_AUTHN, kind, false),
            jwt_authn(with_cache, kind, true),
            Variant::floor(bare(), "settings credential leave tell event"),
            ours,
        ],
    )
}

pub(super) fn rs256(requests: u32) -> Section {
    never_seen(tokens::RS256, requests)
}

pub(super) fn es256(requests: u32) -> Section {
    never_seen(tokens::ES256, requests)
}

/// Another token at each request.
fn never_seen(kind: Kind, requests: u32) -> Section {
    let ours = Variant::ours("jwt-auth", bare().filter("jwt-auth", kind.ours()))
        .counts("jwt-auth.allowed.by.signature")
        .target(Target::PartOf(JWT_AUTHN, 1.3));
    Section::new(
        "Another token at each request, in the query.",
        Load::each(kind.tokens(), requests / FEWER),
        vec![
            Variant::no_filter(),
            jwt_authn(JWT_AUTHN, kind, false),
            jwt_authn("Envoy's jwt_authn with a cache", kind, true),
            ours,
        ],
    )
}

const JWT_AUTHN: &str = "Envoy's jwt_authn";

fn jwt_authn(name: &'static str, kind: Kind, has_cache: bool) -> Variant {
    Variant::envoys(name, bare().native(kind.native(has_cache))).stat("http.main.jwt_authn.allowed")
}

/// A token that its provider was asked about once. What Envoy has for it asks each time.
pub(super) fn opaque(requests: u32) -> Section {
    let provider = Upstream::answering(|_| {
        let says = json!({"active": true, "sub": "dora", "aud": "reports", "token_type": "Bearer"});
        Answer::json(&says)
    });
    let idp = || bare().cluster("idp", Some(provider.address()));
    let asking = json!({"http_service": {
        "server_uri": {"uri": "http://idp", "cluster": "idp", "timeout": "5s"},
    }});
    let asking = idp().native(native("native", "ext_authz.v3.ExtAuthz", asking));
    Section::new(
        "One token at every request; the provider's answer is remembered. Envoy's filter asks each time.",
        Load::same(&["authorization: Bearer 2YotnFZFEjr1zCsicMWpAA".to_owned()], requests),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's ext_authz", asking).stat("http.main.ext_authz.ok"),
            Variant::empty(),
            Variant::ours("token-introspection", idp().filter("token-introspection", introspection()))
                .counts("token-introspection.allowed.by.cache"),
        ],
    )
    .with(provider)
}

fn introspection() -> Value {
    json!({
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
        "client": {"id": "gatehouse", "secret": "bench"},
        "audiences": ["reports"],
        "cache": {"ttl": "1h"},
    })
}
