//! Endpoints that are down, slow or wrong: never does a request pass that was not found good.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::envoy::Envoy;
use tests::upstream::{Answer, Refusing, Silent, Upstream};

use super::joined::active;
use super::{bearer, setup, status};

/// A refusal for that reason, of which the client learns nothing.
#[track_caller]
fn unavailable(envoy: &Envoy, token: &str, reason: &str) {
    let before = envoy.counted(&format!("token-introspection.refused.reason.{reason}"));
    let answer = bearer(token).send(envoy.address());
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (503, None),
        "{reason}: {answer}"
    );
    let after = envoy.counted(&format!("token-introspection.refused.reason.{reason}"));
    assert_eq!(after, before + 1, "{reason}\n{}", envoy.log());
}

#[test]
fn an_endpoint_that_is_down_is_503_and_asked_again_when_it_is_up() {
    let (refusing, upstream) = (Refusing::new(), Upstream::start());
    let envoy = setup(json!({}), refusing.address(), &upstream).start();
    for _ in 0..4 {
        unavailable(&envoy, "t", "endpoint_unreachable");
    }
    assert_eq!(upstream.count(), 0);
    let _endpoint = Upstream::on(refusing.listen(), |_| Answer::json(&active()));
    assert_eq!(status(&envoy, "t"), 200);
}

#[test]
fn no_cluster_and_no_host_are_503() {
    let upstream = Upstream::start();
    let without = tests::envoy::Setup::new()
        .filter("token-introspection", super::config())
        .cluster("other", None)
        .upstream(&upstream)
        .start();
    unavailable(&without, "t", "endpoint_unreachable");
    let empty = tests::envoy::Setup::new()
        .filter("token-introspection", super::config())
        .cluster("idp", None)
        .upstream(&upstream)
        .start();
    unavailable(&empty, "t", "endpoint_unreachable");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_endpoint_that_is_slow_holds_requests_up_for_the_time_limit() {
    let hanging = Upstream::answering(|_| Answer::Hang);
    let (silent, upstream) = (Silent::new(), Upstream::start());
    let endpoint = json!({
        "uri": "https://idp.example/token/introspection", "cluster": "idp", "timeout": "400ms",
    });
    for address in [hanging.address(), silent.address()] {
        let envoy = setup(json!({"endpoint": endpoint}), address, &upstream).start();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| assert_eq!(status(&envoy, "t"), 503));
            }
        });
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(envoy.counted("token-introspection.refused.reason.endpoint_timeout"), 12);
    }
    assert_eq!(upstream.count(), 0);
}

fn of(status: u16, kind: &str, body: &[u8]) -> Answer {
    Answer::Http(status, vec![("content-type".to_owned(), kind.to_owned())], body.to_vec())
}

#[test]
fn whatever_an_endpoint_answers_no_request_passes_unchecked() {
    let next = std::sync::Arc::new(Mutex::new(Answer::Reset));
    let told = std::sync::Arc::clone(&next);
    let endpoint = Upstream::answering(move |_| told.lock().unwrap().clone());
    let upstream = Upstream::start();
    let envoy = setup(json!({}), endpoint.address(), &upstream).start();
    let good = active().to_string();
    let json = |body: &str| of(200, "application/json", body.as_bytes());
    let long = format!("{}{}", " ".repeat(40_000), good);
    let answers = [
        (Answer::Reset, "endpoint_unreachable"),
        (Answer::Torn, "endpoint_unreachable"),
        (Answer::Garbage, "endpoint_unreachable"),
        (of(401, "application/json", good.as_bytes()), "client_refused"),
        (of(403, "application/json", good.as_bytes()), "client_refused"),
        (of(400, "application/json", good.as_bytes()), "endpoint_status"),
        (of(302, "application/json", good.as_bytes()), "endpoint_status"),
        (of(500, "application/json", good.as_bytes()), "endpoint_status"),
        (of(200, "text/html", good.as_bytes()), "endpoint_answer"),
        (Answer::Http(200, Vec::new(), good.clone().into_bytes()), "endpoint_answer"),
        (of(200, "application/token-introspection+jwt", b"e30.e30."), "jwt_answer"),
        (json(""), "endpoint_answer"),
        (json("true"), "endpoint_answer"),
        (json("{}"), "endpoint_answer"),
        (json(r#"{"active": "true"}"#), "endpoint_answer"),
        (
            json(r#"{"active": false, "active": true, "aud": "api", "token_type": "Bearer"}"#),
            "endpoint_answer",
        ),
        (json(&good.replace(r#""alice""#, "7")), "endpoint_answer"),
        (json(&good[..good.len() - 1]), "endpoint_answer"),
        (json(&"[".repeat(30_000)), "endpoint_answer"),
        (of(200, "application/json", b"{\"active\": true, \"sub\": \"\xff\"}"), "endpoint_answer"),
        (json(&long), "answer_too_long"),
    ];
    for (number, (wrong, reason)) in answers.into_iter().enumerate() {
        *next.lock().unwrap() = wrong;
        unavailable(&envoy, &format!("t{number}"), reason);
    }
    assert_eq!(upstream.count(), 0);
    // The same tokens, when the endpoint is itself again.
    *next.lock().unwrap() = Answer::json(&active());
    assert!((0..21).all(|number| status(&envoy, &format!("t{number}")) == 200));
    assert!(!envoy.log().contains("s3%cret"));
}
