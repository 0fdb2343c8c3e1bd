//! Why a sign-in came to nothing, and how people are told: a page, and no redirect, so that there is
//! no loop.

use shared::effects::Effects;
use shared::filter::Flow;
use shared::reply::Page;

use crate::tokens::NoTokens;

/// Why a sign-in came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The callback has no form: a parameter comes twice, is missing, or is too long.
    Callback,
    /// This browser has begun no such attempt, or long ago, or has concluded it.
    NoAttempt,
    /// Somebody else sent the browser back (RFC 9207, 2.4).
    Issuer,
    /// The provider says no: `access_denied`.
    Denied,
    /// It would have to ask the user, and may not: `login_required` and the like.
    Interaction,
    /// It says that something else is wrong.
    Error,
    /// It, or what it would need, is not there.
    Unavailable,
    /// It does not take the code.
    Code,
    /// It does not take us.
    Client,
    /// It does not answer as it should.
    Answer,
    /// The ID token is not good; why, in one word.
    IdToken(&'static str),
    /// What is to be kept of the session does not fit into cookies.
    TooLarge,
}

impl From<NoTokens> for Problem {
    fn from(no: NoTokens) -> Self {
        match no {
            NoTokens::Unavailable => Self::Unavailable,
            NoTokens::Refused => Self::Code,
            NoTokens::Misconfigured => Self::Client,
            NoTokens::Malformed => Self::Answer,
        }
    }
}

impl Problem {
    /// What an error of the provider means (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6).
    pub(crate) fn of_error(error: &[u8]) -> Self {
        match error {
            b"access_denied" => Self::Denied,
            b"login_required"
            | b"interaction_required"
            | b"consent_required"
            | b"account_selection_required" => Self::Interaction,
            b"temporarily_unavailable" => Self::Unavailable,
            _ => Self::Error,
        }
    }

    /// One word for logs and metrics.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::NoAttempt => "no_attempt",
            Self::Issuer => "issuer",
            Self::Denied => "access_denied",
            Self::Interaction => "interaction_required",
            Self::Error => "provider_error",
            Self::Unavailable => "provider_unavailable",
            Self::Code => "code",
            Self::Client => "client",
            Self::Answer => "provider_answer",
            Self::IdToken(why) => why,
            Self::TooLarge => "session_too_large",
        }
    }

    /// Anybody can send a callback: what is no fault of the provider or of ours fills no log.
    const fn level(self) -> log::Level {
        match self {
            Self::Client | Self::Answer | Self::IdToken(_) | Self::TooLarge => log::Level::Info,
            _ => log::Level::Debug,
        }
    }

    const fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Callback => (
                400,
                "This sign-in cannot be read",
                "The address that the sign-in came back to is not complete.",
            ),
            Self::NoAttempt => (
                400,
                "This sign-in is over",
                "It was begun in another browser, took too long, or was finished already. If this \
                 happens again and again, the browser does not keep cookies.",
            ),
            Self::Issuer => (
                400,
                "This sign-in is not from here",
                "It came back from somebody else than the provider that it was begun with.",
            ),
            Self::Denied => (403, "Access was denied", "The provider did not let you sign in."),
            Self::Interaction => (
                403,
                "The provider has a question",
                "It could not sign you in without asking, and was told not to ask.",
            ),
            Self::Error => (502, "The provider reports an error", "You were not signed in."),
            Self::Unavailable => (
                503,
                "Sign-in is not possible at the moment",
                "The provider cannot be reached. Try again in a while.",
            ),
            Self::Code => (
                400,
                "This sign-in is over",
                "The provider does not accept it any more; it may have been used already.",
            ),
            Self::Client | Self::Answer | Self::IdToken(_) | Self::TooLarge => (
                502,
                "The sign-in did not work",
                "What the provider answered cannot be used. Whoever runs this site finds the reason \
                 in its log.",
            ),
        }
    }

    /// The page that says so, with further headers; from it the browser may try to get to `path`.
    pub(crate) fn page(
        self,
        path: &str,
        headers: Vec<(&'static str, String)>,
        effects: &mut Effects,
    ) -> Flow {
        effects.count_by("failed", "reason", self.reason());
        log::log!(self.level(), "{}: no sign-in: {}", crate::NAME, self.reason());
        let (status, title, text) = self.words();
        let page = Page {
            status,
            reason: self.reason(),
            title,
            text: text.into(),
            link: Some((path.to_owned(), "Try again")),
            form: None,
        };
        Flow::Answer(page.reply(crate::NAME, headers))
    }
}
