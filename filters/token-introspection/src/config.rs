//! The configuration, as it is written.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use shared::bearer::ResourceMetadata;
use shared::config::{Leeway, NonEmpty, Period, Secret};
use shared::identity::{IdentityHeaders, Verdict};
use shared::jose::Url;
use shared::reply::Realm;
use shared::sources::Sources;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is asked.
    pub(crate) endpoint: EndpointConfig,
    /// As whom.
    pub(crate) client: ClientConfig,
    /// What `iss` has to be; default anything, or nothing.
    pub(crate) issuer: Option<String>,
    /// Of which one is in `aud`.
    pub(crate) audiences: Option<NonEmpty<String>>,
    /// Whether `aud` does not count; this or `audiences`.
    #[serde(default)]
    pub(crate) any_audience: bool,
    /// Of which `token_type` is one; default `Bearer`.
    pub(crate) token_types: Option<NonEmpty<String>>,
    /// Whether `token_type` does not count, and need not be there; this or `token_types`.
    #[serde(default)]
    pub(crate) any_token_type: bool,
    /// Where tokens stand; default `authorization` with `Bearer`.
    pub(crate) sources: Option<Sources>,
    /// How far clocks may be apart; default a minute.
    pub(crate) leeway: Option<Leeway>,
    /// How many answers are remembered, and how long.
    #[serde(default)]
    pub(crate) cache: CacheConfig,
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
    /// Under which names the upstream learns who it is.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

/// Who is asked about tokens.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointConfig {
    /// Its address.
    pub(crate) uri: Url,
    /// The cluster to ask.
    pub(crate) cluster: String,
    /// How long an answer may take; default two seconds.
    pub(crate) timeout: Option<Period>,
    /// About how many tokens a worker asks at a time, from 1 to 1024; default 64.
    #[serde(default)]
    pub(crate) max_calls: Number<64, 1024>,
    /// What the endpoint is told that it is asked about; default `access_token`.
    pub(crate) token_type_hint: Option<String>,
}

/// As whom the endpoint is asked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientConfig {
    /// The client's id.
    pub(crate) id: String,
    /// Its secret.
    pub(crate) secret: Secret,
    /// How it says both.
    #[serde(default)]
    pub(crate) authentication: Authentication,
}

/// How a client says who it is (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Authentication {
    /// By HTTP Basic authentication.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// How many answers are remembered, and how long.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheConfig {
    /// How many of either kind, from 1 to 65536; default 4096.
    #[serde(default)]
    pub(crate) entries: Number<4096, 65_536>,
    /// How long a token is good after it was asked about, if it lives as long; default a minute.
    #[serde(default = "CacheConfig::minute")]
    pub(crate) ttl: Period,
    /// How long one that is not good is taken for that; default ten seconds.
    #[serde(default = "CacheConfig::ten_seconds")]
    pub(crate) negative_ttl: Period,
}

impl CacheConfig {
    const fn minute() -> Period {
        Period::from_secs(60)
    }

    const fn ten_seconds() -> Period {
        Period::from_secs(10)
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { entries: Number::default(), ttl: Self::minute(), negative_ttl: Self::ten_seconds() }
    }
}

/// A number from 1 to `MOST`, `DEFAULT` unless told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<const DEFAULT: usize, const MOST: usize>(pub(crate) NonZeroUsize);

impl<const DEFAULT: usize, const MOST: usize> Default for Number<DEFAULT, MOST> {
    fn default() -> Self {
        Self(NonZeroUsize::new(DEFAULT).unwrap_or(NonZeroUsize::MIN))
    }
}

impl<'de, const DEFAULT: usize, const MOST: usize> Deserialize<'de> for Number<DEFAULT, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let fits = usize::try_from(number).ok().filter(|number| *number <= MOST);
        fits.and_then(NonZeroUsize::new)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{number} is not from 1 to {MOST}")))
    }
}

#[cfg(feature = "schema")]
impl<const DEFAULT: usize, const MOST: usize> schemars::JsonSchema for Number<DEFAULT, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 1, "maximum": MOST})
    }
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
    /// What a token has to be good for; default nothing.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Claims, and the values of which one has to be there; default none.
    #[serde(default)]
    pub(crate) required_claims: BTreeMap<String, NonEmpty<Value>>,
    /// Whether the upstream gets the token too; default no.
    #[serde(default)]
    pub(crate) forward_credentials: bool,
}
