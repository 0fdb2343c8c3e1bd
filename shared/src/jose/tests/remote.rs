//! The rules of where keys are.

use std::time::Duration;

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn url(authority: &str, path: &str) -> Url {
    Url { authority: authority.into(), path: path.into() }
}

fn discovery(issuer: &str) -> Discovery {
    Discovery { issuer: issuer.into(), cluster: "idp".into(), keys_cluster: "keys".into() }
}

fn remote(place: Place) -> Remote {
    let second = Duration::from_secs(1);
    Remote { place, refresh: second, timeout: second * 5, max_stale: second, refetch: second }
}

fn at(cluster: &str, text: &str) -> Remote {
    remote(Place::At { url: Url::parse(text).unwrap(), cluster: cluster.into() })
}

#[test]
fn an_address_has_a_host_and_a_path() {
    for (text, authority, path) in [
        ("https://a.example/keys", "a.example", "/keys"),
        ("http://a.example:8080/k?x=1&y", "a.example:8080", "/k?x=1&y"),
        ("https://a.example", "a.example", "/"),
        ("https://a.example?x", "a.example", "/?x"),
        ("https://[::1]:1/", "[::1]:1", "/"),
        ("https://a.example/x@y", "a.example", "/x@y"),
    ] {
        assert_eq!(Url::parse(text), Ok(url(authority, path)));
    }
}

#[test]
fn what_is_no_address_is_named() {
    for (text, why) in [
        ("", "it begins with `https://` or `http://`"),
        ("a.example/keys", "it begins with `https://` or `http://`"),
        ("ftp://a.example", "it begins with `https://` or `http://`"),
        ("HTTPS://a.example", "it begins with `https://` or `http://`"),
        ("https://", "it has no host, or a user before it"),
        ("https:///keys", "it has no host, or a user before it"),
        ("https://me@a.example", "it has no host, or a user before it"),
        ("https://a.example/#x", "it has a fragment, or a character that no address has"),
        ("https://a.example\\x", "it has a fragment, or a character that no address has"),
        ("https://a.example/ x", "it has a fragment, or a character that no address has"),
        ("https://a.example/\r\nhost: b", "it has a fragment, or a character that no address has"),
        ("https://é.example/", "it has a fragment, or a character that no address has"),
    ] {
        assert_eq!(Url::parse(text), Err(format!("`{text}` is not an address: {why}")));
    }
}

#[test]
fn a_call_goes_to_the_cluster_and_asks_for_json() {
    let call = at("idp", "https://a.example/keys?v=1").first_call().unwrap();
    assert_eq!((call.cluster.as_str(), call.method), ("idp", "GET"));
    assert_eq!((call.authority.as_str(), call.path.as_str()), ("a.example", "/keys?v=1"));
    assert_eq!(call.headers, [("accept", "application/json".to_owned())]);
    assert_eq!((call.timeout, call.max_body), (Duration::from_secs(5), 256 * 1024));
}

#[test]
fn a_document_is_behind_the_path_of_the_issuer() {
    for (issuer, path) in [
        ("https://a.example", "/.well-known/openid-configuration"),
        ("https://a.example/", "/.well-known/openid-configuration"),
        ("https://a.example/realms/x", "/realms/x/.well-known/openid-configuration"),
    ] {
        let call = remote(Place::Discovered(discovery(issuer))).first_call().unwrap();
        assert_eq!((call.cluster.as_str(), call.path.as_str()), ("idp", path));
    }
}

#[test]
fn a_document_names_its_issuer_and_the_keys() {
    let keys_of =
        |issuer: &str, document: &[u8]| discovery(issuer).keys(document).map(|(url, _)| url);
    let keys = |document: Value| keys_of("https://a.example", document.to_string().as_bytes());
    let good = json!({"issuer": "https://a.example", "jwks_uri": "https://k.example/keys", "x": 1});
    assert_eq!(keys(good), Ok(url("k.example", "/keys")));
    for issuer in [json!("https://a.example/"), json!("https://b.example"), json!(1), json!(null)] {
        let document = json!({"issuer": issuer, "jwks_uri": "https://k.example/keys"});
        assert_eq!(keys(document), Err("the discovery document is of another issuer".into()));
    }
    for document in [json!({}), json!([]), json!(null)] {
        assert_eq!(keys(document), Err("the discovery document is of another issuer".into()));
    }
    for uri in [json!(null), json!(1), json!(["https://k.example"])] {
        let document = json!({"issuer": "https://a.example", "jwks_uri": uri});
        assert_eq!(keys(document), Err("the discovery document has no `jwks_uri`".into()));
    }
    assert!(keys(json!({"issuer": "https://a.example", "jwks_uri": "file:///etc"})).is_err());
    assert!(keys_of("https://a.example", b"<html>").is_err());
    assert_eq!(
        keys_of("a", br#"{"issuer":"a","issuer":"a","jwks_uri":"https://k"}"#),
        Err("issuer: comes twice".into())
    );
}

#[test]
fn providers_in_different_places_have_different_names() {
    let names = [
        at("a", "https://b/c").name(),
        at("a", "https://b/c/d").name(),
        at("a/b", "https://c/d").name(),
        at("a", "https://b").name(),
        at("a/b/c", "https://d").name(),
        remote(Place::Discovered(discovery("https://a.example"))).name(),
        at("idp/keys", "https://a.example/").name(),
        remote(Place::Discovered(Discovery {
            issuer: "x".into(),
            cluster: "idp/keys".into(),
            keys_cluster: "y".into(),
        }))
        .name(),
        remote(Place::Discovered(Discovery {
            issuer: "x".into(),
            cluster: "idp".into(),
            keys_cluster: "keys/y".into(),
        }))
        .name(),
    ];
    let distinct: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

#[test]
fn a_fetch_takes_no_longer_than_its_calls() {
    assert_eq!(at("a", "https://b").longest(), Duration::from_secs(6));
    assert_eq!(remote(Place::Discovered(discovery("a"))).longest(), Duration::from_secs(11));
}
