//! Signed tokens and the sets of keys that they are checked with, for tests alone: the private keys
//! are public, in `tokens/keys.json`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use p521::ecdsa::signature::RandomizedSigner as _;
use p521::elliptic_curve::rand_core::OsRng;
use serde_json::{Value, json};

/// Private keys (PKCS #1 for RSA, the number alone for P-521, else PKCS #8), and their public parts
/// as in a JWK. Made once with OpenSSL.
const KEYS: &str = include_str!("tokens/keys.json");

/// A key that signs.
#[derive(Clone)]
pub struct Key {
    id: String,
    private: Vec<u8>,
    public: Value,
}

impl Key {
    /// The key of this name: `rsa`, `rsa-1024` (which is too short), `p256`, `p256-other`, `p384`,
    /// `p521` or `ed25519`. Its `kid` is the name.
    pub fn of(name: &str) -> Self {
        let keys: Value = serde_json::from_str(KEYS).expect("JSON");
        let key = keys.as_array().expect("a list").iter().find(|key| key["name"] == name);
        let key = key.unwrap_or_else(|| panic!("there is no key {name}"));
        let private = STANDARD.decode(key["private"].as_str().expect("a text")).expect("base64");
        Self { id: name.to_owned(), private, public: key["public"].clone() }
    }

    /// A symmetric key.
    pub fn secret(id: &str, algorithm: &str, secret: &[u8]) -> Self {
        let public = json!({"kty": "oct", "alg": algorithm, "k": URL_SAFE_NO_PAD.encode(secret)});
        Self { id: id.to_owned(), private: secret.to_vec(), public }
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn called(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// It as a JWK; a symmetric one with its secret.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(self.id);
        jwk
    }

    /// A token that names this key.
    pub fn sign(&self, algorithm: &str, claims: &Value) -> String {
        self.sign_with(&json!({"typ": "JWT", "alg": algorithm, "kid": self.id}), claims)
    }

    /// A token with any header; its `alg` says how it is signed.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let [header_part, claims_part] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let text = format!("{header_part}.{claims_part}");
        let algorithm = header["alg"].as_str().expect("an algorithm");
        format!("{text}.{}", self.signature(algorithm, text.as_bytes()))
    }

    fn signature(&self, algorithm: &str, text: &[u8]) -> String {
        if algorithm == "ES512" {
            let key = p521::ecdsa::SigningKey::from_slice(&self.private).expect("a key");
            let signature: p521::ecdsa::Signature = key.sign_with_rng(&mut OsRng, text);
            return URL_SAFE_NO_PAD.encode(signature.to_bytes());
        }
        let key = match &algorithm[..2] {
            "HS" => EncodingKey::from_secret(&self.private),
            "ES" => EncodingKey::from_ec_der(&self.private),
            "Ed" => EncodingKey::from_ed_der(&self.private),
            _ => EncodingKey::from_rsa_der(&self.private),
        };
        let algorithm: Algorithm = algorithm.parse().expect("an algorithm");
        jsonwebtoken::crypto::sign(text, &key, algorithm).expect("signs")
    }
}

/// A set of keys, as providers publish it.
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Value {
    json!({"keys": keys.into_iter().map(Key::jwk).collect::<Vec<_>>()})
}

/// Claims of `alice`, good for an hour.
pub fn claims(issuer: &str, audience: &str) -> Value {
    let now = now();
    json!({"iss": issuer, "aud": audience, "sub": "alice", "iat": now, "exp": now + 3600})
}

/// Claims, some of them others; without those that are `null`.
pub fn with(mut claims: Value, others: &Value) -> Value {
    for (name, value) in others.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
