//! From a configuration to a plugin.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use shared::cache::Verified;
use shared::config::{Invalid, Layers, Leeway, NonEmpty, Period, Secret};
use shared::filter::Birth;
use shared::identity::HeaderName;
use shared::jose::{Algorithm, Crypto, Family, Mapping, MappingConfig, check_scopes};
use shared::sources::Sources;
use shared::store::Store;

use crate::config::{Config, LogoutConfig, SessionConfig, Settings};
use crate::cookies::Jar;
use crate::forward::Forward;
use crate::origin::{Origin, is_return_path};
use crate::provider::Provider;
use crate::refresh::Shares;
use crate::renewal::MARGIN;
use crate::seal::{Seal, check_secret};
use crate::session::Lasting;
use crate::{FIRST_REFRESH, Logout, NAME, OAuth2Login, Places};

/// How many sessions a worker remembers, and how long, so that a cookie is opened once.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2047);
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// The parameters that are the filter's to say.
const OUR_PARAMETERS: [&str; 11] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "state",
];

/// The plugin of a configuration, or what is wrong with it.
pub(crate) fn plugin(
    config: Config,
    layers: &Layers<Settings>,
    birth: &Birth<'_>,
) -> Result<OAuth2Login, Invalid> {
    let slots = birth.slots(NAME);
    let algorithms = algorithms(config.algorithms)?;
    let leeway = config.leeway.map_or(Duration::from_secs(60), Leeway::duration);
    let (issuer, checks) = (config.issuer.clone(), (algorithms, leeway));
    let mut provider = Provider::new(&issuer, config.discovery, config.client, checks, &slots)?;
    // What an earlier plugin of this name has fetched serves from the first request.
    provider.keyring.poll(Store::new(birth.host));
    let places = places(config.redirect_path, config.login_path, config.logout)?;
    let scopes = scopes(config.scopes)?;
    let (name, lasting) =
        session(&config.session, &config.external_url).map_err(|why| why.within("session"))?;
    let secrets = config.session.keys.iter().map(Secret::expose);
    let place = (&*name, config.external_url.as_str());
    let seal = Seal::new(secrets, place, &issuer, &provider.client);
    if seal.len() != config.session.keys.len() {
        return Err(Invalid::at("session.keys", "cannot be used"));
    }
    let kept = kept(&config.claims, config.groups_claim.as_deref(), &config.forward.claims);
    let mapping = MappingConfig {
        scopes_claims: None,
        groups_claim: config.groups_claim,
        consumer_claims: None,
        claims: config.claims,
        claim_headers: config.forward.claims.clone(),
    };
    let mapping = Mapping::new(mapping, &Sources::new(Vec::new()))
        .map_err(|error| renamed(error, "claim_headers", "forward.claims"))?;
    let mut stripped: Vec<HeaderName> = mapping.headers().cloned().collect();
    let forward = Forward::new(config.forward, &stripped, layers)?;
    config.identity_headers.check(&|name| forward.headers().any(|header| header == name))?;
    stripped.extend(forward.stripped().cloned());
    let shares = Shares::new(&slots, provider.timeout().saturating_add(MARGIN));
    Ok(OAuth2Login {
        provider,
        jar: Jar::new(&name),
        seal,
        shares,
        opened: Verified::new(birth.secret, REMEMBERED, REMEMBERED_FOR),
        pending: HashMap::new(),
        next_call: FIRST_REFRESH,
        crypto: Crypto::of(birth.host),
        origin: config.external_url,
        places,
        scope: scopes.join(" "),
        max_age: max_age(&config.authorization_parameters)?.map(|age| age.saturating_add(leeway)),
        parameters: parameters(config.authorization_parameters)?,
        lasting,
        mapping,
        kept,
        forward,
        identity_headers: config.identity_headers,
        stripped,
    })
}

fn scopes(configured: Option<NonEmpty<String>>) -> Result<Vec<String>, Invalid> {
    let scopes = configured.map_or_else(|| vec!["openid".into()], |scopes| scopes.to_vec());
    check_scopes(&scopes)?;
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(Invalid::at(
            "scopes",
            "`openid` is not among them: there would be no ID token",
        ));
    }
    Ok(scopes)
}

fn algorithms(configured: Option<NonEmpty<Algorithm>>) -> Result<Vec<Algorithm>, Invalid> {
    let by_default =
        || vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
    let algorithms = configured.map_or_else(by_default, |algorithms| algorithms.to_vec());
    let is_hs = |algorithm: &Algorithm| algorithm.family() == Family::Symmetric;
    match algorithms.iter().position(is_hs) {
        Some(index) => Err(Invalid::at(
            format!("algorithms[{index}]"),
            "a symmetric key is nothing that a provider publishes",
        )),
        None => Ok(algorithms),
    }
}

fn places(
    callback: Option<String>,
    login: Option<String>,
    logout: Option<LogoutConfig>,
) -> Result<Places, Invalid> {
    let callback = callback.unwrap_or_else(|| "/oauth2/callback".into());
    let logout = logout.map(|logout| Logout {
        path: logout.path,
        return_to: logout.return_to.unwrap_or_else(|| "/".into()),
    });
    let logout_path = logout.as_ref().map(|logout| logout.path.as_str());
    let named = [
        ("redirect_path", Some(callback.as_str())),
        ("login_path", login.as_deref()),
        ("logout.path", logout_path),
    ];
    let named: Vec<_> =
        named.into_iter().filter_map(|(field, path)| Some((field, path?))).collect();
    for (index, (field, path)) in named.iter().enumerate() {
        if !is_return_path(path) || path.contains(['?', '#', '%']) {
            let message = format!("`{path}` is not a path of plain characters without a query");
            return Err(Invalid::at(*field, message));
        }
        if let Some((other, _)) = named.iter().take(index).find(|(_, known)| known == path) {
            return Err(Invalid::at(*field, format!("is that of `{other}`")));
        }
    }
    if let Some(logout) = logout.as_ref().filter(|logout| !is_return_path(&logout.return_to)) {
        let message = format!("`{}` is not a path on this origin", logout.return_to);
        return Err(Invalid::at("logout.return_to", message));
    }
    Ok(Places { callback, login, logout })
}

fn session(config: &SessionConfig, origin: &Origin) -> Result<(String, Lasting), Invalid> {
    for (index, key) in config.keys.iter().enumerate() {
        let wrong = |why| Invalid::at(format!("keys[{index}]"), why);
        check_secret(key.expose()).map_err(wrong)?;
        if config.keys.iter().take(index).any(|known| known == key) {
            return Err(wrong("comes twice".into()));
        }
    }
    if config.keys.len() > 8 {
        return Err(Invalid::at("keys", "more than eight"));
    }
    let name = config.name.clone().unwrap_or_else(|| "__Host-session".into());
    if HeaderName::try_from(name.as_str()).is_err() || name.len() > 64 {
        return Err(Invalid::at("name", format!("`{name}` is not the name of a cookie")));
    }
    // What is behind a dot tells our cookies from each other.
    if name.contains('.') {
        return Err(Invalid::at("name", "has a dot: what is behind it would be another's session"));
    }
    if !name.starts_with("__Host-") && !origin.is_plain() {
        let why = "begins with `__Host-`, so that no other host can set it";
        return Err(Invalid::at("name", why));
    }
    let or = |period: Option<Period>, secs| {
        period.map_or_else(|| Duration::from_secs(secs), Period::duration)
    };
    let lifetime = or(config.lifetime, 8 * 3600);
    let by_default = Duration::from_secs(3600).min(lifetime);
    let idle = config.idle.map_or(by_default, Period::duration);
    if lifetime < Duration::from_secs(1) || idle < Duration::from_secs(1) {
        return Err(Invalid::at("lifetime", "a session lasts a second at least"));
    }
    if idle > lifetime {
        return Err(Invalid::at("idle", "is longer than `lifetime`"));
    }
    if lifetime > Duration::from_secs(400 * 24 * 3600) {
        return Err(Invalid::at(
            "lifetime",
            "is more than the 400 days that browsers keep a cookie",
        ));
    }
    Ok((name, Lasting { lifetime, idle, ahead: or(config.refresh_ahead, 60) }))
}

/// Everything that is told of a session has to be kept with it.
fn kept(
    claims: &[String],
    groups: Option<&str>,
    headers: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut kept = vec!["sub".to_owned(), groups.unwrap_or("groups").to_owned()];
    kept.extend(claims.iter().chain(headers.values()).cloned());
    kept.sort();
    kept.dedup();
    kept
}

fn parameters(configured: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Invalid> {
    for (name, value) in &configured {
        let field = || format!("authorization_parameters.{name}");
        if OUR_PARAMETERS.contains(&name.as_str()) || name == "scope" {
            return Err(Invalid::at(field(), "is for the filter to say"));
        }
        if name.is_empty() || value.is_empty() {
            return Err(Invalid::at(field(), "is empty"));
        }
    }
    Ok(configured.into_iter().collect())
}

/// How long ago people may have proved to the provider who they are, if that is asked for: the
/// browser takes the question there, and may change it on the way.
fn max_age(configured: &BTreeMap<String, String>) -> Result<Option<Duration>, Invalid> {
    let Some(text) = configured.get("max_age") else { return Ok(None) };
    let wrong = |_| Invalid::at("authorization_parameters.max_age", "is no number of seconds");
    text.parse().map(|seconds| Some(Duration::from_secs(seconds))).map_err(wrong)
}

/// The mapping knows its fields by the names that other filters give them.
fn renamed(error: Invalid, from: &str, to: &str) -> Invalid {
    Invalid { path: error.path.replacen(from, to, 1), ..error }
}
