//! What `jsonwebtoken` checks signatures with in this module: the pure-Rust libraries that its own
//! provider uses too. That one brings signing with it, a quarter of a megabyte of Wasm that nothing
//! here calls.

use ed25519_dalek::{Signature as EdSignature, VerifyingKey};
use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};
use signature::{Error, Verifier};

/// The provider, which checks and does not sign.
pub(super) static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Ok(Box::new(Check { algorithm: *algorithm, key: key.kind().clone() }))
}

struct Check {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, text: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let good = match &self.key {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                self.rsa(n, e, text, signature).unwrap_or(false)
            }
            DecodingKeyKind::SecretOrDer(key) => self.other(key, text, signature).unwrap_or(false),
        };
        if good { Ok(()) } else { Err(Error::new()) }
    }
}

impl Check {
    /// RFC 8017, 8.1.2 and 8.2.2; the salt of PSS as long as the hash (RFC 7518, 3.5).
    fn rsa(&self, n: &[u8], e: &[u8], text: &[u8], signature: &[u8]) -> Option<bool> {
        let n = BigUint::from_bytes_be(n);
        // RFC 8017, 5.2.2: a signature has one spelling. The library checks it for PKCS #1 alone.
        if BigUint::from_bytes_be(signature) >= n {
            return None;
        }
        let key = RsaPublicKey::new(n, BigUint::from_bytes_be(e)).ok()?;
        let (sha256, sha384, sha512) =
            (|| Sha256::digest(text), || Sha384::digest(text), || Sha512::digest(text));
        let outcome = match self.algorithm {
            Algorithm::RS256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &sha256(), signature),
            Algorithm::RS384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &sha384(), signature),
            Algorithm::RS512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &sha512(), signature),
            Algorithm::PS256 => key.verify(Pss::new_with_salt::<Sha256>(32), &sha256(), signature),
            Algorithm::PS384 => key.verify(Pss::new_with_salt::<Sha384>(48), &sha384(), signature),
            Algorithm::PS512 => key.verify(Pss::new_with_salt::<Sha512>(64), &sha512(), signature),
            _ => return None,
        };
        Some(outcome.is_ok())
    }

    fn other(&self, key: &[u8], text: &[u8], signature: &[u8]) -> Option<bool> {
        Some(match self.algorithm {
            Algorithm::ES256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
                key.verify(text, &p256::ecdsa::Signature::from_slice(signature).ok()?).is_ok()
            }
            Algorithm::ES384 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
                key.verify(text, &p384::ecdsa::Signature::from_slice(signature).ok()?).is_ok()
            }
            // RFC 8032, 5.1.7, without the points of small order.
            Algorithm::EdDSA => {
                let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
                key.verify_strict(text, &EdSignature::from_slice(signature).ok()?).is_ok()
            }
            Algorithm::HS256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(text);
                mac.verify_slice(signature).is_ok()
            }
            Algorithm::HS384 => {
                let mac = Hmac::<Sha384>::new_from_slice(key).ok()?.chain_update(text);
                mac.verify_slice(signature).is_ok()
            }
            Algorithm::HS512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).ok()?.chain_update(text);
                mac.verify_slice(signature).is_ok()
            }
            _ => return None,
        })
    }
}
