//! The configuration, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shared::bearer::ResourceMetadata;
use shared::cache::CacheConfig;
use shared::config::{Leeway, NonEmpty, Period};
use shared::identity::{IdentityHeaders, Verdict};
use shared::jose::{Algorithm, Url};
use shared::reply::Realm;
use shared::sources::Sources;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose tokens are taken.
    pub(crate) providers: NonEmpty<ProviderConfig>,
    /// How many tokens are remembered, and how long; default 4096 for five minutes.
    #[serde(default)]
    pub(crate) verified_cache: CacheConfig<4096>,
    /// Who checks signatures.
    #[serde(default)]
    pub(crate) crypto: CryptoConfig,
    /// Under which names the upstream learns who it is.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

/// Who checks signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum CryptoConfig {
    /// The proxy, where it can.
    #[default]
    Auto,
    /// This module.
    Module,
}

/// One of `providers`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderConfig {
    /// Its name, for rules and logs.
    pub(crate) name: String,
    /// Its `iss`.
    pub(crate) issuer: String,
    /// Of which one is in `aud`.
    pub(crate) audiences: Option<NonEmpty<String>>,
    /// Whether `aud` does not count; this or `audiences`.
    #[serde(default)]
    pub(crate) any_audience: bool,
    /// The algorithms that its tokens may be signed with.
    pub(crate) algorithms: NonEmpty<Algorithm>,
    /// Its keys; this or `discovery`.
    pub(crate) jwks: Option<JwksConfig>,
    /// Where it says where its keys are.
    pub(crate) discovery: Option<DiscoveryConfig>,
    /// Where tokens stand; default `authorization` with `Bearer`.
    pub(crate) sources: Option<Sources>,
    /// How far clocks may be apart; default a minute.
    pub(crate) leeway: Option<Leeway>,
    /// The longest that a token may live; default no limit.
    pub(crate) max_lifetime: Option<Period>,
    /// Whether a token has to end; default yes.
    pub(crate) require_expiration: Option<bool>,
    /// Of which `typ` is one; default `JWT`, `at+jwt` or none.
    pub(crate) token_types: Option<NonEmpty<String>>,
    /// Claims, and the values of which one has to be there.
    #[serde(default)]
    pub(crate) required_claims: BTreeMap<String, NonEmpty<Value>>,
    /// What every token has to be good for.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Where scopes stand; all of them count. Default `scope`, `scp`, `scopes`.
    pub(crate) scopes_claims: Option<NonEmpty<String>>,
    /// Where groups stand; default `groups`.
    pub(crate) groups_claim: Option<String>,
    /// Where the consumer stands, the first that is there; default `client_id`, `azp`.
    pub(crate) consumer_claims: Option<NonEmpty<String>>,
    /// Claims that go into the evidence, for the filters behind.
    #[serde(default)]
    pub(crate) claims: Vec<String>,
    /// Headers for the upstream, and the claims that they hold.
    #[serde(default)]
    pub(crate) claim_headers: BTreeMap<String, String>,
    /// `jti` that are good no more.
    #[serde(default)]
    pub(crate) revoked: Vec<String>,
    /// What becomes of a token that is good only with a proof of possession.
    #[serde(default)]
    pub(crate) bound_tokens: BoundTokens,
}

/// What becomes of a token with `cnf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum BoundTokens {
    /// It is refused: nobody here looks at the proof.
    #[default]
    Refuse,
    /// It is taken as any other: somebody else looks at the proof.
    Accept,
}

/// Keys, or where they are.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct JwksConfig {
    /// The set itself; this or `uri`.
    pub(crate) inline: Option<Value>,
    /// Where it is.
    pub(crate) uri: Option<Url>,
    /// The cluster to ask.
    pub(crate) cluster: Option<String>,
    /// How old it may grow; default ten minutes.
    pub(crate) refresh: Option<Period>,
    /// How long an answer may take; default five seconds.
    pub(crate) timeout: Option<Period>,
    /// How old it may be while it cannot be fetched; default a day.
    pub(crate) max_stale: Option<Period>,
    /// How long after a key that is not known has caused a fetch another may; default ten seconds.
    pub(crate) refetch: Option<Period>,
}

/// Where a provider says where its keys are.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoveryConfig {
    /// The cluster of the document.
    pub(crate) cluster: String,
    /// The cluster of the keys; default the same.
    pub(crate) jwks_cluster: Option<String>,
    /// As in `jwks`.
    pub(crate) refresh: Option<Period>,
    /// As in `jwks`.
    pub(crate) timeout: Option<Period>,
    /// As in `jwks`.
    pub(crate) max_stale: Option<Period>,
    /// As in `jwks`.
    pub(crate) refetch: Option<Period>,
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// What the client is asked for a token of; default `restricted`.
    #[serde(default)]
    pub(crate) realm: Realm,
    /// Where it learns whose tokens are taken (RFC 9728); default not said.
    pub(crate) resource_metadata: Option<ResourceMetadata>,
    /// Whether the filter decides, or a policy behind it.
    #[serde(default)]
    pub(crate) verdict: Verdict,
    /// Which of the providers; default all.
    pub(crate) providers: Option<NonEmpty<String>>,
    /// What a token has to be good for, besides what its provider asks; default nothing.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Claims, and the values of which one has to be there; default none.
    #[serde(default)]
    pub(crate) required_claims: BTreeMap<String, NonEmpty<Value>>,
    /// Whether the upstream gets the token too; default no.
    #[serde(default)]
    pub(crate) forward_credentials: bool,
}
