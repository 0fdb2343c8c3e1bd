//! The rules of claims.

use std::time::Duration;

use super::*;
use crate::time::Timestamp;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_800_000_000;

fn expected() -> Expected {
    Expected {
        issuer: "https://issuer.example".into(),
        audiences: Some(vec!["us".into(), "them".into()]),
        leeway: Duration::from_secs(60),
        ..Expected::default()
    }
}

fn good() -> Value {
    json!({"iss": "https://issuer.example", "aud": "us", "exp": NOW + 100})
}

/// The payload with other members; `null` takes one off.
fn with(more: Value) -> Value {
    let mut payload = good();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().shift_remove(name)),
            value => payload[name] = value.clone(),
        }
    }
    payload
}

fn verdict_on(
    expected: &Expected,
    header: &Value,
    payload: &Value,
) -> Result<Option<u64>, Unexpected> {
    let text = unsigned(header.to_string(), payload.to_string());
    let token = Token::read(text.as_bytes()).unwrap();
    let outcome = expected.check(&token, Timestamp::from_secs(NOW));
    outcome.map(|expires| expires.map(Timestamp::secs))
}

fn verdict(expected: &Expected, payload: Value) -> Result<Option<u64>, Unexpected> {
    verdict_on(expected, &json!({"alg": "ES256"}), &payload)
}

#[track_caller]
fn accept(more: Value) {
    let outcome = verdict(&expected(), with(more));
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[track_caller]
fn refuse(more: Value, why: Unexpected) {
    assert_eq!(verdict(&expected(), with(more)), Err(why));
}

fn claims(value: Value) -> Claims {
    let Value::Object(object) = value else { panic!("an object") };
    Claims::new(object)
}

#[test]
fn the_issuer_is_the_provider_byte_for_byte() {
    accept(json!({}));
    for issuer in [
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("https://issuer.exampl"),
        json!(["https://issuer.example"]),
        json!(1),
        json!(""),
    ] {
        refuse(json!({"iss": issuer}), Unexpected::Issuer);
    }
    refuse(json!({"iss": null}), Unexpected::Issuer);
    let mut null = good();
    null["iss"] = Value::Null;
    assert_eq!(verdict(&expected(), null), Err(Unexpected::Issuer));
}

#[test]
fn a_subject_is_a_text_if_there() {
    accept(json!({"sub": "alice"}));
    for subject in [json!(1), json!(["alice"]), json!({}), json!(true)] {
        refuse(json!({"sub": subject}), Unexpected::Claim);
    }
}

#[test]
fn an_audience_is_named_alone_or_in_a_list() {
    for audience in [json!("us"), json!("them"), json!(["us"]), json!(["others", "them"])] {
        accept(json!({"aud": audience}));
    }
    for audience in [
        json!("others"),
        json!("US"),
        json!("us them"),
        json!(""),
        json!([]),
        json!(["others"]),
        json!([["us"]]),
        json!(["us", 1]),
        json!({"us": "us"}),
        json!(true),
        json!(null),
    ] {
        refuse(json!({"aud": audience}), Unexpected::Audience);
    }
}

#[test]
fn any_audience_will_do_where_none_is_configured() {
    let any = Expected { audiences: None, ..expected() };
    for audience in [json!("others"), json!(1), json!(null)] {
        assert!(verdict(&any, with(json!({"aud": audience}))).is_ok());
    }
}

#[test]
fn a_token_ends_at_exp_and_a_leeway() {
    assert_eq!(verdict(&expected(), good()), Ok(Some(NOW + 160)));
    accept(json!({"exp": NOW - 59}));
    accept(json!({"exp": NOW as f64 - 59.5}));
    refuse(json!({"exp": NOW - 60}), Unexpected::Expired);
    refuse(json!({"exp": NOW as f64 - 60.5}), Unexpected::Expired);
    let strict = Expected { leeway: Duration::ZERO, ..expected() };
    assert_eq!(verdict(&strict, with(json!({"exp": NOW}))), Err(Unexpected::Expired));
    assert_eq!(verdict(&strict, with(json!({"exp": NOW + 1}))), Ok(Some(NOW + 1)));
}

#[test]
fn exp_is_needed_unless_told_otherwise() {
    refuse(json!({"exp": null}), Unexpected::Endless);
    let endless = Expected { endless: true, ..expected() };
    assert_eq!(verdict(&endless, with(json!({"exp": null}))), Ok(None));
    assert_eq!(verdict(&endless, with(json!({"exp": NOW - 60}))), Err(Unexpected::Expired));
}

#[test]
fn zero_has_expired_and_is_not_absent() {
    let endless = Expected { endless: true, ..expected() };
    for exp in [json!(0), json!(0.0), json!(-1), json!(-1e300)] {
        assert_eq!(verdict(&endless, with(json!({"exp": exp}))), Err(Unexpected::Expired));
    }
}

#[test]
fn times_are_numbers() {
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1900000000"), json!([1]), json!({}), json!(true)] {
            refuse(json!({name: value}), Unexpected::Claim);
        }
        let mut null = good();
        null[name] = Value::Null;
        assert_eq!(verdict(&expected(), null), Err(Unexpected::Claim));
    }
    accept(json!({"exp": 1e300, "nbf": 0, "iat": -5}));
    accept(json!({"exp": u64::MAX, "nbf": 1.5e9}));
}

#[test]
fn nbf_and_iat_are_not_in_the_future() {
    for name in ["nbf", "iat"] {
        accept(json!({name: NOW}));
        accept(json!({name: NOW + 60}));
        refuse(json!({name: NOW + 61}), Unexpected::NotYetValid);
        refuse(json!({name: NOW as f64 + 60.5}), Unexpected::NotYetValid);
        refuse(json!({name: 1e300}), Unexpected::NotYetValid);
    }
}

#[test]
fn a_token_lives_no_longer_than_it_may() {
    let hour = Some(Duration::from_secs(3600));
    let short = Expected { max_lifetime: hour, ..expected() };
    let check = |more| verdict(&short, with(more)).map(drop);
    assert_eq!(check(json!({"iat": NOW - 10, "exp": NOW + 3590})), Ok(()));
    assert_eq!(check(json!({"iat": NOW - 10, "exp": NOW + 3591})), Err(Unexpected::TooLong));
    // Without `iat`, from now; the clocks may be apart.
    assert_eq!(check(json!({"exp": NOW + 3660})), Ok(()));
    assert_eq!(check(json!({"exp": NOW + 3661})), Err(Unexpected::TooLong));
    let endless = Expected { endless: true, ..short.clone() };
    assert_eq!(verdict(&endless, with(json!({"exp": null}))), Err(Unexpected::Endless));
}

fn of_kind(kinds: Option<&[&str]>, kind: Option<&str>) -> Result<(), Unexpected> {
    let kinds = kinds.map(|kinds| kinds.iter().map(|kind| (*kind).to_owned()).collect());
    let mut header = json!({"alg": "ES256"});
    if let Some(kind) = kind {
        header["typ"] = json!(kind);
    }
    verdict_on(&Expected { kinds, ..expected() }, &header, &good()).map(drop)
}

#[test]
fn the_type_is_a_jwt_or_access_token_or_none() {
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/At+Jwt"] {
        assert_eq!(of_kind(None, Some(kind)), Ok(()), "{kind}");
    }
    assert_eq!(of_kind(None, None), Ok(()));
    for kind in ["", "logout+jwt", "JOSE", "jwt ", "text/jwt", "application/", "dpop+jwt"] {
        assert_eq!(of_kind(None, Some(kind)), Err(Unexpected::Kind), "{kind}");
    }
}

#[test]
fn the_type_is_one_of_those_configured() {
    let kinds = Some(&["at+jwt"][..]);
    assert_eq!(of_kind(kinds, Some("application/AT+jwt")), Ok(()));
    assert_eq!(of_kind(kinds, Some("JWT")), Err(Unexpected::Kind));
    assert_eq!(of_kind(kinds, None), Err(Unexpected::Kind));
    // Both sides may be written either way.
    assert_eq!(of_kind(Some(&["application/at+jwt"]), Some("at+jwt")), Ok(()));
    assert_eq!(of_kind(Some(&["application/at+jwt"]), Some("application/at+jwt")), Ok(()));
}

#[test]
fn a_claim_is_found_by_its_name_or_by_the_names_on_the_way() {
    let claims = claims(json!({
        "https://example.com/roles": ["a"],
        "a.b": 1,
        "a": {"b": 2, "c": {"d": "deep"}, "e.f": 3},
        "list": [{"x": 1}],
    }));
    assert_eq!(claims.find("https://example.com/roles"), Some(&json!(["a"])));
    assert_eq!(claims.find("a.b"), Some(&json!(1)));
    assert_eq!(claims.text("a.c.d"), Some("deep"));
    for path in ["a.c.x", "a.e.f", "b", "", ".", "a.", "a..c", "list.0", "list.x", "a.b.c"] {
        assert_eq!(claims.find(path), None, "{path}");
    }
}

#[test]
fn a_claim_has_to_have_one_of_the_values() {
    let big = 9_007_199_254_740_993_i64;
    let claims = claims(json!({
        "role": "admin", "roles": ["dev", "ops"], "level": 3, "ok": true, "big": big, "none": null,
    }));
    assert!(claims.has("role", &[json!("x"), json!("admin")]));
    assert!(claims.has("roles", &[json!("ops")]));
    // A configuration in protobuf has `3.0`.
    assert!(claims.has("level", &[json!(3.0)]) && claims.has("level", &[json!(3)]));
    assert!(claims.has("ok", &[json!(true)]));
    assert!(claims.has("big", &[json!(big)]));
    assert!(!claims.has("big", &[json!(big - 1)]));
    for (path, value) in [
        ("role", json!("Admin")),
        ("role", json!(["admin"])),
        ("roles", json!("dev ops")),
        ("level", json!("3")),
        ("level", json!(3.5)),
        ("ok", json!("true")),
        ("absent", json!(null)),
    ] {
        assert!(!claims.has(path, &[value]), "{path}");
    }
}

#[test]
fn all_required_claims_have_to_be_there() {
    let required = |name: &str, values: Value| (name.into(), values.as_array().unwrap().clone());
    let both = Expected {
        required: vec![required("a", json!(["x", "y"])), required("b.c", json!([1]))],
        ..expected()
    };
    let check = |more| verdict(&both, with(more)).map(drop);
    assert_eq!(check(json!({"a": "y", "b": {"c": [0, 1]}})), Ok(()));
    assert_eq!(check(json!({"a": "z", "b": {"c": 1}})), Err(Unexpected::Claim));
    assert_eq!(check(json!({"a": "x"})), Err(Unexpected::Claim));
}

#[test]
fn a_revoked_token_is_good_no_more() {
    let list = Expected { revoked: ["bad".to_owned()].into(), ..expected() };
    let check = |more| verdict(&list, with(more)).map(drop);
    assert_eq!(check(json!({"jti": "good"})), Ok(()));
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(check(json!({"jti": "bad"})), Err(Unexpected::Revoked));
    assert_eq!(check(json!({"jti": ["bad"]})), Err(Unexpected::Claim));
    assert_eq!(check(json!({"jti": 1})), Err(Unexpected::Claim));
}

#[test]
fn lists_and_words() {
    let claims = claims(json!({"a": " x  y ", "b": ["x y", 1, "z"], "c": 1}));
    assert_eq!(
        (claims.words("a"), claims.list("a")),
        (vec!["x".into(), "y".into()], vec![" x  y ".into()])
    );
    assert_eq!(claims.words("b"), ["x y", "z"]);
    assert_eq!(claims.list("b"), ["x y", "z"]);
    assert!(claims.words("c").is_empty() && claims.list("d").is_empty());
}
