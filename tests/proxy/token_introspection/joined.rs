//! How often the provider is asked: once for all workers, and no longer remembered than it should be.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::tokens::now;
use tests::upstream::{Answer, Received, Upstream};

use super::{setup, start, status};

/// A good token of the audience.
pub(super) fn active() -> serde_json::Value {
    json!({"active": true, "sub": "alice", "aud": "api", "token_type": "Bearer",
        "iss": "https://idp.example", "exp": now() + 600})
}

/// An endpoint that takes its time; it knows every token that begins with `good`.
fn slow(time: Duration) -> Upstream {
    Upstream::answering(move |request: &Received| {
        let known = request.body.starts_with(b"token=good");
        let body = if known { active() } else { json!({"active": false}) };
        Answer::After(time, Box::new(Answer::json(&body)))
    })
}

#[test]
fn forty_requests_on_four_workers_cause_one_call() {
    let (endpoint, upstream) = (slow(Duration::from_millis(700)), Upstream::start());
    let envoy = setup(json!({}), endpoint.address(), &upstream).start();
    for (token, expected) in [("good-1", 200), ("made-up", 401)] {
        endpoint.clear();
        thread::scope(|scope| {
            let requests: Vec<_> = (0..40).map(|_| scope.spawn(|| status(&envoy, token))).collect();
            assert!(requests.into_iter().all(|request| request.join().unwrap() == expected));
        });
        assert_eq!(endpoint.count(), 1, "{token}");
        assert!((0..20).all(|_| status(&envoy, token) == expected));
        assert_eq!(endpoint.count(), 1, "{token}: remembered by all workers");
    }
    assert_eq!(upstream.count(), 60);
    assert_eq!(envoy.counted("token-introspection.calls.result.active"), 1);
    assert_eq!(envoy.counted("token-introspection.calls.result.inactive"), 1);
}

#[test]
fn requests_that_wait_and_go_away_leave_the_others_an_answer() {
    let (endpoint, upstream) = (slow(Duration::from_millis(600)), Upstream::start());
    let envoy = setup(json!({}), endpoint.address(), &upstream).start();
    let request = super::bearer("good-2");
    for _ in 0..8 {
        request.abandon(envoy.address(), Duration::from_millis(20));
    }
    assert_eq!(status(&envoy, "good-2"), 200);
    assert_eq!((endpoint.count(), upstream.count()), (1, 1));
}

#[test]
fn more_tokens_than_may_be_asked_about_are_503_and_known_ones_pass() {
    let (endpoint, upstream) = (slow(Duration::from_millis(1500)), Upstream::start());
    let more = json!({"endpoint": {
        "uri": "https://idp.example/token/introspection", "cluster": "idp", "timeout": "10s", "max_calls": 2,
    }});
    let envoy = setup(more, endpoint.address(), &upstream).workers(1).start();
    assert_eq!(status(&envoy, "good-known"), 200);
    endpoint.clear();
    thread::scope(|scope| {
        let first = ["good-a", "good-b"].map(|token| {
            let envoy = &envoy;
            scope.spawn(move || status(envoy, token))
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        while envoy.stat("cluster.idp.upstream_rq_active") != Some(2) {
            assert!(Instant::now() < deadline, "both are asked about");
        }
        assert_eq!(status(&envoy, "good-c"), 503);
        assert_eq!(status(&envoy, "good-known"), 200);
        assert!(first.into_iter().all(|request| request.join().unwrap() == 200));
    });
    assert_eq!(status(&envoy, "good-c"), 200);
    assert_eq!(envoy.counted("token-introspection.refused.reason.too_many_calls"), 1);
}

#[test]
fn a_token_is_good_no_longer_than_it_lives() {
    let (envoy, _upstream, provider) = start(json!({"leeway": "0s", "cache": {"ttl": "10m"}}));
    let token = provider.access_token("ttl=3");
    assert_eq!(status(&envoy, &token), 200);
    let calls = provider.calls();
    assert_eq!(calls, 1);
    thread::sleep(Duration::from_millis(4100));
    assert!((0..8).all(|_| status(&envoy, &token) == 401));
    assert_eq!(provider.calls(), 1, "the answer that it was good has said until when");
}

#[test]
fn a_revoked_token_is_refused_when_the_ttl_has_passed() {
    let (envoy, _upstream, provider) = start(json!({"cache": {"ttl": "2s"}}));
    let token = provider.access_token("");
    assert_eq!(status(&envoy, &token), 200);
    let asked = Instant::now();
    provider.revoke(&token);
    while status(&envoy, &token) == 200 {
        assert!(asked.elapsed() < Duration::from_secs(10), "good for ever");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(asked.elapsed() > Duration::from_millis(1500), "{:?}", asked.elapsed());
    // On every worker: none has a younger answer than the one that asked.
    assert!((0..20).all(|_| status(&envoy, &token) == 401));
}

#[test]
fn a_flood_of_made_up_tokens_leaves_good_ones_remembered() {
    let (endpoint, upstream) = (slow(Duration::ZERO), Upstream::start());
    let small = json!({"cache": {"entries": 8}});
    let envoy = setup(small, endpoint.address(), &upstream).workers(1).start();
    assert_eq!(status(&envoy, "good-1"), 200);
    for number in 0..200 {
        assert_eq!(status(&envoy, &format!("made-up-{number}")), 401);
    }
    let calls = endpoint.count();
    assert_eq!(status(&envoy, "good-1"), 200);
    assert_eq!(endpoint.count(), calls);
}
