//! What the fuzzer does with its bytes: one function for each target, which panics where something
//! does not hold.
//!
//! [`parsers`] have the readers of what comes from the network, from a provider or from the proxy's
//! configuration; [`events`] have whole filters, told of requests, answers and time in any order.
//! The fuzzer is `fuzz/`, beside the workspace; the corpora in `fuzz/corpus/` are replayed by
//! `cargo test -p fuzz-targets`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "to panic is how a target says that something is wrong"
)]

pub mod events;
pub mod parsers;

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 15] = [
    ("configuration", parsers::configuration),
    ("evidence", parsers::evidence),
    ("header_map", parsers::header_map),
    ("htpasswd", parsers::htpasswd),
    ("key_set", parsers::key_set),
    ("metadata", parsers::metadata),
    ("path", parsers::path),
    ("pattern", parsers::pattern),
    ("sources", parsers::sources),
    ("token", parsers::token),
    ("access_policy", events::access_policy),
    ("api_key_auth", events::api_key_auth),
    ("basic_auth", events::basic_auth),
    ("health_shortcut", events::health_shortcut),
    ("jwt_auth", events::jwt_auth),
];

/// Does what the target of this name does.
pub fn run(name: &str, bytes: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(bytes),
        None => panic!("there is no target `{name}`"),
    }
}
