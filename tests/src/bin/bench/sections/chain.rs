//! A chain, the same filters as modules of their own, and what Envoy has of them itself.

use serde_json::{Value, json};
use tests::envoy::Setup;
use tests::upstream::Upstream;

use super::tokens::{self, Kind};
use super::{limits, native, observed};
use crate::load::Load;
use crate::plan::{Section, Target, Variant, bare};

/// Our filters in their order, each with its configuration. What Envoy has of each is in [`envoys`].
fn ours(kind: Kind, trace: Value) -> Vec<(&'static str, Value)> {
    let mut tokens = kind.ours();
    tokens["verdict"] = json!("defer");
    let method = json!({"name": "show", "match": {"methods": ["GET"], "paths": ["/users/{id}"]}});
    let quota = json!({"requests": 1_000_000, "per": "60s"});
    vec![
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        ("trace-context", trace),
        ("telemetry", json!({})),
        ("jwt-auth", tokens),
        (
            "access-policy",
            json!({
                "schemes": {"jwt": {"authenticator": "jwt-auth"}},
                "security": [{"jwt": []}],
                "services": [{"name": "users", "methods": [method]}],
            }),
        ),
        ("rate-limit", json!({"limits": [{"name": "each", "key": ["subject"], "quota": quota}]})),
    ]
}

/// Envoy's `health_check`, tracer, access log, `jwt_authn`, `rbac` and `local_ratelimit`.
fn envoys(kind: Kind, has_cache: bool, collector: &Upstream) -> Setup {
    let probes = json!({"pass_through_mode": false,
        "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]});
    let rules = json!({"rules": {"action": "ALLOW", "policies": {"users": {
        "permissions": [{"url_path": {"path": {"prefix": "/users/"}}}],
        "principals": [{"any": true}],
    }}}});
    observed::tracer(observed::access_log(bare()), collector)
        .native(native("probes", "health_check.v3.HealthCheck", probes))
        .native(kind.native(has_cache))
        .native(native("rules", "rbac.v3.RBAC", rules))
        // By the subject, of which `jwt_authn` tells in this header.
        .native(limits::local_ratelimit("x-auth-subject"))
}

fn chain(filters: &[(&str, Value)], shares: bool) -> Setup {
    let entries: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    let config = json!({"chain": entries, "share_evidence": shares});
    bare().bundled("chain", "chain", &config)
}

/// Probes, a trace, a line, a token that is remembered, a policy, a limit.
pub(super) fn section(requests: u32) -> Section {
    let (kind, collector) = (tokens::IN_HEADER, observed::collector());
    let filters = ours(kind, json!({}));
    let apart = filters.iter().fold(bare(), |setup, (name, config)| setup.alone(name, config));
    let bundled =
        filters.iter().fold(bare(), |setup, (name, config)| setup.bundled(name, name, config));
    let told = chain(&ours(kind, observed::exporting()), true);
    let told = observed::lines(observed::to_collector(told, &collector));
    let (own, cached, modules) =
        ("Envoy's own", "Envoy's own, tokens cached", "six modules of their own");
    let envoys = |name, has_cache| {
        Variant::envoys(name, envoys(kind, has_cache, &collector))
            .stat("native.http_local_rate_limit.ok")
    };
    let ours = |name, setup| Variant::ours(name, setup).counts("rate-limit.allowed");
    let whole = |name, setup| {
        ours(name, setup)
            .target(Target::PartOf(own, 0.4))
            .target(Target::PartOf(cached, 2.0))
            .target(Target::PartOf(modules, 0.4))
    };
    Section::new(
        "Probes, a trace, a line, an RS256 token that is remembered, a policy, a limit by subject. Envoy's own \
         exports every span and writes every line; the last variant does too. What is done once a second \
         counts.",
        Load::same(&[kind.bearer()], requests).and_after(),
        vec![
            Variant::no_filter(),
            envoys(own, false),
            envoys(cached, true),
            Variant::floor(bare(), "settings trace credential leave operation tell count event line"),
            ours(modules, apart),
            ours("six plugins of the bundle", bundled),
            whole("a chain", chain(&filters, true)),
            whole("a chain, its evidence kept", chain(&filters, false)),
            ours("a chain, spans and lines written", told).target(Target::PartOf(own, 0.4)),
        ],
    )
    .with(collector)
}
