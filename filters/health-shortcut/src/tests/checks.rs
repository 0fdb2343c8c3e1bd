//! gRPC's health checks: which go on as probes, and what is answered where they arrive.

use shared::driver::Step;
use shared::filter::WholeBody;

use super::*;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const BRIDGED: &str = "application/x-grpc-health";
const ORDERS: &[u8] = b"\0\0\0\0\x08\x0a\x06orders";

fn grpc() -> Value {
    let services = json!([
        {"name": "", "report": "readiness"},
        {"name": "all", "report": "dependencies"},
        {"name": "orders", "dependencies": ["cache"]},
    ]);
    json!({"grpc": {"cluster": "grpc-health", "services": services}})
}

fn bench_with(more: Value) -> Bench<HealthShortcut> {
    let mut config = with(grpc());
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    let bench = bench(&config);
    bench.proxy.set_property(&["xds", "cluster_name"], b"grpc-health");
    bench
}

fn post<'a>(path: &'a str, kind: &'a str) -> [(&'static str, &'a str); 3] {
    [(":method", "POST"), (":path", path), ("content-type", kind)]
}

/// What a bridged check is answered.
fn ask(bench: &mut Bench<HealthShortcut>, body: WholeBody<'_>) -> Outcome {
    let (mut run, outcome) = bench.begin(&post(CHECK, BRIDGED));
    assert_eq!(outcome.line(), "read 1024");
    bench.body(&mut run, body)
}

fn line(result: &str) -> String {
    format!("200 gatehouse.health-shortcut.grpc_{result} #grpc_answered[result={result}]")
}

#[track_caller]
fn check_service(database: u16, cache: u16, name: &str, result: &str) {
    let mut bench = bench_with(json!({}));
    ping(&mut bench, database, cache);
    let message = [&[0x0a, name.len() as u8], name.as_bytes()].concat();
    let body = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    assert_eq!(ask(&mut bench, WholeBody::Bytes(&body)).line(), line(result));
}

#[test]
fn a_check_goes_on_as_a_probe() {
    let mut bench = bench_with(json!({}));
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=1"] {
        assert_eq!(
            bench.send(&post(CHECK, kind)).line(),
            "continue gatehouse.probe=grpc",
            "{kind}"
        );
    }
}

#[test]
fn one_that_is_on_its_way_elsewhere_is_none() {
    let mut bench = bench_with(json!({}));
    for cluster in [&b"upstream"[..], b"", b"grpc-healthy"] {
        bench.proxy.set_property(&["xds", "cluster_name"], cluster);
        let outcome = bench.send(&post(CHECK, "application/grpc"));
        assert_eq!(outcome.line(), "continue #grpc_elsewhere");
    }
}

#[test]
fn what_is_no_check_goes_on_as_it_is() {
    let mut bench = bench_with(json!({}));
    for kind in ["application/grpc-web", "text/plain", "", "application/x-grpc-healthy"] {
        assert_eq!(bench.send(&post(CHECK, kind)).line(), "continue", "{kind}");
    }
    for method in ["GET", "PUT", "post", ""] {
        let request = [(":method", method), (":path", CHECK), ("content-type", "application/grpc")];
        assert_eq!(bench.send(&request).line(), "continue", "{method}");
    }
    let twice = [post(CHECK, BRIDGED).as_slice(), &[("content-type", BRIDGED)]].concat();
    assert_eq!(bench.send(&twice).line(), "continue");
    assert_eq!(bench.send(&post("/grpc.health.v1.Healthy/Check", BRIDGED)).line(), "continue");
}

#[test]
fn no_other_method_is_offered() {
    let mut bench = bench_with(json!({}));
    for method in ["Watch", "List", ""] {
        let path = format!("/grpc.health.v1.Health/{method}");
        let outcome = bench.send(&post(&path, "application/grpc"));
        assert_eq!(outcome.line(), line("not_offered"), "{method}");
        assert_eq!(outcome.reply().unwrap().grpc_status, Some(12));
        assert_eq!(bench.send(&post(&path, BRIDGED)).line(), "continue", "{method}");
    }
}

#[test]
fn the_health_of_a_service_is_that_of_what_it_needs() {
    for (database, cache, name, result) in [
        (200, 200, "", "serving"),
        (200, 500, "", "serving"),
        (500, 200, "", "not_serving"),
        (200, 500, "all", "not_serving"),
        (500, 200, "orders", "serving"),
        (200, 500, "orders", "not_serving"),
        (200, 200, "order", "unknown_service"),
        (200, 200, "orders.v1", "unknown_service"),
    ] {
        check_service(database, cache, name, result);
    }
}

#[test]
fn before_the_first_answer_nothing_serves() {
    let mut bench = bench_with(json!({}));
    assert_eq!(ask(&mut bench, WholeBody::Bytes(ORDERS)).line(), line("not_serving"));
}

#[test]
fn an_answer_is_a_message_and_an_error_is_none() {
    let mut bench = bench_with(json!({}));
    ping(&mut bench, 200, 200);
    let outcome = ask(&mut bench, WholeBody::Bytes(ORDERS));
    assert_eq!(outcome.reply().unwrap().body, b"\0\0\0\0\x02\x08\x01");
    assert_eq!(outcome.header("content-type"), Some(BRIDGED));
    for (body, result, status) in [
        (WholeBody::Bytes(b"\0\0\0\0\x03\x0a\x01x"), "unknown_service", "5"),
        (WholeBody::Bytes(b""), "malformed", "3"),
        (WholeBody::Bytes(b"\x01\0\0\0\0"), "compressed", "12"),
        (WholeBody::TooLong, "too_long", "8"),
        (WholeBody::Unreadable, "unreadable", "14"),
    ] {
        let outcome = ask(&mut bench, body);
        assert_eq!(outcome.line(), line(result));
        assert_eq!(outcome.header("grpc-status"), Some(status));
        assert!(outcome.reply().unwrap().body.is_empty());
    }
}

#[test]
fn a_proxy_that_drains_serves_nothing_that_is_named() {
    let mut bench = bench_with(json!({"draining": {"cluster": "administration"}}));
    for (id, call) in bench.tick() {
        let status = if call.cluster == "administration" { 503 } else { 200 };
        bench.answer(id, &status_of(status, &Headers::default()));
    }
    assert_eq!(ask(&mut bench, WholeBody::Bytes(ORDERS)).line(), line("not_serving"));
}

#[test]
fn the_upstream_may_answer() {
    let mut bench = bench_with(json!({"answer": "upstream"}));
    bench.proxy.set_property(&["xds", "cluster_name"], b"users");
    let passed = "continue #passed[report=grpc] gatehouse.probe=grpc";
    assert_eq!(bench.send(&post(CHECK, "application/grpc")).line(), passed);
    let watch = "/grpc.health.v1.Health/Watch";
    for (path, kind) in [(CHECK, BRIDGED), (watch, "application/grpc"), (watch, BRIDGED)] {
        assert_eq!(bench.send(&post(path, kind)).line(), "continue");
    }
}

#[test]
fn the_other_modes_answer_nothing() {
    let mut off = bench_with(json!({"mode": "off"}));
    assert_eq!(off.send(&post(CHECK, "application/grpc")).line(), "continue");
    assert_eq!(off.send(&post(CHECK, BRIDGED)).line(), "continue");
    let mut shadow = bench_with(json!({"mode": "shadow"}));
    assert_eq!(shadow.send(&post(CHECK, "application/grpc")).line(), "continue");
    let outcome = ask(&mut shadow, WholeBody::Bytes(b""));
    assert_eq!(outcome.line(), "continue #shadow_grpc_answered[result=malformed]");
    let outcome = shadow.send(&post("/grpc.health.v1.Health/Watch", "application/grpc"));
    assert_eq!(outcome.line(), "continue #shadow_grpc_answered[result=not_offered]");
}

#[test]
fn without_grpc_nothing_is_a_check() {
    let mut bench = bench(&config());
    for kind in ["application/grpc", BRIDGED] {
        assert_eq!(bench.send(&post(CHECK, kind)).line(), "continue");
    }
}

#[test]
fn a_body_for_nobody_is_refused() {
    let mut bench = bench_with(json!({}));
    let outcome = bench.body(&mut shared::driver::Run::default(), WholeBody::TooLong);
    assert!(matches!(outcome.step, Step::Reply(reply) if reply.status == 503));
}
