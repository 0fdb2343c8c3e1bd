//! Tokens for the tests of the policy: signed with HMAC, so that there is no key to keep.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &[u8] = b"known to the tests, and to nobody that has something to lose";

/// 2100-01-01: these tokens do not end before the tests do.
const LATE: u64 = 4_102_444_800;

/// `jwt-auth` that takes them, and leaves the decision to the policy.
pub(super) fn config() -> Value {
    let key = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    json!({
        "verdict": "defer",
        "providers": [{
            "name": "issuer",
            "issuer": "https://issuer.example",
            "audiences": ["users"],
            "algorithms": ["HS256"],
            "jwks": {"inline": {"keys": [key]}},
        }],
    })
}

/// Of somebody, good for these scopes.
pub(super) fn of(subject: &str, scopes: &str) -> String {
    signed(&claims(subject, scopes, LATE), SECRET)
}

/// Of alice, for all scopes, and past.
pub(super) fn expired() -> String {
    signed(&claims("alice", "api:read api:write", 1_700_000_000), SECRET)
}

/// Signed by somebody else.
pub(super) fn forged() -> String {
    signed(&claims("alice", "api:read api:write", LATE), b"another key, which nobody has asked for")
}

/// Signed by nobody.
pub(super) fn unsigned() -> String {
    let claims = claims("alice", "api:read api:write", LATE);
    format!("{}.", [json!({"alg": "none"}), claims].map(|part| encode(&part)).join("."))
}

fn claims(subject: &str, scopes: &str, expires: u64) -> Value {
    json!({
        "iss": "https://issuer.example",
        "aud": "users",
        "sub": subject,
        "exp": expires,
        "scope": scopes,
    })
}

fn signed(claims: &Value, secret: &[u8]) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let text = [&header, claims].map(encode).join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
