//! The rules of the filter, one test each.

mod checks;
mod configuration;
mod passing;
mod pings;

use serde_json::{Value, json};
use shared::headers::Headers;
use shared::testing::{Bench, Outcome};
use std::time::Duration;

use super::*;

/// Three endpoints, the database, and a cache that the service can do without.
fn config() -> Value {
    json!({
        "version": "91bb64a",
        "endpoints": [
            {"path": "/livez", "report": "liveness"},
            {"path": "/readyz", "report": "readiness"},
            {"path": "/healthz", "report": "dependencies"},
        ],
        "dependencies": [
            {"name": "database", "cluster": "db", "path": "/up?deep=1", "interval": "5s", "timeout": "2s"},
            {"name": "cache", "cluster": "cache", "host": "cache:81", "required": false},
        ],
    })
}

fn with(more: Value) -> Value {
    let mut config = config();
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn without(name: &str) -> Value {
    let mut config = config();
    config.as_object_mut().unwrap().remove(name);
    config
}

fn bench(config: &Value) -> Bench<HealthShortcut> {
    Bench::configure(config).map_err(|error| error.to_string()).unwrap()
}

fn probe(bench: &mut Bench<HealthShortcut>, path: &str) -> Outcome {
    bench.send(&[(":method", "GET"), (":path", path)])
}

fn body(outcome: &Outcome) -> &str {
    std::str::from_utf8(&outcome.reply().unwrap().body).unwrap()
}

fn after(bench: &Bench<HealthShortcut>, millis: u64) {
    bench.proxy.pass(Duration::from_millis(millis));
}

/// Lets the pings that are due be answered; how many there were.
fn ping(bench: &mut Bench<HealthShortcut>, database: u16, cache: u16) -> usize {
    let calls = bench.tick();
    for (id, call) in &calls {
        let status = if call.cluster == "db" { database } else { cache };
        bench.answer(*id, &status_of(status, &Headers::default()));
    }
    calls.len()
}

const fn status_of(status: u16, headers: &Headers) -> Answer<'_> {
    Answer::Response { status, headers, body: &[], trailers: headers }
}

#[track_caller]
fn check(method: &str, path: &str, line: &str) {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 200);
    assert_eq!(bench.send(&[(":method", method), (":path", path)]).line(), line);
}

const LIVE: &str = "200 gatehouse.health-shortcut.liveness gatehouse.probe=liveness #answered_2xx[report=liveness]";
const READY: &str = "200 gatehouse.health-shortcut.readiness gatehouse.probe=readiness #answered_2xx[report=readiness]";
const NOT_READY: &str = "503 gatehouse.health-shortcut.readiness gatehouse.probe=readiness #answered_5xx[report=readiness]";
const WELL: &str = "200 gatehouse.health-shortcut.dependencies gatehouse.probe=dependencies #answered_2xx[report=dependencies]";
const UNWELL: &str = "503 gatehouse.health-shortcut.dependencies gatehouse.probe=dependencies #answered_5xx[report=dependencies]";
const NOT_ALLOWED: &str =
    "405 gatehouse.health-shortcut.method_not_allowed #refused[reason=method_not_allowed]";

#[test]
fn every_endpoint_is_answered() {
    check("GET", "/livez", LIVE);
    check("GET", "/readyz", READY);
    check("GET", "/healthz", WELL);
}

#[test]
fn a_query_does_not_matter() {
    check("GET", "/livez?", LIVE);
    check("GET", "/livez?verbose=1?", LIVE);
}

#[test]
fn any_other_path_goes_on() {
    for path in [
        "/",
        "/livez/",
        "/live",
        "/LIVEZ",
        "/a/livez",
        "//livez",
        "/live%7A",
        "/x?/livez",
        "/livez%3F",
        "",
    ] {
        check("GET", path, "continue");
    }
    assert_eq!(bench(&config()).send(&[(":method", "CONNECT")]).line(), "continue");
}

#[test]
fn head_is_answered_with_the_same_headers() {
    check("HEAD", "/livez", LIVE);
    let mut bench = bench(&config());
    let get = probe(&mut bench, "/livez");
    let head = bench.send(&[(":method", "HEAD"), (":path", "/livez")]);
    assert_eq!(get.reply().unwrap().headers, head.reply().unwrap().headers);
}

#[test]
fn any_other_method_is_not_allowed() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""] {
        check(method, "/livez", NOT_ALLOWED);
    }
    let outcome = bench(&config()).send(&[(":method", "POST"), (":path", "/livez")]);
    assert_eq!(outcome.header("allow"), Some("GET, HEAD"));
}

#[test]
fn the_report_is_clues() {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 500);
    after(&bench, 20_999);
    ping(&mut bench, 200, 500);
    let outcome = probe(&mut bench, "/healthz");
    let expected =
        r#"{"uptime":20,"version":"91bb64a","status":{"cache":"NOT OK","database":"OK"}}"#;
    assert_eq!(body(&outcome), format!("{expected}\n"));
    assert_eq!(outcome.header("content-type"), Some("application/json"));
    assert_eq!(outcome.header("cache-control"), Some("no-store"));
}

#[test]
fn xml_for_those_who_like_it_better() {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 200);
    let accept = ("accept", "application/xml, application/json;q=0.9");
    let outcome = bench.send(&[(":method", "GET"), (":path", "/readyz"), accept]);
    let expected = "<health><uptime>0</uptime><version>91bb64a</version>\
        <status><database>OK</database></status></health>";
    assert_eq!(body(&outcome), expected);
    assert_eq!(outcome.header("content-type"), Some("application/xml"));
}

#[test]
fn liveness_knows_no_dependencies() {
    let mut bench = bench(&config());
    ping(&mut bench, 500, 500);
    let outcome = probe(&mut bench, "/livez");
    assert_eq!(outcome.line(), LIVE);
    assert_eq!(body(&outcome), "{\"uptime\":0,\"version\":\"91bb64a\"}\n");
}

#[test]
fn readiness_knows_what_is_required() {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 500);
    let outcome = probe(&mut bench, "/readyz");
    assert_eq!(outcome.line(), READY);
    assert_eq!(
        body(&outcome),
        "{\"uptime\":0,\"version\":\"91bb64a\",\"status\":{\"database\":\"OK\"}}\n"
    );
}

#[test]
fn a_required_dependency_that_is_down_makes_not_ready() {
    let mut bench = bench(&config());
    ping(&mut bench, 503, 200);
    assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY);
}

#[test]
fn any_dependency_that_is_down_makes_unwell() {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 503);
    assert_eq!(probe(&mut bench, "/healthz").line(), UNWELL);
}

#[test]
fn before_the_first_answer_nothing_is_ok() {
    let mut bench = bench(&config());
    assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY);
    bench.tick();
    let outcome = probe(&mut bench, "/healthz");
    assert_eq!(outcome.line(), UNWELL);
    assert!(body(&outcome).contains(r#"{"cache":"NOT OK","database":"NOT OK"}"#));
}

#[test]
fn without_dependencies_all_is_well() {
    let mut bench = bench(&without("dependencies"));
    assert!(bench.tick().is_empty());
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
    assert_eq!(body(&probe(&mut bench, "/healthz")), "{\"uptime\":0,\"version\":\"91bb64a\"}\n");
}

#[test]
fn without_a_version_there_is_none() {
    let mut bench = bench(&without("version"));
    assert_eq!(body(&probe(&mut bench, "/livez")), "{\"uptime\":0}\n");
}

#[test]
fn mode_off_lets_probes_go_on() {
    let mut bench = bench(&with(json!({"mode": "off"})));
    assert_eq!(probe(&mut bench, "/readyz").line(), "continue");
}

#[test]
fn mode_shadow_counts_and_lets_go_on() {
    let mut bench = bench(&with(json!({"mode": "shadow"})));
    assert_eq!(
        probe(&mut bench, "/readyz").line(),
        "continue #shadow_answered_5xx[report=readiness]"
    );
    assert_eq!(
        probe(&mut bench, "/livez").line(),
        "continue #shadow_answered_2xx[report=liveness]"
    );
    let outcome = bench.send(&[(":method", "POST"), (":path", "/livez")]);
    assert_eq!(outcome.line(), "continue #shadow_refused[reason=method_not_allowed]");
}

#[test]
fn a_rule_can_let_probes_go_on() {
    let rules = json!([{"match": {"hosts": ["internal"]}, "mode": "off"}]);
    let mut bench = bench(&with(json!({"rules": rules})));
    let to = |host| [(":method", "GET"), (":path", "/livez"), (":authority", host)];
    assert_eq!(bench.send(&to("internal")).line(), "continue");
    assert_eq!(bench.send(&to("shop")).line(), LIVE);
}
