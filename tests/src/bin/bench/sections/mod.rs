//! All that is measured.

mod chain;
mod credentials;
mod limits;
mod observed;
mod policy;
mod scale;
mod session;
mod tokens;

use serde_json::{Value, json};

use crate::plan::Section;

/// Makes a section whose load has so many requests, or a part of them where each takes longer.
type Make = fn(u32) -> Section;

/// The sections by their names, of which `BENCH_SECTION` has a part.
pub(crate) const ALL: [(&str, Make); 16] = [
    ("A password, a key", credentials::usual),
    ("An RS256 token, remembered", credentials::remembered),
    ("RS256 tokens never seen before", credentials::rs256),
    ("ES256 tokens never seen before", credentials::es256),
    ("An opaque token, remembered", credentials::opaque),
    ("A browser's session", session::section),
    ("A policy behind a key", policy::section),
    ("A limit by key", limits::local),
    ("A limit that a service counts", limits::service),
    ("A trace", observed::trace),
    ("A line kept back", observed::line_kept_back),
    ("A line for each exchange", observed::line),
    ("A chain of six", chain::section),
    ("Scale: API keys", scale::api_keys),
    ("Scale: operations of a policy", scale::operations),
    ("Scale: providers of tokens", scale::providers),
];

/// A filter of Envoy's own.
fn native(name: &str, kind: &str, fields: Value) -> Value {
    let mut config = fields;
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.filters.http.{kind}"));
    json!({"name": name, "typed_config": config})
}

/// So many keys of one consumer; the load has the fifth.
fn keys(count: u32) -> Value {
    let key = |index: u32| json!({"id": index.to_string(), "value": format!("key-number-{index}")});
    let keys: Vec<_> = (0..count).map(key).collect();
    json!({"consumers": [{"name": "acme", "keys": keys}]})
}

/// A header with the fifth key.
fn a_key() -> String {
    "x-api-key: key-number-5".to_owned()
}
