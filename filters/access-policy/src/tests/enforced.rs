//! Behind an authenticator that enforces, and has told the upstream who it is already.

use super::*;

/// The evidence of an API key that was enforced, and told under these names.
fn enforced(told: &[&str]) -> Value {
    json!({"scheme": "api-key", "subject": "acme", "consumer": "acme", "groups": ["gold"], "told": told})
}

const TOLD: [&str; 5] =
    ["x-auth-subject", "x-auth-scheme", "x-auth-consumer", "x-auth-groups", "x-org"];

fn send(evidence: &[(&'static str, Value)], path: &str) -> String {
    let headers = [
        (":method", "GET"),
        (":path", path),
        ("x-auth-subject", "acme"),
        ("x-auth-scheme", "api-key"),
        ("x-auth-consumer", "acme"),
        ("x-auth-groups", "gold"),
        ("x-org", "7"),
    ];
    bench(&config(), &showing(evidence)).send(&headers).line()
}

#[test]
fn the_upstream_is_told_of_the_alternative_alone() {
    let token = known("alice", json!({"scopes": ["api:read"]}));
    let line = send(&[("api-key-auth", enforced(&TOLD)), ("jwt-auth", token)], "/users/admin");
    assert!(line.starts_with("continue "), "{line}");
    for gone in ["x-auth-scheme", "x-auth-consumer", "x-auth-groups", "x-org"] {
        assert!(line.contains(&format!(" -{gone}")), "{gone}: {line}");
    }
    for state in ["gatehouse.consumer= ", "gatehouse.groups= ", "gatehouse.subject=alice "] {
        assert!(line.contains(state), "{state}: {line}");
    }
    assert!(line.contains("+x-auth-subject: alice"), "{line}");
}

#[test]
fn what_it_told_stays_where_it_is_of_the_alternative() {
    let line = send(&[("api-key-auth", enforced(&TOLD))], "/users");
    assert!(line.starts_with("continue ") && !line.contains(" -x"), "{line}");
    for state in ["gatehouse.consumer=acme", "gatehouse.groups=gold", "gatehouse.subject=acme"] {
        assert!(line.contains(state), "{state}: {line}");
    }
}

#[test]
fn where_nothing_is_required_it_speaks_for_itself() {
    let line = send(&[("api-key-auth", enforced(&TOLD))], "/users/public");
    assert!(line.starts_with("continue ") && !line.contains(" -x"), "{line}");
    assert!(!line.contains("gatehouse.subject"), "{line}");
}

#[test]
fn what_a_client_says_beside_it_is_taken_off() {
    let line = send(&[("api-key-auth", enforced(&TOLD[..3]))], "/users");
    assert!(line.contains("-x-auth-groups") && !line.contains("-x-auth-subject"), "{line}");
}
