//! How much.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::grpc::{Grpc, Reply, bytes, number};
use tests::upstream::Upstream;

use super::native;
use crate::load::Load;
use crate::plan::{Section, Target, Variant, bare};

/// What a limit costs, next to Envoy's own, and whether that grows with the keys that it has seen.
pub(super) fn local(requests: u32) -> Section {
    let one = "rate-limit by path, 1 key seen";
    let by_path = || json!({"path": "/users/{id}"});
    let ours = |name, key: Value| {
        // So slow to come back that no key is forgotten in the meantime.
        let quota = json!({"requests": 1_000_000, "per": "3000d"});
        let limits = json!({"limits": [{"name": "a", "key": [key], "quota": quota}]});
        Variant::ours(name, bare().filter("rate-limit", limits)).counts("rate-limit.allowed")
    };
    let many = ours("rate-limit by path, 1,000,000", by_path());
    Section::new(
        "One limit that this proxy counts, by a header or a part of the path; the last has seen a million \
         keys, and is measured in the first three rounds alone.",
        Load::same(&["x-key: a".to_owned()], requests),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's local_ratelimit", bare().native(local_ratelimit("x-key")))
                .stat("native.http_local_rate_limit.ok"),
            Variant::empty(),
            Variant::floor(bare(), "settings count event"),
            ours("rate-limit by header", json!({"header": "x-key"}))
                .target(Target::Above("empty", 4.0)),
            ours(one, by_path()).target(Target::Above("empty", 4.0)),
            Variant { seen: 1_000_000, ..many.target(Target::PartOf(one, 1.3)) },
        ],
    )
}

/// Envoy's own, of one bucket for each value of a header.
pub(super) fn local_ratelimit(header: &str) -> Value {
    let bucket =
        json!({"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "60s"});
    let always = json!({"default_value": {"numerator": 100}});
    let config = json!({
        "stat_prefix": "native",
        "filter_enabled": always,
        "filter_enforced": always,
        "token_bucket": bucket,
        "descriptors": [{"entries": [{"key": "key"}], "token_bucket": bucket}],
        "rate_limits": [{"actions": [
            {"request_headers": {"header_name": header, "descriptor_key": "key"}},
        ]}],
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
    });
    native("limit", "local_ratelimit.v3.LocalRateLimit", config)
}

/// A limit of a fleet. The service hands out a quota, which is used up without a call; Envoy's own filter
/// asks at every request.
pub(super) fn service(requests: u32) -> Section {
    let (service, upstream) = (Grpc::answering(|_| Reply::message(&granted())), Upstream::start());
    // Envoy's own leaves requests alone that Envoy answers by itself.
    let setup = || bare().upstream(&upstream).cluster_of_grpc("limits", Some(service.address()));
    let limit = json!({"name": "a", "key": [{"header": "x-key"}], "counted": "global",
        "quota": {"requests": 1_000_000, "per": "1h"}});
    let ours = json!({"limits": [limit],
        "service": {"cluster": "limits", "domain": "bench", "timeout": "1s"}});
    let descriptors = json!({"rate_limits": [{"actions": [
        {"request_headers": {"header_name": "x-key", "descriptor_key": "key"}},
    ]}]});
    let asking = setup().native(ratelimit()).virtual_host(descriptors);
    Section::new(
        "One limit that a service counts for a fleet; an upstream behind it. The service grants a quota, \
         of which Envoy's filter knows nothing: it asks each time.",
        Load::same(&["x-key: a".to_owned()], requests),
        vec![
            Variant { setup: setup(), ..Variant::no_filter() },
            Variant::envoys("Envoy's ratelimit", asking).stat("cluster.upstream.ratelimit.ok"),
            Variant::yardstick("empty", setup().filter("empty", json!({}))),
            Variant::ours("rate-limit, quota granted", setup().filter("rate-limit", ours))
                .counts("rate-limit.service.result.granted"),
        ],
    )
    .with(service)
    .with(upstream)
}

fn ratelimit() -> Value {
    let grpc = json!({"grpc_service": {"envoy_grpc": {"cluster_name": "limits"}, "timeout": "1s"},
        "transport_api_version": "V3"});
    // A slow answer is slow, and no refusal: this is about what it costs.
    let config = json!({"domain": "bench", "failure_mode_deny": true, "timeout": "1s",
        "rate_limit_service": grpc});
    native("limit", "ratelimit.v3.RateLimit", config)
}

/// A `RateLimitResponse`: OK, with a quota for an hour that no run uses up.
fn granted() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let until = number(1, now.as_secs() + 3600);
    let quota = [number(1, 1_000_000_000), bytes(2, &until)].concat();
    let status = [number(1, OK), bytes(5, &quota)].concat();
    [number(1, OK), bytes(2, &status)].concat()
}

const OK: u64 = 1;
