//! The host that the other tests rely on, proved with modules of a few lines of text.
//!
//! Each module records the statuses that it got in the histogram `status`.

mod faults;
mod probe;

use probe::{data, module, note, note_word, on, on_headers, quiet, start, start_with};
use tests::host::{Action, Answer, Headers, Host, Shared};

const GET: &[(&str, &str)] = &[(":method", "GET"), (":path", "/"), (":authority", "shop")];
const OK: u64 = 0;
const NOT_FOUND: u64 = 1;
const BAD_ARGUMENT: u64 = 2;
const CAS_MISMATCH: u64 = 8;

#[test]
fn a_map_comes_back_as_it_was() {
    let mut host = start(&[copies_headers()]);
    let headers: &[(&[u8], &[u8])] =
        &[(b":path", b"/"), (b"a", b"1"), (b"a", b"\xff\0"), (b"b", b"")];
    let outcome = host.request(headers).unwrap();
    assert_eq!(outcome.request_headers, Headers::new(headers));
    assert_eq!(outcome.request_headers.all("A"), [&b"1"[..], b"\xff\0"]);
    assert_eq!(outcome.action, Action::Continue);
}

#[test]
fn one_value_is_the_first_and_add_keeps_both() {
    let calls = [
        note("get_value", "0 64 3 16 20"),
        note("add_value", "0 67 3 [16] [20]"),
        note("get_value", "0 70 3 16 20"),
    ];
    let mut host = start(&[on_headers("request", &calls, 0), data(64, b"oneTWOnil")]);
    let outcome = host.request(&[("One", "1"), ("one", "2"), ("two", "0")]).unwrap();
    assert_eq!(outcome.request_headers.all("two"), [b"0", b"1"]);
    assert_eq!(host.histogram("status"), [OK, OK, NOT_FOUND]);
}

#[test]
fn a_map_is_there_in_its_phase_only() {
    let calls = [
        note("get_value", "0 64 1 16 20"),
        note("get_value", "2 64 1 16 20"),
        note("add_value", "0 64 1 64 1"),
        note("get_pairs", "1 16 20"),
    ];
    let phases = ["request", "response"].map(|of| on_headers(of, &calls, 0));
    let mut host = start(&[phases.concat(), on("log", &calls), data(64, b"x")]);
    let stream = host.request(&[("x", "1")]).unwrap().stream;
    host.respond(stream, &[(":status", "200")], true).unwrap();
    host.finish(stream).unwrap();
    let request = [OK, BAD_ARGUMENT, OK, OK];
    let response = [BAD_ARGUMENT, NOT_FOUND, BAD_ARGUMENT, OK];
    let log = [OK, NOT_FOUND, BAD_ARGUMENT, OK];
    assert_eq!(host.histogram("status"), [request, response, log].concat());
}

#[test]
fn workers_share_data_and_compare_and_swap() {
    let calls = [
        note("get_shared", "64 3 16 20 24"),
        note("set_shared", "64 3 64 3 -1"),
        note("get_shared", "64 3 16 20 24"),
        note("set_shared", "64 3 65 1 [24]"),
    ];
    let shared = Shared::default();
    let text = [on("tick", &calls), data(64, b"key")];
    let mut workers = [0, 1].map(|_| start_with(&text, |host| host.shared(&shared)));
    workers[0].tick().unwrap();
    assert_eq!(workers[0].histogram("status"), [NOT_FOUND, OK, OK, OK]);
    assert_eq!(shared.get("key").unwrap(), b"e");
    workers[1].tick().unwrap();
    assert_eq!(workers[1].histogram("status")[4..], [OK, CAS_MISMATCH, OK, OK]);
    assert_eq!(shared.keys(), ["key"]);
}

#[test]
fn a_local_reply_is_final_and_passes_the_response_phase() {
    // Refuses and says "go on" all the same.
    let refuses = on_headers("request", &[note("reply", "403 64 6 67 3 72 16 -1")], 0);
    let seen = on_headers("response", &[note("add_value", "2 90 4 90 4")], 0);
    let header = b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0";
    let data = [data(64, b"no way"), data(72, header), data(90, b"seen")].concat();
    let outcome = start(&[refuses, seen, data]).request(GET).unwrap();
    let reply = outcome.local_reply.unwrap();
    assert_eq!((reply.status, reply.grpc_status), (403, -1));
    assert_eq!((reply.details.as_str(), reply.body.as_str()), ("no_way", "way"));
    assert_eq!(reply.headers, Headers::new(&[("a", "b")]));
    assert_eq!(outcome.action, Action::Pause);
    assert_eq!(outcome.response_headers.get("content-length").unwrap(), "3");
    assert_eq!(outcome.response_headers.get("seen").unwrap(), "seen");
}

#[test]
fn to_resume_after_a_local_reply_is_an_error() {
    let calls = [note("reply", "403 0 0 0 0 0 0 -1"), note("continue", "0")];
    let error = start(&[on_headers("request", &calls, 1)]).request(GET).unwrap_err();
    assert!(error.0.contains("resumed after a local reply"), "{error}");
}

#[test]
fn a_second_local_reply_and_an_unreadable_map_are_errors() {
    let calls = [note("reply", "403 0 0 0 0 0 0 -1"), note("reply", "401 0 0 0 0 64 5 -1")];
    let error = start(&[on_headers("request", &calls, 1)]).request(GET).unwrap_err();
    assert!(error.0.contains("a map that cannot be read; a second local reply: 401"), "{error}");
}

#[test]
fn a_call_is_answered() {
    let mut host = start(&asks());
    let asked = host.request(GET).unwrap();
    assert_eq!(asked.action, Action::Pause);
    assert_eq!((asked.calls[0].cluster.as_str(), asked.calls[0].timeout), ("auth", 250));
    let outcome = host.answer(asked.calls[0].token, Answer::new(200, "yes")).unwrap();
    assert_eq!((outcome.action, outcome.calls.len()), (Action::Continue, 0));
    assert_eq!(outcome.request_headers.get("x-answer").unwrap(), "200");
    assert_eq!(host.histogram("status"), [OK, OK, OK, OK, OK, OK]);
}

#[test]
fn a_call_times_out_or_is_reset() {
    let mut host = start(&asks());
    let token = host.request(GET).unwrap().calls[0].token;
    let outcome = host.time_out(token).unwrap();
    assert_eq!(outcome.request_headers.get("x-answer").unwrap(), "504");
    let token = host.request(GET).unwrap().calls[0].token;
    host.reset_call(token).unwrap();
    // Call, context, status of the answer, header, body, resumption.
    assert_eq!(host.histogram("status")[6..], [OK, OK, BAD_ARGUMENT, OK, NOT_FOUND, OK]);
}

#[test]
fn a_call_outlives_the_exchange_that_made_it() {
    let mut host = start(&asks());
    let asked = host.request(GET).unwrap();
    host.finish(asked.stream).unwrap();
    assert_eq!(host.pending(), asked.calls);
    host.answer(asked.calls[0].token, Answer::new(200, "")).unwrap();
    let gone = BAD_ARGUMENT;
    assert_eq!(host.histogram("status"), [OK, gone, OK, BAD_ARGUMENT, OK, BAD_ARGUMENT]);
}

#[test]
fn an_unknown_cluster_is_a_bad_argument() {
    let mut host = start_with(&asks(), |host| host);
    host.request(GET).unwrap();
    assert_eq!(host.histogram("status"), [BAD_ARGUMENT]);
}

#[test]
fn a_body_waits_for_the_headers_before_it() {
    let mut host = start(&asks());
    let asked = host.open(GET, false).unwrap();
    let outcome = host.request_body(asked.stream, b"one", true).unwrap();
    assert_eq!(outcome.request_body, b"");
    let outcome = host.answer(asked.calls[0].token, Answer::new(200, "")).unwrap();
    assert_eq!(outcome.request_body, b"one");
}

#[test]
fn a_refused_configuration_leaves_the_one_before_in_force() {
    let reads = note("get_buffer", "7 0 99 16 20");
    let logs = quiet("log", "4 [16] [20]");
    // Accepts what begins with "+", which is 43.
    let accepts = "(i32.eq (i32.load8_u (i32.load (i32.const 16))) (i32.const 43))";
    let configure = format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (call $define) {reads} {logs} {accepts})"#
    );
    let text = module(&[configure, on_headers("request", &[reads], 0)]);
    let mut host = Host::written(&text).unwrap();
    host.configure("+one").unwrap();
    assert_eq!(host.configure("-two").unwrap_err().reason(), "-two");
    host.request(GET).unwrap();
    host.configure("+three").unwrap();
    host.request(GET).unwrap();
    // The plugin's configuration is gone once it has been read.
    assert_eq!(host.histogram("status"), [OK, OK, NOT_FOUND, OK, NOT_FOUND]);
}

#[test]
fn properties_are_read_back_by_one_segment() {
    let calls = [
        note("set_property", "64 3 64 1"),
        note("set_property", "67 3 64 1"),
        note("get_property", "64 3 16 20"),
        note("get_property", "67 3 16 20"),
        note("get_property", "70 21 16 20"),
        note("get_property", "91 14 16 20"),
    ];
    let paths = data(64, b"a.bb\0cfilter_state\0wasm.a.bsource\0address");
    let text = [on_headers("request", &calls, 0), paths];
    let mut host = start_with(&text, |host| host.property(&["source", "address"], "10.0.0.1:1"));
    assert_eq!(host.request(GET).unwrap().properties["a.b"], b"a");
    assert_eq!(host.histogram("status"), [OK, OK, OK, NOT_FOUND, OK, OK]);
    host.set_property(&["source", "address"], None);
    host.request(GET).unwrap();
    assert_eq!(host.histogram("status")[6..], [OK, OK, OK, NOT_FOUND, OK, NOT_FOUND]);
}

#[test]
fn metrics_of_one_name_are_one() {
    let calls = [
        note("define_metric", "0 64 1 16"),
        note("increment", "[16] 2L"),
        note("increment", "[16] 0L"),
        note("increment", "99 1L"),
    ];
    let mut host = start(&[on("tick", &calls), data(64, b"n")]);
    host.tick().unwrap();
    host.tick().unwrap();
    assert_eq!(host.metrics()["n"], 4);
    assert_eq!(host.histogram("status")[..4], [OK, OK, BAD_ARGUMENT, NOT_FOUND]);
}

#[test]
fn the_world_is_what_the_test_says() {
    let calls = [
        quiet("environ_sizes", "16 20"),
        quiet("environ", "1024 2048"),
        quiet("log", "2 [1028] 3"),
        quiet("random", "32 4"),
        note_word("[32]"),
        quiet("clock", "0 0L 40"),
        note_word("[40]"),
    ];
    let text = [on("tick", &calls)];
    let run = |seed| {
        let variables: &[_] = &[("A", "1"), ("B", "2")];
        let mut host = start_with(&text, |host| host.environment(variables).seed(seed));
        host.set_time(77);
        host.tick().unwrap();
        assert_eq!(host.logs()[0].text, "B=2");
        host.histogram("status")
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1)[0], run(2)[0]);
    assert_eq!(run(1)[1], 77);
}

#[test]
fn a_request_costs_the_same_each_time() {
    let mut host = start(&[copies_headers()]);
    let costs = [(); 3].map(|()| {
        host.reset();
        host.request(GET).unwrap();
        (host.fuel_used(), host.calls().clone())
    });
    assert_eq!(costs[0], costs[2]);
    assert!(costs[0].0 > 0);
    assert_eq!(costs[0].1["proxy_get_header_map_pairs"], 1);
    assert_eq!(costs[0].1.get("proxy_log"), None);
}

/// Reads the request's headers and writes them back.
fn copies_headers() -> String {
    let calls = [note("get_pairs", "0 16 20"), note("set_pairs", "0 [16] [20]")];
    on_headers("request", &calls, 0)
}

/// Asks the cluster "auth", waits, and puts the answer's status into a header.
fn asks() -> [String; 4] {
    let headers = b"\x03\0\0\0\x07\0\0\0\x03\0\0\0\x05\0\0\0\x01\0\0\0\x0a\0\0\0\x04\0\0\0\
        :method\0GET\0:path\0/\0:authority\0shop\0";
    let keeps_context = "(i32.store (i32.const 28) (local.get 0))".to_owned();
    let asks = [keeps_context, note("http_call", "64 4 128 64 0 0 0 0 250 24")];
    let answered = [
        note("effective", "[28]"),
        note("get_value", "6 68 7 16 20"),
        note("add_value", "0 75 8 [16] [20]"),
        note("get_buffer", "4 0 99 16 20"),
        note("continue", "0"),
    ]
    .concat();
    [
        on_headers("request", &asks, 1),
        format!(
            r#"(func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
                 {answered})"#
        ),
        data(64, b"auth:statusx-answer"),
        data(128, headers),
    ]
}
