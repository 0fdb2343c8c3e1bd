//! Who sends a request: what an authenticator found, and how the others learn of it.
//!
//! 1. The headers that tell the upstream are taken off every request that comes in, whatever the
//!    rule, in every spelling that a gateway interface may fold into one (`x_auth_subject`,
//!    `x.auth.subject`).
//! 2. Filters behind read filter state: `gatehouse.evidence.<filter>` holds all as JSON, and
//!    `gatehouse.subject`, `.consumer`, `.scopes`, `.groups` the parts as text, so that
//!    the proxy's own filters, its access log and its rate-limit descriptors can use them (there
//!    under `wasm.gatehouse.…`). No client can write it.
//! 3. `verdict: enforce` refuses by itself; `verdict: defer` writes evidence of success or failure
//!    and lets a policy behind it decide. Only what was enforced is written as text and sent on.
//! 4. Of two that enforce on one request, both have to be satisfied, and the one behind speaks for
//!    it: it takes off what the first told the upstream. For alternatives there is a policy.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::effects::Effects;
use crate::filter::Flow;
use crate::reply::Refusal;
use crate::time::Timestamp;
use crate::view::Request;

/// What is known of who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The scheme by which it is known: `basic`, `api-key`, `jwt`.
    pub scheme: &'static str,
    /// The user, or the `sub` of a token.
    pub subject: String,
    /// The consumer that a credential was given to, where consumers have names of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// What the credential was given for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What the consumer belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When the credential ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub expires: Option<Timestamp>,
    /// Selected claims of a token.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub claims: serde_json::Map<String, serde_json::Value>,
}

#[expect(clippy::ref_option, reason = "serde's form")]
fn seconds<S: serde::Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(Timestamp::secs).serialize(serializer)
}

/// What an authenticator makes of a request that it may let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It decides by itself.
    #[default]
    Enforce,
    /// It leaves evidence, and the decision to `access-policy`.
    Defer,
}

/// Under which names the upstream learns of an identity (`identity_headers`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityHeaders {
    /// The subject; default `x-auth-subject`.
    pub subject: HeaderName,
    /// The scheme; default `x-auth-scheme`.
    pub scheme: HeaderName,
    /// The consumer, where there is one; default `x-auth-consumer`.
    pub consumer: HeaderName,
    /// The scopes with a space between; default `x-auth-scopes`.
    pub scopes: HeaderName,
    /// The groups with a comma between; default `x-auth-groups`.
    pub groups: HeaderName,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        let name = |text: &str| HeaderName(Rc::from(text));
        Self {
            subject: name("x-auth-subject"),
            scheme: name("x-auth-scheme"),
            consumer: name("x-auth-consumer"),
            scopes: name("x-auth-scopes"),
            groups: name("x-auth-groups"),
        }
    }
}

impl IdentityHeaders {
    /// Takes what only the proxy may say off a request.
    pub fn strip(&self, request: &Request<'_>, effects: &mut Effects) {
        self.strip_also(&[], request, effects);
    }

    /// The same, and some headers more.
    pub fn strip_also(&self, more: &[HeaderName], request: &Request<'_>, effects: &mut Effects) {
        for (name, _) in request.headers().iter() {
            if self.names().into_iter().chain(more).any(|ours| ours.is_like(name))
                && let Ok(name) = std::str::from_utf8(name)
            {
                effects.remove_request_header(Rc::from(name));
            }
        }
    }

    fn names(&self) -> [&HeaderName; 5] {
        [&self.subject, &self.scheme, &self.consumer, &self.scopes, &self.groups]
    }
}

/// The name of a header, in lower case (RFC 9110, 5.6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(Rc<str>);

impl HeaderName {
    /// The name.
    pub fn shared(&self) -> Rc<str> {
        Rc::clone(&self.0)
    }

    /// Whether an interface that makes one character of all that are no letters or digits, as CGI
    /// and its successors do, would take `name` for this one.
    fn is_like(&self, name: &[u8]) -> bool {
        let fold = |byte: u8| {
            if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
        };
        name.len() == self.0.len()
            && name.iter().zip(self.0.bytes()).all(|(a, b)| fold(*a) == fold(b))
    }
}

impl TryFrom<&str> for HeaderName {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(token) {
            return Err(format!("`{text}` is not the name of a header"));
        }
        Ok(Self(Rc::from(text.to_ascii_lowercase())))
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text.as_str()).map_err(serde::de::Error::custom)
    }
}

/// An identity in the forms in which it goes to others, made once per consumer and not per request.
#[derive(Clone, Debug)]
pub struct Credential {
    evidence: (Rc<str>, Rc<[u8]>),
    texts: Vec<(Rc<str>, Rc<[u8]>)>,
    headers: Vec<(Rc<str>, Rc<[u8]>)>,
}

impl Credential {
    /// The forms of `identity` as `filter` found it, told upstream under the names of `headers`.
    pub fn new(filter: &str, identity: &Identity, headers: &IdentityHeaders) -> Self {
        let scopes = (!identity.scopes.is_empty()).then(|| identity.scopes.join(" "));
        let groups = (!identity.groups.is_empty()).then(|| identity.groups.join(","));
        let subject = Some(identity.subject.as_str()).filter(|subject| !subject.is_empty());
        let parts = [
            (Some("gatehouse.subject"), &headers.subject, subject),
            // As evidence only: each state costs a call at every request.
            (None, &headers.scheme, Some(identity.scheme)),
            (Some("gatehouse.consumer"), &headers.consumer, identity.consumer.as_deref()),
            (Some("gatehouse.scopes"), &headers.scopes, scopes.as_deref()),
            (Some("gatehouse.groups"), &headers.groups, groups.as_deref()),
        ];
        let evidence = (evidence_name(filter), evidence_of(identity));
        let mut credential = Self { evidence, texts: vec![], headers: vec![] };
        for (state, header, value) in parts {
            let Some(value) = value else { continue };
            let value: Rc<[u8]> = Rc::from(value.as_bytes());
            credential.texts.extend(state.map(|state| (Rc::from(state), Rc::clone(&value))));
            credential.headers.push((header.shared(), value));
        }
        credential
    }
}

impl Credential {
    /// The same, with further headers for the upstream, in place of those of the same name.
    #[must_use]
    pub fn with_headers(mut self, headers: Vec<(Rc<str>, Rc<[u8]>)>) -> Self {
        self.headers.retain(|(name, _)| headers.iter().all(|(other, _)| name != other));
        self.headers.extend(headers);
        self
    }
}

/// What an authenticator found.
#[derive(Clone, Debug)]
pub enum Finding {
    /// Who it is.
    Known(Rc<Credential>),
    /// Why it is nobody, and how that is said.
    Refused(Refusal),
}

/// Turns what an authenticator found into what happens.
pub fn conclude(
    filter: &'static str,
    finding: Finding,
    verdict: Verdict,
    effects: &mut Effects,
) -> Flow {
    match (finding, verdict) {
        (Finding::Known(credential), verdict) => {
            let (name, evidence) = &credential.evidence;
            effects.set_state(Rc::clone(name), Rc::clone(evidence));
            if verdict == Verdict::Enforce {
                for (name, value) in &credential.texts {
                    effects.set_state(Rc::clone(name), Rc::clone(value));
                }
                for (name, value) in &credential.headers {
                    effects.set_request_header(Rc::clone(name), Rc::clone(value));
                }
            }
            Flow::Continue
        }
        (Finding::Refused(refusal), Verdict::Enforce) => Flow::Refuse(refusal),
        (Finding::Refused(refusal), Verdict::Defer) => {
            effects.count_by("deferred", "reason", refusal.reason());
            effects.set_state(evidence_name(filter), evidence_of_failure(&refusal));
            Flow::Continue
        }
    }
}

fn evidence_name(filter: &str) -> Rc<str> {
    Rc::from(format!("gatehouse.evidence.{filter}"))
}

fn evidence_of(identity: &Identity) -> Rc<[u8]> {
    Rc::from(serde_json::to_vec(identity).unwrap_or_default())
}

fn evidence_of_failure(refusal: &Refusal) -> Rc<[u8]> {
    let failure = serde_json::json!({
        "refused": {
            "reason": refusal.reason(),
            "status": refusal.status(),
            "headers": refusal.headers(),
        },
    });
    Rc::from(failure.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_a_client_says_of_itself_is_taken_off_in_every_spelling() {
        let proxy = Proxy::with_request(&[
            ("x-auth-subject", "root"),
            ("x_auth_subject", "root"),
            ("x-auth_scopes", "all"),
            ("x.auth.groups", "ops"),
            ("x-auth-subjects", "harmless"),
        ]);
        let mut effects = Effects::default();
        IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
        assert_eq!(
            effects.to_string(),
            "-x-auth-subject -x_auth_subject -x-auth_scopes -x.auth.groups"
        );
    }

    #[test]
    fn an_identity_goes_to_filter_state_and_upstream() {
        let identity = Identity {
            scheme: "basic",
            subject: "alice".into(),
            groups: vec!["ops".into(), "dev".into()],
            expires: Some(Timestamp::from_secs(5)),
            ..Identity::default()
        };
        let credential =
            Rc::new(Credential::new("basic-auth", &identity, &IdentityHeaders::default()));
        let mut effects = Effects::default();
        let flow =
            conclude("basic-auth", Finding::Known(credential), Verdict::Enforce, &mut effects);
        assert!(matches!(flow, Flow::Continue));
        assert_eq!(
            effects.to_string(),
            "gatehouse.evidence.basic-auth={\"scheme\":\"basic\",\"subject\":\"alice\",\
             \"groups\":[\"ops\",\"dev\"],\"expires\":5} \
             gatehouse.subject=alice gatehouse.groups=ops,dev \
             +x-auth-subject: alice +x-auth-scheme: basic +x-auth-groups: ops,dev"
        );
    }

    #[test]
    fn a_deferred_failure_leaves_evidence_and_passes() {
        let mut effects = Effects::default();
        let refusal = Refusal::unauthorized("missing", "Basic");
        let flow = conclude("basic-auth", Finding::Refused(refusal), Verdict::Defer, &mut effects);
        assert!(matches!(flow, Flow::Continue));
        assert_eq!(
            effects.to_string(),
            "#deferred[reason=missing] gatehouse.evidence.basic-auth={\"refused\":{\"reason\":\
             \"missing\",\"status\":401,\"headers\":[[\"www-authenticate\",\"Basic\"]]}}"
        );
    }
}
