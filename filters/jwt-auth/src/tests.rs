//! The rules of the filter, one test each. Tokens are signed by `jsonwebtoken`'s own cryptography.

mod claims;
mod keys;
mod mistakes;
mod outcome;
mod providers;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Signing, EncodingKey};
use serde_json::{Value, json};
use shared::testing::{Bench, Outcome};
use shared::time::Timestamp;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";

/// A key pair for ES256, the same for the same number.
struct Pair {
    der: Vec<u8>,
}

fn pair(number: u8) -> Pair {
    // RFC 5915 within RFC 5208, without the public key.
    let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    Pair { der: [&head[..], &[number; 32]].concat() }
}

impl Pair {
    fn jwk(&self, id: &str) -> Value {
        let public = DEFAULT_PROVIDER.key_utils.ec_pub_components_from_private_key;
        let (_, x, y) = public(&self.der, Signing::ES256).unwrap();
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": b64(x), "y": b64(y)})
    }

    fn sign(&self, header: &Value, payload: &Value) -> String {
        sign(Signing::ES256, &EncodingKey::from_ec_der(&self.der), header, payload)
    }
}

fn sign(algorithm: Signing, key: &EncodingKey, header: &Value, payload: &Value) -> String {
    let text = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, key).unwrap();
    format!("{text}.{}", b64(signer.sign(text.as_bytes())))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider whose key `a` stands in the configuration.
fn provider() -> Value {
    json!({
        "name": "idp",
        "issuer": ISSUER,
        "audiences": ["api"],
        "algorithms": ["ES256"],
        "jwks": {"inline": {"keys": [pair(1).jwk("a")]}},
    })
}

fn other_provider() -> Value {
    json!({
        "name": "other",
        "issuer": "https://other.example",
        "any_audience": true,
        "algorithms": ["ES256"],
        "jwks": {"inline": {"keys": [pair(2).jwk("a")]}},
    })
}

/// An object with other members; `null` takes one off.
fn with(mut object: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().shift_remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn of(provider: Value) -> Value {
    json!({"realm": "Example", "providers": [provider]})
}

fn payload() -> Value {
    json!({
        "iss": ISSUER,
        "aud": ["api", "other"],
        "sub": "alice",
        "exp": NOW + 300,
        "scope": "read write",
        "client_id": "app",
        "groups": ["ops", "dev"],
    })
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "a", "typ": "JWT"})
}

/// A token of the provider that says something else.
fn token(more: Value) -> String {
    pair(1).sign(&header(), &with(payload(), more))
}

fn token_of_other() -> String {
    let payload = with(payload(), json!({"iss": "https://other.example"}));
    pair(2).sign(&header(), &payload)
}

fn bench(config: &Value) -> Bench<JwtAuth> {
    Bench::configure(config).map_err(|error| error.to_string()).unwrap()
}

fn bearer(token: &str) -> Vec<(String, String)> {
    vec![
        (":path".to_owned(), "/".to_owned()),
        ("authorization".to_owned(), format!("Bearer {token}")),
    ]
}

fn send(bench: &mut Bench<JwtAuth>, token: &str) -> Outcome {
    bench.send(&bearer(token))
}

/// `continue`, `hold`, or the status and the reason.
fn short(outcome: &Outcome) -> String {
    let line = outcome.line();
    let mut words = line.split(' ');
    let (first, second) = (words.next().unwrap(), words.next().unwrap_or_default());
    match second.strip_prefix("gatehouse.jwt-auth.") {
        Some(reason) => format!("{first} {reason}"),
        None => first.to_owned(),
    }
}

fn verdict(bench: &mut Bench<JwtAuth>, token: &str) -> String {
    short(&send(bench, token))
}

#[track_caller]
fn check_in(config: &Value, token: &str, expected: &str) {
    assert_eq!(verdict(&mut bench(config), token), expected);
}

#[track_caller]
fn check(token: &str, expected: &str) {
    check_in(&of(provider()), token, expected);
}

const ALICE: &str = "continue #allowed[by=signature] -authorization \
    gatehouse.evidence.jwt-auth={\"scheme\":\"jwt\",\"subject\":\"alice\",\"consumer\":\"app\",\
    \"scopes\":[\"read\",\"write\"],\"groups\":[\"ops\",\"dev\"],\"expires\":1800000360,\"told\":[\"x-auth-subject\",\
    \"x-auth-scheme\",\"x-auth-consumer\",\"x-auth-scopes\",\"x-auth-groups\"]} \
    gatehouse.subject=alice gatehouse.consumer=app gatehouse.scopes=read write \
    gatehouse.groups=ops,dev \
    +x-auth-subject: alice +x-auth-scheme: jwt +x-auth-consumer: app \
    +x-auth-scopes: read write +x-auth-groups: ops,dev";

#[test]
fn a_good_token_lets_through_and_tells_whose_it_is() {
    assert_eq!(send(&mut bench(&of(provider())), &token(json!({}))).line(), ALICE);
}

#[test]
fn no_token_gets_the_challenge_and_no_error() {
    let outcome = bench(&of(provider())).send(&[(":path", "/")]);
    assert_eq!(outcome.line(), "401 gatehouse.jwt-auth.missing #refused[reason=missing]");
    assert_eq!(outcome.header("www-authenticate"), Some(r#"Bearer realm="Example""#));
}

#[test]
fn another_scheme_is_no_token_and_stays() {
    for value in ["Basic YTpi", "Bearertoken", "DPoP abc", ""] {
        let outcome = bench(&of(provider())).send(&[("authorization", value)]);
        assert_eq!(outcome.line(), "401 gatehouse.jwt-auth.missing #refused[reason=missing]");
    }
}

#[test]
fn a_token_that_comes_twice_is_a_bad_request() {
    let value = format!("Bearer {}", token(json!({})));
    let twice = [("authorization", &value), ("authorization", &value)];
    let outcome = bench(&of(provider())).send(&twice);
    assert_eq!(short(&outcome), "400 repeated");
    assert_eq!(
        outcome.header("www-authenticate"),
        Some(r#"Bearer realm="Example", error="invalid_request""#)
    );
    let sources = json!([{"header": "authorization", "prefix": "Bearer"}, {"query": "token"}]);
    let config = of(with(provider(), json!({"sources": sources})));
    let path = format!("/?token={}", token(json!({})));
    let outcome = bench(&config).send(&[(":path", &path), ("authorization", &value)]);
    assert_eq!(short(&outcome), "400 repeated");
}

#[test]
fn a_token_stands_in_one_of_the_sources_and_is_taken_off() {
    let sources = json!([{"header": "x-token"}, {"query": "token"}, {"cookie": "token"}]);
    let config = of(with(provider(), json!({"sources": sources})));
    let token = token(json!({}));
    for (name, value, off) in [
        ("x-token", token.clone(), "-x-token"),
        (":path", format!("/a?x&token={token}"), "+:path: /a?x"),
        ("cookie", format!("a=b; token={token}"), "+cookie: a=b"),
    ] {
        let line = bench(&config).send(&[(name, &value)]).line();
        assert_eq!(line, ALICE.replace("-authorization", off));
    }
    check_in(&config, &token, "401 missing");
}

#[test]
fn what_has_not_the_form_of_a_token_is_refused() {
    for text in ["", "a.b", "a.b.c", "opaque", "Bearer e30.e30.e30"] {
        check(text, "401 malformed");
    }
    check(&format!("{}=", token(json!({}))), "401 malformed");
    check(&"a".repeat(17 * 1024), "401 malformed");
    let outcome = bench(&of(provider())).send(&[("authorization", &b"Bearer \xff\xfe"[..])]);
    assert_eq!(short(&outcome), "401 malformed");
}

#[test]
fn a_refused_token_gets_invalid_token() {
    let challenge = |more| {
        let outcome = send(&mut bench(&of(provider())), &token(more));
        outcome.header("www-authenticate").unwrap().to_owned()
    };
    let start = r#"Bearer realm="Example", error="invalid_token", error_description="#;
    assert_eq!(challenge(json!({"aud": "x"})), format!("{start}\"The token is not valid\""));
    assert_eq!(challenge(json!({"exp": NOW - 60})), format!("{start}\"The token has expired\""));
}

#[test]
fn an_extension_or_algorithm_that_nobody_knows_is_refused() {
    let signed = |more| pair(1).sign(&with(header(), more), &payload());
    check(&signed(json!({"crit": ["exp"]})), "401 critical");
    check(&signed(json!({"alg": "none"})), "401 algorithm");
    check(&signed(json!({"alg": "ES256K"})), "401 algorithm");
    let none = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(payload().to_string()));
    check(&none, "401 algorithm");
}

#[test]
fn the_algorithm_is_one_of_the_provider() {
    let signed = |name: &str| pair(1).sign(&with(header(), json!({"alg": name})), &payload());
    for name in ["ES384", "RS256", "PS256", "EdDSA", "HS256"] {
        check(&signed(name), "401 algorithm");
    }
}

#[test]
fn a_public_key_is_never_a_secret() {
    let secret = b64([9; 32]);
    let jwk = json!({"kty": "oct", "kid": "h", "alg": "HS256", "k": secret});
    let keys = json!({"inline": {"keys": [pair(1).jwk("a"), jwk]}});
    let both = with(provider(), json!({"algorithms": ["ES256", "HS256"], "jwks": keys}));
    let config = of(both);
    let hs = |secret: &[u8], id: &str| {
        let header = json!({"alg": "HS256", "kid": id});
        sign(Signing::HS256, &EncodingKey::from_secret(secret), &header, &payload())
    };
    check_in(&config, &hs(&[9; 32], "h"), "continue");
    check_in(&config, &token(json!({})), "continue");
    check_in(&config, &hs(&[9; 32], "a"), "401 unknown_key");
    let x = URL_SAFE_NO_PAD.decode(pair(1).jwk("a")["x"].as_str().unwrap()).unwrap();
    check_in(&config, &hs(&x, "a"), "401 unknown_key");
    check_in(&config, &hs(&x, "h"), "401 signature");
    check_in(&config, &hs(b"", "h"), "401 signature");
}

#[test]
fn what_a_token_says_is_what_is_expected() {
    for (more, reason) in [
        (json!({"aud": "other"}), "401 audience"),
        (json!({"aud": null}), "401 audience"),
        (json!({"exp": null}), "401 no_expiration"),
        (json!({"exp": NOW - 60}), "401 expired"),
        (json!({"exp": "soon"}), "401 claim"),
        (json!({"nbf": NOW + 61}), "401 not_yet_valid"),
        (json!({"iat": NOW + 61}), "401 not_yet_valid"),
    ] {
        check(&token(more), reason);
    }
    check(&token(json!({"exp": NOW - 59, "nbf": NOW + 60})), "continue");
    let typed = |kind: &str| pair(1).sign(&with(header(), json!({"typ": kind})), &payload());
    check(&typed("at+jwt"), "continue");
    check(&typed("logout+jwt"), "401 type");
}

#[test]
fn a_provider_may_expect_more_or_less() {
    let check = |more: Value, said: Value, expected: &str| {
        check_in(&of(with(provider(), more)), &token(said), expected);
    };
    let any = json!({"audiences": null, "any_audience": true});
    check(any.clone(), json!({"aud": "other"}), "continue");
    check(any, json!({"aud": null}), "continue");
    check(json!({"leeway": "0s"}), json!({"exp": NOW}), "401 expired");
    check(json!({"require_expiration": false}), json!({"exp": null}), "continue");
    check(json!({"require_expiration": true}), json!({"exp": null}), "401 no_expiration");
    check(json!({"max_lifetime": "5m"}), json!({"iat": NOW - 1}), "401 lifetime");
    check(json!({"max_lifetime": "5m"}), json!({"iat": NOW}), "continue");
    check(json!({"token_types": ["at+jwt"]}), json!({}), "401 type");
    check(json!({"token_types": ["at+jwt", "application/jwt"]}), json!({}), "continue");
    check(json!({"revoked": ["x"]}), json!({"jti": "x"}), "401 revoked");
    check(json!({"revoked": ["x"]}), json!({"jti": "y"}), "continue");
    for proof in [json!({"jkt": "x"}), json!({"x5t#S256": "x"}), json!({}), json!("x")] {
        let bound = json!({"cnf": proof});
        check(json!({}), bound.clone(), "401 bound");
        check(json!({"bound_tokens": "refuse"}), bound.clone(), "401 bound");
        check(json!({"bound_tokens": "accept"}), bound, "continue");
    }
    let claims = json!({"required_claims": {"org.id": ["acme", 7], "scope": ["read write"]}});
    check(claims.clone(), json!({"org": {"id": [7]}}), "continue");
    check(claims.clone(), json!({"org": {"id": "zenith"}}), "401 claim");
    check(claims, json!({}), "401 claim");
}

#[test]
fn the_signature_is_of_its_key() {
    let forged = pair(2).sign(&header(), &payload());
    check(&forged, "401 signature");
    let good = token(json!({}));
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (text, _) = forged.rsplit_once('.').unwrap();
    check(&format!("{text}."), "401 signature");
    let other = token(json!({"sub": "root"}));
    let (other, _) = other.rsplit_once('.').unwrap();
    check(&format!("{other}.{signature}"), "401 signature");
    check(&format!("{text}.{}", b64([0; 64])), "401 signature");
    // The same token in another spelling is another one.
    check(&format!("{text}.{signature}AA"), "401 signature");
}

#[test]
fn a_token_without_the_id_of_its_key_is_tried_with_a_few() {
    let nameless = |number| pair(number).sign(&json!({"alg": "ES256"}), &payload());
    let keys: Vec<_> = (1..=9).map(|number| pair(number).jwk(&number.to_string())).collect();
    let config = of(with(provider(), json!({"jwks": {"inline": {"keys": keys}}})));
    check_in(&config, &nameless(1), "continue");
    check_in(&config, &nameless(8), "continue");
    check_in(&config, &nameless(9), "401 signature");
    let named = pair(9).sign(&json!({"alg": "ES256", "kid": "9"}), &payload());
    check_in(&config, &named, "continue");
}

#[test]
fn a_key_that_nobody_knows_is_refused() {
    let token = pair(1).sign(&with(header(), json!({"kid": "b"})), &payload());
    check(&token, "401 unknown_key");
}

#[test]
fn all_scopes_of_provider_and_rule_have_to_be_there() {
    let config = json!({
        "realm": "Example",
        "providers": [with(provider(), json!({"scopes": ["read"]}))],
        "rules": [{"match": {"paths": ["/w"]}, "scopes": ["write", "admin"]}],
    });
    let mut bench = bench(&config);
    let mut at = |path: &str, scope: Value| {
        let value = format!("Bearer {}", token(json!({"scope": scope})));
        bench.send(&[(":path", path), ("authorization", &value)])
    };
    assert_eq!(short(&at("/", json!("read"))), "continue");
    assert_eq!(short(&at("/", json!("write"))), "403 insufficient_scope");
    assert_eq!(short(&at("/w", json!("admin read write"))), "continue");
    assert_eq!(short(&at("/w", json!("admin write"))), "403 insufficient_scope");
    for lacking in [json!("read write"), json!("read administrator write"), json!(null), json!(1)] {
        let outcome = at("/w", lacking);
        assert_eq!(short(&outcome), "403 insufficient_scope");
        assert_eq!(
            outcome.header("www-authenticate"),
            Some(r#"Bearer realm="Example", error="insufficient_scope", scope="read write admin""#)
        );
    }
}

#[test]
fn a_claim_that_a_rule_asks_for_has_to_be_there() {
    let mut bench = bench(&json!({
        "providers": [provider()],
        "rules": [{"match": {"paths": ["/ops"]}, "required_claims": {"groups": ["ops", "root"]}}],
    }));
    let mut at = |path: &str, groups: Value| {
        let value = format!("Bearer {}", token(json!({"groups": groups})));
        bench.send(&[(":path", path), ("authorization", &value)])
    };
    assert_eq!(short(&at("/ops", json!(["dev", "ops"]))), "continue");
    assert_eq!(short(&at("/", json!(["dev"]))), "continue");
    let refused = at("/ops", json!(["dev"]));
    assert_eq!(short(&refused), "403 not_allowed");
    assert_eq!(refused.header("www-authenticate"), None);
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let headers = json!({"claim_headers": {"x-tenant": "org"}});
    let config = with(
        of(with(provider(), headers)),
        json!({"rules": [{"match": {"paths": ["/open"]}, "mode": "off"}]}),
    );
    let outcome = bench(&config).send(&[
        (":path", "/open"),
        ("x-auth-subject", "root"),
        ("x_auth_scopes", "all"),
        ("X-Tenant", "acme"),
        ("x_tenant", "acme"),
        ("x-tenants", "harmless"),
    ]);
    let line = outcome.line();
    assert_eq!(line, "continue -x-auth-subject -x_auth_scopes -X-Tenant -x_tenant");
    // A token without the claim leaves nothing in its header.
    let value = format!("Bearer {}", token(json!({})));
    let outcome = bench(&config).send(&[("authorization", value.as_str()), ("x-tenant", "acme")]);
    assert_eq!(outcome.line().replace(" -x-tenant", ""), ALICE);
}
