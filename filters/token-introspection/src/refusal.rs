//! Why nobody was recognised, and how that is said (RFC 6750, 3).

use shared::bearer::Bearer;
use shared::jose::Unexpected;
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
    /// The endpoint says that it is not good, or that it knows none such.
    Inactive,
    /// It is of another issuer.
    Issuer,
    /// It is of another type, such as a refresh token.
    Kind,
    /// It is not what was expected.
    Unexpected(Unexpected),
    /// A claim would be taken for another by the upstream.
    Claim,
    /// It is good, but not for this.
    Scope {
        /// For what it would have to be.
        asked: String,
    },
    /// It lacks a claim that is asked for here.
    NotAllowed,
    /// Nobody can say whether it is good.
    Unanswered(Fault),
}

/// Why nobody can say whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The endpoint cannot be reached.
    Unreachable,
    /// It took too long.
    Timeout,
    /// It does not take this client's word for who it is.
    ClientRefused,
    /// It answered with another status than 200.
    Status,
    /// It answered with something that RFC 7662 does not have.
    Answer,
    /// Its answer is longer than is read.
    TooLong,
    /// It answered with a signed token (RFC 9701), which is not read here.
    Jwt,
    /// It is being asked about too many tokens.
    Busy,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::Timeout,
        Self::ClientRefused,
        Self::Status,
        Self::Answer,
        Self::TooLong,
        Self::Jwt,
        Self::Busy,
    ];

    /// It as a number, for other workers.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The fault of a number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.number() == number)
    }

    /// One word for logs and metrics.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "endpoint_unreachable",
            Self::Timeout => "endpoint_timeout",
            Self::ClientRefused => "client_refused",
            Self::Status => "endpoint_status",
            Self::Answer => "endpoint_answer",
            Self::TooLong => "answer_too_long",
            Self::Jwt => "jwt_answer",
            Self::Busy => "too_many_calls",
        }
    }
}

impl No {
    /// The refusal, with the challenge of the settings.
    pub(crate) fn refusal(self, settings: &Settings) -> Refusal {
        let bearer = Bearer::of(&settings.realm, settings.resource_metadata.as_ref());
        let reason = match self {
            Self::Missing => return bearer.missing(),
            Self::Repeated => return bearer.repeated(),
            Self::Unanswered(fault) => return Refusal::unavailable(fault.reason()),
            Self::NotAllowed => return Refusal::forbidden("not_allowed"),
            Self::Scope { asked } => return bearer.insufficient_scope(&asked),
            Self::Malformed => "malformed",
            Self::Inactive => "inactive",
            Self::Issuer => "issuer",
            Self::Kind => "token_type",
            Self::Unexpected(unexpected) => unexpected.reason(),
            Self::Claim => "claim",
        };
        // What a client may find worth renewing.
        let description = match reason {
            "inactive" | "expired" => "The token is not active",
            _ => "The token is not valid",
        };
        bearer.invalid(reason, description)
    }
}
