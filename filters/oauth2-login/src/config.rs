//! The configuration, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::config::{Leeway, NonEmpty, Period, Secret};
use shared::identity::{HeaderName, IdentityHeaders, Verdict};
use shared::jose::Algorithm;
use shared::matching::path::Pattern;
use shared::reply::Realm;

use crate::origin::Origin;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider's `iss`; its discovery document is behind it.
    pub(crate) issuer: String,
    /// By way of which clusters it is asked, and how often.
    pub(crate) discovery: DiscoveryConfig,
    /// Who we are to the provider.
    pub(crate) client: ClientConfig,
    /// What is asked for; default `openid`, which has to be among them.
    pub(crate) scopes: Option<NonEmpty<String>>,
    /// Where the provider sends browsers back to; default `/oauth2/callback`.
    pub(crate) redirect_path: Option<String>,
    /// Where a sign-in begins without being needed; default nowhere.
    pub(crate) login_path: Option<String>,
    /// Where people sign out; default nowhere.
    pub(crate) logout: Option<LogoutConfig>,
    /// Where the application is, for browsers: `https://host[:port]`.
    pub(crate) external_url: Origin,
    /// How a session is kept.
    pub(crate) session: SessionConfig,
    /// What the upstream gets.
    #[serde(default)]
    pub(crate) forward: ForwardConfig,
    /// Further parameters for the provider, such as `prompt` or `resource`; default none.
    #[serde(default)]
    pub(crate) authorization_parameters: BTreeMap<String, String>,
    /// With which of these an ID token may be signed; default RS256, PS256, ES256, EdDSA.
    pub(crate) algorithms: Option<NonEmpty<Algorithm>>,
    /// How far clocks may be apart; default a minute.
    pub(crate) leeway: Option<Leeway>,
    /// Claims that go into the evidence, for the filters behind; default none.
    #[serde(default)]
    pub(crate) claims: Vec<String>,
    /// Where groups stand; default `groups`.
    pub(crate) groups_claim: Option<String>,
    /// Under which names the upstream learns who it is.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

/// By way of which clusters the provider is asked, and how often.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoveryConfig {
    /// The cluster of the document.
    pub(crate) cluster: String,
    /// The cluster of the keys; default the same.
    pub(crate) jwks_cluster: Option<String>,
    /// The cluster of tokens and their revocation; default the same.
    pub(crate) token_cluster: Option<String>,
    /// How old document and keys may grow before they are fetched again; default ten minutes.
    pub(crate) refresh: Option<Period>,
    /// How long any answer of the provider may take, at most a minute; default five seconds.
    pub(crate) timeout: Option<Period>,
    /// How old document and keys may be while they cannot be fetched; default a day.
    pub(crate) max_stale: Option<Period>,
    /// How long after a key that is not known has caused a fetch another may; default ten seconds.
    pub(crate) refetch: Option<Period>,
}

/// Who we are to the provider.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientConfig {
    /// `client_id`.
    pub(crate) id: String,
    /// Its secret; none for a public client, which has PKCE alone.
    pub(crate) secret: Option<Secret>,
    /// How the secret is sent; default `basic`, `post` where the provider offers only that.
    pub(crate) authentication: Option<Authentication>,
}

/// How a client says who it is (OpenID Connect Core, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Authentication {
    /// In `authorization` (`client_secret_basic`).
    Basic,
    /// In the form (`client_secret_post`).
    Post,
    /// Not at all.
    None,
}

/// Where people sign out.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoutConfig {
    /// The path.
    pub(crate) path: String,
    /// Where on this origin they come to then; default `/`.
    pub(crate) return_to: Option<String>,
}

/// How a session is kept.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionConfig {
    /// The secrets that cookies are sealed with: the first seals, all of them open.
    pub(crate) keys: NonEmpty<Secret>,
    /// How long it lasts, used or not; default eight hours.
    pub(crate) lifetime: Option<Period>,
    /// How long it lasts without being used; default an hour.
    pub(crate) idle: Option<Period>,
    /// How long before its access token ends it is refreshed; default a minute, at most a quarter of
    /// the token's life.
    pub(crate) refresh_ahead: Option<Period>,
    /// The name of its cookie; default `__Host-session`.
    pub(crate) name: Option<String>,
}

/// What the upstream gets.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ForwardConfig {
    /// The header of the access token; default none. In `authorization` it is a `Bearer` token.
    pub(crate) access_token: Option<HeaderName>,
    /// The header of the ID token; default none. In `authorization` it is a `Bearer` token.
    pub(crate) id_token: Option<HeaderName>,
    /// Headers, and the claims of the ID token that they hold; default none.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, String>,
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// What people sign in to, in the challenge; default `restricted`.
    #[serde(default)]
    pub(crate) realm: Realm,
    /// Whether the filter decides, or a policy behind it.
    #[serde(default)]
    pub(crate) verdict: Verdict,
    /// Who gets 401 in place of a redirect, besides `fetch` and the like.
    #[serde(default)]
    pub(crate) api_clients: ApiClients,
}

/// Who gets 401 in place of a redirect.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiClients {
    /// Who asks for one of these paths; default none.
    pub(crate) paths: Vec<Pattern>,
    /// Who accepts one of these, and no `text/html`; default `application/json`.
    pub(crate) accept: Vec<String>,
}

impl Default for ApiClients {
    fn default() -> Self {
        Self { paths: Vec::new(), accept: vec!["application/json".into()] }
    }
}
