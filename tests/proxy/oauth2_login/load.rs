//! Many requests of many sessions over four workers, while keys change on either side: no session is
//! lost, and no refresh token is sent twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// What the browsers of a test got.
struct Tally {
    good: usize,
    bad: Vec<String>,
}

/// Lets each browser send from several threads at once, as tabs do, until told to stop.
fn browse(browsers: &[Arc<Mutex<Browser>>], to: &Mutex<SocketAddr>, stop: &AtomicBool) -> Tally {
    let tally = Mutex::new(Tally { good: 0, bad: Vec::new() });
    thread::scope(|scope| {
        for browser in browsers {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        let mut tab = browser.lock().unwrap().clone();
                        let at = *to.lock().unwrap();
                        let response = tab.get(at, "/");
                        browser.lock().unwrap().keep(&response);
                        let mut tally = tally.lock().unwrap();
                        if response.status == 200 {
                            tally.good += 1;
                        } else {
                            tally.bad.push(response.to_string());
                        }
                        drop(tally);
                        thread::sleep(Duration::from_millis(10));
                    }
                });
            }
        }
    });
    tally.into_inner().unwrap()
}

fn signed_in(count: usize, to: SocketAddr) -> Vec<Arc<Mutex<Browser>>> {
    let browsers = (0..count).map(|_| {
        let mut browser = Browser::default();
        assert_eq!(browser.sign_in(to, "/").status, 303);
        Arc::new(Mutex::new(browser))
    });
    browsers.collect()
}

#[test]
fn refreshes_under_load_lose_no_session() {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    provider.set(|state| state.tokens = json!({"expires_in": 8}));
    let envoy = envoy(config(), &upstream, provider.server.address(), 4);
    let browsers = signed_in(8, envoy.address());
    let (to, stop) = (Mutex::new(envoy.address()), AtomicBool::new(false));
    let tally = thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(&browsers, &to, &stop));
        let until = Instant::now() + Duration::from_secs(20);
        // The provider changes its key meanwhile.
        thread::sleep(Duration::from_secs(7));
        provider.set(|state| state.key = Key::of("p256-other"));
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::SeqCst);
        browsing.join().unwrap()
    });
    assert!(tally.bad.is_empty(), "{} of {}: {:?}", tally.bad.len(), tally.good, tally.bad.first());
    let state = provider.state.lock().unwrap();
    assert_eq!(state.reused, 0, "a refresh token was sent twice");
    assert!(state.given >= 8 + 16, "{}", state.given);
    assert!(tally.good > 200, "{}", tally.good);
    assert!(envoy.counted("oauth2-login.refreshed.result.ok") >= 16);
    assert_eq!(envoy.counted("oauth2-login.refreshed.result.refused"), 0);
}

#[test]
fn keys_of_cookies_change_under_load_and_no_session_is_lost() {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    provider.set(|state| state.tokens = json!({"expires_in": 8}));
    // As one proxy after the other gets its configuration: the new key opens first, then seals.
    let keys = [json!([KEY]), json!([KEY, OTHER_KEY]), json!([OTHER_KEY, KEY])];
    let envoys = keys.map(|keys| {
        let config = with(config(), &json!({ "session": { "keys": keys } }));
        envoy(config, &upstream, provider.server.address(), 4)
    });
    let browsers = signed_in(6, envoys[0].address());
    let (to, stop) = (Mutex::new(envoys[0].address()), AtomicBool::new(false));
    let tally = thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(&browsers, &to, &stop));
        for envoy in &envoys {
            *to.lock().unwrap() = envoy.address();
            thread::sleep(Duration::from_secs(5));
        }
        stop.store(true, Ordering::SeqCst);
        browsing.join().unwrap()
    });
    assert!(tally.bad.is_empty(), "{} of {}: {:?}", tally.bad.len(), tally.good, tally.bad.first());
    assert!(tally.good > 100, "{}", tally.good);
}

#[test]
fn a_refresh_that_is_refused_ends_the_session_with_its_access_token() {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    provider.set(|state| state.tokens = json!({"expires_in": 8}));
    let envoy = envoy(config(), &upstream, provider.server.address(), 2);
    let mut browser = Browser::default();
    let signed_in = Instant::now();
    browser.sign_in(envoy.address(), "/");
    provider.set(|state| {
        state.answer = Some(Answer::status(400, r#"{"error":"invalid_grant"}"#));
    });
    thread::sleep(Duration::from_millis(6100));
    let response = browser.get(envoy.address(), "/");
    // On a machine that is busy, the token may have ended before the request came.
    if signed_in.elapsed() < Duration::from_secs(7) {
        assert_eq!(response.status, 200, "{response}");
    }
    thread::sleep(Duration::from_millis(2000));
    assert_eq!(browser.get(envoy.address(), "/").status, 303);
    assert!(browser.cookies.contains_key("__Host-session"));
}

#[test]
fn a_refresh_outlives_the_request_that_began_it() {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    provider.set(|state| state.tokens = json!({"expires_in": 4}));
    let envoy = envoy(config(), &upstream, provider.server.address(), 2);
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    thread::sleep(Duration::from_millis(3200));
    let cookie = format!("__Host-session={}", browser.cookies["__Host-session"]);
    Request::get("/").header("cookie", cookie).abandon(envoy.address(), Duration::from_millis(1));
    thread::sleep(Duration::from_millis(500));
    provider.set(|state| state.tokens = json!({"expires_in": 3600}));
    for _ in 0..4 {
        assert_eq!(browser.get(envoy.address(), "/").status, 200);
    }
    assert_eq!(provider.state.lock().unwrap().reused, 0);
}
