//! Where a provider's keys are, as it is configured: an address of keys, or a discovery document
//! that names it (OpenID Connect Discovery 1.0; RFC 8414).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::config::json;
use crate::filter::Call;

/// An address: `https://host[:port]/path[?query]`. The cluster decides on TLS, not the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Reads an address; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is not an address: {why}"));
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
        else {
            return wrong("it begins with `https://` or `http://`");
        };
        if !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) || text.contains(['#', '\\', '"'])
        {
            return wrong("it has a fragment, or a character that no address has");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains('@') {
            return wrong("it has no host, or a user before it");
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { authority: authority.into(), path: format!("{slash}{path}") })
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Where keys are fetched, and how often.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where they are, or where that is said.
    pub place: Place,
    /// How old they may grow before they are fetched again.
    pub refresh: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How old they may be where they cannot be fetched again.
    pub max_stale: Duration,
    /// How long after an unknown key has caused a fetch another may.
    pub refetch: Duration,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this address, by way of this cluster.
    At {
        /// The address.
        url: Url,
        /// The cluster.
        cluster: String,
    },
    /// Where the discovery document says.
    Discovered(Discovery),
}

/// Where the address of keys is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The issuer, which the document has to name.
    pub issuer: String,
    /// The cluster of the document.
    pub cluster: String,
    /// The cluster of the keys.
    pub keys_cluster: String,
}

/// The largest document or set of keys that is read.
const MAX_BODY: usize = 256 * 1024;

impl Discovery {
    fn document(&self) -> Result<Url, String> {
        // OpenID Connect Discovery, 4: the well-known part goes behind the issuer's path.
        let issuer = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        Url::parse(&format!("{issuer}/.well-known/openid-configuration"))
    }

    /// The address of keys that a document names (OpenID Connect Discovery, 4.3).
    pub(super) fn keys(&self, document: &[u8]) -> Result<(Url, Value), String> {
        let document = json::parse(document).map_err(|error| error.to_string())?;
        if document.get("issuer").and_then(Value::as_str) != Some(&self.issuer) {
            return Err("the discovery document is of another issuer".into());
        }
        let Some(Value::String(address)) = document.get("jwks_uri") else {
            return Err("the discovery document has no `jwks_uri`".into());
        };
        Ok((Url::parse(address)?, document))
    }
}

impl Remote {
    /// The first call of a fetch.
    pub(super) fn first_call(&self) -> Result<Call, String> {
        match &self.place {
            Place::At { url, cluster } => Ok(self.call(url, cluster)),
            Place::Discovered(discovery) => {
                Ok(self.call(&discovery.document()?, &discovery.cluster))
            }
        }
    }

    /// A call for a document.
    pub(super) fn call(&self, url: &Url, cluster: &str) -> Call {
        let mut call = Call::get(cluster, &url.authority, &url.path, self.timeout);
        call.headers.push(("accept", "application/json".into()));
        call.max_body = MAX_BODY;
        call
    }

    /// The longest that a fetch takes.
    pub(super) fn longest(&self) -> Duration {
        let calls = if matches!(self.place, Place::At { .. }) { 1 } else { 2 };
        self.timeout.saturating_mul(calls).saturating_add(Duration::from_secs(1))
    }

    /// What tells the slots of one provider from another's. No part has a line break unescaped.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::At { url, cluster } => {
                format!("keys\n{cluster:?}\n{}\n{}", url.authority, url.path)
            }
            Place::Discovered(Discovery { issuer, cluster, keys_cluster }) => {
                format!("document\n{cluster:?}\n{keys_cluster:?}\n{issuer}")
            }
        }
    }
}
