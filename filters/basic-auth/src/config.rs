//! The configuration, as it is written.

use serde::Deserialize;
use shared::cache::CacheConfig;
use shared::config::{AllOr, NonEmpty, Period, Secret};
use shared::identity::{IdentityHeaders, Verdict};
use shared::reply::Realm;
use shared::time::Timestamp;

use crate::users::AllowList;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Users in the format of `htpasswd`.
    pub(crate) htpasswd: Option<Secret>,
    /// Users with more to say of them.
    pub(crate) users: Option<NonEmpty<UserEntry>>,
    /// Whether `htpasswd` may hold passwords in plain text; default no.
    #[serde(default)]
    pub(crate) insecure_allow_plain: bool,
    /// When wrong attempts are too many; default never.
    pub(crate) throttle: Option<ThrottleConfig>,
    /// How many credentials are remembered as good, and how long; default 1024 for five minutes.
    #[serde(default)]
    pub(crate) verified_cache: CacheConfig<1024>,
    /// Under which names the upstream learns who it is.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

/// One of `users`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEntry {
    /// The user's name.
    pub(crate) name: String,
    /// The hash of the password; this or `password`.
    pub(crate) hash: Option<Secret>,
    /// The password, from the environment as a rule; this or `hash`.
    pub(crate) password: Option<Secret>,
    /// What the user belongs to.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// From when the password is good; default always.
    pub(crate) not_before: Option<Timestamp>,
    /// From when it is good no more; default never.
    pub(crate) not_after: Option<Timestamp>,
}

/// When wrong attempts are too many.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ThrottleConfig {
    /// How many wrong attempts are let through to be checked.
    pub(crate) failures: std::num::NonZeroU32,
    /// Within which time.
    pub(crate) window: Period,
    /// Whose attempts are counted together.
    #[serde(default)]
    pub(crate) by: ThrottleBy,
}

/// Whose attempts are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThrottleBy {
    /// Those of one client address (of one /64 for IPv6).
    #[default]
    Address,
    /// Those for one user name. Anybody can use them up for that user.
    User,
    /// Those for one user name from one client address.
    AddressAndUser,
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// What the client is asked to log in to; default `restricted`.
    #[serde(default)]
    pub(crate) realm: Realm,
    /// Whether the filter decides, or a policy behind it.
    #[serde(default)]
    pub(crate) verdict: Verdict,
    /// Who of the users may; default all.
    #[serde(default)]
    pub(crate) allow: AllOr<AllowList>,
    /// Whether the upstream gets the credentials too; default no.
    #[serde(default)]
    pub(crate) forward_credentials: bool,
}
