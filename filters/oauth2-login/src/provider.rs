//! The provider: what its discovery document says, its keys, the calls that are made to it.
//!
//! 1. The document is fetched before the first request needs it, and kept with the keys
//!    ([`Keyring`]): one fetch for all workers, the last good one where a fetch fails, for `max_stale`.
//! 2. It is of the configured issuer. The addresses that browsers are sent to are `https`; `http` only
//!    where the issuer is. All other calls go to configured clusters, wherever the document points.
//! 3. An ID token is a good token (`shared::jose`, as in `jwt-auth`), for this client, of this
//!    sign-in (OpenID Connect Core, 3.1.3.7).

use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::config::{Invalid, Period, Secret};
use shared::filter::Call;
use shared::jose::{
    Algorithm, Asked, Claims, Crypto, Discovery, Expected, IdToken, KeySet, Keyring, Place, Remote,
    Token, Url,
};
use shared::store::Store;
use shared::time::Timestamp;
use shared::view::Host;

use crate::config::{Authentication, ClientConfig, DiscoveryConfig};
use crate::tokens::{MAX_BODY, encode, form};

/// A token without an id of its key is tried with so many keys.
const MOST_TRIES: usize = 8;
/// The longest that a call may take (`timeout`).
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(60);

/// The provider, and who we are to it.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) client: String,
    secret: Option<Secret>,
    authentication: Option<Authentication>,
    pub(crate) keyring: Keyring,
    token_cluster: String,
    timeout: Duration,
    expected: Expected,
    algorithms: Vec<Algorithm>,
}

/// What of a discovery document is needed (OpenID Connect Discovery, 3; RFC 8414, 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// `authorization_endpoint`, for browsers.
    pub(crate) authorization: String,
    /// `token_endpoint`.
    token: Url,
    /// `end_session_endpoint`, for browsers (RP-Initiated Logout, 2.1).
    pub(crate) end_session: Option<String>,
    /// `revocation_endpoint` (RFC 7009).
    revocation: Option<Url>,
    /// Whether the provider says who it is when it sends a browser back (RFC 9207).
    pub(crate) sends_issuer: bool,
    /// Whether secrets are taken in the form alone.
    only_post: bool,
}

/// What there is of the document.
pub(crate) enum Known {
    /// It, and a call to start.
    Document(Document),
    /// Somebody is fetching it.
    Wait,
    /// Nothing, and nothing soon.
    Nothing,
}

/// What came of an ID token.
pub(crate) enum Checked {
    /// It is good.
    Good(Claims),
    /// Its key is being fetched.
    Wait,
    /// There are no keys.
    Keyless,
    /// Its key is none of the provider's.
    UnknownKey,
    /// It is not good: why, in one word.
    Bad(&'static str),
}

/// What a call needs of the proxy.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) store: Store<'a>,
    pub(crate) now: Timestamp,
}

impl Provider {
    /// The provider of a configuration; `slots` is the prefix of the plugin's slots.
    pub(crate) fn new(
        issuer: &str,
        discovery: DiscoveryConfig,
        client: ClientConfig,
        (algorithms, leeway): (Vec<Algorithm>, Duration),
        slots: &str,
    ) -> Result<Self, Invalid> {
        check_issuer(issuer).map_err(|why| Invalid::at("issuer", why))?;
        check_client(&client).map_err(|error| error.within("client"))?;
        let token_cluster =
            discovery.token_cluster.clone().unwrap_or_else(|| discovery.cluster.clone());
        let timeout = discovery.timeout.map_or(Duration::from_secs(5), Period::duration);
        let remote = remote(issuer, discovery, timeout).map_err(|why| why.within("discovery"))?;
        let expected = Expected {
            issuer: issuer.to_owned(),
            audiences: Some(vec![client.id.clone()]),
            leeway,
            // An ID token is shown to nobody else.
            bound: true,
            ..Expected::default()
        };
        Ok(Self {
            issuer: issuer.to_owned(),
            client: client.id,
            secret: client.secret,
            authentication: client.authentication,
            keyring: Keyring::checked(slots, remote, |value| Document::read(value).map(drop)),
            token_cluster,
            timeout,
            expected,
            algorithms,
        })
    }

    /// The document, and a call to start.
    pub(crate) fn document(&mut self, at: At<'_>) -> (Known, Option<Call>) {
        // Any keys do: the document is as fresh as they are.
        let (asked, call) = self.keyring.ask(|_| true, &mut true, at.store, at.now);
        let known = match asked {
            Asked::Keys(..) => {
                let value = self.keyring.document(at.now);
                let document = value.and_then(|value| Document::read(&value).ok());
                document.map_or(Known::Nothing, Known::Document)
            }
            Asked::Wait => Known::Wait,
            Asked::Unknown | Asked::Keyless => Known::Nothing,
        };
        (known, call)
    }

    /// Checks an ID token, and says which call to start.
    pub(crate) fn check(
        &mut self,
        text: &str,
        asked: &IdToken<'_>,
        crypto: Crypto,
        refetched: &mut bool,
        at: At<'_>,
    ) -> (Checked, Option<Call>) {
        let token = match self.look(text, asked, at.now) {
            Ok(token) => token,
            Err(why) => return (Checked::Bad(why), None),
        };
        let id = token.key_id.as_deref();
        let has = |keys: &KeySet| keys.candidates(token.algorithm, id).next().is_some();
        let (keys, call) = self.keyring.ask(has, refetched, at.store, at.now);
        let checked = match keys {
            Asked::Keys(keys, _) if is_signed(&token, &keys, crypto, at.host) => {
                Checked::Good(token.claims)
            }
            Asked::Keys(..) => Checked::Bad("id_token_signature"),
            Asked::Wait => Checked::Wait,
            Asked::Keyless => Checked::Keyless,
            Asked::Unknown => Checked::UnknownKey,
        };
        (checked, call)
    }

    /// All but the signature.
    fn look<'t>(
        &self,
        text: &'t str,
        asked: &IdToken<'_>,
        now: Timestamp,
    ) -> Result<Token<'t>, &'static str> {
        let token = Token::read(text.as_bytes()).map_err(|_| "id_token_malformed")?;
        if !self.algorithms.contains(&token.algorithm) {
            return Err("id_token_algorithm");
        }
        self.expected.check(&token, now).map_err(|why| match why.reason() {
            "expired" => "id_token_expired",
            "issuer" => "id_token_issuer",
            "audience" => "id_token_audience",
            "not_yet_valid" => "id_token_not_yet_valid",
            _ => "id_token_claim",
        })?;
        asked.check(&token).map_err(|why| why.reason())?;
        Ok(token)
    }

    /// A call to the token endpoint.
    pub(crate) fn token_call(&self, document: &Document, pairs: &[(&str, &str)]) -> Call {
        self.call(document, &document.token, pairs)
    }

    /// The call that ends a refresh token, if the provider does that.
    pub(crate) fn revocation(&self, document: &Document, token: &str) -> Option<Call> {
        let pairs = [("token", token), ("token_type_hint", "refresh_token")];
        Some(self.call(document, document.revocation.as_ref()?, &pairs))
    }

    /// The longest that a call takes.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// RFC 6749, 2.3.1: a secret goes into `authorization` encoded as in a form.
    fn call(&self, document: &Document, url: &Url, pairs: &[(&str, &str)]) -> Call {
        let secret = self.secret.as_ref().map(Secret::expose);
        let by_default =
            if document.only_post { Authentication::Post } else { Authentication::Basic };
        let way = match secret {
            None => Authentication::None,
            Some(_) => self.authentication.unwrap_or(by_default),
        };
        let mut pairs = pairs.to_vec();
        let mut headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        let secret = secret.unwrap_or_default();
        match way {
            Authentication::Basic => {
                let pair = format!("{}:{}", encode(&self.client), encode(secret));
                headers.push(("authorization", format!("Basic {}", STANDARD.encode(pair))));
            }
            Authentication::Post => {
                pairs.extend([("client_id", self.client.as_str()), ("client_secret", secret)]);
            }
            Authentication::None => pairs.push(("client_id", &self.client)),
        }
        Call {
            cluster: self.token_cluster.clone(),
            method: "POST",
            authority: url.authority.clone(),
            path: url.path.clone(),
            headers,
            body: form(pairs).into_bytes(),
            timeout: self.timeout,
            max_body: MAX_BODY,
        }
    }
}

impl Document {
    /// Reads a document; the error says what is wrong with it.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let is_plain = text("issuer").is_some_and(|issuer| issuer.starts_with("http://"));
        let for_browsers = |name: &str| match text(name) {
            None => Ok(None),
            Some(address) => check_address(address, is_plain)
                .map(|()| Some(address.to_owned()))
                .map_err(|why| format!("`{name}` of the discovery document: {why}")),
        };
        let for_us = |name: &str| {
            let missing = || format!("the discovery document has no `{name}`");
            Url::parse(text(name).ok_or_else(missing)?)
        };
        let lists = |name: &str, method: &str| {
            let methods = value.get(name).and_then(Value::as_array);
            methods.map(|methods| methods.iter().any(|known| known == method))
        };
        let methods = "token_endpoint_auth_methods_supported";
        Ok(Self {
            authorization: for_browsers("authorization_endpoint")?
                .ok_or("the discovery document has no `authorization_endpoint`")?,
            token: for_us("token_endpoint")?,
            end_session: for_browsers("end_session_endpoint")?,
            revocation: for_us("revocation_endpoint").ok(),
            sends_issuer: value.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            only_post: lists(methods, "client_secret_basic") == Some(false)
                && lists(methods, "client_secret_post") == Some(true),
        })
    }
}

fn is_signed(token: &Token<'_>, keys: &Rc<KeySet>, crypto: Crypto, host: &dyn Host) -> bool {
    let signature = (token.signature.0, token.signature.1.as_slice());
    let mut keys = keys.candidates(token.algorithm, token.key_id.as_deref()).take(MOST_TRIES);
    keys.any(|key| crypto.verify(host, key, token.algorithm, token.signed, signature))
}

/// An address that a browser is sent to; parameters are put behind it.
fn check_address(address: &str, is_plain: bool) -> Result<(), String> {
    Url::parse(address)?;
    if address.starts_with("https://") || is_plain {
        return Ok(());
    }
    Err(format!("`{address}` is not `https`, as the issuer is"))
}

fn check_issuer(issuer: &str) -> Result<(), String> {
    Url::parse(issuer)?;
    if issuer.contains('?') {
        return Err(format!("`{issuer}` has a query, behind which there is no document"));
    }
    Ok(())
}

fn check_client(client: &ClientConfig) -> Result<(), Invalid> {
    // RFC 6749, A.1.
    if client.id.is_empty() || !client.id.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Invalid::at("id", "is printable ASCII, and not empty"));
    }
    let is_none = client.authentication.is_none_or(|way| way == Authentication::None);
    match &client.secret {
        Some(secret) if secret.expose().is_empty() => {
            Err(Invalid::at("secret", "is empty; a public client has none at all"))
        }
        Some(_) if client.authentication == Some(Authentication::None) => {
            Err(Invalid::at("authentication", "is `none`, and there is a secret"))
        }
        None if !is_none => Err(Invalid::at("authentication", "needs a `secret`")),
        _ => Ok(()),
    }
}

fn remote(issuer: &str, config: DiscoveryConfig, timeout: Duration) -> Result<Remote, Invalid> {
    let DiscoveryConfig {
        cluster, jwks_cluster, token_cluster, refresh, max_stale, refetch, ..
    } = config;
    let keys_cluster = jwks_cluster.unwrap_or_else(|| cluster.clone());
    for (field, name) in [
        ("cluster", Some(&cluster)),
        ("jwks_cluster", Some(&keys_cluster)),
        ("token_cluster", token_cluster.as_ref()),
    ] {
        if name.is_some_and(String::is_empty) {
            return Err(Invalid::at(field, "is empty"));
        }
    }
    let or = |period: Option<Period>, secs| {
        period.map_or_else(|| Duration::from_secs(secs), Period::duration)
    };
    let (refresh, max_stale, refetch) =
        (or(refresh, 600), or(max_stale, 24 * 3600), or(refetch, 10));
    let second = Duration::from_secs(1);
    if refresh < second {
        return Err(Invalid::at("refresh", "is less than a second"));
    }
    if refetch < second {
        return Err(Invalid::at("refetch", "is less than a second: anybody can cause it"));
    }
    if timeout > LONGEST_CALL {
        return Err(Invalid::at("timeout", "is more than a minute, and requests wait for it"));
    }
    if max_stale < refresh {
        return Err(Invalid::at("max_stale", "is shorter than `refresh`"));
    }
    let place = Place::Discovered(Discovery { issuer: issuer.to_owned(), cluster, keys_cluster });
    Ok(Remote { place, refresh, timeout, max_stale, refetch })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(others: Value) -> Result<Document, String> {
        let mut document = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
        });
        for (name, value) in others.as_object().unwrap() {
            document[name] = value.clone();
        }
        Document::read(&document)
    }

    #[test]
    fn browsers_are_sent_to_https_alone() {
        assert!(document(json!({})).is_ok());
        for address in [
            "http://idp.example/auth",
            "javascript:alert(1)",
            "//idp.example",
            "",
            "https://u@idp.example/",
        ] {
            assert!(document(json!({"authorization_endpoint": address})).is_err(), "{address}");
            assert!(document(json!({"end_session_endpoint": address})).is_err(), "{address}");
        }
        assert!(document(json!({"authorization_endpoint": null})).is_err());
        assert!(document(json!({"token_endpoint": 1})).is_err());
        let plain = json!({
            "issuer": "http://localhost:4000",
            "authorization_endpoint": "http://localhost:4000/auth",
        });
        assert!(document(plain).is_ok());
    }

    #[test]
    fn what_a_provider_offers_is_read() {
        let methods = "token_endpoint_auth_methods_supported";
        assert!(!document(json!({})).unwrap().only_post);
        assert!(document(json!({methods: ["client_secret_post"]})).unwrap().only_post);
        let both = json!({methods: ["client_secret_post", "client_secret_basic"]});
        assert!(!document(both).unwrap().only_post);
        let sends = "authorization_response_iss_parameter_supported";
        assert!(document(json!({sends: true})).unwrap().sends_issuer);
        assert!(!document(json!({sends: "true"})).unwrap().sends_issuer);
    }
}
