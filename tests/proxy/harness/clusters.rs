//! Upstreams that behave badly, each in its own way, as Envoy sees them.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::Request;
use tests::envoy::Setup;
use tests::upstream::{Answer, Received, Refusing, Silent, Upstream};

/// What a client gets, and the flag in the access log, where `/` goes to a cluster like this.
#[track_caller]
fn check(setup: Setup, status: u16, flags: &str) {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "bad", "timeout": "0.3s"}});
    let envoy = setup.route(route).start();
    assert_eq!(Request::get("/").send(envoy.address()).status, status);
    assert_eq!(envoy.access_log(1)[0]["flags"], flags);
}

fn answering(answer: Answer) -> (Setup, Upstream) {
    let upstream = Upstream::answering(move |_: &Received| answer.clone());
    (Setup::new().cluster("bad", Some(upstream.address())), upstream)
}

#[test]
fn one_that_refuses_connections() {
    let refusing = Refusing::new();
    check(Setup::new().cluster("bad", Some(refusing.address())), 503, "UF");
}

#[test]
fn one_that_refuses_until_it_listens() {
    let refusing = Refusing::new();
    let address = refusing.address();
    let _upstream = Upstream::on(refusing.listen(), |_| Answer::ok("there"));
    assert_eq!(Request::get("/").send(address).text(), "there");
}

#[test]
fn one_that_never_accepts() {
    let silent = Silent::new();
    check(Setup::new().cluster("bad", Some(silent.address())), 504, "UT");
}

#[test]
fn one_without_hosts() {
    check(Setup::new().cluster("bad", None), 503, "UH");
}

#[test]
fn one_that_is_not_there() {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "bad"}});
    let refusal = Setup::new().route(route).refusal();
    assert!(refusal.contains("unknown cluster 'bad'"), "{refusal}");
}

#[test]
fn one_that_hangs() {
    let (setup, upstream) = answering(Answer::Hang);
    check(setup, 504, "UT");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn one_that_resets() {
    let (setup, upstream) = answering(Answer::Reset);
    check(setup, 503, "UC");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn one_that_talks_nonsense() {
    let (setup, _upstream) = answering(Answer::Garbage);
    check(setup, 502, "UPE");
}

#[test]
fn one_that_resets_in_the_middle() {
    let upstream = Upstream::answering(|_| Answer::Torn);
    let envoy = Setup::new().upstream(&upstream).start();
    let answer = Request::get("/").send(envoy.address());
    assert_eq!((answer.status, answer.text().as_str()), (200, "torn"));
    assert_eq!(answer.header("content-length").as_deref(), Some("100"));
}

#[test]
fn one_that_answers_late_or_byte_by_byte() {
    let ok = || Box::new(Answer::ok("ok"));
    let pause = Duration::from_millis(2);
    for answer in [Answer::After(pause * 30, ok()), Answer::Slowly(pause, ok())] {
        let upstream = Upstream::answering(move |_| answer.clone());
        let envoy = Setup::new().upstream(&upstream).start();
        let start = Instant::now();
        assert_eq!(Request::get("/").send(envoy.address()).text(), "ok");
        assert!(start.elapsed() > pause * 30, "{:?}", start.elapsed());
    }
}

#[test]
fn a_client_that_goes_away_is_noticed() {
    let (setup, upstream) = answering(Answer::Hang);
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "bad"}});
    let envoy = setup.route(route).start();
    Request::get("/").abandon(envoy.address(), Duration::from_millis(200));
    assert_eq!(envoy.access_log(1)[0]["flags"], "DC");
    assert_eq!(upstream.count(), 1);
}
