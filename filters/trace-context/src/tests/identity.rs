//! The request's own id.

use super::*;

const UUID: &str = "8d3e3bd0-7a71-4be7-9f34-0b4d5bd1ac8a";

fn id(config: Value, came: &[&str]) -> (String, Option<String>) {
    let headers: Vec<_> = came.iter().map(|value| ("x-request-id", *value)).collect();
    let upstream = send(config, &headers);
    (upstream.header("x-request-id").unwrap().to_owned(), upstream.response("x-request-id"))
}

fn config(fields: Value) -> Value {
    json!({ "request_id": fields })
}

#[test]
fn an_id_that_is_accepted_goes_on_and_back() {
    for came in [UUID, "a", "abc:DEF/1.2~3_4+5=6@7"] {
        assert_eq!(id(config(json!({})), &[came]), (came.into(), Some(came.into())));
    }
    assert_eq!(id(config(json!({"echo": false})), &[UUID]), (UUID.into(), None));
}

#[test]
fn one_that_is_too_long_is_cut() {
    let came = "0123456789".repeat(1000);
    assert_eq!(id(config(json!({"max_bytes": 8})), &[&came]).0, "01234567");
    assert_eq!(id(config(json!({})), &[&came]).0, came.get(..128).unwrap());
}

#[test]
fn one_that_is_no_word_is_replaced() {
    for came in [&["a b"][..], &["é"], &["a\u{7f}"], &[""], &["<x>"], &["a", "b"], &["a,b"], &[]] {
        let (new, echo) = id(config(json!({})), came);
        assert_eq!((new.len(), new.as_bytes()[14]), (36, b'4'), "{came:?}");
        assert_eq!(echo.as_deref(), Some(&*new));
    }
}

#[test]
fn whose_id_is_kept_is_for_the_configuration_to_say() {
    let kept = |accept: &str, trust: &str| {
        let config = json!({"trust": trust, "request_id": {"accept": accept}});
        id(config, &[UUID]).0 == UUID
    };
    assert!(kept("trusted", "always") && !kept("trusted", "never"));
    assert!(kept("always", "never") && !kept("never", "always"));
}

#[test]
fn without_the_field_the_proxys_own_id_stays() {
    let upstream = send(json!({}), &[("x-request-id", "é")]);
    assert_eq!(upstream.header("x-request-id"), Some("é"));
}

#[test]
fn the_header_is_for_the_configuration_to_say() {
    let config = config(json!({"header": "X-Correlation-ID"}));
    let upstream = send(config, &[("x-correlation-id", "abc"), ("x-request-id", "def")]);
    assert_eq!(upstream.header("x-correlation-id"), Some("abc"));
    assert_eq!(upstream.header("x-request-id"), Some("def"));
}
