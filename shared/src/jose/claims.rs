//! What a token says, and whether that is what was expected of it.
//!
//! 1. `iss` is the provider's, byte for byte (RFC 8725, 3.8). `aud` names one of the audiences, alone
//!    or in a list (RFC 7519, 4.1.3).
//! 2. Times are numbers of seconds, with fractions or without (RFC 7519, 2), compared with a leeway.
//!    `exp` is needed unless the configuration says otherwise; zero has expired, and is not absent.
//!    `nbf` and `iat` are not in the future. A token lives no longer than `max_lifetime`.
//! 3. `typ` is one of those expected, in any case and with or without `application/` (RFC 8725, 3.11;
//!    RFC 7515, 4.1.9).
//! 4. A claim is found by its name, or by the names on the way to it with a dot between. The whole
//!    name comes first: `https://example.com/roles` is a name.
//! 5. A claim of the wrong type is as good as a wrong one.
//! 6. A token with `cnf` is good only with a proof of possession (RFC 8705, 3; RFC 9449, 6), which is
//!    not looked at here: without it, it is as good as stolen.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::token::Token;
use crate::config::{Invalid, NonEmpty};
use crate::time::Timestamp;

/// The payload of a token. It is looked into by name a dozen times, and has a dozen members: to compare
/// them costs a fifth of hashing the names.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Vec<(String, Value)>);

/// What is expected of a token.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// `iss`.
    pub issuer: String,
    /// One of them is in `aud`; `None` for any, and for none at all.
    pub audiences: Option<Vec<String>>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// Whether a token without `exp` is taken.
    pub endless: bool,
    /// The longest from `iat` (or now) to `exp`.
    pub max_lifetime: Option<Duration>,
    /// One of them is `typ`. `None`: `JWT`, `at+jwt` or none at all.
    pub kinds: Option<Vec<String>>,
    /// Claims, and the values of which one has to be there.
    pub required: Vec<(String, Vec<Value>)>,
    /// `jti` that are good no more.
    pub revoked: HashSet<String>,
    /// Whether somebody else has seen to the proof of a token that is bound to one.
    pub bound: bool,
}

impl Expected {
    /// Its audiences as a configuration has them (`audiences`, `any_audience`): that none is checked has
    /// to be said.
    pub fn audiences(
        named: Option<NonEmpty<String>>,
        any: bool,
    ) -> Result<Option<Vec<String>>, Invalid> {
        match (named, any) {
            (Some(named), false) => Ok(Some(named.to_vec())),
            (None, true) => Ok(None),
            (None, false) => Err(Invalid::at("", "has either `audiences` or `any_audience: true`")),
            (Some(_), true) => Err(Invalid::at("any_audience", "contradicts `audiences`")),
        }
    }
}

/// Why a token is not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexpected {
    /// `iss` is another.
    Issuer,
    /// None of the audiences is in `aud`.
    Audience,
    /// There is no `exp`, and it is needed.
    Endless,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` is in the future.
    NotYetValid,
    /// It lives longer than it may.
    TooLong,
    /// `typ` is another.
    Kind,
    /// A claim is missing, of the wrong type, or has none of the values.
    Claim,
    /// `jti` is on the list.
    Revoked,
    /// It is good only with a proof that nobody looks at.
    Bound,
}

impl Unexpected {
    /// One word for logs and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Endless => "no_expiration",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLong => "lifetime",
            Self::Kind => "type",
            Self::Claim => "claim",
            Self::Revoked => "revoked",
            Self::Bound => "bound",
        }
    }
}

impl Claims {
    /// The claims of a payload.
    pub fn new(claims: Map<String, Value>) -> Self {
        Self(claims.into_iter().collect())
    }

    /// The same, of members that have different names.
    pub(super) const fn of_members(members: Vec<(String, Value)>) -> Self {
        Self(members)
    }

    /// A claim by its whole name.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A claim by its name, or by the names on the way to it.
    pub fn find(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.member(path) {
            return Some(value);
        }
        let (first, rest) = path.split_once('.')?;
        rest.split('.').try_fold(self.member(first)?, |value, name| value.get(name))
    }

    /// A claim that is a text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.find(path).and_then(Value::as_str)
    }

    /// Whether a claim has one of the values, or is a list with one that has.
    pub fn has(&self, path: &str, values: &[Value]) -> bool {
        match self.find(path) {
            Some(Value::Array(list)) => list.iter().any(|value| is_one_of(value, values)),
            Some(value) => is_one_of(value, values),
            None => false,
        }
    }

    /// A claim that is a list of texts, or one text.
    pub fn list(&self, path: &str) -> Vec<String> {
        match self.find(path) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A claim that is a list of texts, or one text with a space between them.
    pub fn words(&self, path: &str) -> Vec<String> {
        match self.find(path) {
            Some(Value::String(words)) => {
                // RFC 6749, 3.3: a space, and no other white space.
                words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A time.
    fn time(&self, name: &str) -> Result<Option<f64>, Unexpected> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Number(seconds)) => {
                seconds.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(Unexpected::Claim)
            }
            Some(_) => Err(Unexpected::Claim),
        }
    }
}

impl Expected {
    /// Whether a token is what is expected, and until when; `None` for ever.
    pub fn check(
        &self,
        token: &Token<'_>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unexpected> {
        self.check_kind(token.kind.as_deref())?;
        if token.claims.text("iss") != Some(&self.issuer) {
            return Err(Unexpected::Issuer);
        }
        self.check_claims(&token.claims, now)
    }

    /// The same of claims alone, whoever said them: all but the issuer and the type.
    pub fn check_claims(
        &self,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unexpected> {
        self.check_binding(claims)?;
        // RFC 7519, 4.1.2: a subject is a text.
        if claims.member("sub").is_some_and(|subject| !subject.is_string()) {
            return Err(Unexpected::Claim);
        }
        self.check_audience(claims)?;
        let expires = self.check_times(claims, seconds(now))?;
        self.check_required(claims)?;
        match claims.member("jti") {
            Some(Value::String(id)) if self.revoked.contains(id) => Err(Unexpected::Revoked),
            // With a list of texts, one that is no text could not be on it.
            Some(Value::String(_)) | None => Ok(expires),
            Some(_) => Err(Unexpected::Claim),
        }
    }

    /// Whether they need no proof of possession, or somebody else has seen to it.
    pub fn check_binding(&self, claims: &Claims) -> Result<(), Unexpected> {
        let needs_proof = claims.member("cnf").is_some();
        if self.bound || !needs_proof { Ok(()) } else { Err(Unexpected::Bound) }
    }

    fn check_kind(&self, kind: Option<&str>) -> Result<(), Unexpected> {
        let is = |kind: &str, known: &str| short(kind).eq_ignore_ascii_case(short(known));
        let fits = match (&self.kinds, kind) {
            (None, None) => true,
            (None, Some(kind)) => ["jwt", "at+jwt"].iter().any(|known| is(kind, known)),
            (Some(_), None) => false,
            (Some(kinds), Some(kind)) => kinds.iter().any(|known| is(kind, known)),
        };
        if fits { Ok(()) } else { Err(Unexpected::Kind) }
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Unexpected> {
        let Some(audiences) = &self.audiences else { return Ok(()) };
        let names_us = |value: &Value| {
            value.as_str().is_some_and(|name| audiences.iter().any(|audience| audience == name))
        };
        let fits = match claims.member("aud") {
            Some(Value::Array(list)) => {
                list.iter().all(Value::is_string) && list.iter().any(names_us)
            }
            Some(value) => names_us(value),
            None => false,
        };
        if fits { Ok(()) } else { Err(Unexpected::Audience) }
    }

    fn check_times(&self, claims: &Claims, now: f64) -> Result<Option<Timestamp>, Unexpected> {
        let leeway = self.leeway.as_secs_f64();
        let (expires, issued) = (claims.time("exp")?, claims.time("iat")?);
        let starts = claims.time("nbf")?;
        if expires.is_none() && !self.endless {
            return Err(Unexpected::Endless);
        }
        if expires.is_some_and(|expires| now >= expires + leeway) {
            return Err(Unexpected::Expired);
        }
        if [issued, starts].into_iter().flatten().any(|from| now < from - leeway) {
            return Err(Unexpected::NotYetValid);
        }
        if let Some(most) = self.max_lifetime {
            let expires = expires.ok_or(Unexpected::Endless)?;
            // Without `iat`, it lives from now at the earliest.
            let grace = if issued.is_some() { 0.0 } else { leeway };
            if expires - issued.unwrap_or(now) > most.as_secs_f64() + grace {
                return Err(Unexpected::TooLong);
            }
        }
        Ok(expires.map(|expires| timestamp(expires + leeway)))
    }

    fn check_required(&self, claims: &Claims) -> Result<(), Unexpected> {
        let fits = self.required.iter().all(|(path, values)| claims.has(path, values));
        if fits { Ok(()) } else { Err(Unexpected::Claim) }
    }
}

/// A media type without `application/` (RFC 7515, 4.1.9).
fn short(kind: &str) -> &str {
    match kind.split_at_checked(12) {
        Some((media, rest)) if media.eq_ignore_ascii_case("application/") => rest,
        _ => kind,
    }
}

/// Numbers are equal by what they are, not by how they are written: a configuration in protobuf has
/// floating-point ones alone.
fn is_one_of(value: &Value, values: &[Value]) -> bool {
    values.iter().any(|known| match (known.as_number(), value.as_number()) {
        (Some(known), Some(value)) => known.as_f64() == value.as_f64() && precise(known, value),
        _ => known == value,
    })
}

/// Integers beyond what a floating-point number holds have to be the same integers.
fn precise(one: &Number, other: &Number) -> bool {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred nanoseconds do not count here")]
fn seconds(now: Timestamp) -> f64 {
    now.nanos() as f64 / 1e9
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn timestamp(seconds: f64) -> Timestamp {
    Timestamp::from_nanos((seconds * 1e9) as u64)
}
