//! A provider of tokens: what is expected of them, and what becomes of their claims.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use shared::config::{Invalid, NonEmpty, Period};
use shared::filter::Birth;
use shared::identity::{Credential, HeaderName, Identity, IdentityHeaders};
use shared::jose::{
    Algorithm, Claims, Discovery, Expected, Family, KeySet, Keyring, Place, Remote, Symmetric, Url,
};
use shared::sources::{Source, Sources};
use shared::time::Timestamp;

use crate::JwtAuth;
use crate::config::{DiscoveryConfig, JwksConfig, ProviderConfig};
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

/// What becomes of the claims of a good token.
struct Mapping {
    scopes: Vec<String>,
    groups: String,
    consumer: Vec<String>,
    evidence: Vec<String>,
    headers: Vec<(HeaderName, String)>,
}

/// A token that was found good.
pub(crate) struct Checked {
    /// Which provider's it is.
    pub(crate) provider: usize,
    /// The set of keys that it was checked with.
    pub(crate) generation: u64,
    /// Until when it is good.
    pub(crate) expires: Option<Timestamp>,
    /// What it is good for.
    pub(crate) scopes: Vec<String>,
    /// What it says.
    pub(crate) claims: Claims,
    /// How the others learn of it.
    pub(crate) credential: Rc<Credential>,
}

/// A claim that cannot be told the upstream without being taken for something else.
pub(crate) struct Ambiguous;

impl Provider {
    /// The provider of a configuration.
    pub(crate) fn new(config: ProviderConfig, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let expected = expected(&config)?;
        let sources = config.sources.unwrap_or_else(bearer);
        let mapping = Mapping {
            scopes: names(config.scopes_claims, &["scope", "scp", "scopes"]),
            groups: config.groups_claim.unwrap_or_else(|| "groups".into()),
            consumer: names(config.consumer_claims, &["client_id", "azp"]),
            evidence: config.claims,
            headers: claim_headers(config.claim_headers, &sources)?,
        };
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
        self.mapping.headers.iter().map(|(name, _)| name)
    }

    /// What a good token of this provider comes to.
    pub(crate) fn checked(
        &self,
        provider: usize,
        generation: u64,
        expires: Option<Timestamp>,
        claims: Claims,
        headers: &IdentityHeaders,
    ) -> Result<Checked, Ambiguous> {
        let mapping = &self.mapping;
        let scopes: Vec<_> = mapping.scopes.iter().flat_map(|path| claims.words(path)).collect();
        let groups = claims.list(&mapping.groups);
        let consumer = mapping.consumer.iter().find_map(|path| claims.text(path));
        let subject = claims.text("sub").or(consumer).unwrap_or_default();
        // What goes into a list must not be two entries of it.
        let is_one_scope = |scope: &String| is_plain(scope) && !scope.contains(' ');
        let is_one_group = |group: &String| is_plain(group) && !group.contains(',');
        let fits = scopes.iter().all(is_one_scope)
            && groups.iter().all(is_one_group)
            && consumer.is_none_or(is_plain)
            && is_plain(subject);
        if !fits {
            return Err(Ambiguous);
        }
        let mut more: Vec<(Rc<str>, String)> = Vec::new();
        for (name, path) in &mapping.headers {
            if let Some(text) = claims.find(path).and_then(header_text) {
                if !is_plain(&text) {
                    return Err(Ambiguous);
                }
                more.push((name.shared(), text));
            }
        }
        let evidence = mapping.evidence.iter();
        let evidence = evidence.filter_map(|path| Some((path.clone(), claims.find(path)?.clone())));
        let identity = Identity {
            scheme: "jwt",
            subject: subject.to_owned(),
            consumer: consumer.map(str::to_owned),
            scopes: scopes.clone(),
            groups,
            expires,
            claims: evidence.collect(),
        };
        let credential = Credential::with_headers(JwtAuth::NAME, identity, headers, more);
        Ok(Checked {
            provider,
            generation,
            expires,
            scopes,
            claims,
            credential: Rc::new(credential),
        })
    }
}

/// A claim as a header: a text as it is; a number or truth value as in JSON; a list of those with
/// commas between, if none has one; anything else as JSON. Nothing for `null`.
fn header_text(claim: &Value) -> Option<String> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match claim {
        Value::Null => None,
        Value::Array(list) => {
            let texts: Option<Vec<_>> = list.iter().map(scalar).collect();
            let texts = texts.filter(|texts| texts.iter().all(|text| !text.contains(',')));
            Some(texts.map_or_else(|| claim.to_string(), |texts| texts.join(",")))
        }
        _ => scalar(claim).or_else(|| Some(claim.to_string())),
    }
}

/// Whether a text is still the same when it has been a header.
fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control) && text.trim() == text
}

fn bearer() -> Sources {
    Sources::new(vec![Source::authorization("Bearer")])
}

fn names(configured: Option<NonEmpty<String>>, default: &[&str]) -> Vec<String> {
    configured.map_or_else(
        || default.iter().map(|name| (*name).to_owned()).collect(),
        |names| names.into_iter().collect(),
    )
}

fn expected(config: &ProviderConfig) -> Result<Expected, Invalid> {
    if config.name.is_empty() {
        return Err(Invalid::at("name", "is empty"));
    }
    if config.issuer.is_empty() {
        return Err(Invalid::at("issuer", "is empty"));
    }
    let audiences = match (&config.audiences, config.any_audience) {
        (Some(audiences), false) => Some(audiences.to_vec()),
        (None, true) => None,
        (None, false) => {
            return Err(Invalid::at("", "has either `audiences` or `any_audience: true`"));
        }
        (Some(_), true) => {
            return Err(Invalid::at("any_audience", "contradicts `audiences`"));
        }
    };
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
    })
}

/// RFC 6749, 3.3: so that a list of scopes can be quoted.
pub(crate) fn check_scopes(scopes: &[String]) -> Result<(), Invalid> {
    let is_scope = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    let wrong = |scope: &String| scope.is_empty() || !scope.bytes().all(is_scope);
    match scopes.iter().position(wrong) {
        Some(index) => Err(Invalid::at(
            format!("scopes[{index}]"),
            "a scope is printable ASCII without space, quote and backslash",
        )),
        None => Ok(()),
    }
}

/// Headers that mean something to proxies, or carry what clients send.
const NOT_FOR_CLAIMS: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn claim_headers(
    configured: BTreeMap<String, String>,
    sources: &Sources,
) -> Result<Vec<(HeaderName, String)>, Invalid> {
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    for (name, path) in configured {
        let wrong = |why: String| Invalid::at(format!("claim_headers.{name}"), why);
        let header = HeaderName::try_from(name.as_str()).map_err(wrong)?;
        if NOT_FOR_CLAIMS.contains(&&*header.shared()) || sources.has_header(&header.shared()) {
            return Err(wrong("is a header that claims may not be put in".into()));
        }
        if path.is_empty() {
            return Err(wrong("names no claim".into()));
        }
        if headers.iter().any(|(known, _)| *known == header) {
            return Err(wrong("comes twice".into()));
        }
        headers.push((header, path));
    }
    Ok(headers)
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
