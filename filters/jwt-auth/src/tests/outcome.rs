//! What becomes of a token that was found good or bad: evidence, modes, what is remembered.

use super::*;

#[test]
fn the_upstream_gets_the_token_only_where_asked() {
    let config = with(of(provider()), json!({"forward_credentials": true}));
    let line = send(&mut bench(&config), &token(json!({}))).line();
    assert_eq!(line, ALICE.replace("-authorization ", ""));
}

#[test]
fn a_deferred_verdict_leaves_evidence_and_lets_through() {
    let mut bench = bench(&with(of(provider()), json!({"verdict": "defer"})));
    let line = send(&mut bench, &token(json!({"aud": "x"}))).line();
    assert!(
        line.starts_with(
            "continue -authorization #deferred[reason=audience] gatehouse.evidence.jwt-auth=\
             {\"refused\":{\"reason\":\"audience\",\"status\":401,\"headers\":[[\"www-authenticate\","
        ),
        "{line}"
    );
    let line = send(&mut bench, &token(json!({}))).line();
    let (evidence, _) = ALICE.split_once("\"told\"").unwrap();
    let to_tell = "\"headers\":{\"x-auth-subject\":\"alice\",\"x-auth-scheme\":\"jwt\",\
        \"x-auth-consumer\":\"app\",\"x-auth-scopes\":\"read write\",\
        \"x-auth-groups\":\"ops,dev\"}}";
    assert_eq!(line, format!("{evidence}{to_tell}"));
}

#[test]
fn evidence_says_whether_a_token_was_presented() {
    let mut bench = bench(&with(of(provider()), json!({"verdict": "defer"})));
    let mut says =
        |headers: &[(&str, &str)]| bench.send(headers).line().contains("\"missing\":true");
    assert!(says(&[(":path", "/")]));
    assert!(says(&[("authorization", "Basic x")]));
    let expired = format!("Bearer {}", token(json!({"exp": 1})));
    for bad in ["Bearer", "Bearer ", "Bearer x", &expired] {
        assert!(!says(&[("authorization", bad)]), "{bad}");
    }
    assert!(!says(&[("authorization", "Bearer x"), ("authorization", "Bearer x")]));
}

#[test]
fn shadow_mode_counts_and_changes_nothing_for_the_upstream() {
    let mut bench = bench(&with(of(provider()), json!({"mode": "shadow"})));
    let line = send(&mut bench, &token(json!({"aud": "x"}))).line();
    assert_eq!(line, "continue #shadow_refused[reason=audience]");
    let line = send(&mut bench, &token(json!({}))).line();
    assert_eq!(line, ALICE.replace("-authorization ", ""));
}

#[test]
fn a_good_token_is_remembered() {
    let mut bench = bench(&of(provider()));
    let token = token(json!({}));
    assert_eq!(send(&mut bench, &token).line(), ALICE);
    let again = ALICE.replace("by=signature", "by=cache");
    assert_eq!(send(&mut bench, &token).line(), again);
    bench.proxy.set_now(Timestamp::from_secs(NOW + 299));
    assert_eq!(send(&mut bench, &token).line(), again);
    // Five minutes after it was checked, it is checked again.
    bench.proxy.set_now(Timestamp::from_secs(NOW + 300));
    assert_eq!(send(&mut bench, &token).line(), ALICE);
}

#[test]
fn its_claims_are_remembered_from_the_first_rule_on_that_asks_for_some() {
    let claims = json!({"groups": ["ops"]});
    let mut bench = bench(&json!({
        "providers": [provider(), other_provider()],
        "rules": [
            {"match": {"paths": ["/ops"]}, "required_claims": claims},
            {"match": {"paths": ["/else"]}, "required_claims": claims, "providers": ["other"]},
        ],
    }));
    let (one, other) = (token(json!({"groups": ["ops"]})), token(json!({"groups": ["dev"]})));
    let mut at = |path: &str, token: &str| {
        let value = format!("Bearer {token}");
        let outcome = bench.send(&[(":path", path), ("authorization", value.as_str())]);
        match outcome.line().split_once("allowed[by=") {
            Some((_, by)) => by.split_once(']').unwrap().0.to_owned(),
            None => short(&outcome),
        }
    };
    assert_eq!(at("/", &one), "signature");
    assert_eq!(at("/else", &one), "401 issuer");
    assert_eq!(at("/", &one), "cache");
    assert_eq!(at("/ops", &one), "signature");
    assert_eq!(at("/ops", &one), "cache");
    assert_eq!(at("/", &one), "cache");
    assert_eq!(at("/", &other), "signature");
    assert_eq!(at("/ops", &other), "403 not_allowed");
    assert_eq!(at("/ops", &other), "403 not_allowed");
    assert_eq!(at("/", &other), "cache");
}

#[test]
fn it_is_remembered_no_longer_than_it_lives() {
    let mut bench = bench(&with(of(provider()), json!({"verified_cache": {"ttl": "1h"}})));
    let token = token(json!({}));
    assert_eq!(verdict(&mut bench, &token), "continue");
    bench.proxy.set_now(Timestamp::from_secs(NOW + 359));
    assert!(send(&mut bench, &token).line().contains("by=cache"));
    bench.proxy.set_now(Timestamp::from_secs(NOW + 360));
    assert_eq!(verdict(&mut bench, &token), "401 expired");
    bench.proxy.set_now(Timestamp::from_secs(NOW - 1));
    assert!(send(&mut bench, &token).line().contains("by=signature"));
}

#[test]
fn a_bad_token_is_not_remembered_and_no_other_is_good_for_it() {
    let mut bench = bench(&of(provider()));
    let good = token(json!({}));
    assert_eq!(verdict(&mut bench, &good), "continue");
    let (text, _) = good.rsplit_once('.').unwrap();
    let bad = format!("{text}.{}", b64([1; 64]));
    for _ in 0..2 {
        assert_eq!(verdict(&mut bench, &bad), "401 signature");
    }
}

#[test]
fn a_proxy_that_does_not_answer_is_never_passed_by() {
    for mode in ["enforce", "shadow"] {
        let mut bench = bench(&with(of(provider()), json!({"mode": mode})));
        bench.proxy.fail();
        assert_eq!(verdict(&mut bench, &token(json!({}))), "503 host_failure");
    }
}

#[test]
fn no_refusal_shows_a_token() {
    let mut bench = bench(&of(provider()));
    let secrets = ["hunter2", "correct-horse"];
    for payload in [
        json!({"sub": secrets[0], "aud": secrets[1]}),
        json!({"iss": secrets[0], "jti": secrets[1]}),
        json!({"exp": secrets[0]}),
        json!({"groups": [format!("{},{}", secrets[0], secrets[1])]}),
        json!({"sub": format!("{}\n", secrets[0])}),
    ] {
        let token = token(payload);
        let outcome = send(&mut bench, &token);
        assert!(outcome.reply().is_some());
        let reply = format!("{:?} {}", outcome.reply(), outcome.line());
        let body = String::from_utf8_lossy(&outcome.reply().unwrap().body).into_owned();
        for text in [&reply, &body] {
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
            assert!(!token.split('.').any(|part| text.contains(part)), "{text}");
        }
    }
}
