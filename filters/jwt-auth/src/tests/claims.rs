//! What becomes of the claims of a good token.

use super::*;

/// What the upstream gets to know, in headers of `claim_headers`.
fn told(path: &str, claims: Value) -> Option<String> {
    let config = of(with(provider(), json!({"claim_headers": {"X-Claim": path}})));
    let line = send(&mut bench(&config), &token(claims)).line();
    assert!(line.starts_with("continue "), "{line}");
    line.split_once("+x-claim:").map(|(_, value)| value.trim_start().to_owned())
}

#[track_caller]
fn check_header(claim: Value, expected: &str) {
    assert_eq!(told("c", json!({"c": claim})).as_deref(), Some(expected));
}

#[test]
fn a_claim_becomes_a_header() {
    check_header(json!("text, as it is"), "text, as it is");
    check_header(json!("Zoë"), "Zoë");
    check_header(json!(""), "");
    check_header(json!(7), "7");
    check_header(json!(1.5), "1.5");
    check_header(json!(true), "true");
    assert_eq!(told("c", json!({})), None);
    let null = pair(1).sign(&header(), &{
        let mut payload = payload();
        payload["c"] = Value::Null;
        payload
    });
    let config = of(with(provider(), json!({"claim_headers": {"x-claim": "c"}})));
    assert!(!send(&mut bench(&config), &null).line().contains("x-claim"));
}

#[test]
fn a_nested_claim_is_found_by_its_path() {
    assert_eq!(told("a.b", json!({"a": {"b": "x"}})).as_deref(), Some("x"));
    assert_eq!(told("a.b", json!({"a": {"b": "x"}, "a.b": "y"})).as_deref(), Some("y"));
    assert_eq!(told("https://a.b/c", json!({"https://a.b/c": "x"})).as_deref(), Some("x"));
    assert_eq!(told("a.b", json!({"a": "x"})), None);
}

#[test]
fn a_list_has_commas_between_unless_one_is_within() {
    check_header(json!(["a", "b", 3, false]), "a,b,3,false");
    check_header(json!(["a"]), "a");
    check_header(json!([]), "");
    check_header(json!(["a,b", "c"]), r#"["a,b","c"]"#);
    check_header(json!(["a", null]), r#"["a",null]"#);
    check_header(json!(["a", ["b"]]), r#"["a",["b"]]"#);
}

#[test]
fn an_object_is_json() {
    check_header(json!({"a": ["b", 1]}), r#"{"a":["b",1]}"#);
    // Control characters are escaped there.
    check_header(json!({"a": "\n"}), r#"{"a":"\n"}"#);
}

#[test]
fn what_would_not_be_the_same_as_a_header_is_refused() {
    let config = of(with(provider(), json!({"claim_headers": {"x-claim": "c"}})));
    for claim in ["a\r\nx-admin: 1", "a\0", "a\u{7f}", "a\u{85}b", " a", "a ", "a\t", "\u{a0}a"] {
        check_in(&config, &token(json!({"c": claim})), "401 claim");
        check_in(&config, &token(json!({"c": ["x", claim, "y\n"]})), "401 claim");
    }
}

#[test]
fn a_claim_may_be_told_under_the_name_of_an_identity_header() {
    let config = of(with(provider(), json!({"claim_headers": {"x-auth-subject": "email"}})));
    let line = send(&mut bench(&config), &token(json!({"email": "a@example"}))).line();
    assert!(line.contains("+x-auth-subject: a@example"), "{line}");
    assert!(!line.contains("+x-auth-subject: alice"), "{line}");
    assert!(line.contains("gatehouse.subject=alice"), "{line}");
}

#[test]
fn an_identity_that_could_be_read_as_another_is_refused() {
    for claims in [
        json!({"sub": "alice\n"}),
        json!({"sub": " alice"}),
        json!({"client_id": "app\u{0}"}),
        json!({"groups": ["ops,root"]}),
        json!({"groups": ["ops\n"]}),
        json!({"groups": " ops"}),
        json!({"scp": ["read admin"]}),
        json!({"scp": ["read\u{1}"]}),
    ] {
        check(&token(claims), "401 claim");
    }
}

#[test]
fn identity_comes_from_the_claims_that_are_configured() {
    let mapped = json!({
        "scopes_claims": ["permissions"],
        "groups_claim": "realm_access.roles",
        "consumer_claims": ["tenant", "azp"],
    });
    let claims = json!({
        "permissions": ["a", "b"],
        "realm_access": {"roles": ["admin"]},
        "azp": "web",
    });
    let line = send(&mut bench(&of(with(provider(), mapped))), &token(claims)).line();
    assert!(
        line.ends_with(
            "+x-auth-subject: alice +x-auth-scheme: jwt +x-auth-consumer: web \
             +x-auth-scopes: a b +x-auth-groups: admin"
        ),
        "{line}"
    );
}

#[test]
fn all_scopes_claims_count_as_list_or_words() {
    let claims = json!({"scope": "a b", "scp": ["c"], "scopes": "d"});
    let line = send(&mut bench(&of(provider())), &token(claims)).line();
    assert!(line.contains("+x-auth-scopes: a b c d "), "{line}");
}

#[test]
fn a_scope_that_could_be_read_as_two_is_none() {
    for scope in ["a\tb", "a\nb", "a\u{a0}b", "a\u{2003}b", "a\u{1c}b", "\u{e4}"] {
        for claims in [json!({"scope": scope}), json!({"scp": [scope]})] {
            let line = send(&mut bench(&of(provider())), &token(claims)).line();
            assert!(line.starts_with("401 gatehouse.jwt-auth.claim"), "{scope:?}: {line}");
        }
    }
}

#[test]
fn a_rule_is_not_chosen_by_what_a_client_says_of_itself() {
    let rules = json!([{"match": {"headers": {"x-org": "acme"}}, "forward_credentials": true}]);
    let provider = with(provider(), json!({"claim_headers": {"x-org": "org"}}));
    let mut bench = bench(&with(of(provider), json!({"rules": rules})));
    let mut forged = bearer(&token(json!({"org": "other"})));
    forged.push(("x-org".to_owned(), "acme".to_owned()));
    let line = bench.send(&forged).line();
    assert!(line.contains(" -x-org ") && line.contains(" -authorization "), "{line}");
    assert!(line.ends_with("+x-org: other"), "{line}");
}

#[test]
fn a_client_is_not_who_has_its_name() {
    let line = send(&mut bench(&of(provider())), &token(json!({"sub": null}))).line();
    assert!(line.contains("+x-auth-consumer: app ") && !line.contains("x-auth-subject:"), "{line}");
    assert!(line.contains(" gatehouse.subject= ") && line.contains("\"subject\":\"\""), "{line}");
    let nobody = json!({"sub": null, "client_id": null});
    let line = send(&mut bench(&of(provider())), &token(nobody)).line();
    assert!(line.starts_with("continue") && !line.contains("x-auth-subject"), "{line}");
}

#[test]
fn selected_claims_go_into_the_evidence() {
    let config = of(with(provider(), json!({"claims": ["org.id", "absent", "amr"]})));
    let claims = json!({"org": {"id": 7, "secret": 1}, "amr": ["pwd"]});
    let line = send(&mut bench(&config), &token(claims)).line();
    assert!(
        line.contains(r#""expires":1800000360,"claims":{"org.id":7,"amr":["pwd"]},"told""#),
        "{line}"
    );
}

#[test]
fn identity_headers_have_the_names_that_are_configured() {
    let config = with(of(provider()), json!({"identity_headers": {"subject": "x-user"}}));
    let line = send(&mut bench(&config), &token(json!({}))).line();
    assert!(line.contains("+x-user: alice") && !line.contains("x-auth-subject"), "{line}");
}
