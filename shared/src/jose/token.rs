//! A token as it comes, before anything is believed of it.
//!
//! 1. Exactly three parts with a dot between (RFC 7515, 7.1), each strict base64url: no padding, no
//!    white space, no bits to spare (RFC 7515, 2).
//! 2. Header and payload are JSON objects in UTF-8 in which no member comes twice (RFC 7515, 4;
//!    RFC 8725, 2.4).
//! 3. `alg` is one of [`Algorithm`]; `kid` and `typ`, if there, are texts.
//! 4. `crit` is refused, for no extension is understood (RFC 7515, 4.1.11), and so is an unencoded
//!    payload, which no JWT has (RFC 7797, 7).
//! 5. `jwk`, `jku`, `x5c` and `x5u` are not looked at: no key is taken from a token.
//! 6. No more than [`MAX_TOKEN`] bytes, no deeper than the JSON parser goes (128).

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::Claims;
use crate::bytes::split;
use crate::config::json;

/// The longest token that is looked at, in bytes.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// A token that has the form of one.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<String>,
    /// `typ`.
    pub kind: Option<String>,
    /// The payload.
    pub claims: Claims,
    /// What is signed.
    pub signed: &'a [u8],
    /// The signature, as it is written and as bytes.
    pub signature: (&'a str, Vec<u8>),
}

/// Why something is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not of the form of one.
    Form,
    /// It has an extension that nobody here understands.
    Critical,
    /// Its algorithm is `none`, or of another standard.
    Algorithm,
}

impl<'a> Token<'a> {
    /// Reads a token.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_TOKEN {
            return Err(Malformed::Form);
        }
        let mut parts = split(bytes, b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed::Form);
        };
        let signed = signature.len().checked_add(1).and_then(|n| bytes.len().checked_sub(n));
        let signed = signed.and_then(|end| bytes.get(..end)).ok_or(Malformed::Form)?;
        let header = object(header)?;
        let is_plain = header.member("b64").is_none_or(|b64| *b64 == true);
        if header.member("crit").is_some() || !is_plain {
            return Err(Malformed::Critical);
        }
        let algorithm = match header.member("alg") {
            Some(Value::String(name)) => Algorithm::named(name).ok_or(Malformed::Algorithm)?,
            _ => return Err(Malformed::Form),
        };
        let (key_id, kind) = (text_of(&header, "kid")?, text_of(&header, "typ")?);
        let claims = object(payload)?;
        let written = std::str::from_utf8(signature).map_err(|_| Malformed::Form)?;
        let signature = (written, decode(signature)?);
        Ok(Self { algorithm, key_id, kind, claims, signed, signature })
    }
}

fn text_of(header: &Claims, name: &str) -> Result<Option<String>, Malformed> {
    match header.member(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Malformed::Form),
    }
}

fn object(part: &[u8]) -> Result<Claims, Malformed> {
    json::members(&decode(part)?).map(Claims::of_members).map_err(|_| Malformed::Form)
}

/// Strict base64url.
pub(super) fn decode(part: &[u8]) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| Malformed::Form)
}
