//! Who checks signatures: the proxy, or this module.
//!
//! 1. Envoy checks RSA (PKCS #1 v1.5) and ECDSA some ten times faster than Wasm can. Whether a proxy
//!    does is found out once, with signatures whose verdicts are known: a good one has to be found
//!    good, and the same one over another text bad ([`Crypto::of`]).
//! 2. PSS, EdDSA and HMAC are always checked here.
//! 3. A signature has exactly the length that its algorithm and key give it (RFC 7518, 3.4), so
//!    that a token has one spelling.
//! 4. Where the proxy fails to say, the signature is checked here: never is it good for lack of a
//!    verdict.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p521::ecdsa::signature::Verifier as _;

use super::algorithm::{Algorithm, Family};
use super::der;
use super::jwk::{Key, Material};
use super::known::{Known, P256, RSA};
use super::provider::PROVIDER;
use crate::view::Host;

/// What the proxy checks. The rest is checked here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crypto {
    rsa: bool,
    ecdsa: bool,
}

const TEXT: &[u8] = b"gatehouse";
const OTHER_TEXT: &[u8] = b"gatehousf";

impl Crypto {
    /// Everything is checked here.
    pub const fn here() -> Self {
        Self { rsa: false, ecdsa: false }
    }

    /// What this proxy checks, and rightly.
    pub fn of(host: &dyn Host) -> Self {
        Self { rsa: RSA.is_checked_by(host), ecdsa: P256.is_checked_by(host) }
    }

    /// Whether the proxy checks anything.
    pub const fn is_of_host(self) -> bool {
        self.rsa || self.ecdsa
    }

    /// Whether `signature` (as written, and its bytes) is the key's over `text`.
    pub fn verify(
        self,
        host: &dyn Host,
        key: &Key,
        algorithm: Algorithm,
        text: &[u8],
        signature: (&str, &[u8]),
    ) -> bool {
        let (written, bytes) = signature;
        let len = match algorithm.family() {
            Family::Symmetric => algorithm.hash_len(),
            _ => key.signature_len,
        };
        if !key.is_for(algorithm) || bytes.len() != len {
            return false;
        }
        match self.ask(host, key, algorithm, text, bytes) {
            Some(verdict) => verdict,
            None => verify_here(key, algorithm, text, written, bytes),
        }
    }

    /// The proxy's verdict; `None` where it has none.
    fn ask(
        self,
        host: &dyn Host,
        key: &Key,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let hash = algorithm.hash_of_host()?;
        let ask = |signature: &[u8]| host.verify_signature(hash, &key.public, signature, text).ok();
        match algorithm.family() {
            Family::Rsa if self.rsa => ask(signature),
            Family::P256 | Family::P384 | Family::P521 if self.ecdsa => {
                der::signature(signature).map_or(Some(false), |signature| ask(&signature))
            }
            _ => None,
        }
    }
}

fn verify_here(
    key: &Key,
    algorithm: Algorithm,
    text: &[u8],
    written: &str,
    signature: &[u8],
) -> bool {
    match (&key.material, algorithm.of_library()) {
        (Material::Library(key), Some(algorithm)) => {
            // It says no where it was done already.
            let _ = PROVIDER.install_default();
            jsonwebtoken::crypto::verify(written, text, key, algorithm).unwrap_or(false)
        }
        (Material::P521(key), None) => p521::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
        _ => false,
    }
}

impl Known {
    fn is_checked_by(&self, host: &dyn Host) -> bool {
        let (Ok(public), Ok(signature)) =
            (STANDARD.decode(self.public), STANDARD.decode(self.signature))
        else {
            return false;
        };
        let verdict = |text| host.verify_signature("sha256", &public, &signature, text);
        verdict(TEXT) == Ok(true) && verdict(OTHER_TEXT) == Ok(false)
    }
}
