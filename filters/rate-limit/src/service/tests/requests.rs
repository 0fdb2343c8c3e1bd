//! What becomes of requests: what is charged here, what is asked, what is given back.

use serde_json::Value;
use shared::driver::{Run, Step};
use shared::effects::Effects;
use shared::testing::{Bench, Outcome};
use shared::view::Request;

use super::*;
use crate::RateLimit;

/// A limit counted here, of 2 a minute, and whatever `global` says of one that is counted there.
fn bench(on_failure: &str, global: Value) -> Bench<RateLimit> {
    let mut limits = vec![json!({"name": "here", "quota": {"requests": 2, "per": "1m"}})];
    limits.extend(global.as_array().unwrap().iter().cloned());
    let service = json!({"cluster": "limits", "domain": "test", "on_failure": on_failure});
    with(json!({"limits": limits, "service": service}))
}

fn with(config: Value) -> Bench<RateLimit> {
    Bench::configure(&config).map_err(|error| error.to_string()).unwrap()
}

fn there(name: &str, more: Value) -> Value {
    let mut limit =
        json!({"name": name, "quota": {"requests": 1, "per": "1m"}, "counted": "global"});
    for (name, value) in more.as_object().unwrap() {
        limit[name] = value.clone();
    }
    limit
}

fn one_there() -> Value {
    json!([there("there", json!({}))])
}

fn begin(bench: &mut Bench<RateLimit>) -> (Run<RateLimit>, Outcome) {
    bench.begin(&[(":method", "GET"), (":path", "/"), (":authority", "shop")])
}

/// A request that is asked about, and answered so.
fn asked(bench: &mut Bench<RateLimit>, answer: &Answer<'_>) -> Outcome {
    let (mut run, outcome) = begin(bench);
    assert!(matches!(outcome.step, Step::Wait(_)), "{}", outcome.line());
    let mut effects = outcome.effects;
    let request = Request::new(&bench.proxy);
    let step = bench.instance.on_answer(&mut run, answer, &request, &mut effects);
    Outcome { step, effects }
}

fn told(bench: &mut Bench<RateLimit>, response: &RateLimitResponse) -> Outcome {
    let (headers, trailers) = (grpc(), status("0"));
    let body = framed(&response.encode_to_vec());
    let answer =
        Answer::Response { status: 200, headers: &headers, body: &body, trailers: &trailers };
    asked(bench, &answer)
}

fn failing(bench: &mut Bench<RateLimit>) -> Outcome {
    asked(bench, &Answer::Failed(CallFailure::NoHost))
}

fn under() -> RateLimitResponse {
    response(OK, vec![one(OK, 4, 30)])
}

fn over() -> RateLimitResponse {
    response(OVER, vec![one(OVER, 0, 30)])
}

#[track_caller]
fn check(outcome: &Outcome, begins: &str, has: &str) {
    let line = outcome.line();
    assert!(line.starts_with(begins) && line.contains(has), "{line}");
}

#[test]
fn a_request_goes_on_when_both_let_it() {
    let mut bench = bench("deny", one_there());
    let outcome = told(&mut bench, &under());
    check(&outcome, "continue", "#service[result=ok]");
    check(&outcome, "", "<ratelimit: \"here\";r=1;t=30, \"there\";r=4;t=30");
    check(&outcome, "", "#allowed");
}

#[test]
fn what_is_refused_here_is_not_asked_about() {
    let mut bench = bench("deny", one_there());
    told(&mut bench, &under());
    told(&mut bench, &under());
    check(&begin(&mut bench).1, "429 gatehouse.rate-limit.limited", "#limited[limit=here]");
}

#[test]
fn what_the_service_refuses_is_given_back_here() {
    let mut bench = bench("deny", one_there());
    let lasting = response(OVER, vec![one(OVER, 3, 30)]);
    for _ in 0..5 {
        let outcome = told(&mut bench, &lasting);
        check(&outcome, "429 gatehouse.rate-limit.limited", "#limited[limit=there]");
        assert_eq!(outcome.header("retry-after"), Some("30"));
        check(&outcome, "", "<ratelimit: \"there\";r=0;t=30");
    }
    check(&told(&mut bench, &under()), "continue", "\"here\";r=1;");
}

#[test]
fn what_is_given_back_late_is_no_quota_of_the_next_window() {
    for algorithm in ["token-bucket", "fixed-window", "sliding-window"] {
        let here =
            json!({"name": "here", "algorithm": algorithm, "quota": {"requests": 2, "per": "6s"}});
        let there = there("there", json!({"match": {"paths": ["/there"]}}));
        let service = json!({"cluster": "limits", "domain": "test", "timeout": "10s"});
        let mut bench = with(json!({"limits": [here, there], "service": service}));
        let get = |bench: &mut Bench<RateLimit>, path| {
            bench.begin(&[(":method", "GET"), (":path", path)])
        };
        let mut asked: Vec<_> = (0..2).map(|_| get(&mut bench, "/there")).collect();
        bench.proxy.pass(Duration::from_secs(7));
        let passes = |bench: &mut Bench<RateLimit>| get(bench, "/").1.reply().is_none();
        let mut passed = (0..3).filter(|_| passes(&mut bench)).count();
        for (run, outcome) in &mut asked {
            let answer = Answer::Failed(CallFailure::NoHost);
            let request = Request::new(&bench.proxy);
            let step = bench.instance.on_answer(run, &answer, &request, &mut outcome.effects);
            assert!(!matches!(step, Step::Continue));
        }
        passed += (0..3).filter(|_| passes(&mut bench)).count();
        assert_eq!(passed, 2, "{algorithm}");
    }
}

#[test]
fn a_key_that_is_over_is_refused_without_a_call_or_a_charge() {
    let mut bench = bench("deny", one_there());
    told(&mut bench, &over());
    bench.proxy.pass(Duration::from_secs(10));
    for _ in 0..5 {
        let (_, outcome) = begin(&mut bench);
        check(&outcome, "429 gatehouse.rate-limit.limited", "#service[result=known]");
        assert_eq!(outcome.header("retry-after"), Some("20"));
    }
    bench.proxy.pass(Duration::from_secs(20));
    check(&told(&mut bench, &under()), "continue", "\"here\";r=1;");
}

#[test]
fn without_an_answer_it_is_as_on_failure_says() {
    for _ in 0..3 {
        let mut bench = bench("deny", one_there());
        check(&failing(&mut bench), "503 gatehouse.rate-limit.service_failed", "=unavailable]");
        check(&told(&mut bench, &under()), "continue", "\"here\";r=1;");
    }
    let mut allow = bench("allow", one_there());
    check(&failing(&mut allow), "continue", "#service[result=unavailable]");
    check(&failing(&mut allow), "continue", "#allowed");
    check(&begin(&mut allow).1, "429", "#limited[limit=here]");
    let mut local = bench("local", one_there());
    check(&failing(&mut local), "continue", "\"there\";r=0;");
    // Refused by the quota there, as counted here, so given back here.
    check(&failing(&mut local), "429", "#limited[limit=there]");
    check(&told(&mut local, &under()), "continue", "\"here\";r=0;");
}

#[test]
fn a_limit_in_shadow_refuses_nobody() {
    let shadow = json!([there("there", json!({"mode": "shadow"}))]);
    let mut bench = bench("deny", shadow);
    check(&told(&mut bench, &over()), "continue", "#shadow_limited[limit=there]");
    // It is known to be over: there is nothing to ask.
    check(&begin(&mut bench).1, "continue", "#shadow_limited[limit=there]");
    bench.proxy.pass(Duration::from_secs(60));
    check(&failing(&mut bench), "continue", "#shadow_unknown[limit=there]");
    check(&told(&mut bench, &response(OVER, vec![])), "continue", "#shadow_limited[limit=there]");
}

#[test]
fn of_one_in_shadow_and_one_enforced_the_statuses_tell() {
    let both = json!([there("s", json!({"mode": "shadow"})), there("e", json!({}))]);
    let mut first = bench("deny", both);
    let answer = response(OVER, vec![one(OVER, 1, 30), one(OK, 4, 30)]);
    check(&told(&mut first, &answer), "continue", "#shadow_limited[limit=s]");
    let answer = response(OVER, vec![one(OK, 4, 30), one(OVER, 1, 30)]);
    check(&told(&mut first, &answer), "429", "#limited[limit=e]");
    // Without them, it may be the one that is enforced.
    let line = told(&mut first, &response(OVER, vec![])).line();
    assert!(line.starts_with("429") && !line.contains("shadow"), "{line}");
}

#[test]
fn what_is_granted_beforehand_is_not_asked_about() {
    let mut bench = bench("deny", one_there());
    let mut answer = under();
    answer.statuses[0].quota = granting(1, Timestamp::from_secs(1_800_000_060), "");
    told(&mut bench, &answer);
    check(&begin(&mut bench).1, "continue", "#service[result=granted]");
}

#[test]
fn the_services_headers_are_added_and_identity_is_not() {
    let mut bench = bench("deny", one_there());
    let header =
        |key: &str| HeaderValue { key: key.into(), value: "1".into(), raw_value: Vec::new() };
    let mut answer = under();
    answer.request_headers_to_add = vec![header("x-plan"), header("x_auth_subject")];
    answer.response_headers_to_add = vec![header("x-ratelimit-limit"), header(":status")];
    let outcome = told(&mut bench, &answer);
    check(&outcome, "continue", "+x-plan: 1");
    check(&outcome, "", "<x-ratelimit-limit: 1");
    assert!(!outcome.line().contains("auth") && !outcome.line().contains(":status"));
    answer.overall_code = OVER;
    answer.statuses[0].code = OVER;
    let outcome = told(&mut bench, &answer);
    check(&outcome, "429", "<x-ratelimit-limit: 1");
    assert!(!outcome.line().contains("+x-plan"), "{}", outcome.line());
}

#[test]
fn keys_and_costs_are_told_to_the_service() {
    let key = json!({"key": ["host", {"header": "x-plan"}], "cost": 3, "quota": {"requests": 9, "per": "1h"}});
    let mut bench = bench("deny", json!([there("a", key), there("b", json!({}))]));
    let (_, outcome) = begin(&mut bench);
    let Step::Wait(call) = outcome.step else { panic!("{}", outcome.line()) };
    let request = RateLimitRequest::decode(&call.body[5..]).unwrap();
    let said: Vec<_> = request
        .descriptors
        .iter()
        .map(|one| {
            let entries = one.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value));
            let limit = one.limit.unwrap();
            let entries = entries.collect::<Vec<_>>().join(",");
            format!(
                "{entries} +{} {}/{}",
                one.hits_addend.unwrap().value,
                limit.requests_per_unit,
                limit.unit
            )
        })
        .collect();
    assert_eq!(said, ["limit=a,host=shop,header.x-plan=(none) +3 9/3", "limit=b +1 1/2"]);
}

#[test]
fn an_answer_that_nobody_asked_for_refuses() {
    let mut bench = bench("allow", one_there());
    bench.proxy.set_request(&[(":method", "GET"), (":path", "/")]);
    let request = Request::new(&bench.proxy);
    let (mut run, mut effects) = (Run::default(), Effects::default());
    let answer = Answer::Failed(CallFailure::Broken);
    let step = bench.instance.on_answer(&mut run, &answer, &request, &mut effects);
    assert!(matches!(step, Step::Reply(reply) if reply.status == 503));
}
