//! WebSockets (RFC 6455) behind the filters: who may open one is decided once, and what passes through it is
//! nobody's business.

use serde_json::{Value, json};
use tests::client::{Connection, Request, Response};
use tests::envoy::Envoy;
use tests::upstream::{Answer, Upstream};

use super::between::{setups, token, tokens};

/// What a browser can send with a WebSocket: no header of its own, but a query.
fn opening(target: &str) -> Request {
    Request::get(target)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "https://app.example")
}

fn filters() -> [(&'static str, Value); 5] {
    let mut jwt = tokens(&json!({"verdict": "defer"}));
    jwt["providers"][0]["sources"] = json!([{"query": "access_token"}]);
    let method = json!({"name": "talk", "match": {"methods": ["GET"], "paths": ["/rooms/{id}"]}});
    [
        ("trace-context", json!({})),
        ("telemetry", json!({"debug": {"allow": [{"addresses": ["127.0.0.1"]}]}})),
        ("jwt-auth", jwt),
        (
            "access-policy",
            json!({"schemes": {"jwt": {"authenticator": "jwt-auth"}}, "security": [{"jwt": []}],
                "services": [{"name": "chat", "methods": [method]}]}),
        ),
        (
            "rate-limit",
            json!({"limits": [{"name": "rooms", "key": ["subject"],
                "quota": {"requests": 2, "per": "1h"}}]}),
        ),
    ]
}

fn open(envoy: &Envoy, target: &str) -> (Connection, Response) {
    let mut connection = Connection::open(envoy.address()).unwrap();
    let answer = connection.send(&opening(target)).unwrap();
    (connection, answer)
}

/// That every byte that is sent comes back.
fn talk(connection: &mut Connection) {
    for bytes in [&b"\x81\x85\x00\x00\x00\x00hello"[..], b"HTTP/1.1 200\r\n\r\n", &[0xff; 70_000]] {
        connection.send_bytes(bytes).unwrap();
        assert_eq!(connection.receive_bytes(bytes.len()).unwrap(), bytes);
    }
}

#[test]
fn who_may_opens_a_websocket_and_talks() {
    for setup in setups(&filters()) {
        let upstream = Upstream::answering(|_| Answer::Switch);
        let envoy = setup
            .upstream(&upstream)
            .connection_manager(json!({"upgrade_configs": [{"upgrade_type": "websocket"}]}))
            .workers(1)
            .start();
        // While bodies are looked at, too.
        assert_eq!(Request::get("/debug?debug-logs=on").send(envoy.address()).status, 200);
        for target in ["/rooms/7", "/rooms/7?access_token=x.y.z", "/other"] {
            let (_, answer) = open(&envoy, target);
            assert_eq!(answer.status, if target == "/other" { 404 } else { 401 }, "{target}");
        }
        assert_eq!(upstream.count(), 0);

        let bearer = token(&json!({"sub": "alice"}));
        let target = bearer.replace("Bearer ", "/rooms/7?a=1&access_token=");
        let (mut one, answer) = open(&envoy, &target);
        assert_eq!(answer.status, 101, "{answer}");
        let got = upstream.last();
        assert_eq!(got.target, "/rooms/7?a=1");
        assert_eq!(got.header("x-auth-subject").as_deref(), Some("alice"));
        assert_eq!(got.header("upgrade").as_deref(), Some("websocket"));
        assert!(got.header("traceparent").is_some(), "{got:?}");
        let (mut two, answer) = open(&envoy, &target);
        assert_eq!(answer.status, 101, "{answer}");
        talk(&mut one);
        talk(&mut two);
        talk(&mut one);
        // The third within the hour.
        let (_, answer) = open(&envoy, &target);
        assert_eq!(answer.status, 429, "{answer}");
        drop((one, two));

        // A line for each, of the status that it had, at its end.
        let log = envoy.access_log(7);
        let statuses: Vec<_> = log.iter().map(|line| line["status"].clone()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 101).count(), 2, "{statuses:?}");
        assert_eq!(envoy.counted("jwt-auth.allowed.by.signature"), 1);
        assert_eq!(envoy.counted("access-policy.allowed"), 3);
        assert_eq!(envoy.counted("rate-limit.refused.reason.limited"), 1);
    }
}
