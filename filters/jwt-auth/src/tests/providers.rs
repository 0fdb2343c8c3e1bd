//! Several providers, and the places in which their tokens stand.

use super::*;

#[test]
fn the_issuer_chooses_the_provider() {
    let config = json!({"providers": [provider(), other_provider()]});
    let mut both = bench(&config);
    assert_eq!(verdict(&mut both, &token(json!({}))), "continue");
    assert_eq!(verdict(&mut both, &token_of_other()), "continue");
    // The one's key does not sign for the other, though both call it `a`.
    for (number, issuer) in [(1, "https://other.example"), (2, ISSUER)] {
        let crossed = pair(number).sign(&header(), &with(payload(), json!({"iss": issuer})));
        assert_eq!(verdict(&mut both, &crossed), "401 signature");
    }
    for issuer in [json!("https://evil.example"), json!(null), json!(1), json!([ISSUER])] {
        assert_eq!(verdict(&mut both, &token(json!({"iss": issuer}))), "401 issuer");
    }
}

#[test]
fn a_rule_may_take_some_providers_alone() {
    let mut bench = bench(&json!({
        "providers": [provider(), other_provider()],
        "rules": [{"match": {"paths": ["/other"]}, "providers": ["other"]}],
    }));
    let mut at = |path: &str, token: &str| {
        let value = format!("Bearer {token}");
        short(&bench.send(&[(":path", path), ("authorization", &value)]))
    };
    let ours = token(json!({}));
    assert_eq!(at("/other", &ours), "401 issuer");
    assert_eq!(at("/", &ours), "continue");
    // Remembered by now, which changes nothing.
    assert_eq!(at("/other", &ours), "401 issuer");
    assert_eq!(at("/other", &token_of_other()), "continue");
    assert_eq!(at("/", &token_of_other()), "continue");
}

#[test]
fn a_token_counts_in_the_sources_of_its_provider_alone() {
    let other = with(other_provider(), json!({"sources": [{"header": "x-other"}]}));
    let mut bench = bench(&json!({"providers": [provider(), other]}));
    let mut at = |name: &str, value: &str| short(&bench.send(&[(name, value)]));
    let ours = token(json!({}));
    assert_eq!(at("x-other", &token_of_other()), "continue");
    assert_eq!(at("x-other", &ours), "401 source");
    assert_eq!(at("authorization", &format!("Bearer {ours}")), "continue");
    assert_eq!(at("x-other", &ours), "401 source");
    assert_eq!(at("authorization", &format!("Bearer {}", token_of_other())), "401 source");
}

#[test]
fn tokens_are_taken_off_all_sources_and_two_are_too_many() {
    let other = with(other_provider(), json!({"sources": [{"header": "x-other"}]}));
    let config = json!({"providers": [provider(), other]});
    let value = format!("Bearer {}", token(json!({})));
    let outcome = bench(&config).send(&[("authorization", value.as_str()), ("x-other", "x")]);
    assert_eq!(
        outcome.line(),
        "400 gatehouse.jwt-auth.repeated -authorization -x-other #refused[reason=repeated]"
    );
}
