//! Probes: `health-shortcut` in front says what one is, and no other filter logs, counts or refuses it.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

use super::{access_log, get, keys, policy};

fn start(health: &Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let mut enforcing = keys();
    enforcing["verdict"] = json!("enforce");
    let envoy = Setup::new()
        .filter("health-shortcut", health.clone())
        .filter("api-key-auth", enforcing)
        .filter("telemetry", json!({"lines": "all"}))
        .filter("access-policy", policy())
        .connection_manager(json!({"access_log": [access_log()]}))
        .upstream(&upstream)
        .start();
    (envoy, upstream)
}

#[test]
fn a_probe_passes_every_filter_unlogged_and_uncounted() {
    let endpoints = json!([{"path": "/livez", "report": "liveness"}, {"path": "/readyz", "report": "readiness"}]);
    for answer in ["proxy", "upstream"] {
        let (envoy, upstream) = start(&json!({"endpoints": endpoints, "answer": answer}));
        for path in ["/livez", "/readyz?verbose"] {
            assert_eq!(get(&envoy, path), 200, "{path}");
        }
        assert_eq!(upstream.count(), if answer == "proxy" { 0 } else { 2 });
        // What is no probe is refused as ever, and is the first line.
        let refused = |request: Request| request.send(envoy.address()).status;
        assert_eq!(
            refused(Request::new("POST", "/livez")),
            if answer == "proxy" { 405 } else { 401 }
        );
        assert_eq!([get(&envoy, "/livez/"), get(&envoy, "/users/1")], [401, 401]);
        assert_eq!(upstream.count(), if answer == "proxy" { 0 } else { 2 });
        let lines = envoy.access_log(2);
        assert!(
            lines.iter().all(|line| line["http.method"] == "POST" || line["http.status"] == 401),
            "{lines:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let counted: Vec<_> = envoy.stats("gatehouse.telemetry.requests;");
        assert!(counted.iter().all(|(name, _)| !name.contains("2xx")), "{counted:?}");
    }
}

#[test]
fn readiness_follows_draining() {
    // The port of the administration is known once Envoy is up, so this one is told it in advance.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let health = json!({
        "endpoints": [{"path": "/livez", "report": "liveness"}, {"path": "/readyz", "report": "readiness"}],
        "draining": {"cluster": "administration", "interval": "200ms"},
    });
    let envoy = Setup::new()
        .filter("health-shortcut", health)
        .cluster("administration", Some(port))
        .bootstrap_fields(&json!({"admin": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": port.port(),
        }}}}))
        .start();
    let wait = |status: u16| {
        let begin = std::time::Instant::now();
        while get(&envoy, "/readyz") != status {
            assert!(begin.elapsed().as_secs() < 20, "not {status}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    wait(200);
    envoy.post("/healthcheck/fail");
    wait(503);
    assert_eq!(get(&envoy, "/livez"), 200);
    envoy.post("/healthcheck/ok");
    wait(200);
    // Envoy does not tell of this one: its administration is as ready as before.
    envoy.post("/drain_listeners?graceful&skip_exit");
    assert_eq!(envoy.page("/ready"), "LIVE\n");
}
