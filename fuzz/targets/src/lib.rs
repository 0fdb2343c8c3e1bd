//! What the fuzzer does with its bytes: one function for each target, which panics where something
//! does not hold.
//!
//! [`parsers`] have the readers of what comes from the network, from a provider or from the proxy's
//! configuration; [`answers`] those that only a filter reaches; [`filters`] whole filters and a chain of
//! them, told of requests, answers and time in any order; [`login`] a browser and a provider.
//! The fuzzer is `fuzz/`, beside the workspace; the corpora in `fuzz/corpus/` are replayed by
//! `cargo test -p fuzz-targets`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "to panic is how a target says that something is wrong"
)]

pub mod answers;
pub mod filters;
pub mod login;
pub mod parsers;
mod stage;
mod words;

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 32] = [
    ("configuration", parsers::configuration),
    ("evidence", parsers::evidence),
    ("header_map", parsers::header_map),
    ("htpasswd", parsers::htpasswd),
    ("json", parsers::json),
    ("key_set", parsers::key_set),
    ("lists", parsers::lists),
    ("metadata", parsers::metadata),
    ("path", parsers::path),
    ("pattern", parsers::pattern),
    ("sources", parsers::sources),
    ("token", parsers::token),
    ("trace", parsers::trace),
    ("client_address", answers::client_address),
    ("debug_path", answers::debug_path),
    ("discovery", answers::discovery),
    ("health_report", answers::health_report),
    ("introspection_answer", answers::introspection_answer),
    ("rate_limit_answer", answers::rate_limit_answer),
    ("session_cookie", login::session_cookie),
    ("sign_in", login::sign_in),
    ("access_policy", filters::access_policy),
    ("api_key_auth", filters::api_key_auth),
    ("basic_auth", filters::basic_auth),
    ("chain", filters::chain),
    ("health_shortcut", filters::health_shortcut),
    ("jwt_auth", filters::jwt_auth),
    ("oauth2_login", filters::oauth2_login),
    ("rate_limit", filters::rate_limit),
    ("telemetry", filters::telemetry),
    ("token_introspection", filters::token_introspection),
    ("trace_context", filters::trace_context),
];

/// Does what the target of this name does.
pub fn run(name: &str, bytes: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(bytes),
        None => panic!("there is no target `{name}`"),
    }
}
