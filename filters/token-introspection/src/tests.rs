//! The rules of the filter, one test each. The endpoint is what a test says.

mod answers;
mod mistakes;

use serde_json::{Value, json};
use shared::driver::Run;
use shared::filter::CallFailure;
use shared::headers::Headers;
use shared::testing::{Bench, Outcome};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const NOW: u64 = 1_800_000_000;

fn config() -> Value {
    json!({
        "realm": "Example",
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
        "client": {"id": "gatehouse", "secret": "s3cret"},
        "audiences": ["api"],
    })
}

/// An object with other members; `null` takes one off.
fn with(mut object: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().shift_remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn active() -> Value {
    json!({
        "active": true,
        "sub": "alice",
        "client_id": "app",
        "scope": "read write",
        "token_type": "Bearer",
        "aud": ["api", "other"],
        "iss": "https://idp.example",
        "exp": NOW + 300,
        "groups": ["ops"],
    })
}

fn bench(more: Value) -> Bench<TokenIntrospection> {
    Bench::configure(&with(config(), more)).map_err(|error| error.to_string()).unwrap()
}

fn begin(bench: &mut Bench<TokenIntrospection>, token: &str) -> (Run<TokenIntrospection>, Outcome) {
    bench.begin(&[(":path", "/"), ("authorization", &format!("Bearer {token}"))])
}

/// Answers the call of this number with 200 and this JSON.
fn says(bench: &mut Bench<TokenIntrospection>, id: u32, body: &Value) {
    let headers: Headers = [("content-type", "application/json")].into_iter().collect();
    let body = body.to_string().into_bytes();
    bench.answer(
        id,
        &Answer::Response {
            status: 200,
            headers: &headers,
            body: &body,
            trailers: &Headers::default(),
        },
    );
}

/// What becomes of a request with a token of which the endpoint says this: its line, without what
/// was done to the headers.
fn asked(bench: &mut Bench<TokenIntrospection>, token: &str, body: &Value) -> Outcome {
    let (mut run, mut outcome) = begin(bench, token);
    let calls = outcome.effects.take_calls();
    let [(id, _)] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    says(bench, id.id, body);
    bench.news(&mut run)
}

fn again(bench: &mut Bench<TokenIntrospection>, token: &str) -> String {
    begin(bench, token).1.line()
}

#[track_caller]
fn check(more: Value, body: Value, status: u16, reason: &str) {
    let outcome = asked(&mut bench(more), "t", &body);
    let line = outcome.line();
    if status == 200 {
        assert!(line.starts_with("continue "), "{line}");
    } else {
        let expected = format!("{status} gatehouse.token-introspection.{reason} ");
        assert!(line.starts_with(&expected), "{line}");
    }
}

#[test]
fn the_endpoint_is_asked_as_rfc_7662_says() {
    let client = json!({"id": "a:b c", "secret": "ä&=%+"});
    let mut bench = bench(json!({"client": client}));
    let calls = begin(&mut bench, "t~/+=").1.effects.take_calls();
    let [(_, call)] = calls.as_slice() else { panic!() };
    assert_eq!(
        (call.method, call.authority.as_str(), call.path.as_str()),
        ("POST", "idp.example", "/introspect")
    );
    assert_eq!(call.body, b"token=t%7E%2F%2B%3D&token_type_hint=access_token");
    assert_eq!(call.timeout, Duration::from_secs(2));
    let header = |name| {
        call.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header("accept"), Some("application/json"));
    // RFC 6749, 2.3.1: `a%3Ab+c:%C3%A4%26%3D%25%2B`.
    assert_eq!(header("authorization"), Some("Basic YSUzQWIrYzolQzMlQTQlMjYlM0QlMjUlMkI="));
}

#[test]
fn a_client_may_say_who_it_is_in_the_body() {
    let client = json!({"id": "a b", "secret": "x&y", "authentication": "post"});
    let mut bench = bench(json!({"client": client}));
    let calls = begin(&mut bench, "t").1.effects.take_calls();
    let body = String::from_utf8(calls[0].1.body.clone()).unwrap();
    assert_eq!(body, "token=t&token_type_hint=access_token&client_id=a+b&client_secret=x%26y");
    assert!(calls[0].1.headers.iter().all(|(name, _)| *name != "authorization"));
}

#[test]
fn a_good_token_says_who_it_is() {
    let headers = json!({"claims": ["groups"], "claim_headers": {"x-app": "client_id"}});
    let outcome = asked(&mut bench(headers), "t", &active());
    assert_eq!(
        outcome.line(),
        "continue #allowed[by=endpoint] -authorization \
         gatehouse.evidence.token-introspection={\"scheme\":\"oauth2\",\"subject\":\"alice\",\
         \"consumer\":\"app\",\"scopes\":[\"read\",\"write\"],\"groups\":[\"ops\"],\"expires\":1800000300,\
         \"claims\":{\"groups\":[\"ops\"]},\
         \"told\":[\"x-auth-subject\",\"x-auth-scheme\",\"x-auth-consumer\",\"x-auth-scopes\",\"x-auth-groups\",\"x-app\"]} \
         gatehouse.subject=alice gatehouse.consumer=app gatehouse.scopes=read write gatehouse.groups=ops \
         +x-auth-subject: alice +x-auth-scheme: oauth2 +x-auth-consumer: app +x-auth-scopes: read write \
         +x-auth-groups: ops +x-app: app"
    );
}

#[test]
fn without_a_token_there_is_a_challenge_and_no_call() {
    let mut bench = bench(json!({}));
    let outcome = bench.send(&[(":path", "/")]);
    assert_eq!(
        outcome.line(),
        "401 gatehouse.token-introspection.missing #refused[reason=missing]"
    );
    assert_eq!(outcome.header("www-authenticate"), Some(r#"Bearer realm="Example""#));
}

#[test]
fn nobody_is_asked_about_what_cannot_be_a_token() {
    let mut bench = bench(
        json!({"sources": [{"header": "authorization", "prefix": "Bearer"}, {"query": "t"}]}),
    );
    for value in ["Bearer", "Bearer \u{7f}", "Bearer ä", "Bearer a\tb"] {
        let outcome = bench.send(&[(":path", "/"), ("authorization", value)]);
        assert!(
            outcome.line().starts_with("401 gatehouse.token-introspection.malformed"),
            "{value}"
        );
    }
    let twice = bench.send(&[(":path", "/?t=a"), ("authorization", "Bearer a")]);
    assert!(twice.line().starts_with("400 gatehouse.token-introspection.repeated"));
    assert_eq!(
        twice.header("www-authenticate"),
        Some(r#"Bearer realm="Example", error="invalid_request""#)
    );
    assert_eq!(bench.proxy.shared_keys(), 1, "the secret alone");
}

#[test]
fn requests_with_one_token_wait_for_one_answer() {
    let mut bench = bench(json!({}));
    let (mut first, mut outcome) = begin(&mut bench, "t");
    assert_eq!(outcome.step, shared::driver::Step::Hold);
    let calls = outcome.effects.take_calls();
    let mut others: Vec<_> = (0..5).map(|_| begin(&mut bench, "t")).collect();
    assert!(others.iter_mut().all(|(_, outcome)| outcome.line() == "hold"));
    assert_eq!(bench.news(&mut first).line(), "hold");
    says(&mut bench, calls[0].0.id, &active());
    for (run, _) in &mut others {
        assert!(bench.news(run).line().starts_with("continue #allowed[by=endpoint]"));
    }
    assert!(bench.news(&mut first).line().starts_with("continue #allowed[by=endpoint]"));
    assert!(again(&mut bench, "t").starts_with("continue #allowed[by=cache]"));
}

#[test]
fn only_so_many_tokens_are_asked_about_at_a_time() {
    let endpoint = with(config()["endpoint"].clone(), json!({"max_calls": 2}));
    let mut bench = bench(json!({"endpoint": endpoint}));
    let calls = begin(&mut bench, "a").1.effects.take_calls();
    assert!(again(&mut bench, "b").starts_with("hold call POST idp/introspect"));
    assert!(again(&mut bench, "c").starts_with("503 gatehouse.token-introspection.too_many_calls"));
    assert_eq!(again(&mut bench, "a"), "hold", "joins");
    says(&mut bench, calls[0].0.id, &active());
    assert!(again(&mut bench, "c").starts_with("hold call"));
}

#[test]
fn a_good_token_is_remembered_no_longer_than_it_lives() {
    let mut bench = bench(json!({"cache": {"ttl": "10m"}}));
    asked(&mut bench, "t", &active());
    bench.proxy.pass(Duration::from_secs(299));
    assert!(again(&mut bench, "t").starts_with("continue #allowed[by=cache]"));
    bench.proxy.pass(Duration::from_secs(1));
    assert!(
        again(&mut bench, "t").starts_with("hold call POST"),
        "it has ended, and is asked about"
    );
}

#[test]
fn a_good_token_is_remembered_for_the_ttl() {
    let mut bench = bench(json!({"cache": {"ttl": "30s"}}));
    asked(&mut bench, "t", &with(active(), json!({"exp": null})));
    bench.proxy.pass(Duration::from_secs(29));
    assert!(again(&mut bench, "t").starts_with("continue #allowed[by=cache]"));
    bench.proxy.pass(Duration::from_secs(1));
    assert!(again(&mut bench, "t").starts_with("hold call POST"));
}

#[test]
fn a_clock_that_jumps_back_keeps_no_token_good() {
    let mut bench = bench(json!({"cache": {"ttl": "5s"}}));
    bench.proxy.set_now(Timestamp::from_secs(NOW + 3_600));
    asked(&mut bench, "t", &with(active(), json!({"exp": null})));
    bench.proxy.set_now(Timestamp::from_secs(NOW));
    let outcome = asked(&mut bench, "t", &json!({"active": false}));
    assert!(outcome.line().starts_with("401 "));
    assert!(again(&mut bench, "t").starts_with("401 "));
}

#[test]
fn a_bad_token_is_remembered_for_the_negative_ttl() {
    for body in [json!({"active": false}), with(active(), json!({"aud": "other"}))] {
        let mut bench = bench(json!({}));
        asked(&mut bench, "t", &body);
        bench.proxy.pass(Duration::from_millis(9_999));
        assert!(again(&mut bench, "t").starts_with("401 "), "{body}");
        bench.proxy.pass(Duration::from_millis(1));
        assert!(again(&mut bench, "t").starts_with("hold call POST"), "{body}");
    }
}

#[test]
fn made_up_tokens_do_not_drive_good_ones_out() {
    let mut bench = bench(json!({"cache": {"entries": 4}}));
    asked(&mut bench, "good", &active());
    for number in 0..100 {
        asked(&mut bench, &format!("made-up-{number}"), &json!({"active": false}));
    }
    assert!(again(&mut bench, "good").starts_with("continue #allowed[by=cache]"));
    assert!(bench.instance.plugin.bad.len() <= 4);
}

#[test]
fn a_fault_is_told_to_all_who_wait_and_not_remembered() {
    let mut bench = bench(json!({}));
    let (mut first, mut outcome) = begin(&mut bench, "t");
    let calls = outcome.effects.take_calls();
    let (mut second, _) = begin(&mut bench, "t");
    bench.answer(calls[0].0.id, &Answer::Failed(CallFailure::NoHost));
    for run in [&mut first, &mut second] {
        let line = bench.news(run).line();
        assert!(
            line.starts_with("503 gatehouse.token-introspection.endpoint_unreachable"),
            "{line}"
        );
    }
    assert!(again(&mut bench, "t").starts_with("hold call POST"));
}

#[test]
fn an_answer_that_never_comes_is_given_up_and_a_late_one_is_for_nobody() {
    let mut bench = bench(json!({}));
    let (mut run, mut outcome) = begin(&mut bench, "t");
    let calls = outcome.effects.take_calls();
    for millis in [1_999, 1, 999] {
        bench.proxy.pass(Duration::from_millis(millis));
        assert!(bench.tick().is_empty());
        assert_eq!(bench.news(&mut run).line(), "hold");
    }
    bench.proxy.pass(Duration::from_millis(1));
    bench.tick();
    assert!(
        bench
            .news(&mut run)
            .line()
            .starts_with("503 gatehouse.token-introspection.endpoint_timeout")
    );
    says(&mut bench, calls[0].0.id, &active());
    assert!(again(&mut bench, "t").starts_with("hold call POST"));
}

#[test]
fn a_clock_that_is_set_ends_no_call() {
    let mut bench = bench(json!({}));
    let (mut run, mut outcome) = begin(&mut bench, "t");
    let calls = outcome.effects.take_calls();
    bench.proxy.pass(Duration::from_secs(3 * 24 * 3600));
    bench.tick();
    assert_eq!(bench.news(&mut run).line(), "hold");
    bench.proxy.pass(Duration::from_millis(20));
    bench.tick();
    says(&mut bench, calls[0].0.id, &with(active(), json!({"exp": NOW + 4 * 24 * 3600})));
    let line = bench.news(&mut run).line();
    assert!(line.starts_with("continue #allowed[by=endpoint]"), "{line}");
}

/// Another worker of the same proxy.
fn twin(of: &Bench<TokenIntrospection>) -> TokenIntrospection {
    let birth =
        Birth { name: "test", secret: [9; 16], now: Timestamp::from_secs(NOW), host: &of.proxy };
    let text = config().to_string();
    let environment = shared::config::Environment::default();
    shared::driver::Instance::configure(text.as_bytes(), &environment, &birth).unwrap().plugin
}

/// Runs a step as the other worker.
fn swapped<T>(
    bench: &mut Bench<TokenIntrospection>,
    other: &mut TokenIntrospection,
    step: impl FnOnce(&mut Bench<TokenIntrospection>) -> T,
) -> T {
    std::mem::swap(&mut bench.instance.plugin, other);
    let outcome = step(bench);
    std::mem::swap(&mut bench.instance.plugin, other);
    outcome
}

#[test]
fn one_worker_asks_for_all() {
    let mut bench = bench(json!({}));
    let mut other = twin(&bench);
    let calls = begin(&mut bench, "t").1.effects.take_calls();
    let (mut run, outcome) = swapped(&mut bench, &mut other, |bench| begin(bench, "t"));
    assert_eq!(outcome.line(), "hold");
    assert!(swapped(&mut bench, &mut other, Bench::tick).is_empty());
    says(&mut bench, calls[0].0.id, &active());
    let line = swapped(&mut bench, &mut other, |bench| {
        assert!(bench.tick().is_empty());
        bench.news(&mut run).line()
    });
    assert!(line.starts_with("continue #allowed[by=endpoint]"), "{line}");
    let mut third = twin(&bench);
    let line = swapped(&mut bench, &mut third, |bench| again(bench, "t"));
    assert!(line.starts_with("continue #allowed[by=worker]"), "{line}");
    // What it took over is no younger for that.
    bench.proxy.pass(Duration::from_secs(60));
    assert!(swapped(&mut bench, &mut third, |bench| again(bench, "t")).starts_with("hold call"));
}

#[test]
fn a_worker_that_does_not_conclude_is_relieved() {
    let mut bench = bench(json!({}));
    let mut other = twin(&bench);
    begin(&mut bench, "t");
    let (mut run, _) = swapped(&mut bench, &mut other, |bench| begin(bench, "t"));
    bench.proxy.pass(Duration::from_secs(3));
    let line = swapped(&mut bench, &mut other, |bench| {
        let calls = bench.tick();
        says(bench, calls[0].0, &active());
        bench.news(&mut run).line()
    });
    assert!(line.starts_with("continue #allowed[by=endpoint]"), "{line}");
}

#[test]
fn a_fault_reaches_those_who_wait_on_other_workers() {
    let mut bench = bench(json!({}));
    let mut other = twin(&bench);
    let calls = begin(&mut bench, "t").1.effects.take_calls();
    let (mut run, _) = swapped(&mut bench, &mut other, |bench| begin(bench, "t"));
    bench.proxy.pass(Duration::from_secs(1));
    bench.answer(calls[0].0.id, &Answer::Failed(CallFailure::TooLong));
    let line = swapped(&mut bench, &mut other, |bench| {
        assert!(bench.tick().is_empty());
        bench.news(&mut run).line()
    });
    assert!(line.starts_with("503 gatehouse.token-introspection.answer_too_long"), "{line}");
}

#[test]
fn where_the_store_fails_each_worker_asks_for_itself() {
    let mut bench = bench(json!({}));
    bench.proxy.lose_races(usize::MAX);
    let mut other = twin(&bench);
    let mut outcome = begin(&mut bench, "t").1;
    assert_eq!(outcome.effects.take_calls().len(), 1);
    let mut outcome = swapped(&mut bench, &mut other, |bench| begin(bench, "t").1);
    let calls = outcome.effects.take_calls();
    assert_eq!(calls.len(), 1);
    swapped(&mut bench, &mut other, |bench| says(bench, calls[0].0.id, &active()));
    let line = swapped(&mut bench, &mut other, |bench| again(bench, "t"));
    assert!(line.starts_with("continue #allowed[by=cache]"), "{line}");
}
