//! What the tests stand on, tested itself: each of its promises on the real Envoy, without a filter
//! of ours.
//!
//! 1. Bytes arrive as they were sent, in both directions.
//! 2. What Envoy is set up to be, it is: routes, metadata, CONNECT, HTTP/2, more than one at a time.
//! 3. A configuration that is wrong is refused, and Envoy's own words for it are read.
//! 4. Logs, statistics and costs can be read.
//! 5. Without an Envoy the tests fail; none is skipped.

mod clusters;
mod vm;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup, Trial};
use tests::upstream::{Answer, Upstream};

/// What a panic said.
fn panics(what: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(what)).expect_err("nothing failed");
    *payload.downcast::<String>().expect("a message")
}

#[test]
fn every_byte_reaches_the_upstream() {
    let upstream = Upstream::start();
    let envoy = Setup::new().upstream(&upstream).start();
    let high: Vec<u8> = (0x80..=0xff).collect();
    let request = Request::new("POST", "/a/../b//%2e%2E/c?q=%00")
        .header("x-high", &high)
        .header("X-Twice", "1")
        .header("x-twice", "2")
        .body(b"\x00\xff");
    assert_eq!(request.send(envoy.address()).status, 200);
    let got = upstream.last();
    assert_eq!((got.method.as_str(), got.target.as_str()), ("POST", "/a/../b//%2e%2E/c?q=%00"));
    assert_eq!(got.all("x-high"), [high.as_slice()]);
    assert_eq!(got.all("x-twice"), [b"1", b"2"]);
    assert_eq!(got.body, b"\x00\xff");
    assert!(got.head.starts_with(b"POST /a/../b//%2e%2E/c?q=%00 HTTP/1.1\r\n"));
}

#[test]
fn every_byte_comes_back() {
    let upstream = Upstream::answering(|_| {
        let twice = |value: &str| ("x-twice".to_owned(), value.to_owned());
        Answer::Http(418, vec![twice("ä"), twice("b")], vec![0, 0xff])
    });
    let envoy = Setup::new().upstream(&upstream).start();
    let answer = Request::get("/").send(envoy.address());
    assert_eq!((answer.status, answer.body.as_slice()), (418, &[0, 0xff][..]));
    assert_eq!(answer.all("x-twice"), ["ä".as_bytes(), b"b"]);
    assert_eq!(answer.header("x-twice").as_deref(), Some("ä"));
}

#[test]
fn a_connection_is_kept_or_cut_in_two() {
    let upstream = Upstream::start();
    let envoy = Setup::new().upstream(&upstream).start();
    let mut connection = Connection::open(envoy.address()).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get("/kept")).unwrap().status, 200);
    }
    connection.send_bytes(b"GET /halves HTTP/1.1\r\nho").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    connection.send_bytes(b"st: x\r\n\r\n").unwrap();
    assert_eq!(connection.receive().unwrap().text(), "GET /halves\n");
    connection.send_bytes(b"GET /never HTTP/1.1\r\nho").unwrap();
    connection.reset();
    assert_eq!(envoy.stat("http.main.downstream_cx_total"), Some(1));
    assert_eq!(upstream.counts()["/kept"], 3);
    assert_eq!(upstream.count(), 4);
}

#[test]
fn routes_with_names_metadata_and_answers_of_their_own() {
    let upstream = Upstream::start();
    let metadata = json!({"filter_metadata": {"example": {"number": 1}}});
    let envoy = Setup::new()
        .upstream(&upstream)
        .virtual_host(json!({"metadata": metadata}))
        .route(json!({
            "name": "direct",
            "match": {"path": "/direct"},
            "metadata": metadata,
            "direct_response": {"status": 204},
        }))
        .log_field("route", "%ROUTE_NAME%")
        .log_field("number", "%METADATA(ROUTE:example:number)%")
        .start();
    assert_eq!(Request::get("/direct").send(envoy.address()).status, 204);
    assert_eq!(Request::get("/other").send(envoy.address()).status, 200);
    let log = envoy.access_log(2);
    let of = |path: &str| log.iter().find(|line| line["path"] == path).expect("logged");
    assert_eq!(of("/direct")["details"], "direct_response");
    assert_eq!(of("/direct")["route"], "direct");
    assert_eq!(of("/direct")["number"], 1);
    assert_eq!(
        (&of("/direct")["cluster"], &of("/direct")["subject"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(of("/other")["cluster"], "upstream");
    assert_eq!((&of("/other")["method"], &of("/other")["status"]), (&json!("GET"), &json!(200)));
}

#[test]
fn connect_goes_through_where_it_is_allowed() {
    let upstream = Upstream::answering(|_| Answer::status(403, ""));
    let request = Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443");
    let closed = Setup::new().upstream(&upstream).start();
    assert_eq!(request.send(closed.address()).status, 404);
    assert_eq!(upstream.count(), 0);
    let open = Setup::new().upstream(&upstream).connect().start();
    assert_eq!(request.send(open.address()).status, 403);
    assert_eq!(upstream.last().method, "CONNECT");
}

#[test]
fn http_2_is_spoken_to_who_speaks_it() {
    let envoy = Setup::new().start();
    let mut connection = Connection::open(envoy.address()).unwrap();
    connection.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let frame = connection.receive_bytes(9).unwrap();
    assert_eq!(frame[3], 4, "SETTINGS first: {frame:?}");
}

#[test]
fn two_run_side_by_side() {
    let (one, other) = (Setup::new().start(), Setup::new().start());
    assert_ne!(one.address(), other.address());
    assert_ne!(one.admin(), other.admin());
    Request::get("/").send(one.address());
    assert_eq!(one.stat("http.main.downstream_rq_2xx"), Some(1));
    assert_eq!(other.stat("http.main.downstream_rq_2xx"), Some(0));
}

#[test]
fn a_wrong_setup_is_refused_in_envoys_words() {
    let setup = Setup::new().native(json!({"name": "nonsense"}));
    let words = "Didn't find a registered implementation for 'nonsense'";
    assert!(setup.refusal().contains(words), "{}", setup.refusal());
    let said = panics(|| drop(setup.start()));
    assert!(said.contains("Envoy ended with") && said.contains(words), "{said}");
    assert_eq!(panics(|| drop(Setup::new().refusal())), "Envoy accepts the configuration");
}

#[test]
fn what_is_tried_changes_nothing() {
    let trial = Trial::beside(&Setup::new());
    let nonsense = Setup::new().native(json!({"name": "nonsense"}));
    let said = panics(|| drop(trial.error(&nonsense)));
    assert!(said.starts_with("no line of ours in:"), "{said}");
    assert!(said.contains("Didn't find a registered implementation for 'nonsense'"), "{said}");
    assert_eq!(Request::get("/").send(trial.envoy().address()).status, 200);
    let said = panics(|| drop(trial.error(&Setup::new())));
    assert!(said.contains("Envoy accepts the configuration"), "{said}");
}

#[test]
fn each_listener_of_one_envoy_has_what_was_set_up_for_it() {
    let (upstream, another) = (Upstream::start(), Upstream::start());
    let other = Setup::new().upstream(&upstream);
    let envoy = Setup::new().beside("other", &other).start();
    assert_eq!(Request::get("/").send(envoy.address()).text(), "ok");
    assert_eq!(Request::get("/x").send(envoy.listener("other")).text(), "GET /x\n");
    assert_eq!(upstream.count(), 1);
    let said = panics(|| drop(other.beside("another", &Setup::new().upstream(&another))));
    assert!(said.contains("two clusters of one name"), "{said}");
}

/// A bootstrap as people write it.
const YAML: &str = "
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: first
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: yaml
          http_filters:
          - name: router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {prefix: /}
                direct_response: {status: 299}
";

#[test]
fn a_bootstrap_in_yaml_runs_or_is_refused() {
    let envoy = Envoy::of_yaml(YAML, 1);
    assert_eq!(Request::get("/").send(envoy.listener("first")).status, 299);
    assert_eq!(Envoy::refusal_of_yaml(YAML), None);
    let refusal = Envoy::refusal_of_yaml(&YAML.replace("stat_prefix", "stats_prefix")).unwrap();
    assert!(refusal.contains("'stats_prefix') has unknown fields"), "{refusal}");
}

#[test]
fn what_it_costs_is_known() {
    let envoy = Setup::new().workers(1).start();
    let (before, mut connection) = (envoy.cpu_time(), Connection::open(envoy.address()).unwrap());
    for _ in 0..500 {
        connection.send(&Request::get("/")).unwrap();
    }
    let spent = envoy.cpu_time().checked_sub(before).unwrap();
    assert!(spent > Duration::from_millis(1) && spent < Duration::from_secs(5), "{spent:?}");
    assert!((10..1000).contains(&(envoy.memory() >> 20)), "{}", envoy.memory());
    assert!(envoy.stats("rq_2xx").contains(&("http.main.downstream_rq_2xx".to_owned(), 500)));
    assert_eq!(envoy.post("/reset_counters"), "OK\n");
    assert_eq!(envoy.stat("http.main.downstream_rq_2xx"), Some(0));
}

#[test]
fn it_ends_with_its_test_whichever_way_that_ends() {
    let envoy = Setup::new().start();
    let (well, mut badly) = (envoy.address(), None);
    drop(envoy);
    let said = panics(|| {
        let envoy = Setup::new().start();
        badly = Some(envoy.address());
        panic!("a test failed at {}", envoy.address());
    });
    assert!(said.starts_with("a test failed"), "{said}");
    for address in [well, badly.unwrap()] {
        assert!(Connection::open(address).is_err(), "{address} still answers");
    }
}

#[test]
fn without_an_envoy_the_tests_fail() {
    let this = std::env::current_exe().unwrap();
    let mut tests = Command::new(this);
    tests.args(["--exact", "harness::two_run_side_by_side"]).env("PATH", "/nowhere");
    for envoy in ["/nowhere/envoy", "/bin/true"] {
        let output = tests.env("ENVOY", envoy).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && said.contains("1 failed"), "{said}");
        assert!(said.contains(envoy) || said.contains("Envoy ended with exit status: 0"), "{said}");
    }
}
