//! `health-shortcut` as it is built: what it asks of the proxy, and a proxy that does not answer.

use tests::host::{Action, Answer, Corruption, Headers, Host, Shared, When};

const CONFIG: &str = r#"{
    "endpoints": [{"path": "/livez", "report": "liveness"}, {"path": "/healthz", "report": "dependencies"}],
    "dependencies": [{"name": "database", "cluster": "database", "interval": "1s"}],
    "grpc": {"cluster": "grpc-health", "services": [{"name": "", "report": "liveness"}]}
}"#;
/// Every host call that the filter makes.
const CALLS: [&str; 14] = [
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_send_local_response",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

fn start() -> Host {
    worker(&Shared::default(), 1)
}

fn worker(shared: &Shared, seed: u64) -> Host {
    let mut host =
        Host::load("health-shortcut").unwrap().shared(shared).cluster("database").seed(seed);
    host.configure(CONFIG).unwrap();
    host
}

fn get(path: &str) -> [(&'static str, &str); 4] {
    [(":method", "GET"), (":path", path), (":authority", "shop"), (":scheme", "http")]
}

fn status(host: &mut Host, path: &str) -> Option<u32> {
    host.request(&get(path)).unwrap().local_reply.map(|reply| reply.status)
}

const BRIDGED: &str = "application/x-grpc-health";
/// A check of the server as a whole.
const EMPTY: &[u8] = b"\0\0\0\0\0";

fn check(kind: &str) -> [(&'static str, &str); 5] {
    let path = "/grpc.health.v1.Health/Check";
    [
        (":method", "POST"),
        (":path", path),
        (":authority", "shop"),
        (":scheme", "http"),
        ("content-type", kind),
    ]
}

/// The host calls of one request, once the first has defined what is defined once.
#[track_caller]
fn check_calls(path: &str, calls: &[(&str, u64)]) {
    let mut host = start();
    host.request(&get(path)).unwrap();
    host.reset();
    host.request(&get(path)).unwrap();
    let made: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    assert_eq!(made, calls, "{path}");
}

#[test]
fn a_request_that_is_no_probe_costs_one_host_call() {
    for path in ["/", "/healthz/", "/orders/1?page=2"] {
        check_calls(path, &[("proxy_get_header_map_value", 1)]);
    }
}

#[test]
fn a_probe_costs_nine_host_calls() {
    check_calls(
        "/healthz",
        &[
            ("proxy_get_current_time_nanoseconds", 1),
            ("proxy_get_header_map_pairs", 1),
            ("proxy_get_header_map_value", 1),
            ("proxy_get_property", 2),
            ("proxy_get_shared_data", 1),
            ("proxy_increment_metric", 1),
            ("proxy_send_local_response", 1),
            ("proxy_set_property", 1), // the mark for the filters behind, and for telemetry
        ],
    );
}

#[test]
fn a_path_of_any_length_costs_the_same() {
    let mut host = start();
    let mut fuel = |path: &str| {
        host.reset();
        host.request(&get(path)).unwrap();
        host.fuel_used()
    };
    let (short, long) = (fuel("/orders"), fuel(&format!("/orders{}", "/x".repeat(4000))));
    assert!(long < short + 1000, "{short} {long}");
}

#[test]
fn a_tick_with_nothing_to_do_reads_and_writes_nothing_more() {
    let mut host = start();
    host.tick().unwrap();
    host.reset();
    host.tick().unwrap();
    assert_eq!(
        (host.calls()["proxy_get_shared_data"], host.calls().get("proxy_set_shared_data")),
        (1, None)
    );
    assert_eq!(host.tick_period(), Some(100));
}

#[test]
fn the_workers_ping_once_and_all_know_the_answer() {
    let shared = Shared::default();
    let mut workers = [1, 2, 3].map(|seed| worker(&shared, seed));
    workers.iter_mut().for_each(|worker| worker.tick().unwrap());
    assert_eq!(workers.each_ref().map(|worker| worker.pending().len()), [1, 0, 0]);
    assert_eq!(status(&mut workers[1], "/healthz"), Some(503));
    let ping = workers[0].pending().remove(0);
    assert_eq!((&*ping.cluster, ping.timeout), ("database", 1000));
    workers[0].answer(ping.token, Answer::new(200, "")).unwrap();
    assert_eq!(workers.each_mut().map(|worker| status(worker, "/healthz")), [Some(200); 3]);
    assert_eq!(shared.keys().len(), 1, "{:?}", shared.keys());
}

#[test]
fn an_answer_that_was_asked_for_before_a_new_configuration_is_for_nobody() {
    let mut host = start();
    host.tick().unwrap();
    let token = host.pending()[0].token;
    host.configure(CONFIG).unwrap();
    host.answer(token, Answer::new(200, "")).unwrap();
    assert_eq!(status(&mut host, "/healthz"), Some(503));
}

/// Does everything once, under a fault.
fn live(fault: impl Fn(&mut Host)) {
    let mut host = Host::load("health-shortcut").unwrap().cluster("database");
    fault(&mut host);
    if host.configure(CONFIG).is_err() {
        host.heal();
        host.configure(CONFIG).unwrap();
        fault(&mut host);
    }
    host.tick().unwrap();
    for call in host.pending() {
        host.answer(call.token, Answer::new(200, "")).unwrap();
    }
    for path in ["/healthz", "/livez", "/other"] {
        let outcome = host.request(&get(path)).unwrap();
        host.finish(outcome.stream).unwrap();
    }
    let outcome = host.open(&check(BRIDGED), false).unwrap();
    let stream = outcome.stream;
    host.request_body(stream, &EMPTY[..2], false).unwrap();
    host.request_body(stream, &EMPTY[2..], true).unwrap();
    host.finish(stream).unwrap();
    host.heal();
    assert_eq!(status(&mut host, "/livez"), Some(200));
}

#[test]
fn no_status_of_any_host_call_is_a_trap() {
    for call in CALLS {
        for status in (1..=12).chain([99, u32::MAX]) {
            live(|host| host.inject(call, When::Always, status));
            live(|host| host.inject(call, When::Nth(1), status));
        }
    }
}

#[test]
fn where_the_path_cannot_be_read_nothing_goes_on() {
    let mut host = start();
    host.inject("proxy_get_header_map_value", When::Always, 10);
    for path in ["/healthz", "/other"] {
        let outcome = host.request(&get(path)).unwrap();
        assert_eq!((outcome.action, outcome.local_reply.unwrap().status), (Action::Pause, 503));
    }
}

#[test]
fn no_nonsense_from_a_host_call_is_a_trap() {
    for call in [
        "proxy_get_header_map_value",
        "proxy_get_header_map_pairs",
        "proxy_get_shared_data",
        "proxy_get_property",
    ] {
        for corruption in Corruption::LIES {
            let mut host = start();
            host.tick().unwrap();
            host.corrupt(call, When::Always, corruption);
            host.tick().unwrap();
            host.request(&get("/healthz")).unwrap();
            host.heal();
            assert_eq!(status(&mut host, "/livez"), Some(200), "{call} {corruption:?}");
        }
    }
}

#[test]
fn whatever_is_in_the_slot_is_no_trap_and_no_health() {
    let shared = Shared::default();
    let mut host = worker(&shared, 1);
    host.tick().unwrap();
    let slot = shared.keys().remove(0);
    let whole = shared.get(&slot).unwrap();
    for end in 0..whole.len() {
        shared.set(&slot, &whole[..end]);
        assert_eq!(status(&mut host, "/healthz"), Some(503), "{end}");
    }
}

#[test]
fn a_check_is_read_and_answered_once() {
    let mut host = start();
    let stream = host.open(&check(BRIDGED), false).unwrap().stream;
    assert_eq!(host.request_body(stream, &EMPTY[..2], false).unwrap().local_reply, None);
    let reply = host.request_body(stream, &EMPTY[2..], true).unwrap().local_reply.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, "\0\0\0\0\x02\x08\x01"));
    // Trailers end a body, too.
    let stream = host.open(&check(BRIDGED), false).unwrap().stream;
    host.request_body(stream, EMPTY, false).unwrap();
    let reply = host.request_trailers(stream, Headers::default()).unwrap().local_reply;
    assert_eq!(reply.unwrap().status, 200);
}

#[test]
fn no_more_of_a_body_is_read_than_a_check_can_have() {
    let mut host = start();
    let stream = host.open(&check(BRIDGED), false).unwrap().stream;
    host.reset();
    for _ in 0..8 {
        assert_eq!(host.request_body(stream, &[0; 128], false).unwrap().local_reply, None);
    }
    let outcome = host.request_body(stream, &[0; 1 << 20], false).unwrap();
    assert_eq!((outcome.action, outcome.local_reply.unwrap().status), (Action::Pause, 200));
    assert_eq!(host.calls()["proxy_get_buffer_bytes"], 8, "the long part is not even read");
    host.request_body(stream, &[0; 128], true).unwrap();
    assert_eq!(host.calls()["proxy_send_local_response"], 1);
}

#[test]
fn a_body_that_is_no_checks_costs_no_host_call() {
    let mut host = start();
    let stream = host.open(&[(":method", "POST"), (":path", "/orders")], false).unwrap().stream;
    host.reset();
    host.request_body(stream, &[0; 1 << 16], true).unwrap();
    assert_eq!(host.calls().len(), 0, "{:?}", host.calls());
}
