//! What answers come to: those of a provider, and those of something else.

use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn a_token_that_is_not_active_is_refused() {
    check(json!({}), json!({"active": false}), 401, "inactive");
    let outcome = asked(&mut bench(json!({})), "t", &json!({"active": false, "sub": "alice"}));
    let challenge = r#"Bearer realm="Example", error="invalid_token", error_description="The token is not active""#;
    assert_eq!(outcome.header("www-authenticate"), Some(challenge));
}

#[test]
fn the_issuer_is_the_one_expected() {
    let issuer = || json!({"issuer": "https://idp.example"});
    check(issuer(), active(), 200, "");
    check(issuer(), with(active(), json!({"iss": "https://idp.example/"})), 401, "issuer");
    check(issuer(), with(active(), json!({"iss": null})), 401, "issuer");
    check(json!({}), with(active(), json!({"iss": "https://other.example"})), 200, "");
}

#[test]
fn the_audience_is_one_of_those_expected() {
    check(json!({}), with(active(), json!({"aud": "api"})), 200, "");
    check(json!({}), with(active(), json!({"aud": "apis"})), 401, "audience");
    check(json!({}), with(active(), json!({"aud": []})), 401, "audience");
    check(json!({}), with(active(), json!({"aud": null})), 401, "audience");
    let any = || json!({"audiences": null, "any_audience": true});
    check(any(), with(active(), json!({"aud": null})), 200, "");
}

#[test]
fn a_refresh_token_is_no_access_token() {
    check(json!({}), with(active(), json!({"token_type": null})), 401, "token_type");
    check(json!({}), with(active(), json!({"token_type": "DPoP"})), 401, "token_type");
    check(json!({}), with(active(), json!({"token_type": "bearer"})), 200, "");
    let own = || json!({"token_types": ["access_token"]});
    check(own(), with(active(), json!({"token_type": "access_token"})), 200, "");
    check(own(), active(), 401, "token_type");
    check(json!({"any_token_type": true}), with(active(), json!({"token_type": null})), 200, "");
}

#[test]
fn a_bound_token_is_no_bearer_token() {
    let bound = with(active(), json!({"cnf": {"jkt": "x"}}));
    check(json!({}), bound.clone(), 401, "bound");
    check(json!({"any_token_type": true}), bound, 401, "bound");
}

#[test]
fn times_count_whatever_the_endpoint_says() {
    check(json!({}), with(active(), json!({"exp": NOW - 60})), 401, "expired");
    check(json!({}), with(active(), json!({"exp": 0})), 401, "expired");
    check(json!({}), with(active(), json!({"exp": NOW - 59})), 200, "");
    check(json!({"leeway": "0s"}), with(active(), json!({"exp": NOW})), 401, "expired");
    check(json!({}), with(active(), json!({"exp": null})), 200, "");
    check(json!({}), with(active(), json!({"nbf": NOW + 61})), 401, "not_yet_valid");
}

#[test]
fn within_the_leeway_nothing_is_remembered() {
    let mut bench = bench(json!({}));
    let line = asked(&mut bench, "t", &with(active(), json!({"exp": NOW - 1}))).line();
    assert!(line.starts_with("continue"), "{line}");
    bench.proxy.pass(Duration::from_millis(1));
    assert!(again(&mut bench, "t").starts_with("hold call POST"));
}

#[test]
fn what_the_upstream_would_take_for_something_else_is_refused() {
    for claim in [json!({"sub": "a\r\nx: y"}), json!({"groups": ["a,b"]}), json!({"sub": " a"})] {
        check(json!({}), with(active(), claim), 401, "claim");
    }
}

/// RFC 9700, 4.15: a client may have chosen its id.
#[test]
fn a_client_is_not_who_has_its_name() {
    let own = with(active(), json!({"sub": null, "client_id": "alice"}));
    let line = asked(&mut bench(json!({})), "t", &own).line();
    assert!(
        line.contains("+x-auth-consumer: alice") && !line.contains("x-auth-subject:"),
        "{line}"
    );
    assert!(line.contains(" gatehouse.subject= "), "{line}");
}

#[test]
fn scopes_and_claims_are_a_rules_to_ask_for() {
    check(json!({"scopes": ["read"]}), active(), 200, "");
    check(json!({"scopes": ["read", "admin"]}), active(), 403, "insufficient_scope");
    check(json!({"scopes": ["read"]}), with(active(), json!({"scope": ["read"]})), 200, "");
    check(json!({"required_claims": {"groups": ["ops"]}}), active(), 200, "");
    check(json!({"required_claims": {"groups": ["dev"]}}), active(), 403, "not_allowed");
    let outcome = asked(&mut bench(json!({"scopes": ["read", "admin"]})), "t", &active());
    let challenge = r#"Bearer realm="Example", error="insufficient_scope", scope="read admin""#;
    assert_eq!(outcome.header("www-authenticate"), Some(challenge));
}

#[test]
fn a_verdict_may_be_left_to_a_policy() {
    let defer = || json!({"verdict": "defer"});
    let line = asked(&mut bench(defer()), "t", &json!({"active": false})).line();
    assert!(line.starts_with("continue -authorization #deferred[reason=inactive]"), "{line}");
    assert!(!line.contains(r#""missing""#), "{line}");
    let line = asked(&mut bench(defer()), "t", &json!({"active": "yes"})).line();
    assert!(line.contains(r#""refused":{"reason":"endpoint_answer","status":503"#), "{line}");
    assert!(!line.contains(r#""missing""#), "{line}");
    let line = bench(defer()).send(&[(":path", "/")]).line();
    assert!(line.contains(r#""missing":true"#), "{line}");
    let line = bench(defer()).send(&[(":path", "/"), ("authorization", "Bearer")]).line();
    assert!(line.contains("malformed") && !line.contains(r#""missing""#), "{line}");
}

#[test]
fn a_shadow_lets_pass_and_counts() {
    let outcome = asked(&mut bench(json!({"mode": "shadow"})), "t", &json!({"active": false}));
    assert_eq!(outcome.line(), "continue #shadow_refused[reason=inactive]");
}

/// What comes of an answer with this status, type and body.
fn answered(status: u16, kind: &[&str], body: &[u8]) -> String {
    let mut bench = bench(json!({}));
    let (mut run, mut outcome) = begin(&mut bench, "t");
    let calls = outcome.effects.take_calls();
    let headers: Headers = kind.iter().map(|kind| ("content-type", *kind)).collect();
    bench.answer(
        calls[0].0.id,
        &Answer::Response { status, headers: &headers, body, trailers: &Headers::default() },
    );
    let line = bench.news(&mut run).line();
    line.split(" #")
        .next()
        .unwrap()
        .trim_end_matches(" -authorization")
        .replace("gatehouse.token-introspection.", "")
}

#[test]
fn an_answer_that_is_none_is_no_verdict() {
    let (good, deep) = (active().to_string(), "[".repeat(30_000));
    let json = &["application/json"][..];
    let answers: [(u16, &[&str], &[u8], &str); 16] = [
        (200, json, b"", "503 endpoint_answer"),
        (200, json, b"true", "503 endpoint_answer"),
        (200, json, b"[{\"active\": true}]", "503 endpoint_answer"),
        (200, json, b"{}", "503 endpoint_answer"),
        (200, json, b"{\"active\": \"true\"}", "503 endpoint_answer"),
        (200, json, b"{\"active\": 1}", "503 endpoint_answer"),
        (200, json, b"{\"active\": null}", "503 endpoint_answer"),
        (200, json, b"{\"active\": false, \"active\": true}", "503 endpoint_answer"),
        (200, json, b"{\"active\": true, \"a\": {\"b\": 1, \"b\": 2}}", "503 endpoint_answer"),
        (200, json, b"{\"active\": true}{", "503 endpoint_answer"),
        (200, json, b"{\"active\": true, \"sub\": \"\xff\"}", "503 endpoint_answer"),
        (200, &["text/html"], good.as_bytes(), "503 endpoint_answer"),
        (200, &[], good.as_bytes(), "503 endpoint_answer"),
        (200, &["application/json", "text/html"], good.as_bytes(), "503 endpoint_answer"),
        (200, &["Application/Token-Introspection+JWT"], b"e30.e30.x", "503 jwt_answer"),
        (200, json, deep.as_bytes(), "503 endpoint_answer"),
    ];
    for (status, kind, body, expected) in answers {
        assert_eq!(answered(status, kind, body), expected, "{}", String::from_utf8_lossy(body));
    }
    for kind in ["application/json", "Application/JSON ; charset=utf-8"] {
        assert!(answered(200, &[kind], good.as_bytes()).starts_with("continue"), "{kind}");
    }
}

#[test]
fn a_status_is_no_verdict_whatever_the_body_says() {
    for (status, reason) in [
        (201, "endpoint_status"),
        (302, "endpoint_status"),
        (400, "endpoint_status"),
        (401, "client_refused"),
        (403, "client_refused"),
        (404, "endpoint_status"),
        (429, "endpoint_status"),
        (500, "endpoint_status"),
        (503, "endpoint_unreachable"),
        (504, "endpoint_timeout"),
    ] {
        for body in [active(), json!({"active": false})] {
            let line = answered(status, &["application/json"], body.to_string().as_bytes());
            assert_eq!(line, format!("503 {reason}"), "{status}");
        }
    }
}

#[test]
fn members_of_the_wrong_type_are_no_answer() {
    for wrong in [
        json!({"scope": 1}),
        json!({"scope": ["a", 1]}),
        json!({"client_id": 7}),
        json!({"username": {}}),
        json!({"token_type": ["Bearer"]}),
        json!({"exp": "1800000300"}),
        json!({"iat": true}),
        json!({"nbf": []}),
        json!({"sub": ["alice"]}),
        json!({"aud": {"api": 1}}),
        json!({"aud": ["api", 1]}),
        json!({"iss": 1}),
        json!({"jti": {}}),
    ] {
        check(json!({}), with(active(), wrong), 503, "endpoint_answer");
    }
}
