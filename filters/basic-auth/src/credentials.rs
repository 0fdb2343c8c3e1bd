//! What a client presents (RFC 7617, 2; RFC 9110, 11.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::headers::Sole;

use crate::password::MAX_PASSWORD;

/// The longest user name that is looked at, in bytes.
const MAX_USER: usize = 256;
/// The longest that Base64 of the two and the colon can be.
const MAX_TOKEN: usize = (MAX_USER + 1 + MAX_PASSWORD).div_ceil(3) * 4;

const SCHEME: &[u8] = b"Basic";

/// What the `Authorization` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// There is none.
    Nothing,
    /// There are several, and no telling which one counts.
    Repeated,
    /// Credentials of another scheme.
    OtherScheme,
    /// `Basic`, but nothing that could be credentials behind it.
    Malformed,
    /// `Basic` and something.
    Basic(Token<'a>),
}

/// What stands behind `Basic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a>(&'a [u8]);

/// `user:password`.
pub(crate) struct Pair(Vec<u8>);

impl<'a> Presented<'a> {
    pub(crate) fn read(header: Sole<'a>) -> Self {
        let value = match header {
            Sole::Absent => return Self::Nothing,
            Sole::Repeated => return Self::Repeated,
            Sole::Once(value) => value.trim_ascii(),
        };
        if !is_basic(value) {
            return Self::OtherScheme;
        }
        let token = value.get(SCHEME.len()..).unwrap_or_default().trim_ascii();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Self::Malformed;
        }
        Self::Basic(Token(token))
    }
}

/// Whether a value of `Authorization` is of the scheme. A tab behind it is not as RFC 9110 has it,
/// but what follows may be credentials all the same.
pub(crate) fn is_basic(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(SCHEME.len()).unwrap_or((value, b""));
    scheme.eq_ignore_ascii_case(SCHEME) && matches!(rest.first(), None | Some(b' ' | b'\t' | b','))
}

impl<'a> Token<'a> {
    /// As it was sent.
    pub(crate) const fn encoded(&self) -> &'a [u8] {
        self.0
    }

    /// `None` where it is not strict Base64: one text has one encoding.
    pub(crate) fn decode(&self) -> Option<Pair> {
        STANDARD.decode(self.0).ok().map(Pair)
    }
}

impl Pair {
    /// User and password; `None` where there is no colon, or where there are control characters,
    /// which RFC 7617 excludes.
    pub(crate) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.iter().any(u8::is_ascii_control) {
            return None;
        }
        let colon = self.0.iter().position(|byte| *byte == b':')?;
        let (user, password) = self.0.split_at_checked(colon)?;
        Some((user, password.strip_prefix(b":")?))
    }
}
