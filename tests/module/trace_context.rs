//! `trace-context` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use tests::host::{Action, Answer, Corruption, Host, Outcome, When};

use crate::costs::USUAL;

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

/// The instructions that a request, its response and its end may take.
const FUEL: u64 = 18_000;

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

const AS_IT_IS: [(&str, u64); 4] = [
    ("proxy_get_header_map_pairs", 1),
    ("proxy_get_property", 2),
    ("proxy_replace_header_map_value", 1),
    ("proxy_set_property", 3),
];

#[test]
fn a_trace_that_goes_on_costs_seven_host_calls() {
    let more = [("traceparent", PARENT), ("tracestate", "foo=1,bar=2")];
    check("{}", &more, &AS_IT_IS, FUEL);
}

#[test]
fn without_overrides_it_costs_five() {
    let calls: Vec<_> =
        AS_IT_IS.into_iter().filter(|(name, _)| *name != "proxy_get_property").collect();
    check(r#"{"route_overrides": false}"#, &[("traceparent", PARENT)], &calls, FUEL);
}

#[test]
fn a_trace_that_starts_costs_one_more_to_know_the_time() {
    let mut calls = vec![("proxy_get_current_time_nanoseconds", 1)];
    calls.extend(AS_IT_IS);
    // The clock of this host stands still, so nobody looks at the store again.
    check(r#"{"sampling": {"root": {"per_second": 0.001}}}"#, &[], &calls, FUEL);
    check(r#"{"sampling": {"root": "always"}}"#, &[], &AS_IT_IS, FUEL);
}

#[test]
fn an_export_of_what_is_not_recorded_costs_nothing() {
    let parent = PARENT.replace("-01", "-00");
    check(r#"{"export": {"cluster": "collector"}}"#, &[("traceparent", &parent)], &AS_IT_IS, FUEL);
}

#[test]
fn every_form_at_once_costs_this_much() {
    let inject = r#"{"inject": ["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"]}"#;
    let mut calls = AS_IT_IS;
    calls[2].1 = 12;
    check(inject, &[("traceparent", PARENT)], &calls, 4 * FUEL);
}

#[test]
fn headers_of_any_length_cost_a_bounded_amount() {
    let mut host = start("{}");
    let mut fuel = |value: &str| {
        host.reset();
        let stream = send(&mut host, &[("traceparent", PARENT), ("tracestate", value)]).stream;
        host.finish(stream).unwrap();
        host.fuel_used()
    };
    let few = fuel("foo=1");
    for value in [",".repeat(60_000), "a=1,".repeat(15_000), "a".repeat(60_000), "=".repeat(60_000)]
    {
        let many = fuel(&value);
        assert!(many < few + 100 * value.len() as u64, "{few} {many}");
    }
}

/// Does everything once, under a fault.
fn live(config: &str, fault: impl Fn(&mut Host)) {
    let mut host = Host::load("trace-context").unwrap().cluster("collector");
    host.set_property(&["source", "address"], Some(b"10.0.0.1:80"));
    fault(&mut host);
    if host.configure(config).is_err() {
        host.heal();
        host.configure(config).unwrap();
        fault(&mut host);
    }
    for more in [
        &[("traceparent", PARENT), ("tracestate", "a=1, b=2"), ("baggage", "a=1")][..],
        &[("b3", "1")],
    ] {
        let stream = send(&mut host, more).stream;
        host.respond(stream, &[(":status", "200")], true).unwrap();
        host.finish(stream).unwrap();
    }
    host.tick().unwrap();
    for call in host.pending() {
        host.answer(call.token, Answer::new(200, "")).unwrap();
    }
    host.heal();
    let outcome = send(&mut host, &[("traceparent", PARENT)]);
    assert!(outcome.request_headers.get("traceparent").unwrap().contains(TRACE));
}

#[test]
fn no_status_of_any_host_call_is_a_trap() {
    for call in CALLS {
        for status in (1..=12).chain([99, u32::MAX]) {
            live(ALL, |host| host.inject(call, When::Always, status));
            live(ALL, |host| host.inject(call, When::Nth(1), status));
        }
    }
}

#[test]
fn no_nonsense_from_a_host_call_is_a_trap() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_shared_data", "proxy_get_property"] {
        for corruption in Corruption::LIES {
            live(ALL, |host| host.corrupt(call, When::Always, corruption));
        }
    }
}

#[test]
fn a_request_that_cannot_be_read_or_written_does_not_go_on() {
    for call in ["proxy_get_header_map_pairs", "proxy_replace_header_map_value"] {
        let mut host = start("{}");
        host.inject(call, When::Always, 10);
        let outcome = send(&mut host, &[("traceparent", PARENT)]);
        assert_eq!((outcome.action, outcome.local_reply.unwrap().status), (Action::Pause, 503));
    }
}

#[test]
fn where_filter_state_cannot_be_kept_the_request_goes_on() {
    let mut host = start("{}");
    host.inject("proxy_set_property", When::Always, 10);
    let outcome = send(&mut host, &[("traceparent", PARENT)]);
    assert_eq!(outcome.action, Action::Continue);
}

#[test]
fn spans_are_sent_at_a_tick_and_the_queue_is_bounded() {
    let mut host = start(r#"{"export": {"cluster": "collector", "max_queue": 100}}"#);
    for _ in 0..200 {
        let stream = send(&mut host, &[("traceparent", PARENT)]).stream;
        host.finish(stream).unwrap();
    }
    assert_eq!(host.metrics()["gatehouse.trace-context.spans"], 100);
    assert_eq!(host.metrics()["gatehouse.trace-context.spans_dropped.reason.queue_full"], 100);
    host.tick().unwrap();
    let call = host.pending().remove(0);
    assert_eq!((&*call.cluster, call.timeout), ("collector", 5000));
    host.answer(call.token, Answer::new(200, "")).unwrap();
    assert_eq!(host.metrics()["gatehouse.trace-context.batches.result.taken"], 1);
    assert_eq!(host.tick_period(), Some(1000));
}
