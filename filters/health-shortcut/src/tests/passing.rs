//! Probes that go on to the upstream, and a proxy that drains.

use super::*;

#[test]
fn a_probe_that_the_upstream_answers_goes_on_as_one() {
    let mut bench = bench(&with(json!({"answer": "upstream"})));
    let outcome = probe(&mut bench, "/readyz?x=1");
    assert_eq!(outcome.line(), "continue gatehouse.probe=readiness #passed[report=readiness]");
}

#[test]
fn what_is_no_probe_does_not_go_on_as_one() {
    let mut bench = bench(&with(json!({"answer": "upstream"})));
    assert_eq!(probe(&mut bench, "/readyz/").line(), "continue");
    for method in ["POST", "DELETE", "get", ""] {
        let outcome = bench.send(&[(":method", method), (":path", "/readyz")]);
        assert_eq!(outcome.line(), "continue", "{method}");
    }
}

#[test]
fn a_route_may_say_who_answers() {
    let rules = json!([{"match": {"hosts": ["internal"]}, "answer": "upstream"}]);
    let mut bench = bench(&with(json!({"rules": rules})));
    let to = |host| [(":method", "GET"), (":path", "/livez"), (":authority", host)];
    let passed = "continue gatehouse.probe=liveness #passed[report=liveness]";
    assert_eq!(bench.send(&to("internal")).line(), passed);
    assert_eq!(bench.send(&to("shop")).line(), LIVE);
}

#[test]
fn a_proxy_that_drains_is_not_ready() {
    let mut config = with(json!({"draining": {"cluster": "administration"}}));
    config["dependencies"] = json!([]);
    let mut bench = bench(&config);
    let answer = |bench: &mut Bench<HealthShortcut>, status| {
        let calls = bench.tick();
        let [(id, call)] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!((&*call.cluster, &*call.path), ("administration", "/ready"));
        bench.answer(*id, &status_of(status, &Headers::default()));
        after(bench, 500);
    };
    answer(&mut bench, 200);
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
    answer(&mut bench, 503);
    let outcome = probe(&mut bench, "/readyz");
    assert_eq!(outcome.line(), NOT_READY);
    assert!(body(&outcome).contains(r#""status":{"proxy":"NOT OK"}"#));
    assert_eq!(probe(&mut bench, "/livez").line(), LIVE);
}
