//! The proxy and the module come to the same verdicts.

use serde_json::{Value, json};
use tests::tokens::{Key, jwks};

use super::{bearer, good, start};

const ALGORITHMS: [(&str, &str); 8] = [
    ("rsa", "RS256"),
    ("rsa", "RS384"),
    ("rsa", "RS512"),
    ("rsa", "PS256"),
    ("p256", "ES256"),
    ("p384", "ES384"),
    ("p521", "ES512"),
    ("ed25519", "EdDSA"),
];

fn config(crypto: &str) -> Value {
    let keys = ["rsa", "p256", "p384", "p521", "ed25519"].map(Key::of);
    json!({
        "crypto": crypto,
        "providers": [{
            "name": "main",
            "issuer": super::ISSUER,
            "audiences": [super::AUDIENCE],
            "algorithms": ALGORITHMS.map(|(_, algorithm)| algorithm),
            "jwks": {"inline": jwks(&keys)},
        }],
    })
}

/// Tokens of every algorithm, and what is to become of each: a good one, one whose signature has
/// another first, middle or last byte, is longer (each half of it, too), shorter, zero or none, is of other claims or of
/// another algorithm.
fn tokens() -> Vec<(String, u16, String)> {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut tokens = Vec::new();
    for (name, algorithm) in ALGORITHMS {
        let key = Key::of(name);
        let token = key.sign(algorithm, &good());
        let (text, written) = token.rsplit_once('.').unwrap();
        let signature = base64.decode(written).unwrap();
        let last = signature.len() - 1;
        let (r, s) = signature.split_at(signature.len() / 2);
        let other = |index: usize| {
            let mut other = signature.clone();
            other[index] ^= 1;
            other
        };
        let of_others = key.sign(algorithm, &super::but(json!({"sub": "bob"})));
        let of_others = base64.decode(of_others.rsplit_once('.').unwrap().1).unwrap();
        tokens.push((token.clone(), 200, format!("{algorithm}: good")));
        for (what, wrong) in [
            ("first byte", other(0)),
            ("middle byte", other(last / 2)),
            ("last byte", other(last)),
            ("longer", [&signature[..], &[0]].concat()),
            ("longer in front", [&[0], &signature[..]].concat()),
            ("longer halves", [&[0], r, &[0], s].concat()),
            ("shorter", signature[..last].to_vec()),
            ("zero", vec![0; signature.len()]),
            ("ones", vec![255; signature.len()]),
            ("none", Vec::new()),
            ("of other claims", of_others),
        ] {
            let forged = format!("{text}.{}", base64.encode(wrong));
            tokens.push((forged, 401, format!("{algorithm}: {what}")));
        }
    }
    let header = json!({"alg": "RS256", "kid": "rsa"});
    let rs256 = Key::of("rsa").sign_with(&header, &good());
    let (_, signature) = rs256.rsplit_once('.').unwrap();
    let pss = Key::of("rsa").sign_with(&json!({"alg": "PS256", "kid": "rsa"}), &good());
    let (text, _) = pss.rsplit_once('.').unwrap();
    tokens.push((format!("{text}.{signature}"), 401, "PS256 with a signature of RS256".into()));
    tokens
}

fn check(crypto: &str, said: &str) {
    let (envoy, upstream) = start(config(crypto));
    let mut good = 0;
    for (token, status, what) in tokens() {
        assert_eq!(bearer(&token).send(envoy.address()).status, status, "{crypto}: {what}");
        good += usize::from(status == 200);
    }
    assert_eq!((upstream.count(), good), (ALGORITHMS.len(), ALGORITHMS.len()));
    let log = envoy.log();
    let line = format!("jwt-auth: signatures are checked by {said}");
    assert!(log.contains(&line), "{log}");
    assert_eq!(log.matches("signatures are checked by").count(), log.matches(&line).count());
}

#[test]
fn the_proxy_checks_signatures_and_is_right() {
    check("auto", "the proxy");
}

#[test]
fn the_module_checks_signatures_and_is_right() {
    check("module", "this module");
}
