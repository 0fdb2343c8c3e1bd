//! A chain, the same filters as modules of their own, and what Envoy has of them itself.

use serde_json::{Value, json};
use tests::envoy::Setup;

use crate::load::Load;
use crate::tokens::{self, Kind};
use crate::variants::{no_filter, variant};
use crate::{Section, Target, Variant};

/// Our filters in their order, each with its configuration. What Envoy has of each is in [`native`].
fn ours(kind: Kind) -> Vec<(&'static str, Value)> {
    let mut tokens = kind.ours();
    tokens["verdict"] = json!("defer");
    let method = json!({"name": "show", "match": {"methods": ["GET"], "paths": ["/users/{id}"]}});
    vec![
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        ("jwt-auth", tokens),
        (
            "access-policy",
            json!({
                "schemes": {"jwt": {"authenticator": "jwt-auth"}},
                "security": [{"jwt": []}],
                "services": [{"name": "users", "methods": [method]}],
            }),
        ),
    ]
}

fn native(kind: Kind, has_cache: bool) -> Setup {
    let of = |name: &str, kind: &str, fields: Value| {
        let mut config = fields;
        config["@type"] =
            json!(format!("type.googleapis.com/envoy.extensions.filters.http.{kind}"));
        json!({"name": name, "typed_config": config})
    };
    let probes = json!({"pass_through_mode": false,
        "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]});
    let rules = json!({"rules": {"action": "ALLOW", "policies": {"users": {
        "permissions": [{"url_path": {"path": {"prefix": "/users/"}}}],
        "principals": [{"any": true}],
    }}}});
    Setup::new()
        .native(of("probes", "health_check.v3.HealthCheck", probes))
        .native(kind.native(has_cache))
        .native(of("rules", "rbac.v3.RBAC", rules))
}

/// Probes, a token that is remembered, a policy.
pub(crate) fn section(requests: u32) -> Section {
    let kind = tokens::IN_HEADER;
    let bearer = kind.tokens().take(1).map(|token| format!("authorization: Bearer {token}"));
    let filters = ours(kind);
    let apart =
        filters.iter().fold(Setup::new(), |setup, (name, config)| setup.alone(name, config));
    let bundled = filters
        .iter()
        .fold(Setup::new(), |setup, (name, config)| setup.bundled(name, name, config));
    let entries: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    let chain = |shares: bool| {
        let config = json!({"chain": entries, "share_evidence": shares});
        Setup::new().bundled("chain", "chain", &config)
    };
    let counted = |name, setup, targets| Variant {
        targets,
        counter: Some("access-policy.allowed"),
        ..variant(name, setup)
    };
    let targets = vec![
        Target::PartOf("Envoy's own", 0.4),
        Target::PartOf("Envoy's own, tokens cached", 2.0),
        Target::PartOf("modules of their own", 0.4),
    ];
    Section {
        name: "A chain: probes, an RS256 token that is remembered, a policy",
        load: Load::same(&bearer.collect::<Vec<_>>(), requests),
        variants: vec![
            no_filter(),
            variant("Envoy's own", native(kind, false)),
            variant("Envoy's own, tokens cached", native(kind, true)),
            counted("modules of their own", apart, vec![]),
            counted("plugins of the bundle", bundled, vec![]),
            counted("a chain", chain(true), vec![]),
            counted("a chain, its evidence kept", chain(false), targets),
        ],
    }
}
