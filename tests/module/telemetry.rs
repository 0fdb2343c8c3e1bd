//! `telemetry` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use serde_json::{Value, json};
use tests::host::{Action, Corruption, Host, Outcome, When};

/// Every host call that the filter makes at an exchange.
const CALLS: [&str; 12] = [
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_log",
    "proxy_record_metric",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_increment_metric",
];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn config(lines: &str) -> String {
    json!({
        "lines": lines,
        "debug": {"allow": [{"addresses": ["127.0.0.1"]}]},
        "payloads": {},
        "metrics": {"tiers": [{"name": "gold", "consumers": ["acme"]}]},
    })
    .to_string()
}

fn start(lines: &str) -> Host {
    let mut host = loaded();
    host.configure(config(lines)).unwrap();
    host
}

fn loaded() -> Host {
    Host::load("telemetry")
        .unwrap()
        .property(&["source", "address"], "127.0.0.1:4567")
        .property(&["gatehouse.service"], "users")
        .property(&["gatehouse.method"], "show")
        .property(&["gatehouse.consumer"], "acme")
        .property(&["request", "duration"], 7_000_000_u64.to_le_bytes())
}

fn exchange(host: &mut Host, path: &str, status: &str) -> Outcome {
    let request = [(":method", "GET"), (":path", path), (":authority", "shop")];
    let begun = host.request(&request).unwrap();
    if begun.local_reply.is_some() {
        return host.finish(begun.stream).unwrap();
    }
    let head = [(":status", status), ("content-type", "application/json")];
    host.respond(begun.stream, &head, false).unwrap();
    host.response_body(begun.stream, br#"{"a": 1}"#, true).unwrap();
    host.finish(begun.stream).unwrap()
}

fn line(outcome: &Outcome) -> Option<Value> {
    let line = outcome.properties.get("gatehouse.log")?;
    Some(serde_json::from_slice(line).unwrap())
}

#[test]
fn an_exchange_whose_line_is_kept_back_costs_eight_host_calls() {
    let mut host = Host::load("telemetry")
        .unwrap()
        .property(&["gatehouse.service"], "users")
        .property(&["gatehouse.method"], "show")
        .property(&["request", "duration"], 7_000_000_u64.to_le_bytes());
    host.configure("{}").unwrap();
    exchange(&mut host, "/users/7", "200");
    host.reset();
    let outcome = exchange(&mut host, "/users/7", "200");
    assert_eq!(line(&outcome), None);
    let made: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    assert_eq!(
        made,
        [
            ("proxy_get_header_map_pairs", 1),
            ("proxy_get_header_map_value", 2),
            ("proxy_get_property", 4),
            ("proxy_record_metric", 1),
        ]
    );
    assert!(host.fuel_used() < 12_000, "{}", host.fuel_used());
}

#[test]
fn counts_come_at_a_tick() {
    let mut host = start("asked");
    for _ in 0..3 {
        exchange(&mut host, "/users/7", "200");
    }
    let name = "gatehouse.telemetry.requests;service=users;method=show;status=2xx;tier=gold";
    assert_eq!(host.metrics().get(name), None);
    host.tick().unwrap();
    assert_eq!(host.metrics().get(name), Some(&3));
    let latency = name.replace("requests", "duration_ms");
    assert_eq!(host.histogram(&latency), [7, 7, 7]);
    host.tick().unwrap();
    assert_eq!(host.metrics().get(name), Some(&3));
}

#[test]
fn a_line_is_json() {
    let mut host = start("all");
    let line = line(&exchange(&mut host, "/users/7?token=hunter2", "500")).unwrap();
    assert_eq!((&line["http.url"], &line["level"]), (&json!("/users/7"), &json!("error")));
    assert_eq!((&line["consumer"], &line["http.status"]), (&json!("acme"), &json!(500)));
}

#[test]
fn no_status_of_any_host_call_is_a_trap() {
    for call in CALLS {
        for status in STATUSES {
            let mut host = loaded();
            host.inject(call, When::Always, status);
            if host.configure(config("all")).is_err() {
                host.heal();
                host.configure(config("all")).unwrap();
                host.inject(call, When::Always, status);
            }
            for path in ["/users/7", "/debug?debug-logs=on", "/%64ebug/pprof", "/x"] {
                exchange(&mut host, path, "503");
            }
            host.tick().unwrap();
            host.heal();
            let outcome = exchange(&mut host, "/users/7", "500");
            assert_eq!(line(&outcome).unwrap()["http.status"], 500, "{call} {status}");
        }
    }
}

#[test]
fn where_the_path_cannot_be_read_nothing_goes_on() {
    let mut host = start("all");
    host.inject("proxy_get_header_map_value", When::Always, 10);
    let outcome = host.request(&[(":method", "GET"), (":path", "/debug/pprof")]).unwrap();
    assert_eq!((outcome.action, outcome.local_reply.unwrap().status), (Action::Pause, 503));
}

#[test]
fn no_nonsense_from_a_host_call_is_a_trap() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property", "proxy_get_shared_data"] {
        for corruption in Corruption::LIES {
            let mut host = start("all");
            host.corrupt(call, When::Always, corruption);
            exchange(&mut host, "/users/7", "500");
            host.tick().unwrap();
            host.heal();
            assert!(
                line(&exchange(&mut host, "/users/7", "500")).is_some(),
                "{call} {corruption:?}"
            );
        }
    }
}
