//! What start, memory and requests cost against the size of a configuration.

use serde_json::{Value, json};

use super::policy::policy;
use super::{a_key, keys, tokens};
use crate::load::Load;
use crate::plan::{Section, Variant, bare};

pub(super) fn api_keys(requests: u32) -> Section {
    let ours = |name, count| {
        Variant::ours(name, bare().filter("api-key-auth", keys(count)))
            .counts("api-key-auth.allowed")
    };
    let variants = vec![
        ours("10 keys", 10),
        ours("100 keys", 100),
        ours("1,000 keys", 1000),
        ours("10,000 keys", 10_000),
    ];
    by_size(
        "`api-key-auth`: a request with one of the keys.",
        Load::same(&[a_key()], requests),
        variants,
    )
}

pub(super) fn operations(requests: u32) -> Section {
    let ours = |name, count| {
        let setup = bare().filter("access-policy", policy(count, &json!("none")));
        Variant::ours(name, setup).counts("access-policy.allowed")
    };
    let variants = vec![
        ours("20 operations", 20),
        ours("200 operations", 200),
        ours("2,000 operations", 2000),
    ];
    let about =
        "`access-policy` alone: a request for one of the operations, which requires nothing.";
    by_size(about, Load::same(&[], requests), variants)
}

pub(super) fn providers(requests: u32) -> Section {
    let kind = tokens::IN_HEADER;
    let ours = |name, count| {
        let setup = bare().filter("jwt-auth", providers_of(kind.ours(), count));
        Variant::ours(name, setup).counts("jwt-auth.allowed.by.cache")
    };
    let variants =
        vec![ours("1 provider", 1), ours("10 providers", 10), ours("100 providers", 100)];
    let about = "`jwt-auth`: one RS256 token of the last of the providers, remembered.";
    by_size(about, Load::same(&[kind.bearer()], requests), variants)
}

/// So many providers, the last of which is the one that there is; each has a key.
fn providers_of(mut config: Value, count: u32) -> Value {
    let last = config["providers"][0].clone();
    let other = |number: u32| {
        let mut provider = last.clone();
        provider["name"] = json!(format!("other-{number}"));
        provider["issuer"] = json!(format!("https://other-{number}.example"));
        provider
    };
    config["providers"] = (1..count).map(other).chain([last.clone()]).collect();
    config
}

fn by_size(about: &'static str, load: Load, ours: Vec<Variant>) -> Section {
    let variants = [Variant::no_filter(), Variant::empty()].into_iter().chain(ours).collect();
    Section { by_size: true, ..Section::new(about, load, variants) }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn all_providers_differ_and_the_tokens_own_is_the_last() {
        let config = providers_of(json!({"providers": [{"name": "a", "issuer": "https://a"}]}), 3);
        let issuers: Vec<_> =
            config["providers"].as_array().unwrap().iter().map(|one| &one["issuer"]).collect();
        assert_eq!(issuers, ["https://other-1.example", "https://other-2.example", "https://a"]);
    }
}
