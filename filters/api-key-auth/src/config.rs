//! The configuration, as it is written.

use serde::Deserialize;
use shared::config::{AllOr, NonEmpty, Secret};
use shared::identity::{IdentityHeaders, Verdict};
use shared::reply::Realm;
use shared::sources::{Source, Sources};
use shared::time::Timestamp;

use crate::consumers::AllowList;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where a key stands; default the header `x-api-key`.
    #[serde(default = "default_sources")]
    pub(crate) sources: Sources,
    /// Who has keys.
    pub(crate) consumers: NonEmpty<ConsumerEntry>,
    /// Under which names the upstream learns who it is.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

fn default_sources() -> Sources {
    Sources::new(vec![Source::header("x-api-key")])
}

/// One of `consumers`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerEntry {
    /// The consumer's name.
    pub(crate) name: String,
    /// What the consumer belongs to.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// What the consumer's keys were given for.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// The keys, any of which is good. With two of them the one can be replaced while the other is used.
    pub(crate) keys: NonEmpty<KeyEntry>,
}

/// One of a consumer's `keys`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// What the key is called in evidence: no secret.
    pub(crate) id: String,
    /// The key, from the environment as a rule; this or `sha256`.
    pub(crate) value: Option<Secret>,
    /// The SHA-256 of the key in hexadecimal digits; this or `value`.
    pub(crate) sha256: Option<Secret>,
    /// From when the key is good; default always.
    pub(crate) not_before: Option<Timestamp>,
    /// From when it is good no more; default never.
    pub(crate) not_after: Option<Timestamp>,
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// What the client is asked for a key to; default `restricted`.
    #[serde(default)]
    pub(crate) realm: Realm,
    /// Whether the filter decides, or a policy behind it.
    #[serde(default)]
    pub(crate) verdict: Verdict,
    /// Who of the consumers may; default all.
    #[serde(default)]
    pub(crate) allow: AllOr<AllowList>,
    /// What the consumer has to hold, all of it; default nothing.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Whether the upstream gets the key too; default no.
    #[serde(default)]
    pub(crate) forward_credentials: bool,
}
