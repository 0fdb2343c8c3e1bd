//! An upstream that wants the ID token.

use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Envoy;
use tests::tokens::{now, with};
use tests::upstream::Upstream;

use super::{Browser, Provider, config, start};

/// The claims of the ID token that the upstream got last.
fn told(upstream: &Upstream) -> Value {
    let value = upstream.last().header("authorization").unwrap();
    let token = value.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{value}"));
    let payload = token.split('.').nth(1).unwrap_or_else(|| panic!("{value}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A browser that has signed in, with an ID token that ends then.
fn signed_in(end: u64) -> (Envoy, Upstream, Provider, Browser) {
    let forward = json!({"access_token": "x-access-token", "id_token": "authorization"});
    let (envoy, upstream, provider) = start(with(config(), &json!({"forward": forward})));
    provider.set(|state| state.claims = json!({"exp": end}));
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    (envoy, upstream, provider, browser)
}

#[test]
fn the_upstream_gets_the_id_token_and_its_successor_before_it_ends() {
    let first = now() + 12;
    let (envoy, upstream, provider, mut browser) = signed_in(first);
    let request = || {
        Request::get("/").header("authorization", "Basic eDp5").header("x_access_token", "forged")
    };
    assert_eq!(browser.send(envoy.address(), request()).status, 200);
    let claims = told(&upstream);
    assert_eq!((&claims["sub"], &claims["exp"]), (&json!("alice"), &json!(first)));
    let got = upstream.last();
    assert_eq!(got.header("x-access-token").as_deref(), Some("access-1"));
    assert_eq!(got.all("authorization").len(), 1);
    assert_eq!(got.header("x_access_token"), None);

    // It has a quarter of its life left; the access token would last for an hour.
    provider.set(|state| state.claims = json!({"exp": first + 3600}));
    while now() + 2 < first {
        sleep(Duration::from_millis(100));
    }
    assert_eq!(browser.send(envoy.address(), request()).status, 200);
    assert_eq!(told(&upstream)["exp"], first + 3600);
    assert_eq!(upstream.last().header("x-access-token").as_deref(), Some("access-2"));
}

#[test]
fn a_session_ends_with_an_id_token_that_has_no_successor() {
    let end = now() + 10;
    let (envoy, upstream, provider, mut browser) = signed_in(end);
    provider.set(|state| state.tokens = json!({"id_token": null}));
    while now() < end {
        let before = now();
        let status = browser.get(envoy.address(), "/").status;
        if now() < end {
            assert_eq!(status, 200, "{} before its end", end - before);
            assert_eq!(told(&upstream)["exp"], end);
        }
        sleep(Duration::from_millis(300));
    }
    browser.arrival = None;
    let before = upstream.count();
    assert_eq!(browser.get(envoy.address(), "/").status, 303);
    assert_eq!(upstream.count(), before);
    assert!(provider.state.lock().unwrap().given > 1, "it was refreshed meanwhile");
}
