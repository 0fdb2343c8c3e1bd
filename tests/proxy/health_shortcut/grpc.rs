//! gRPC's health checks: asked by gRPC's own client, answered within the real Envoy.

use std::process::Command;

use tests::envoy::Envoy;

use super::*;
use crate::jwt_differential::python;

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Everything is ready where the database is; `search` needs nothing, `orders` the database by name.
fn grpc() -> Value {
    let mut config = config();
    config["grpc"] = json!({
        "cluster": "grpc-health",
        "services": [
            {"name": "", "report": "readiness"},
            {"name": "search.v1.Search", "report": "liveness"},
            {"name": "orders.v1.Orders", "dependencies": ["database"]},
        ],
    });
    config
}

const SERVICES: [&str; 4] = ["", "search.v1.Search", "orders.v1.Orders", "users.v1.Users"];

fn users() -> Value {
    json!({"users": [{"name": "carol", "password": "secret"}]})
}

/// Envoy whose chain asks everybody who they are.
fn guarded(upstream: &Upstream, database: SocketAddr, config: &Value) -> Setup {
    let setup = Setup::new().filter("health-shortcut", config.clone());
    let setup = setup.filter("basic-auth", users()).upstream(upstream);
    setup.cluster("database", Some(database)).workers(4).grpc_health(config)
}

/// What the client makes of the answers.
pub(crate) fn ask(envoy: &Envoy, method: &str, services: &[&str]) -> Vec<String> {
    let script = tests::modules::top().join("tests/oracle/health.py");
    let address = envoy.address().to_string();
    let mut command = Command::new(python());
    let output = command.arg(script).args([&*address, method]).args(services).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn post(kind: &str, path: &str, body: &[u8]) -> Request {
    Request::new("POST", path).header("content-type", kind).body(body)
}

/// A check as it is on the wire, over HTTP/1.1, which shows the headers but no trailers.
fn check(envoy: &Envoy, body: &[u8]) -> Response {
    post("application/grpc", CHECK, body).header("te", "trailers").send(envoy.address())
}

/// `grpc-status` among the headers.
fn code(answer: &Response) -> Option<String> {
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("content-type").unwrap().starts_with("application/grpc"), "{answer}");
    answer.header("grpc-status")
}

fn framed(message: &[u8]) -> Vec<u8> {
    tests::grpc::framed(message)
}

fn wait_until_ready(envoy: &Envoy) {
    wait_for(envoy, "/readyz", 200);
}

/// Why a check is not answered like any other probe.
#[test]
fn envoy_puts_no_message_in_a_reply_of_its_own_to_grpc() {
    // A filter's reply: a report becomes `grpc-message`.
    let envoy = Setup::new().filter("health-shortcut", config()).start();
    let probe = Request::get("/livez").header("content-type", "application/grpc");
    let answer = probe.send(envoy.address());
    // Of a status of 200 Envoy makes the code `UNKNOWN`.
    assert_eq!((answer.status, code(&answer).as_deref()), (200, Some("2")));
    assert!(answer.body.is_empty() && answer.header("grpc-message").unwrap().contains("uptime"));
    // A route's reply, and one to a request whose type was taken off before it was routed: Envoy has
    // made up its mind when the request came.
    let direct = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "message"}},
    });
    let mutation = json!({
        "name": "untyped",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"remove": "content-type"}]},
        },
    });
    for setup in [Setup::new(), Setup::new().native(mutation)] {
        let envoy = setup.route(direct.clone()).start();
        let answer = check(&envoy, &framed(b""));
        assert_eq!(code(&answer).as_deref(), Some("2"));
        assert_eq!(answer.text(), "", "{answer}");
        assert_eq!(answer.header("grpc-message").as_deref(), Some("message"));
    }
}

#[test]
fn the_client_of_grpc_is_told_how_each_service_is() {
    let (database, upstream) = (Upstream::start(), Upstream::start());
    let envoy = guarded(&upstream, database.address(), &grpc()).start();
    wait_until_ready(&envoy);
    let all_well = ["SERVING", "SERVING", "SERVING", "NOT_FOUND"];
    for _ in 0..5 {
        assert_eq!(ask(&envoy, "check", &SERVICES), all_well);
    }
    assert_eq!(ask(&envoy, "watch", &["", "users.v1.Users"]), ["UNIMPLEMENTED"; 2]);
    assert_eq!(ask(&envoy, "list", &[]), ["UNIMPLEMENTED"]);
    drop(database);
    wait_for(&envoy, "/readyz", 503);
    let unwell = ["NOT_SERVING", "SERVING", "NOT_SERVING", "NOT_FOUND"];
    assert_eq!(ask(&envoy, "check", &SERVICES), unwell);
    assert_eq!(upstream.count(), 0, "nothing of a probe reaches the upstream");
    for (result, count) in
        [("serving", 16), ("not_serving", 2), ("unknown_service", 6), ("not_offered", 3)]
    {
        let name = format!("health-shortcut.grpc_answered.result.{result}");
        assert_eq!(envoy.counted(&name), count, "{result}");
    }
}

#[test]
fn a_proxy_that_drains_serves_no_service_that_needs_anything() {
    // The port of the administration is known once Envoy is up, so this one is told it in advance.
    let admin = free();
    let database = Upstream::start();
    let mut config = grpc();
    config["draining"] = json!({"cluster": "administration", "interval": "200ms"});
    let envoy = guarded(&Upstream::start(), database.address(), &config)
        .cluster("administration", Some(admin))
        .bootstrap_fields(&json!({"admin": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": admin.port(),
        }}}}))
        .start();
    wait_until_ready(&envoy);
    assert_eq!(ask(&envoy, "check", &SERVICES[..3]), ["SERVING"; 3]);
    envoy.post("/healthcheck/fail");
    wait_for(&envoy, "/readyz", 503);
    let drains = ["NOT_SERVING", "SERVING", "NOT_SERVING"];
    assert_eq!(ask(&envoy, "check", &SERVICES[..3]), drains);
}

#[test]
fn a_body_that_is_no_check_is_refused() {
    let envoy = guarded(&Upstream::start(), free(), &grpc()).start();
    let orders = framed(b"\x0a\x10orders.v1.Orders");
    let unknown = framed(b"\x0a\x01x");
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("unknown", unknown.clone(), "5"),
        ("truncated in the frame", orders[..3].to_vec(), "3"),
        ("truncated in the message", orders[..20].to_vec(), "3"),
        ("two messages", [&orders[..], &orders].concat(), "3"),
        ("a length of 4 GiB", [&b"\0\xff\xff\xff\xff"[..], &orders].concat(), "3"),
        ("compressed", [&b"\x01"[..], &orders[1..]].concat(), "12"),
        ("no such flag", [&b"\x07"[..], &orders[1..]].concat(), "3"),
        ("no protobuf", framed(b"\xff\xff\xff\xff\xff"), "3"),
        ("no text", framed(b"\x0a\x02\xc3\x28"), "3"),
        ("huge", framed(&vec![0x0a; 1 << 20]), "8"),
    ];
    for (what, body, expected) in cases {
        let answer = check(&envoy, &body);
        assert_eq!(code(&answer).as_deref(), Some(expected), "{what}: {answer}");
        assert!(answer.body.is_empty() && answer.header("grpc-message").is_some(), "{answer}");
    }
    // Without any body there is nothing that could be bridged.
    let none = Request::new("POST", CHECK).header("content-type", "application/grpc");
    assert_eq!(code(&none.send(envoy.address())).as_deref(), Some("14"));
    // In pieces it is the same.
    let mut connection = Connection::open(envoy.address()).unwrap();
    let head = format!(
        "POST {CHECK} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ncontent-length: {}\r\n\r\n",
        orders.len()
    );
    for part in [head.as_bytes(), &orders[..1], &orders[1..7], &orders[7..]] {
        connection.send_bytes(part).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    let answer = connection.receive().unwrap();
    assert_eq!((code(&answer), answer.body.as_slice()), (None, &framed(b"\x08\x02")[..]));
    // And the proxy is well.
    assert_eq!(code(&check(&envoy, &unknown)).as_deref(), Some("5"));
}

#[test]
fn a_check_is_a_probe_for_every_other_filter() {
    let (database, upstream) = (Upstream::start(), Upstream::start());
    let limit = json!({"limits": [{"name": "a", "quota": {"requests": 2, "per": "1h"}, "key": ["client_address"]}]});
    let config = grpc();
    let envoy = Setup::new()
        .filter("health-shortcut", config.clone())
        .filter("basic-auth", users())
        .filter("rate-limit", limit)
        .filter("telemetry", json!({"lines": "all"}))
        .upstream(&upstream)
        .cluster("database", Some(database.address()))
        .grpc_health(&config)
        .start();
    wait_until_ready(&envoy);
    for _ in 0..5 {
        assert_eq!(ask(&envoy, "check", &SERVICES[..3]), ["SERVING"; 3]);
    }
    // What is none of it is judged as ever, and the limit has not been touched.
    let carol = || Request::get("/").basic("carol:secret").send(envoy.address()).status;
    assert_eq!((get(&envoy, "/").status, carol(), carol(), carol()), (401, 200, 200, 429));
    assert_eq!(upstream.count(), 2);
    std::thread::sleep(Duration::from_millis(1500));
    let counted = envoy.stats("gatehouse.telemetry.requests;");
    assert!(
        !counted.is_empty() && counted.iter().all(|(name, _)| !name.contains("grpc")),
        "{counted:?}"
    );
    let counted: u64 = counted.iter().map(|(_, count)| count).sum();
    assert!(counted <= 4, "{counted} exchanges, and not the checks");
}

#[test]
fn a_check_on_its_way_elsewhere_is_no_probe() {
    let upstream = Upstream::start();
    let mut config = grpc();
    config["grpc"]["cluster"] = json!("another");
    let envoy = guarded(&upstream, free(), &config).start();
    assert_eq!(code(&check(&envoy, &framed(b""))).as_deref(), Some("16"));
    assert_eq!(envoy.counted("health-shortcut.grpc_elsewhere"), 1);
    assert_eq!(ask(&envoy, "check", &[""]), ["UNAUTHENTICATED"]);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn who_writes_the_bridges_type_gains_nothing() {
    let upstream = Upstream::start();
    let envoy = guarded(&upstream, free(), &grpc()).start();
    for path in [CHECK, "/grpc.health.v1.Health/Watch", "/"] {
        let request = post("application/x-grpc-health", path, &framed(b""));
        assert_eq!(request.send(envoy.address()).status, 401, "{path}");
    }
    for kind in ["text/plain", "application/grpc-web"] {
        assert_eq!(post(kind, CHECK, b"").send(envoy.address()).status, 401, "{kind}");
    }
    assert_eq!(get(&envoy, CHECK).status, 401);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn without_the_bridge_there_is_no_health() {
    let mut config = grpc();
    config["grpc"]["services"] = json!([{"name": "", "report": "liveness"}]);
    let setup = guarded(&Upstream::start(), free(), &config).without_bridge();
    let envoy = setup.start();
    assert_eq!(ask(&envoy, "check", &[""]), ["UNAVAILABLE"]);
}

#[test]
fn the_upstream_may_answer_for_itself() {
    let server = tests::grpc::Grpc::answering(|_| tests::grpc::Reply::message(b"\x08\x01"));
    let mut config = grpc();
    config["answer"] = json!("upstream");
    let envoy = Setup::new()
        .filter("health-shortcut", config)
        .filter("basic-auth", users())
        .cluster_of_grpc("upstream", Some(server.address()))
        .cluster("database", Some(free()))
        .start();
    assert_eq!(ask(&envoy, "check", &["", "any"]), ["SERVING"; 2]);
    assert_eq!(server.count(), 2);
    // A watch does not end, and is no probe.
    assert_eq!(ask(&envoy, "watch", &[""]), ["UNAUTHENTICATED"]);
    assert_eq!(envoy.counted("health-shortcut.passed.report.grpc"), 2);
}

#[test]
fn mode_off_leaves_checks_to_others() {
    let mut config = grpc();
    config["mode"] = json!("off");
    let envoy = guarded(&Upstream::start(), free(), &config).start();
    assert_eq!(ask(&envoy, "check", &[""]), ["UNAUTHENTICATED"]);
    assert_eq!(ask(&envoy, "watch", &[""]), ["UNAUTHENTICATED"]);
}
