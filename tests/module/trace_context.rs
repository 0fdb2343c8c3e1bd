//! `trace-context` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use tests::host::{Action, Answer, Corruption, Host, Outcome, When};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Everything that can be wanted.
const ALL: &str = r#"{
    "extract": ["w3c", "b3", "jaeger", "datadog", "xray", "google"],
    "inject": ["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"],
    "trust": {"addresses": ["10.0.0.0/8"]},
    "sampling": {"parent": false, "root": {"per_second": 5}},
    "request_id": {},
    "response": {"traceresponse": true},
    "export": {"cluster": "collector"}
}"#;

/// Every host call that the filter makes.
const CALLS: [&str; 15] = [
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_log_level",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

fn start(config: &str) -> Host {
    let mut host = Host::load("trace-context").unwrap().cluster("collector");
    host.set_property(&["source", "address"], Some(b"10.0.0.1:80"));
    host.configure(config).unwrap();
    host
}

/// What a browser sends.
const USUAL: [(&str, &str); 9] = [
    (":method", "GET"),
    (":path", "/users/7?full=yes"),
    (":authority", "shop.example"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, br"),
    ("user-agent", "tester/1.0"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-request-id", "8d3e3bd0-7a71-4be7-9f34-0b4d5bd1ac8a"),
];

fn send(host: &mut Host, more: &[(&str, &str)]) -> Outcome {
    host.request(&[&USUAL[..], more].concat()).expect("no trap")
}

/// The host calls of a request and its response, and the instructions of both, once what is made once is
/// made.
#[track_caller]
fn check(config: &str, more: &[(&str, &str)], calls: &[(&str, u64)], fuel: u64) {
    let mut host = start(config);
    for _ in 0..20 {
        let stream = send(&mut host, more).stream;
        host.finish(stream).unwrap();
    }
    host.reset();
    let stream = send(&mut host, more).stream;
    host.respond(stream, &[(":status", "200")], true).unwrap();
    host.finish(stream).unwrap();
    let made: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    assert_eq!(made, calls, "{config} {more:?}");
    assert!(host.fuel_used() <= fuel, "{} instructions, {config} {more:?}", host.fuel_used());
}

#[test]
fn a_trace_that_goes_on_costs_seven_host_calls() {
    check(
        "{}",
        &[("traceparent", PARENT), ("tracestate", "foo=1,bar=2")],
        &[
            ("proxy_get_header_map_pairs", 1),
            ("proxy_get_property", 2),
            ("proxy_replace_header_map_value", 1),
            ("proxy_set_property", 3),
        ],
        1,
    );
}
#[test]
fn zz_fuel() {
    for (config, more) in [
        (r#"{"mode":"off"}"#, &[][..]),
        (r#"{"mode":"off"}"#, &[("traceparent", PARENT), ("tracestate", "foo=1,bar=2")]),
        ("{}", &[]),
        ("{}", &[("traceparent", PARENT)]),
        (r#"{"route_overrides": false}"#, &[("traceparent", PARENT)]),
        (r#"{"span":"keep"}"#, &[("traceparent", PARENT)]),
        ("{}", &[("traceparent", PARENT), ("tracestate", "foo=1,bar=2")]),
        ("{}", &[("traceparent", PARENT), ("tracestate", "foo=1")]),
    ] {
        let mut host = start(config);
        for _ in 0..20 {
            let stream = send(&mut host, more).stream;
            host.finish(stream).unwrap();
        }
        host.reset();
        let stream = send(&mut host, more).stream;
        let one = host.fuel_used();
        host.respond(stream, &[(":status", "200")], true).unwrap();
        let two = host.fuel_used();
        host.finish(stream).unwrap();
        eprintln!(
            "{config} {} headers: request {one}, response {}, end {}",
            more.len(),
            two - one,
            host.fuel_used() - two
        );
    }
}
