//! What an authenticator in front has left of a request, as a filter behind it reads it.
//!
//! It is filter state, which no client can write. One that does not parse counts as none: whoever
//! needs it refuses.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::identity::evidence_name;
use crate::view::Request;

/// What came of a request's credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// They are good.
    Known(Rc<Known>),
    /// They are not, or are not there.
    Refused(Refused),
}

/// Who sends a request.
#[derive(Clone, Debug, Default, PartialEq)]
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
    pub headers: Map<String, Value>,
    /// The headers in which it was told already, by an authenticator that enforces.
    pub told: Vec<String>,
}

/// Why nobody was recognised.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// One word for logs.
    pub reason: String,
    /// The status with which the authenticator would have refused.
    pub status: u16,
    /// The headers with which it would have.
    pub headers: Vec<(String, String)>,
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
        let bytes = request.property(&[&evidence_name(authenticator)])?;
        // A filter of ours has written it, so that one reading is enough.
        let written: Written = serde_json::from_slice(&bytes).ok()?;
        let Written { refused, scheme, subject, consumer, scopes, groups, claims, headers, told } =
            written;
        match refused {
            Some(refused) => Some(Self::Refused(refused)),
            // Whoever is known is known by a scheme.
            None if scheme.is_empty() => None,
            None => Some(Self::Known(Rc::new(Known {
                subject,
                consumer,
                scopes,
                groups,
                claims,
                headers,
                told,
            }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::effects::{Effect, Effects};
    use crate::identity::{Credential, Finding, Identity, IdentityHeaders, Verdict, conclude};
    use crate::reply::Refusal;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn left_by(finding: Finding, verdict: Verdict) -> Option<Evidence> {
        let mut effects = Effects::default();
        conclude("jwt-auth", finding, verdict, &mut effects);
        let proxy = Proxy::default();
        for effect in effects.take() {
            if let Effect::SetState(name, value) = effect {
                proxy.set_property(&[&name], &value);
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
        assert_eq!((refused.reason.as_str(), refused.status), ("expired", 401));
        assert_eq!(refused.headers, [("www-authenticate".into(), "Bearer realm=\"x\"".into())]);
    }

    #[test]
    fn nothing_and_nonsense_are_none() {
        let proxy = Proxy::default();
        let read = || Evidence::read(&Request::new(&proxy), "jwt-auth");
        assert_eq!(read(), None);
        for nonsense in ["", "[]", "{}", "{", r#"{"scopes": "all"}"#, r#"{"refused": 5}"#] {
            proxy.set_property(&["gatehouse.evidence.jwt-auth"], nonsense.as_bytes());
            assert_eq!(read(), None, "{nonsense}");
        }
    }
}
