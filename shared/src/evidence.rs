//! What an authenticator in front has left of a request, as a filter behind it reads it.
//!
//! 1. It is filter state, which no client can write. One that does not parse counts as none: whoever
//!    needs it refuses.
//! 2. The filters of a chain read each other's as it is ([`Testimony`]); it is written for others.
//! 3. A filter in a module of its own remembers what it has parsed ([`Memory`]): the same credential
//!    leaves the same bytes at every request.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hash::Spread;
use crate::identity::{Forms, evidence_path};
use crate::view::Request;

/// What came of a request's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// They are good.
    Known(Rc<Known>),
    /// They are not, or are not there.
    Refused(Rc<Refused>),
}

/// Who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The user, or the `sub` of a token.
    pub subject: String,
    /// The consumer that a credential was given to.
    pub consumer: String,
    /// What the credential is good for.
    pub scopes: Vec<String>,
    /// What its owner belongs to.
    pub groups: Vec<String>,
    /// Selected claims of a token.
    pub claims: Map<String, Value>,
    /// What the upstream is to be told; nothing where it was told already.
    pub headers: Vec<(Rc<str>, Rc<[u8]>)>,
    /// The parts that filter state holds as text, by the names there; but for the subject, none is empty.
    pub texts: Vec<(Rc<str>, Rc<[u8]>)>,
    /// The headers in which it was told already, by an authenticator that enforces.
    pub told: Vec<String>,
}

/// Why nobody was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Refused {
    /// One word for logs.
    pub reason: Cow<'static, str>,
    /// The status with which the authenticator would have refused.
    pub status: u16,
    /// The headers with which it would have.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Whether no credential was presented. What does not say so is of one that is no good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// Evidence as an authenticator leaves it.
#[derive(Clone, Debug)]
pub struct Testimony {
    of: Of,
    /// It as JSON; of a refusal, which is of one request, made when it is first needed.
    written: OnceCell<Rc<[u8]>>,
}

#[derive(Clone, Debug)]
enum Of {
    /// Somebody, whether the upstream was told already, and what a filter of the chain sees, if there is one.
    Somebody(Rc<Forms>, bool, OnceCell<Rc<Known>>),
    Nobody(Rc<Refused>),
}

impl Testimony {
    /// Of somebody, `written` down.
    pub(crate) fn known(forms: Rc<Forms>, is_told: bool, written: Rc<[u8]>) -> Self {
        let of = Of::Somebody(forms, is_told, OnceCell::new());
        Self { of, written: OnceCell::from(written) }
    }

    /// Of nobody.
    pub(crate) fn refused(refused: Refused) -> Self {
        Self { of: Of::Nobody(Rc::new(refused)), written: OnceCell::new() }
    }

    /// It as a filter of the chain sees it.
    fn evidence(&self) -> Evidence {
        match &self.of {
            Of::Somebody(forms, is_told, known) => {
                let known = known.get_or_init(|| Rc::new(forms.known(*is_told)));
                Evidence::Known(Rc::clone(known))
            }
            Of::Nobody(refused) => Evidence::Refused(Rc::clone(refused)),
        }
    }

    /// It as JSON, for filters outside of the chain.
    pub fn written(&self) -> Rc<[u8]> {
        let write = || match &self.of {
            Of::Nobody(refused) => {
                Rc::from(serde_json::to_vec(&Failure { refused }).unwrap_or_default())
            }
            // It was written when it was made. If not, it would be read as none, and refused.
            Of::Somebody(..) => Rc::from([]),
        };
        Rc::clone(self.written.get_or_init(write))
    }
}

impl PartialEq for Testimony {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for Testimony {}

#[derive(Serialize)]
struct Failure<'a> {
    refused: &'a Refused,
}

/// Either, as it is written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    refused: Option<Refused>,
    scheme: String,
    subject: String,
    consumer: String,
    scopes: Vec<String>,
    groups: Vec<String>,
    claims: Map<String, Value>,
    headers: Map<String, Value>,
    told: Vec<String>,
}

impl Evidence {
    /// What the authenticator of this name has left; `None` where it did not run.
    pub fn read(request: &Request<'_>, authenticator: &str) -> Option<Self> {
        let name = evidence_path(authenticator);
        if let Some(testimony) = request.left(&name) {
            return Some(testimony.evidence());
        }
        Self::parse(&request.property(&[&name])?)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // A filter of ours has written it, so that one reading is enough.
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let Written { refused, scheme, subject, consumer, scopes, groups, claims, headers, told } =
            written;
        match refused {
            Some(refused) => Some(Self::Refused(Rc::new(refused))),
            // Whoever is known is known by a scheme.
            None if scheme.is_empty() => None,
            None => {
                let texts = texts([&subject, &consumer, &scopes.join(" "), &groups.join(",")]);
                let header = |(name, value): (String, Value)| match value {
                    Value::String(text) => Some((Rc::from(name), Rc::from(text.into_bytes()))),
                    _ => None,
                };
                let headers = headers.into_iter().filter_map(header).collect();
                let known =
                    Known { subject, consumer, scopes, groups, claims, headers, texts, told };
                Some(Self::Known(Rc::new(known)))
            }
        }
    }
}

/// The parts of an identity that filter state holds as text.
pub(crate) const TEXTS: [&str; 4] =
    [SUBJECT, "gatehouse.consumer", "gatehouse.scopes", "gatehouse.groups"];

/// The first of them, which every identity has, if only as an empty text: by it others learn that somebody has spoken.
pub(crate) const SUBJECT: &str = "gatehouse.subject";

/// What is said of an identity as text, in the order of [`TEXTS`]: the subject, and what else is not empty.
pub(crate) fn texts(said: [&str; 4]) -> Vec<(Rc<str>, Rc<[u8]>)> {
    thread_local! {
        static NAMES: [Rc<str>; 4] = TEXTS.map(Rc::from);
    }
    let named = NAMES.with(Clone::clone).into_iter().zip(said);
    let is_said = |name: &str, text: &str| name == SUBJECT || !text.is_empty();
    let named = named.filter(|(name, text)| is_said(name, text));
    named.map(|(name, text)| (name, Rc::from(text.as_bytes()))).collect()
}

/// How many pieces of evidence a filter remembers.
const REMEMBERED: usize = 256;
/// The longest that is remembered, in bytes.
const LONGEST: usize = 4096;

/// Evidence that was parsed, by its bytes.
pub struct Memory(RefCell<LruCache<Text, Option<Evidence>, Spread>>);

impl Default for Memory {
    fn default() -> Self {
        let most = NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        Self(RefCell::new(LruCache::with_hasher(most, Spread::default())))
    }
}

impl Memory {
    /// As [`Evidence::read`].
    pub fn read(&self, request: &Request<'_>, authenticator: &str) -> Option<Evidence> {
        let name = evidence_path(authenticator);
        if let Some(testimony) = request.left(&name) {
            return Some(testimony.evidence());
        }
        let text = Text(request.property(&[&name])?);
        if text.0.len() > LONGEST {
            return Evidence::parse(&text.0);
        }
        let mut memory = self.0.borrow_mut();
        if let Some(evidence) = memory.get(&text) {
            return evidence.clone();
        }
        let evidence = Evidence::parse(&text.0);
        memory.put(text, evidence.clone());
        evidence
    }
}

/// Evidence as it came, compared whole: a digest in its place could be met by another's.
#[derive(PartialEq, Eq, Hash)]
struct Text(Vec<u8>);

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::effects::Effects;
    use crate::identity::{Credential, Finding, Identity, IdentityHeaders, Verdict, conclude};
    use crate::reply::Refusal;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn left_by(finding: Finding, verdict: Verdict) -> Option<Evidence> {
        let mut effects = Effects::default();
        let proxy = Proxy::default();
        conclude("jwt-auth", finding, verdict, &Request::new(&proxy), &mut effects);
        for effect in effects.take() {
            if let Some((name, value)) = effect.state() {
                proxy.set_property(&[name], &value);
            }
        }
        Evidence::read(&Request::new(&proxy), "jwt-auth")
    }

    #[test]
    fn what_an_authenticator_leaves_is_read() {
        let identity = Identity {
            scheme: "jwt",
            subject: "alice".into(),
            scopes: vec!["api:read".into()],
            ..Identity::default()
        };
        for (verdict, headers) in [(Verdict::Enforce, 0), (Verdict::Defer, 3)] {
            let identity = identity.clone();
            let credential = Credential::new("jwt-auth", identity, &IdentityHeaders::default());
            let Some(Evidence::Known(known)) =
                left_by(Finding::Known(Rc::new(credential)), verdict)
            else {
                panic!("known");
            };
            assert_eq!((known.subject.as_str(), known.headers.len()), ("alice", headers));
            assert_eq!(known.told.len(), 3 - headers);
            assert_eq!(known.scopes, ["api:read"]);
        }
    }

    #[test]
    fn a_failure_is_read_with_its_challenge() {
        let refusal = Refusal::unauthorized("expired", "Bearer realm=\"x\"");
        let Some(Evidence::Refused(refused)) = left_by(Finding::Refused(refusal), Verdict::Defer)
        else {
            panic!("refused");
        };
        assert_eq!((&*refused.reason, refused.status), ("expired", 401));
        assert_eq!(refused.headers, [("www-authenticate".into(), "Bearer realm=\"x\"".into())]);
    }

    #[test]
    fn nothing_and_nonsense_are_none() {
        let (proxy, memory) = (Proxy::default(), Memory::default());
        let read = || {
            let read = Evidence::read(&Request::new(&proxy), "jwt-auth");
            assert_eq!(memory.read(&Request::new(&proxy), "jwt-auth"), read);
            read
        };
        assert_eq!(read(), None);
        for nonsense in ["", "[]", "{}", "{", r#"{"scopes": "all"}"#, r#"{"refused": 5}"#] {
            proxy.set_property(&["gatehouse.evidence.jwt-auth"], nonsense.as_bytes());
            assert_eq!(read(), None, "{nonsense}");
        }
    }

    #[test]
    fn what_is_remembered_is_what_was_written() {
        let (proxy, memory) = (Proxy::default(), Memory::default());
        let subject = |memory: &Memory| match memory.read(&Request::new(&proxy), "jwt-auth") {
            Some(Evidence::Known(known)) => known.subject.clone(),
            _ => String::new(),
        };
        for round in 0..2 {
            for number in 0..300 {
                let written = format!(r#"{{"scheme":"jwt","subject":"u{number}"}}"#);
                proxy.set_property(&["gatehouse.evidence.jwt-auth"], written.as_bytes());
                assert_eq!(subject(&memory), format!("u{number}"), "{round}");
            }
        }
        assert_eq!(memory.0.borrow().len(), REMEMBERED);
        let long = format!(r#"{{"scheme":"jwt","subject":"{}"}}"#, "x".repeat(LONGEST));
        proxy.set_property(&["gatehouse.evidence.jwt-auth"], long.as_bytes());
        assert_eq!(subject(&memory).len(), LONGEST);
        assert_eq!(memory.0.borrow().len(), REMEMBERED);
    }
}
