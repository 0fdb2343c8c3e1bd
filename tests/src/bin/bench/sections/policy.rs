//! Who may.

use serde_json::{Value, json};
use tests::envoy::Setup;

use super::{a_key, keys};
use crate::load::Load;
use crate::plan::{Section, Target, Variant, bare};

/// What a policy costs, with the authenticator that it needs in front, as `empty` has it in front too.
pub(super) fn section(requests: u32) -> Section {
    let (alone, twin, small) =
        ("a key alone", "empty behind a key", "access-policy, 20 operations");
    let ours = |name, operations| {
        let setup =
            behind_a_key().filter("access-policy", policy(operations, &json!([{"key": []}])));
        Variant::ours(name, setup).counts("access-policy.allowed").target(Target::Above(twin, 3.0))
    };
    Section::new(
        "A key, and a policy that requires it.",
        Load::same(&[a_key()], requests),
        vec![
            Variant::no_filter(),
            Variant::yardstick(twin, behind_a_key().filter("empty", json!({}))),
            Variant::floor(behind_a_key(), "settings evidence operation tell event"),
            Variant::ours(alone, behind_a_key()),
            ours(small, 20),
            ours("access-policy, 2,000 operations", 2000)
                .target(Target::PartAbove(small, alone, 1.1)),
        ],
    )
}

fn behind_a_key() -> Setup {
    let mut keys = keys(10_000);
    keys["verdict"] = json!("defer");
    bare().filter("api-key-auth", keys)
}

/// A policy of so many operations, of which every request is for one and the same.
pub(super) fn policy(operations: u32, security: &Value) -> Value {
    let method = |index: u32| {
        let path = if index == 0 { "/users/{id}".into() } else { format!("/s{index}/{{id}}") };
        json!({"name": index.to_string(), "match": {"methods": ["GET"], "paths": [path]}})
    };
    let methods: Vec<_> = (0..operations).map(method).collect();
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}},
        "services": [{"name": "users", "security": security, "methods": methods}],
    })
}
