//! Tokens for the tests of the policy: signed with HMAC, so that there is no key to keep.

use serde_json::{Value, json};
use tests::tokens::{Key, claims, jwks, now, with};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "users";

/// `jwt-auth` that takes them, and leaves the decision to the policy.
pub(super) fn config() -> Value {
    json!({
        "verdict": "defer",
        "providers": [{
            "name": "issuer",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["HS256"],
            "jwks": {"inline": jwks([&key()])},
        }],
    })
}

/// Of somebody, good for these scopes.
pub(super) fn of(subject: &str, scopes: &str) -> String {
    key().sign("HS256", &with(good(), &json!({"sub": subject, "scope": scopes})))
}

/// Of whoever these claims say.
pub(super) fn saying(more: &Value) -> String {
    key().sign("HS256", &with(good(), more))
}

/// Of alice, for all scopes, and past.
pub(super) fn expired() -> String {
    key().sign("HS256", &with(good(), &json!({"exp": now() - 3600})))
}

/// Signed by somebody else, under the name of the right key.
pub(super) fn forged() -> String {
    secret(b"another key, which nobody has asked for").sign("HS256", &good())
}

/// Of a key that is fetched, which nobody has.
pub(super) fn of_unknown_key() -> String {
    Key::of("p256").sign("ES256", &good())
}

/// Signed by nobody: the parts of a token, and no signature.
pub(super) fn unsigned() -> String {
    let token = key().sign_with(&json!({"typ": "JWT", "alg": "HS256"}), &good());
    let claims = token.split('.').nth(1).unwrap();
    // `{"alg":"none"}`
    format!("eyJhbGciOiJub25lIn0.{claims}.")
}

fn good() -> Value {
    with(claims(ISSUER, AUDIENCE), &json!({"scope": "api:read api:write"}))
}

fn key() -> Key {
    secret(b"known to the tests, and to nobody that has something to lose")
}

fn secret(bytes: &[u8]) -> Key {
    Key::secret("key", "HS256", bytes)
}
