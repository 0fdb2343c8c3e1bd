//! What a proxy would take and nobody can have meant.

pub(super) mod chain;
pub(super) mod connection;
mod header;
pub(super) mod limit;
pub(super) mod listener;
pub(super) mod log;
pub(super) mod secrets;
pub(super) mod settings;
pub(super) mod sign_in;

use std::collections::HashSet;

use super::document::{At, join};
use super::report::{Level, Report};

/// What can be found. The README says what each means, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Unreadable,
    Syntax,
    Empty,
    UnknownDocument,
    UnreadDocument,
    NoFilter,
    DuplicateField,
    DuplicateObject,
    UnquotedName,
    UnknownFilter,
    UnknownOverride,
    Config,
    UnsetVariable,
    UndeclaredVariable,
    StandIn,
    FailsOpen,
    MissingCallback,
    Disabled,
    ModeOfAll,
    OnFailureAllow,
    DeferWithoutPolicy,
    DeferMaybeWithoutPolicy,
    PolicyOrder,
    WholeHeader,
    MissingAuthenticator,
    MaybeMissingAuthenticator,
    LimitKey,
    MaybeLimitKey,
    LimitOrder,
    UpgradeBypass,
    UnknownCluster,
    PlainSecret,
    PlainProvider,
    SignInOff,
    DefaultSecret,
    NormalizePath,
    MergeSlashes,
    EscapedSlashes,
    HostPort,
    RemoteAddress,
    RequestTimeout,
    RequestHeadersTimeout,
    StreamIdleTimeout,
    IdleTimeout,
    RouteTimeout,
    HeaderUnderscores,
    PlainListener,
    OldTls,
    UnprintedLines,
    StopIteration,
}

impl Code {
    const fn parts(self) -> (Level, &'static str) {
        use Level::{Error, Info, Warning};
        match self {
            Self::Unreadable => (Error, "unreadable"),
            Self::Syntax => (Error, "syntax"),
            Self::Empty => (Error, "empty"),
            Self::UnknownDocument => (Error, "unknown-document"),
            Self::UnreadDocument => (Error, "unread-document"),
            Self::NoFilter => (Info, "no-filter"),
            Self::DuplicateField => (Error, "duplicate-field"),
            Self::DuplicateObject => (Error, "duplicate-object"),
            Self::UnquotedName => (Error, "unquoted-name"),
            Self::UnknownFilter => (Warning, "unknown-filter"),
            Self::UnknownOverride => (Warning, "unknown-override"),
            Self::Config => (Error, "config"),
            Self::UnsetVariable => (Error, "unset-variable"),
            Self::UndeclaredVariable => (Error, "undeclared-variable"),
            Self::StandIn => (Warning, "stand-in"),
            Self::FailsOpen => (Error, "fails-open"),
            Self::MissingCallback => (Error, "missing-callback"),
            Self::Disabled => (Warning, "disabled"),
            Self::ModeOfAll => (Warning, "mode-of-all"),
            Self::OnFailureAllow => (Warning, "on-failure-allow"),
            Self::DeferWithoutPolicy => (Error, "defer-without-policy"),
            Self::DeferMaybeWithoutPolicy => (Warning, "defer-without-policy"),
            Self::PolicyOrder => (Error, "policy-order"),
            Self::WholeHeader => (Warning, "whole-header"),
            Self::MissingAuthenticator => (Error, "missing-authenticator"),
            Self::MaybeMissingAuthenticator => (Warning, "missing-authenticator"),
            Self::LimitKey => (Warning, "limit-key"),
            Self::MaybeLimitKey => (Info, "limit-key"),
            Self::LimitOrder => (Warning, "limit-order"),
            Self::UpgradeBypass => (Error, "upgrade-bypass"),
            Self::UnknownCluster => (Error, "unknown-cluster"),
            Self::PlainSecret => (Warning, "plain-secret"),
            Self::PlainProvider => (Warning, "plain-provider"),
            Self::SignInOff => (Error, "sign-in-off"),
            Self::DefaultSecret => (Info, "default-secret"),
            Self::NormalizePath => (Warning, "normalize-path"),
            Self::MergeSlashes => (Warning, "merge-slashes"),
            Self::EscapedSlashes => (Warning, "escaped-slashes"),
            Self::HostPort => (Warning, "host-port"),
            Self::RemoteAddress => (Warning, "remote-address"),
            Self::RequestTimeout => (Warning, "request-timeout"),
            Self::RequestHeadersTimeout => (Warning, "request-headers-timeout"),
            Self::StreamIdleTimeout => (Warning, "stream-idle-timeout"),
            Self::IdleTimeout => (Warning, "idle-timeout"),
            Self::RouteTimeout => (Info, "route-timeout"),
            Self::HeaderUnderscores => (Warning, "header-underscores"),
            Self::PlainListener => (Warning, "plain-listener"),
            Self::OldTls => (Warning, "old-tls"),
            Self::UnprintedLines => (Warning, "unprinted-lines"),
            Self::StopIteration => (Info, "stop-iteration"),
        }
    }

    /// Reports it of a place.
    pub(super) fn report(self, at: &At<'_>, message: impl Into<String>, report: &mut Report) {
        self.report_at((at.line, &at.path), message, report);
    }

    /// Reports it of a line and a path.
    pub(super) fn report_at(
        self,
        place: (usize, &str),
        message: impl Into<String>,
        report: &mut Report,
    ) {
        report.add(place, self.parts(), message);
    }

    /// Reports it of a place in a configuration, which may be a document within the document.
    pub(super) fn report_in(
        self,
        prefix: &str,
        at: &At<'_>,
        message: impl Into<String>,
        report: &mut Report,
    ) {
        let path = join(prefix, &at.path);
        self.report_at((at.line, &path), message, report);
    }
}

/// Members that come twice: parsers disagree on which of them counts. Of a document within the document the
/// paths are read behind `prefix`.
pub(super) fn duplicates(prefix: &str, all: &[At<'_>], report: &mut Report) {
    for at in all {
        let mut names = HashSet::new();
        for member in at.members().iter().filter(|member| !names.insert(member.name)) {
            Code::DuplicateField.report_in(prefix, member, "comes twice", report);
        }
    }
}
