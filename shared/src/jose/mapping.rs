//! What becomes of the claims of a good token: who it is, and what the upstream is told.
//!
//! 1. Scopes come from all of their claims, groups from one, the consumer from the first that is
//!    there. The subject is `sub` and nothing else: a client whose id is somebody's name is not that
//!    somebody (RFC 9700, 4.15).
//! 2. A claim as a header: a text as it is; a number or truth value as in JSON; a list of those with
//!    commas between, if none has one; anything else as JSON. Nothing for `null`.
//! 3. What would be taken for something else behind is [`Ambiguous`]: control characters, white space
//!    at an end, a comma in a group, and in a scope all but printable ASCII (RFC 6749, 3.3): who reads
//!    a list of scopes may take more than the space for what stands between them.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::claims::Claims;
use crate::config::{Invalid, NonEmpty};
use crate::identity::{Credential, HeaderName, Identity, IdentityHeaders};
use crate::sources::Sources;
use crate::time::Timestamp;

/// Where what is wanted of the claims stands.
#[derive(Clone, Debug)]
pub struct Mapping {
    scopes: Vec<String>,
    groups: String,
    consumer: Vec<String>,
    evidence: Vec<String>,
    headers: Vec<(HeaderName, String)>,
}

/// The same as it is written.
#[derive(Debug, Default)]
pub struct MappingConfig {
    /// Where scopes stand; default `scope`, `scp`, `scopes`.
    pub scopes_claims: Option<NonEmpty<String>>,
    /// Where groups stand; default `groups`.
    pub groups_claim: Option<String>,
    /// Where the consumer stands; default `client_id`, `azp`.
    pub consumer_claims: Option<NonEmpty<String>>,
    /// Claims that go into the evidence.
    pub claims: Vec<String>,
    /// Headers for the upstream, and the claims that they hold.
    pub claim_headers: BTreeMap<String, String>,
}

/// A claim that cannot be told the upstream without being taken for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Mapping {
    /// The mapping that is written; no claim goes into a header that is one of `sources`.
    pub fn new(config: MappingConfig, sources: &Sources) -> Result<Self, Invalid> {
        Ok(Self {
            scopes: names(config.scopes_claims, &["scope", "scp", "scopes"]),
            groups: config.groups_claim.unwrap_or_else(|| "groups".into()),
            consumer: names(config.consumer_claims, &["client_id", "azp"]),
            evidence: config.claims,
            headers: claim_headers(config.claim_headers, sources)?,
        })
    }

    /// The headers that tell the upstream of claims.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// Who sends a token with these claims, as `filter` found out by way of `scheme`.
    pub fn apply(
        &self,
        (filter, scheme): (&str, &'static str),
        claims: &Claims,
        expires: Option<Timestamp>,
        headers: &IdentityHeaders,
    ) -> Result<Rc<Credential>, Ambiguous> {
        let scopes: Vec<_> = self.scopes.iter().flat_map(|path| claims.words(path)).collect();
        let groups = claims.list(&self.groups);
        let consumer = self.consumer.iter().find_map(|path| claims.text(path));
        let subject = claims.text("sub").unwrap_or_default();
        // What goes into a list must not be two entries of it.
        let is_one_scope = |scope: &String| scope.bytes().all(|byte| byte.is_ascii_graphic());
        let is_one_group = |group: &String| is_plain(group) && !group.contains(',');
        let fits = scopes.iter().all(is_one_scope)
            && groups.iter().all(is_one_group)
            && consumer.is_none_or(is_plain)
            && is_plain(subject);
        if !fits {
            return Err(Ambiguous);
        }
        let more = self.texts(claims)?;
        let evidence = self.evidence.iter();
        let evidence = evidence.filter_map(|path| Some((path.clone(), claims.find(path)?.clone())));
        let identity = Identity {
            scheme,
            subject: subject.to_owned(),
            consumer: consumer.map(str::to_owned),
            scopes,
            groups,
            expires,
            claims: evidence.collect(),
        };
        Ok(Rc::new(Credential::with_headers(filter, identity, headers, more)))
    }

    fn texts(&self, claims: &Claims) -> Result<Vec<(Rc<str>, String)>, Ambiguous> {
        let mut texts = Vec::new();
        for (name, path) in &self.headers {
            if let Some(text) = claims.find(path).and_then(header_text) {
                if !is_plain(&text) {
                    return Err(Ambiguous);
                }
                texts.push((name.shared(), text));
            }
        }
        Ok(texts)
    }
}

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

fn names(configured: Option<NonEmpty<String>>, default: &[&str]) -> Vec<String> {
    configured.map_or_else(
        || default.iter().map(|name| (*name).to_owned()).collect(),
        |names| names.into_iter().collect(),
    )
}

/// RFC 6749, 3.3: so that a list of scopes can be quoted.
pub fn check_scopes(scopes: &[String]) -> Result<(), Invalid> {
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

fn claim_headers(
    configured: BTreeMap<String, String>,
    sources: &Sources,
) -> Result<Vec<(HeaderName, String)>, Invalid> {
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    for (name, path) in configured {
        let wrong = |why: String| Invalid::at(format!("claim_headers.{name}"), why);
        let header = HeaderName::try_from(name.as_str()).map_err(wrong)?;
        if header.is_reserved() || sources.has_header(&header) {
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
