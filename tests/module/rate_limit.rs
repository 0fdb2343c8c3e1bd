//! `rate-limit` as it is built: what it asks of the proxy, the models of its algorithms, and a proxy
//! that fails or lies.

use tests::host::{Action, Corruption, Host, Outcome, When};

#[path = "../../filters/rate-limit/src/tests/models.rs"]
#[allow(clippy::cast_possible_truncation, dead_code, reason = "test code that is shared")]
mod models;

/// One limit by a header.
const CONFIG: &[u8] = br#"{
    "limits": [{"name": "a", "key": [{"header": "k"}], "quota": {"requests": 10, "per": "1h"}}]
}"#;

/// Every host call that the filter makes at a request.
const CALLS: [&str; 8] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_increment_metric",
    "proxy_send_local_response",
    "proxy_set_shared_data",
];

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 2] = ["proxy_define_metric", "proxy_increment_metric"];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn start(config: &[u8]) -> Host {
    let mut host = Host::load("rate-limit").unwrap();
    host.configure(config).unwrap();
    host
}

fn send(host: &mut Host, key: &str, more: &[(&str, &str)]) -> Outcome {
    let head = [(":method", "GET"), (":path", "/"), (":authority", "shop"), ("k", key)];
    host.request(&[&head, more].concat()).expect("no trap")
}

fn passes(outcome: &Outcome) -> bool {
    outcome.action == Action::Continue && outcome.local_reply.is_none()
}

/// A request with its response, from open to finish.
fn exchange(host: &mut Host, key: &str) -> Outcome {
    let head = [(":method", "GET"), (":path", "/"), (":authority", "shop"), ("k", key)];
    let opened = host.open(&head, true).expect("no trap");
    assert!(passes(&opened));
    let answered = host.respond(opened.stream, &[(":status", "200")], true).expect("no trap");
    host.finish(opened.stream).expect("no trap");
    answered
}

#[test]
fn a_quota_is_let_through_and_no_more() {
    let mut host = start(CONFIG);
    for _ in 0..10 {
        assert!(passes(&send(&mut host, "x", &[])));
    }
    let refused = send(&mut host, "x", &[]);
    let reply = refused.local_reply.expect("refused");
    assert_eq!((refused.action, reply.status), (Action::Pause, 429));
    assert_eq!(reply.headers.get("retry-after").as_deref(), Some("360"));
    assert_eq!(reply.headers.get("ratelimit").as_deref(), Some(r#""a";r=0;t=3600"#));
    assert!(passes(&send(&mut host, "y", &[])));
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_request_costs_these_host_calls() {
    let mut host = start(CONFIG);
    exchange(&mut host, "x");
    exchange(&mut host, "x");
    host.reset();
    let answered = exchange(&mut host, "x");
    assert_eq!(answered.response_headers.get("ratelimit").as_deref(), Some(r#""a";r=7;t=1080"#));
    let calls: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 3), // metadata twice, and whether it is a probe
        ("proxy_get_shared_data", 1),
        ("proxy_increment_metric", 1),
        ("proxy_replace_header_map_value", 2),
        ("proxy_set_shared_data", 1),
    ];
    assert_eq!(calls, expected);
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn a_request_costs_this_much_fuel_however_many_keys_there_are() {
    // Room for two thousand keys.
    let config = String::from_utf8(CONFIG.to_vec()).unwrap();
    let config = config.replacen('{', r#"{"memory": "64KiB", "#, 1);
    let mut host = start(config.as_bytes());
    exchange(&mut host, "x");
    let cost = |host: &mut Host| {
        exchange(host, "x");
        host.reset();
        exchange(host, "x");
        host.fuel_used()
    };
    let alone = cost(&mut host);
    for n in 0..2_500 {
        exchange(&mut host, &n.to_string());
    }
    let crowded = cost(&mut host);
    println!("{alone} alone, {crowded} among 2,500");
    assert!(alone < 19_000, "{alone}");
    assert!(crowded < alone + 3_000, "{crowded}");
    let memory = host.memory();
    for n in 0..500 {
        exchange(&mut host, &n.to_string());
    }
    assert_eq!(host.memory(), memory);
}

/// `filters/rate-limit/src/tests/model.rs` runs the same on the filter.
#[test]
fn sequences_by_number_come_out_as_the_model_says() {
    for number in 1..=100 {
        let (counting, steps) = models::sequence(number);
        let mut host = start(counting.config().as_bytes());
        counting.check(&steps, |now, models::Step { key, cost, .. }| {
            host.set_time(now);
            passes(&send(&mut host, &key.to_string(), &[("cost", &cost.to_string())]))
        });
    }
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_no_limit_is_passed() {
    for call in CALLS {
        for failure in STATUSES {
            let mut host = start(CONFIG);
            for _ in 0..10 {
                assert!(passes(&send(&mut host, "x", &[])));
            }
            host.inject(call, When::Always, failure);
            let over = send(&mut host, "x", &[]);
            assert!(!passes(&over), "{call} {failure}");
            let other = send(&mut host, "y", &[]);
            if HARMLESS.contains(&call) || call == "proxy_send_local_response" {
                assert!(passes(&other), "{call} {failure}");
            }
        }
    }
}

#[test]
fn a_proxy_that_keeps_no_data_lets_nothing_through() {
    for call in ["proxy_get_shared_data", "proxy_set_shared_data"] {
        let mut host = start(CONFIG);
        host.inject(call, When::Always, 12);
        let reply = send(&mut host, "x", &[]).local_reply.expect("refused");
        assert_eq!(
            (reply.status, reply.details.as_str()),
            (503, "gatehouse.rate-limit.store_unavailable")
        );
    }
}

#[test]
fn whatever_bytes_the_proxy_gives_nothing_traps() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property", "proxy_get_shared_data"] {
        for lie in Corruption::LIES {
            let mut host = start(CONFIG);
            send(&mut host, "x", &[]);
            host.corrupt(call, When::Always, lie);
            send(&mut host, "x", &[]);
            send(&mut host, "y", &[]);
        }
    }
}
