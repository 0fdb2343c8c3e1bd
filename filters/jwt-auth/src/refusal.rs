//! Why nobody was recognised, and how that is said (RFC 6750, 3).

use shared::bearer::Bearer;
use shared::jose::{Malformed, Unexpected};
use shared::reply::Refusal;

use crate::config::Settings;

/// Why nobody was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum No {
    /// There is no token.
    Missing,
    /// There are several.
    Repeated,
    /// What is there is no token.
    Malformed,
    /// It has an extension that nobody here understands.
    Critical,
    /// It is signed in a way that is not allowed.
    Algorithm,
    /// Nobody knows its issuer, or not here.
    Issuer,
    /// It stands where its provider's tokens do not.
    Source,
    /// It is not what was expected.
    Unexpected(Unexpected),
    /// A claim would be taken for another by the upstream.
    Claim,
    /// None of the keys is its.
    UnknownKey,
    /// The signature is not its key's.
    Signature,
    /// There are no keys to check it with.
    Keyless,
    /// It is good, but not for this.
    Scope {
        /// For what it would have to be.
        asked: String,
    },
    /// It lacks a claim that is asked for here.
    NotAllowed,
}

impl From<Malformed> for No {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Form => Self::Malformed,
            Malformed::Critical => Self::Critical,
            Malformed::Algorithm => Self::Algorithm,
        }
    }
}

impl From<Unexpected> for No {
    fn from(unexpected: Unexpected) -> Self {
        Self::Unexpected(unexpected)
    }
}

impl No {
    /// The refusal, with the challenge of the settings.
    pub(crate) fn refusal(self, settings: &Settings) -> Refusal {
        let bearer = Bearer::of(&settings.realm, settings.resource_metadata.as_ref());
        let reason = match self {
            Self::Missing => return bearer.missing(),
            Self::Repeated => return bearer.repeated(),
            Self::Keyless => return Refusal::unavailable("no_keys"),
            Self::NotAllowed => return Refusal::forbidden("not_allowed"),
            Self::Scope { asked } => return bearer.insufficient_scope(&asked),
            Self::Malformed => "malformed",
            Self::Critical => "critical",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Source => "source",
            Self::Unexpected(unexpected) => unexpected.reason(),
            Self::Claim => "claim",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
        };
        let description =
            if reason == "expired" { "The token has expired" } else { "The token is not valid" };
        bearer.invalid(reason, description)
    }
}
