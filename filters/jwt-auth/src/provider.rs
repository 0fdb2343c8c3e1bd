//! A provider of tokens: what is expected of them, and what becomes of their claims.

use std::rc::Rc;
use std::time::Duration;

use shared::config::{Invalid, Period};
use shared::filter::Birth;
use shared::identity::{Credential, HeaderName, IdentityHeaders};
use shared::jose::{
    Algorithm, Ambiguous, Claims, Discovery, Expected, Family, KeySet, Keyring, Mapping,
    MappingConfig, Place, Remote, Symmetric, Url, check_scopes,
};
use shared::sources::{Source, Sources};
use shared::time::Timestamp;

use crate::JwtAuth;
use crate::config::{BoundTokens, DiscoveryConfig, JwksConfig, ProviderConfig};
use shared::filter::Plugin;

/// A provider.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) sources: Sources,
    pub(crate) scopes: Vec<String>,
    pub(crate) keyring: Keyring,
    mapping: Mapping,
}

/// A token that was found good.
pub(crate) struct Checked {
    /// Which provider's it is.
    pub(crate) provider: usize,
    /// The set of keys that it was checked with.
    pub(crate) generation: u64,
    /// Until when it is good.
    pub(crate) expires: Option<Timestamp>,
    /// What it says, kept where a rule has asked for claims: it is most of what a token takes of memory.
    pub(crate) claims: Option<Claims>,
    /// How the others learn of it.
    pub(crate) credential: Rc<Credential>,
}

impl Provider {
    /// The provider of a configuration.
    pub(crate) fn new(config: ProviderConfig, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let expected = expected(&config)?;
        let sources = config.sources.unwrap_or_else(bearer);
        let written = MappingConfig {
            scopes_claims: config.scopes_claims,
            groups_claim: config.groups_claim,
            consumer_claims: config.consumer_claims,
            claims: config.claims,
            claim_headers: config.claim_headers,
        };
        let mapping = Mapping::new(written, &sources)?;
        check_scopes(&config.scopes)?;
        let keyring = match (config.jwks, config.discovery) {
            (Some(jwks), None) => {
                keys(jwks, &config.algorithms, birth).map_err(|error| error.within("jwks"))?
            }
            (None, Some(discovery)) => {
                check_issuer(&config.issuer).map_err(|why| Invalid::at("issuer", why))?;
                discovered(discovery, &config.issuer, birth)
                    .map_err(|error| error.within("discovery"))?
            }
            _ => return Err(Invalid::at("", "has either `jwks` or `discovery`")),
        };
        let is_hs = |algorithm: &Algorithm| algorithm.family() == Family::Symmetric;
        if let Some(index) = config.algorithms.iter().position(is_hs)
            && keyring.is_remote()
        {
            return Err(Invalid::at(
                format!("algorithms[{index}]"),
                "a symmetric key is nothing to fetch: it goes with `jwks.inline`",
            ));
        }
        Ok(Self {
            name: config.name,
            expected,
            algorithms: config.algorithms.into_iter().collect(),
            sources,
            scopes: config.scopes,
            keyring,
            mapping,
        })
    }

    /// The headers that tell the upstream of claims.
    pub(crate) fn claim_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.mapping.headers()
    }

    /// How the others learn of a good token of this provider.
    pub(crate) fn credential(
        &self,
        claims: &Claims,
        expires: Option<Timestamp>,
        headers: &IdentityHeaders,
    ) -> Result<Rc<Credential>, Ambiguous> {
        self.mapping.apply((JwtAuth::NAME, "jwt"), claims, expires, headers)
    }
}

fn bearer() -> Sources {
    Sources::new(vec![Source::authorization("Bearer")])
}

fn expected(config: &ProviderConfig) -> Result<Expected, Invalid> {
    if config.name.is_empty() {
        return Err(Invalid::at("name", "is empty"));
    }
    if config.issuer.is_empty() {
        return Err(Invalid::at("issuer", "is empty"));
    }
    let audiences = Expected::audiences(config.audiences.clone(), config.any_audience)?;
    let required = config.required_claims.iter();
    Ok(Expected {
        issuer: config.issuer.clone(),
        audiences,
        leeway: config.leeway.map_or(Duration::from_secs(60), |leeway| leeway.duration()),
        endless: config.require_expiration == Some(false),
        max_lifetime: config.max_lifetime.map(Period::duration),
        kinds: config.token_types.as_ref().map(|kinds| kinds.to_vec()),
        required: required.map(|(path, values)| (path.clone(), values.to_vec())).collect(),
        revoked: config.revoked.iter().cloned().collect(),
        bound: config.bound_tokens == BoundTokens::Accept,
    })
}

fn keys(
    config: JwksConfig,
    algorithms: &[Algorithm],
    birth: &Birth<'_>,
) -> Result<Keyring, Invalid> {
    let JwksConfig { inline, uri, cluster, refresh, timeout, max_stale, refetch } = config;
    match (inline, uri, cluster) {
        (Some(set), None, None) => {
            if [refresh, timeout, max_stale, refetch].iter().any(Option::is_some) {
                return Err(Invalid::at("", "keys that are `inline` are not fetched"));
            }
            let is_hs = |algorithm: &Algorithm| algorithm.family() == Family::Symmetric;
            let symmetric =
                if algorithms.iter().any(is_hs) { Symmetric::Allowed } else { Symmetric::Refused };
            let set = KeySet::of_configuration(&set, symmetric)
                .map_err(|error| error.within("inline"))?;
            match algorithms.iter().find(|named| set.candidates(**named, None).next().is_none()) {
                Some(algorithm) => {
                    Err(Invalid::at("inline", format!("has no key for {}", algorithm.name())))
                }
                None => Ok(Keyring::inline(set)),
            }
        }
        (None, Some(url), Some(cluster)) => {
            let times = times(refresh, timeout, max_stale, refetch)?;
            Ok(remote(Place::At { url, cluster: named(cluster, "cluster")? }, times, birth))
        }
        _ => Err(Invalid::at("", "has either `inline`, or `uri` and `cluster`")),
    }
}

/// OpenID Connect Discovery, 4: an address without a query, so that something can stand behind it.
fn check_issuer(issuer: &str) -> Result<(), String> {
    Url::parse(issuer)?;
    if issuer.contains('?') {
        return Err(format!("`{issuer}` has a query, behind which there is no document"));
    }
    Ok(())
}

fn discovered(
    config: DiscoveryConfig,
    issuer: &str,
    birth: &Birth<'_>,
) -> Result<Keyring, Invalid> {
    let DiscoveryConfig { cluster, jwks_cluster, refresh, timeout, max_stale, refetch } = config;
    let cluster = named(cluster, "cluster")?;
    let keys_cluster = named(jwks_cluster.unwrap_or_else(|| cluster.clone()), "jwks_cluster")?;
    let discovery = Discovery { issuer: issuer.to_owned(), cluster, keys_cluster };
    Ok(remote(Place::Discovered(discovery), times(refresh, timeout, max_stale, refetch)?, birth))
}

fn named(cluster: String, field: &str) -> Result<String, Invalid> {
    if cluster.is_empty() { Err(Invalid::at(field, "is empty")) } else { Ok(cluster) }
}

/// How often keys are fetched.
struct Times {
    refresh: Duration,
    timeout: Duration,
    max_stale: Duration,
    refetch: Duration,
}

fn times(
    refresh: Option<Period>,
    timeout: Option<Period>,
    max_stale: Option<Period>,
    refetch: Option<Period>,
) -> Result<Times, Invalid> {
    let or = |period: Option<Period>, secs| {
        period.map_or_else(|| Duration::from_secs(secs), Period::duration)
    };
    let times = Times {
        refresh: or(refresh, 600),
        timeout: or(timeout, 5),
        max_stale: or(max_stale, 24 * 3600),
        refetch: or(refetch, 10),
    };
    if times.refresh < Duration::from_secs(1) {
        return Err(Invalid::at("refresh", "is less than a second"));
    }
    if times.timeout > Duration::from_secs(60) {
        return Err(Invalid::at("timeout", "is more than a minute, and requests wait for it"));
    }
    if times.refetch < Duration::from_secs(1) {
        return Err(Invalid::at("refetch", "is less than a second: anybody can cause it"));
    }
    if times.max_stale < times.refresh {
        return Err(Invalid::at("max_stale", "is shorter than `refresh`"));
    }
    Ok(times)
}

fn remote(place: Place, times: Times, birth: &Birth<'_>) -> Keyring {
    let Times { refresh, timeout, max_stale, refetch } = times;
    let remote = Remote { place, refresh, timeout, max_stale, refetch };
    Keyring::remote(&birth.slots(JwtAuth::NAME), remote)
}
