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
//! 4. What an authenticator in front has told the upstream of itself, one behind leaves alone: its
//!    evidence says under which names it did (`told`). If that one enforces too, and knows who it
//!    is, it speaks for the request in the first one's place. For alternatives there is a policy,
//!    which finds in the evidence of a deferred success what the upstream is to be told (`headers`).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Invalid, json};
use crate::effects::Effects;
use crate::evidence::{Known, Refused, SUBJECT, TEXTS, Testimony, texts};
use crate::filter::Flow;
use crate::reply::Refusal;
use crate::time::Timestamp;
use crate::view::Request;

/// What is known of who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The scheme by which it is known: `basic`, `api-key`, `jwt`.
    pub scheme: &'static str,
    /// The user, or the `sub` of a token.
    pub subject: String,
    /// The consumer that a credential was given to, where consumers have names of their own.
    pub consumer: Option<String>,
    /// What the credential was given for.
    pub scopes: Vec<String>,
    /// What the consumer belongs to.
    pub groups: Vec<String>,
    /// When the credential ends, to the second.
    pub expires: Option<Timestamp>,
    /// Selected claims of a token.
    pub claims: serde_json::Map<String, Value>,
}

/// What an authenticator makes of a request that it may let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Takes what only the proxy may say off a request, unless it was an authenticator in front that
    /// said it.
    pub fn strip(&self, request: &Request<'_>, effects: &mut Effects) {
        self.strip_also(&[], request, effects);
    }

    /// The same, and some headers more.
    pub fn strip_also(&self, more: &[HeaderName], request: &Request<'_>, effects: &mut Effects) {
        let (ours, mut told) = (self.names(), None);
        let all = || ours.into_iter().chain(more);
        // Most headers are not of the length of any.
        let bit =
            |len: usize| 1_u64.checked_shl(u32::try_from(len).unwrap_or(u32::MAX)).unwrap_or(1);
        let lengths = all().fold(0, |bits, ours| bits | bit(ours.0.len()));
        for (name, _) in request.headers().iter() {
            if lengths & bit(name.len()) == 0 || !all().any(|ours| ours.is_like(name)) {
                continue;
            }
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let told: &Vec<String> = told.get_or_insert_with(|| told_before(request));
            if told.iter().all(|known| known != name) {
                effects.remove_request_header(Rc::from(name));
            }
        }
        // Claim headers among them, which this filter may know nothing of.
        told.iter().flatten().for_each(|name| effects.keep(Rc::from(name.as_str())));
    }

    /// Whether the upstream can be told so: none of the headers means something else, to proxies, to
    /// this filter (`is_taken`: a credential is looked for there), or by another of these names.
    pub fn check(&self, is_taken: &dyn Fn(&HeaderName) -> bool) -> Result<(), Invalid> {
        let (parts, names) = (["subject", "scheme", "consumer", "scopes", "groups"], self.names());
        for (part, name) in parts.into_iter().zip(names) {
            let why = if name.is_reserved() {
                "is a header that means something else"
            } else if is_taken(name) {
                "is where a credential is looked for"
            } else if names.iter().filter(|other| other.is_like(name.0.as_bytes())).count() > 1 {
                "is the header of another part, too"
            } else {
                continue;
            };
            return Err(Invalid::at(format!("identity_headers.{part}"), why));
        }
        Ok(())
    }

    fn names(&self) -> [&HeaderName; 5] {
        [&self.subject, &self.scheme, &self.consumer, &self.scopes, &self.groups]
    }
}

/// Headers that mean something to proxies, or carry what clients send: no name for anything else.
const RESERVED: [&str; 18] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// The name of a header, in lower case (RFC 9110, 5.6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(Rc<str>);

impl HeaderName {
    /// The name.
    pub fn shared(&self) -> Rc<str> {
        Rc::clone(&self.0)
    }

    /// Whether it means something to proxies, or carries what clients send.
    pub fn is_reserved(&self) -> bool {
        RESERVED.iter().any(|reserved| self.is_like(reserved.as_bytes()))
    }

    /// Whether an interface that makes one character of all that are no letters or digits, as CGI
    /// and its successors do, would take `name` for this one.
    pub fn is_like(&self, name: &[u8]) -> bool {
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
    evidence: Rc<str>,
    forms: Rc<Forms>,
    /// The evidence, made when it is first needed: a credential is seldom both enforced and deferred.
    enforced: OnceCell<Rc<Testimony>>,
    deferred: OnceCell<Rc<Testimony>>,
}

/// An identity, and what is said of it: to the access log and to the upstream.
#[derive(Debug)]
pub(crate) struct Forms {
    identity: Identity,
    texts: Vec<(Rc<str>, Rc<[u8]>)>,
    headers: Vec<(Rc<str>, Rc<[u8]>)>,
}

impl Credential {
    /// The forms of `identity` as `filter` found it, told upstream under the names of `headers`.
    pub fn new(filter: &str, identity: Identity, headers: &IdentityHeaders) -> Self {
        Self::with_headers(filter, identity, headers, Vec::new())
    }

    /// The same, with further headers for the upstream, in place of those of the same name.
    pub fn with_headers(
        filter: &str,
        identity: Identity,
        headers: &IdentityHeaders,
        more: Vec<(Rc<str>, String)>,
    ) -> Self {
        let (scopes, groups) = (identity.scopes.join(" "), identity.groups.join(","));
        let said = [
            identity.subject.as_str(),
            identity.consumer.as_deref().unwrap_or_default(),
            &scopes,
            &groups,
        ];
        let texts = texts(said);
        let [subject, consumer, scopes, groups] = said;
        // No state of its own for the scheme: each costs a call at every request.
        let parts =
            headers.names().into_iter().zip([subject, identity.scheme, consumer, scopes, groups]);
        let said_anew = |name: &HeaderName| more.iter().any(|(other, _)| *name.0 == **other);
        let own = parts.filter(|(name, text)| !text.is_empty() && !said_anew(name));
        let own = own.map(|(name, text)| (name.shared(), bytes(text)));
        let headers = own.chain(more.iter().map(|(name, text)| (Rc::clone(name), bytes(text))));
        let headers = headers.collect();
        Self {
            evidence: evidence_name(filter),
            forms: Rc::new(Forms { identity, texts, headers }),
            enforced: OnceCell::new(),
            deferred: OnceCell::new(),
        }
    }
}

fn bytes(text: &str) -> Rc<[u8]> {
    Rc::from(text.as_bytes())
}

impl Credential {
    /// What it is good for.
    pub fn scopes(&self) -> &[String] {
        &self.forms.identity.scopes
    }

    /// The evidence, with the names under which the upstream was told.
    fn enforced(&self) -> Rc<Testimony> {
        Rc::clone(self.enforced.get_or_init(|| self.testimony(true)))
    }

    /// The evidence, with what the upstream is to be told.
    fn deferred(&self) -> Rc<Testimony> {
        Rc::clone(self.deferred.get_or_init(|| self.testimony(false)))
    }

    // Once, where it would be copied to both.
    #[inline(never)]
    fn testimony(&self, is_told: bool) -> Rc<Testimony> {
        let Forms { identity, headers, .. } = &*self.forms;
        let written = Evidence::of(
            identity,
            is_told.then(|| self.forms.names().collect()),
            (!is_told).then_some(Headers(headers)),
        )
        .written();
        Rc::new(Testimony::known(Rc::clone(&self.forms), is_told, written))
    }
}

impl Forms {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| &**name)
    }

    /// As a filter behind sees it, whether the upstream was told already or is to be.
    pub(crate) fn known(&self, is_told: bool) -> Known {
        let Identity { subject, consumer, scopes, groups, claims, .. } = self.identity.clone();
        Known {
            subject,
            consumer: consumer.unwrap_or_default(),
            scopes,
            groups,
            claims,
            headers: if is_told { Vec::new() } else { self.headers.clone() },
            texts: self.texts.clone(),
            told: if is_told { self.names().map(str::to_owned).collect() } else { Vec::new() },
        }
    }
}

/// An identity as it is left for the filters behind.
#[derive(Serialize)]
struct Evidence<'a> {
    scheme: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    claims: &'a serde_json::Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers<'a>>,
}

impl<'a> Evidence<'a> {
    fn of(
        identity: &'a Identity,
        told: Option<Vec<&'a str>>,
        headers: Option<Headers<'a>>,
    ) -> Self {
        let Identity { scheme, subject, consumer, scopes, groups, expires, claims } = identity;
        let expires = expires.map(Timestamp::secs);
        let consumer = consumer.as_deref();
        Self { scheme, subject, consumer, scopes, groups, expires, claims, told, headers }
    }

    fn written(&self) -> Rc<[u8]> {
        Rc::from(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Headers as an object.
struct Headers<'a>(&'a [(Rc<str>, Rc<[u8]>)]);

impl Serialize for Headers<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, text(value))))
    }
}

/// Every filter that leaves evidence.
pub const AUTHENTICATORS: [&str; 5] =
    ["api-key-auth", "basic-auth", "jwt-auth", "oauth2-login", "token-introspection"];

/// The names of what they leave.
const EVIDENCE: [&str; 5] = [
    "gatehouse.evidence.api-key-auth",
    "gatehouse.evidence.basic-auth",
    "gatehouse.evidence.jwt-auth",
    "gatehouse.evidence.oauth2-login",
    "gatehouse.evidence.token-introspection",
];

/// Under which names the authenticators in front have told the upstream who it is.
// Once, where it would be copied to both.
#[inline(never)]
fn told_before(request: &Request<'_>) -> Vec<String> {
    let evidence = |filter| request.property(&[&evidence_path(filter)]);
    let told = |bytes: Vec<u8>| match json::parse(&bytes).ok()?.get("told")? {
        Value::Array(names) => {
            Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
        }
        _ => None,
    };
    AUTHENTICATORS.into_iter().filter_map(evidence).filter_map(told).flatten().collect()
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
    request: &Request<'_>,
    effects: &mut Effects,
) -> Flow {
    match (finding, verdict) {
        (Finding::Known(credential), Verdict::Enforce) => {
            effects.leave(Rc::clone(&credential.evidence), credential.enforced());
            take_over(&credential, request, effects);
            for (name, value) in &credential.forms.texts {
                effects.set_state(Rc::clone(name), Rc::clone(value));
            }
            for (name, value) in &credential.forms.headers {
                effects.set_request_header(Rc::clone(name), Rc::clone(value));
            }
            Flow::Continue
        }
        (Finding::Known(credential), Verdict::Defer) => {
            effects.leave(Rc::clone(&credential.evidence), credential.deferred());
            Flow::Continue
        }
        (Finding::Refused(refusal), Verdict::Enforce) => Flow::Refuse(refusal),
        (Finding::Refused(refusal), Verdict::Defer) => {
            effects.count_by("deferred", "reason", refusal.reason());
            let testimony = Testimony::refused(Refused {
                reason: refusal.reason().into(),
                status: refusal.status(),
                missing: refusal.is_of_nothing(),
                headers: refusal.into_headers().map(|(name, text)| (name.into(), text)).collect(),
            });
            effects.leave(evidence_name(filter), Rc::new(testimony));
            Flow::Continue
        }
    }
}

/// Takes back what an authenticator in front has said and this one does not say anew.
fn take_over(credential: &Credential, request: &Request<'_>, effects: &mut Effects) {
    let has = |list: &[(Rc<str>, Rc<[u8]>)], name: &str| list.iter().any(|(n, _)| **n == *name);
    speak_in_place(
        |name| has(&credential.forms.headers, name),
        |name| has(&credential.forms.texts, name),
        request,
        effects,
    );
}

/// Takes back what the authenticators in front that enforce have said, by whoever speaks for the
/// request in their place: headers but for those that `keeps` names, texts in filter state but for
/// those that `says` does.
pub fn speak_in_place(
    keeps: impl Fn(&str) -> bool,
    says: impl Fn(&str) -> bool,
    request: &Request<'_>,
    effects: &mut Effects,
) {
    let mut kept = effects.take_kept();
    if kept.is_empty() {
        // They may have told the upstream under names that this filter does not know.
        if request.property(&[SUBJECT]).is_none() {
            return;
        }
        kept = told_before(request).into_iter().map(Rc::from).collect();
    }
    for name in kept.into_iter().filter(|name| !keeps(name)) {
        effects.remove_request_header(name);
    }
    for name in TEXTS.into_iter().filter(|name| !says(name)) {
        effects.set_state(Rc::from(name), Rc::from(&b""[..]));
    }
}

/// The name under which a filter's evidence is left.
pub(crate) fn evidence_name(filter: &str) -> Rc<str> {
    Rc::from(&*evidence_path(filter))
}

/// The same, not made anew for those that leave any.
pub(crate) fn evidence_path(filter: &str) -> Cow<'static, str> {
    let known = AUTHENTICATORS.iter().zip(EVIDENCE).find(|(name, _)| **name == filter);
    known.map_or_else(|| format!("gatehouse.evidence.{filter}").into(), |(_, path)| path.into())
}

#[cfg(test)]
mod tests;
