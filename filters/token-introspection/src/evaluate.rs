//! What an answer of the endpoint comes to: a token that is good here, or why it is not.

use std::rc::Rc;
use std::time::Duration;

use shared::config::Invalid;
use shared::filter::Plugin;
use shared::identity::{Credential, HeaderName, IdentityHeaders};
use shared::jose::{Claims, Expected, Mapping, MappingConfig};
use shared::sources::{Source, Sources};
use shared::time::Timestamp;

use crate::TokenIntrospection;
use crate::config::Config;
use crate::endpoint::Says;
use crate::refusal::No;

/// What tokens have to be, and what becomes of their claims.
pub(crate) struct Evaluation {
    issuer: Option<String>,
    expected: Expected,
    /// Of which `token_type` is one; `None` for any, and for none at all.
    kinds: Option<Vec<String>>,
    mapping: Mapping,
    identity_headers: IdentityHeaders,
}

/// A token that was found good.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Until when it is remembered at the longest: its own end.
    pub(crate) ends: Option<Timestamp>,
    /// What the endpoint says of it.
    pub(crate) claims: Claims,
    /// How the others learn of it.
    pub(crate) credential: Rc<Credential>,
}

impl Evaluation {
    pub(crate) fn new(config: &mut Config, sources: &Sources) -> Result<Self, Invalid> {
        let audiences = Expected::audiences(config.audiences.take(), config.any_audience)?;
        let kinds = match (config.token_types.take(), config.any_token_type) {
            (Some(_), true) => {
                return Err(Invalid::at("any_token_type", "contradicts `token_types`"));
            }
            (Some(kinds), false) => Some(kinds.to_vec()),
            (None, true) => None,
            (None, false) => Some(vec!["Bearer".to_owned()]),
        };
        if config.issuer.as_ref().is_some_and(String::is_empty) {
            return Err(Invalid::at("issuer", "is empty"));
        }
        let written = MappingConfig {
            scopes_claims: config.scopes_claims.take(),
            groups_claim: config.groups_claim.take(),
            consumer_claims: config.consumer_claims.take(),
            claims: std::mem::take(&mut config.claims),
            claim_headers: std::mem::take(&mut config.claim_headers),
        };
        Ok(Self {
            issuer: config.issuer.take(),
            expected: Expected {
                audiences,
                leeway: config.leeway.map_or(Duration::from_secs(60), |leeway| leeway.duration()),
                // RFC 7662, 2.2: `exp` need not be there. The endpoint is asked again.
                endless: true,
                ..Expected::default()
            },
            kinds,
            mapping: Mapping::new(written, sources)?,
            identity_headers: std::mem::take(&mut config.identity_headers),
        })
    }

    /// The headers that tell the upstream of claims.
    pub(crate) fn claim_headers(&self) -> Vec<HeaderName> {
        self.mapping.headers().cloned().collect()
    }

    /// What is done to every request.
    pub(crate) const fn identity_headers(&self) -> &IdentityHeaders {
        &self.identity_headers
    }

    /// What the endpoint's word comes to.
    pub(crate) fn check(&self, says: Says, now: Timestamp) -> Result<Checked, No> {
        let Says::Active(claims) = says else { return Err(No::Inactive) };
        // Before its type, which then is another, too.
        self.expected.check_binding(&claims).map_err(No::Unexpected)?;
        let is = |kind: &str, known: &String| kind.eq_ignore_ascii_case(known);
        let kind = claims.text("token_type");
        let fits = |kinds: &Vec<String>| {
            kind.is_some_and(|kind| kinds.iter().any(|known| is(kind, known)))
        };
        if !self.kinds.as_ref().is_none_or(fits) {
            return Err(No::Kind);
        }
        if self.issuer.is_some() && claims.text("iss") != self.issuer.as_deref() {
            return Err(No::Issuer);
        }
        let ends = self.expected.check_claims(&claims, now).map_err(No::Unexpected)?;
        let leeway = u64::try_from(self.expected.leeway.as_nanos()).unwrap_or(u64::MAX);
        let ends = ends.map(|ends| Timestamp::from_nanos(ends.nanos().saturating_sub(leeway)));
        let by = (TokenIntrospection::NAME, "oauth2");
        let credential = self.mapping.apply(by, &claims, ends, &self.identity_headers);
        Ok(Checked { ends, claims, credential: credential.map_err(|_| No::Claim)? })
    }
}

/// Where tokens stand unless told: RFC 6750, 2.1.
pub(crate) fn bearer() -> Sources {
    Sources::new(vec![Source::authorization("Bearer")])
}
