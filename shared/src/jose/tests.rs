//! The rules of the modules, one test each, and public test vectors.

#![expect(clippy::arithmetic_side_effects, reason = "in a test, to overflow is to fail")]

mod claims;
mod crypto;
mod jwk;
mod keyring;
mod remote;
mod token;
mod vectors;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token that nobody has signed.
fn unsigned(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    [b64(header), b64(payload), b64("signature")].join(".")
}

/// The only key of a set of one.
fn key(jwk: &Value) -> Key {
    let set = KeySet::of_configuration(&json!({"keys": [jwk]}), Symmetric::Allowed);
    let set = set.map_err(|error| error.to_string()).unwrap();
    let algorithms = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384"];
    let others = ["PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let all = algorithms.into_iter().chain(others).filter_map(Algorithm::named);
    let mut keys = all.flat_map(|algorithm| set.candidates(algorithm, None));
    keys.next().unwrap().clone()
}
