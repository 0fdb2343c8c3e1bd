//! What an ID token has to be besides a good token (OpenID Connect Core 1.0, 3.1.3.7 and 12.2).
//!
//! 1. It says who it is about: `sub`, 1 to 255 characters (OpenID Connect Core, 2), and when it was
//!    made: `iat`.
//! 2. It is for this client: `azp`, if there, names it, and is there if there are several audiences.
//! 3. It is of this sign-in: its `nonce` is the one that was sent. One of a refresh need not have it.
//! 4. It came with this access token and this code: `at_hash` and `c_hash`, if there, are theirs.
//! 5. It is no access token: `typ` is `JWT` or absent (RFC 9068, 2.1; RFC 8725, 3.11).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::algorithm::Algorithm;
use super::token::Token;

/// What an ID token is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdToken<'a> {
    /// The client's id.
    pub client: &'a str,
    /// The nonce that was sent when people signed in.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub access_token: &'a str,
    /// The code that it was given for; `None` where a session is refreshed, which needs no nonce again.
    pub code: Option<&'a str>,
}

/// Why an ID token is not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// `typ` is that of another kind of token.
    Kind,
    /// `sub` or `iat` is missing, or no such thing.
    Claim,
    /// It was given to another client.
    Client,
    /// It is of another sign-in.
    Nonce,
    /// It came with another access token, or for another code.
    Hash,
}

impl Unbound {
    /// One word for logs and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Kind => "id_token_type",
            Self::Claim => "id_token_claim",
            Self::Client => "id_token_client",
            Self::Nonce => "id_token_nonce",
            Self::Hash => "id_token_hash",
        }
    }
}

impl IdToken<'_> {
    /// Whether `token`, which is good by itself, is the one that was asked for.
    pub fn check(&self, token: &Token<'_>) -> Result<(), Unbound> {
        let claims = &token.claims;
        if token.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt")) {
            return Err(Unbound::Kind);
        }
        let subject = claims.text("sub").unwrap_or_default();
        let is_subject = (1..=255).contains(&subject.chars().count());
        if !is_subject || !claims.find("iat").is_some_and(Value::is_number) {
            return Err(Unbound::Claim);
        }
        let is_shared =
            matches!(claims.find("aud"), Some(Value::Array(audiences)) if audiences.len() > 1);
        match claims.find("azp") {
            None if is_shared => return Err(Unbound::Client),
            Some(party) if party.as_str() != Some(self.client) => return Err(Unbound::Client),
            _ => {}
        }
        match claims.find("nonce") {
            None if self.code.is_none() => {}
            found if found.and_then(Value::as_str) == Some(self.nonce) => {}
            _ => return Err(Unbound::Nonce),
        }
        let fits = |claim: &str, of: Option<&str>| match (claims.find(claim), of) {
            (Some(hash), Some(of)) => hash.as_str() == Some(&half_hash(token.algorithm, of)),
            _ => true,
        };
        if fits("at_hash", Some(self.access_token)) && fits("c_hash", self.code) {
            Ok(())
        } else {
            Err(Unbound::Hash)
        }
    }
}

/// The left half of the hash that the signature is made with (OpenID Connect Core, 3.1.3.6); Ed25519
/// hashes with SHA-512 (RFC 8032, 5.1).
fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let hash = match algorithm.hash_len() {
        32 => Sha256::digest(text).to_vec(),
        48 => Sha384::digest(text).to_vec(),
        _ => Sha512::digest(text).to_vec(),
    };
    let half = hash.get(..hash.len() / 2).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(half)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ASKED: IdToken<'_> = IdToken {
        client: "web",
        nonce: "n-0S6_WzA2Mj",
        access_token: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        code: Some("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
    };

    fn token(header: &Value, others: &Value) -> String {
        let mut claims = json!({
            "iss": "https://issuer.example", "sub": "alice", "aud": "web", "iat": 1,
            "nonce": "n-0S6_WzA2Mj",
        });
        for (name, value) in others.as_object().unwrap() {
            claims[name] = value.clone();
        }
        [header.to_string(), claims.to_string(), String::new()]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".")
    }

    #[track_caller]
    fn check(others: Value, expected: Result<(), Unbound>) {
        let text = token(&json!({"alg": "RS256"}), &others);
        assert_eq!(ASKED.check(&Token::read(text.as_bytes()).unwrap()), expected, "{others}");
    }

    /// The hashes are those of OpenID Connect Core 1.0, A.3, A.4 and A.6.
    #[test]
    fn it_is_of_this_sign_in() {
        check(json!({}), Ok(()));
        check(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), Ok(()));
        check(json!({"c_hash": "LDktKdoQak3Pk0cnXxCltA"}), Ok(()));
        check(json!({"at_hash": "LDktKdoQak3Pk0cnXxCltA"}), Err(Unbound::Hash));
        check(json!({"c_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), Err(Unbound::Hash));
        check(json!({"c_hash": 5}), Err(Unbound::Hash));
        check(json!({"nonce": "other"}), Err(Unbound::Nonce));
        check(json!({"nonce": null}), Err(Unbound::Nonce));
    }

    /// OpenID Connect Core 1.0, 12.2.
    #[test]
    fn that_of_a_refresh_has_the_nonce_of_the_sign_in_or_none() {
        let asked = IdToken { code: None, ..ASKED };
        let check = |claims: Value| {
            let text = token(&json!({"alg": "RS256"}), &claims);
            asked.check(&Token::read(text.as_bytes()).unwrap())
        };
        assert_eq!(check(json!({})), Ok(()));
        let claims = json!({"sub": "alice", "aud": "web", "iat": 1}).to_string();
        let without =
            [r#"{"alg":"RS256"}"#, &claims, ""].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        assert_eq!(asked.check(&Token::read(without.as_bytes()).unwrap()), Ok(()));
        assert_eq!(ASKED.check(&Token::read(without.as_bytes()).unwrap()), Err(Unbound::Nonce));
        assert_eq!(check(json!({"nonce": "other"})), Err(Unbound::Nonce));
        assert_eq!(check(json!({"nonce": null})), Err(Unbound::Nonce));
        assert_eq!(check(json!({"nonce": ""})), Err(Unbound::Nonce));
    }

    #[test]
    fn it_is_for_this_client() {
        check(json!({"azp": "web"}), Ok(()));
        check(json!({"azp": "web", "aud": ["web", "api"]}), Ok(()));
        check(json!({"aud": ["web"]}), Ok(()));
        check(json!({"aud": ["web", "api"]}), Err(Unbound::Client));
        check(json!({"azp": "api"}), Err(Unbound::Client));
        check(json!({"azp": ["web"]}), Err(Unbound::Client));
    }

    #[test]
    fn it_says_who_and_when() {
        for others in [json!({"sub": ""}), json!({"sub": "x".repeat(256)}), json!({"iat": "1"})] {
            check(others, Err(Unbound::Claim));
        }
        check(json!({"sub": "x".repeat(255)}), Ok(()));
    }

    #[test]
    fn an_access_token_is_none() {
        for (kind, expected) in [("JWT", Ok(())), ("at+jwt", Err(Unbound::Kind))] {
            let text = token(&json!({"alg": "RS256", "typ": kind}), &json!({}));
            assert_eq!(ASKED.check(&Token::read(text.as_bytes()).unwrap()), expected);
        }
    }
}
