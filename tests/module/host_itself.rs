//! The host that the other tests rely on, proved with modules of a few lines of text.
//!
//! Each module records the statuses that it got in a histogram, from which the test reads them.

use tests::host::{Action, Answer, Corruption, Headers, Host, Shared, When};

const GET: &[(&str, &str)] = &[(":method", "GET"), (":path", "/"), (":authority", "shop")];
const OK: u64 = 0;
const NOT_FOUND: u64 = 1;
const BAD_ARGUMENT: u64 = 2;
const CAS_MISMATCH: u64 = 8;

#[test]
fn a_map_comes_back_as_it_was() {
    let mut host = start(COPIES_HEADERS);
    let headers: &[(&[u8], &[u8])] =
        &[(b":path", b"/"), (b"a", b"1"), (b"a", b"\xff\0"), (b"b", b"")];
    let outcome = host.request(headers).unwrap();
    assert_eq!(outcome.request_headers, Headers::new(headers));
    assert_eq!(outcome.request_headers.all("A"), [&b"1"[..], b"\xff\0"]);
    assert_eq!(outcome.action, Action::Continue);
    assert_eq!(host.calls()["proxy_get_header_map_pairs"], 1);
}

#[test]
fn one_value_is_the_first_and_add_keeps_both() {
    let mut host = start(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $note (call $get_value (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 16) (i32.const 20)))
             (call $note (call $add_value (i32.const 0) (i32.const 67) (i32.const 3) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
             (call $note (call $get_value (i32.const 0) (i32.const 70) (i32.const 3) (i32.const 16) (i32.const 20)))
             (i32.const 0))
           (data (i32.const 64) "oneTWOnil")"#,
    );
    let outcome = host.request(&[("One", "1"), ("one", "2"), ("two", "0")]).unwrap();
    assert_eq!(outcome.request_headers.all("two"), [b"0", b"1"]);
    assert_eq!(host.histogram("status"), [OK, OK, NOT_FOUND]);
}

#[test]
fn a_map_is_there_in_its_phase_only() {
    let probe = |phase: &str, parameters: &str, result: &str| {
        format!(
            r#"(func (export "{phase}") (param {parameters}) {result}
                 (call $note (call $get_value (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 16) (i32.const 20)))
                 (call $note (call $get_value (i32.const 2) (i32.const 64) (i32.const 1) (i32.const 16) (i32.const 20)))
                 (call $note (call $add_value (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 1)))
                 (call $note (call $get_pairs (i32.const 1) (i32.const 16) (i32.const 20)))
                 {})"#,
            if result.is_empty() { "" } else { "(i32.const 0)" }
        )
    };
    let text = [
        probe("proxy_on_request_headers", "i32 i32 i32", "(result i32)"),
        probe("proxy_on_response_headers", "i32 i32 i32", "(result i32)"),
        probe("proxy_on_log", "i32", ""),
        r#"(data (i32.const 64) "x")"#.to_owned(),
    ];
    let mut host = start(&text.concat());
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
    let shared = Shared::default();
    // Set if it is as read before, where nothing was read: the first worker wins.
    let text = r#"(func (export "proxy_on_tick") (param i32)
        (call $note (call $get_shared (i32.const 64) (i32.const 3) (i32.const 16) (i32.const 20) (i32.const 24)))
        (call $note (call $set_shared (i32.const 64) (i32.const 3) (i32.const 64) (i32.const 3) (i32.const -1)))
        (call $note (call $get_shared (i32.const 64) (i32.const 3) (i32.const 16) (i32.const 20) (i32.const 24)))
        (call $note (call $set_shared (i32.const 64) (i32.const 3) (i32.const 65) (i32.const 1) (i32.load (i32.const 24)))))
      (data (i32.const 64) "key")"#;
    let mut workers = [0, 1].map(|_| start_with(text, |host| host.shared(&shared)));
    workers[0].tick().unwrap();
    assert_eq!(workers[0].histogram("status"), [NOT_FOUND, OK, OK, OK]);
    assert_eq!(shared.get("key").unwrap(), b"e");
    workers[1].tick().unwrap();
    assert_eq!(workers[1].histogram("status")[4..], [OK, CAS_MISMATCH, OK, OK]);
    shared.set("key", b"another's");
    assert_eq!(shared.keys(), ["key"]);
}

#[test]
fn a_local_reply_is_final_and_passes_the_response_phase() {
    let text = [REFUSES, NOTES_RESPONSE].concat();
    let outcome = start(&text).request(GET).unwrap();
    let reply = outcome.local_reply.unwrap();
    assert_eq!((reply.status, &reply.details[..], &reply.body[..]), (403, "no_way", "way"));
    assert_eq!((reply.headers.get("a").unwrap(), reply.grpc_status), ("b".to_owned(), -1));
    assert_eq!(outcome.action, Action::Pause);
    assert_eq!(outcome.response_headers.get("content-length").unwrap(), "3");
    assert_eq!(outcome.response_headers.get("seen").unwrap(), "seen");
}

#[test]
fn to_resume_after_a_local_reply_is_an_error() {
    let text = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $note (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
        (call $note (call $continue (i32.const 0)))
        (i32.const 1))"#;
    let error = start(text).request(GET).unwrap_err();
    assert!(error.0.contains("resumed after a local reply"), "{error}");
}

#[test]
fn a_call_is_answered() {
    let mut host = start(ASKS);
    let asked = host.request(GET).unwrap();
    assert_eq!(asked.action, Action::Pause);
    assert_eq!((&asked.calls[0].cluster[..], asked.calls[0].timeout), ("auth", 250));
    let outcome = host.answer(asked.calls[0].token, Answer::new(200, "yes")).unwrap();
    assert_eq!((outcome.action, outcome.calls.len()), (Action::Continue, 0));
    assert_eq!(outcome.request_headers.get("x-answer").unwrap(), "200");
}

#[test]
fn a_call_times_out_or_is_reset() {
    let mut host = start(ASKS);
    let token = host.request(GET).unwrap().calls[0].token;
    let outcome = host.time_out(token).unwrap();
    assert_eq!(outcome.request_headers.get("x-answer").unwrap(), "504");
    let token = host.request(GET).unwrap().calls[0].token;
    let outcome = host.reset_call(token).unwrap();
    assert_eq!(outcome.request_headers.get("x-answer"), None);
    assert_eq!(host.histogram("status"), [OK, OK, OK, OK, OK, BAD_ARGUMENT]);
}

#[test]
fn a_call_outlives_the_exchange_that_made_it() {
    let mut host = start(ASKS);
    let asked = host.request(GET).unwrap();
    host.finish(asked.stream).unwrap();
    assert_eq!(host.pending(), asked.calls);
    // The module chooses a context that has gone: the header is added nowhere.
    host.answer(asked.calls[0].token, Answer::new(200, "")).unwrap();
    assert_eq!(host.histogram("status"), [OK, BAD_ARGUMENT, OK]);
}

#[test]
fn an_unknown_cluster_is_a_bad_argument() {
    let mut host = Host::written(&module(ASKS)).unwrap();
    host.configure("").unwrap();
    host.request(GET).unwrap();
    assert_eq!(host.histogram("status"), [BAD_ARGUMENT]);
}

#[test]
fn a_body_waits_for_the_headers_before_it() {
    let mut host = start(ASKS);
    let asked = host.open(GET, false).unwrap();
    let outcome = host.request_body(asked.stream, b"one", true).unwrap();
    assert_eq!(outcome.request_body, b"");
    let outcome = host.answer(asked.calls[0].token, Answer::new(200, "")).unwrap();
    assert_eq!(outcome.request_body, b"one");
}

#[test]
fn a_host_call_returns_any_status() {
    for status in (0..=12).chain([99, u32::MAX]) {
        let mut host = start(COPIES_HEADERS);
        host.inject("proxy_get_header_map_pairs", When::Nth(2), status);
        let outcomes = [(); 3].map(|()| host.request(&[("a", "1")]).unwrap());
        assert_eq!(host.histogram("status"), [OK, OK, status.into(), OK, OK, OK]);
        // What was not fetched is what lay there: nothing has been done in the call.
        assert_eq!(outcomes[2].request_headers.get("a").unwrap(), "1");
    }
}

#[test]
fn returned_bytes_are_spoiled() {
    // Pointer, size, and the first two words of a map with one pair of 1 and 2 bytes.
    check_spoiled(Corruption::Truncated(5), |at, size, _| at > 0 && size == 5);
    check_spoiled(Corruption::CountTooLarge, |_, size, words| size == 17 && words[0] == MAX);
    check_spoiled(Corruption::LengthsPastTheEnd, |_, _, words| words == [1, MAX]);
    check_spoiled(Corruption::NullPointer, |at, size, _| at == 0 && size == 17);
    check_spoiled(Corruption::NoTerminators, |_, size, words| size == 15 && words == [1, 1]);
    check_spoiled(Corruption::Empty, |at, size, _| at > 0 && size == 0);
    check_spoiled(Corruption::Huge, |_, size, words| size == 1 << 20 && words[0] == 0x7878_7878);
    check_spoiled(Corruption::With(|_| vec![7; 8]), |_, size, words| {
        size == 8 && words == [0x0707_0707; 2]
    });
}

#[test]
fn a_trap_is_an_error_and_the_end_of_the_module() {
    let text = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $log (i32.const 5) (i32.const 64) (i32.const 3)) drop unreachable)
      (data (i32.const 64) "why")"#;
    let mut host = start(text);
    let error = host.request(GET).unwrap_err();
    assert!(error.0.contains("unreachable") && error.0.ends_with("why"), "{error}");
    assert!(host.request(GET).unwrap_err().0.contains("trapped before"));
}

#[test]
fn unknown_imports_are_named() {
    let text = r#"(module (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
        (import "env" "proxy_fly" (func)) (import "wasi_snapshot_preview1" "sock_send" (func)))"#;
    let error = Host::written(text).map(|_| ()).unwrap_err();
    assert_eq!(error.0, "unknown imports: env.proxy_fly, wasi_snapshot_preview1.sock_send");
    assert!(Host::load("no-such-module").map(|_| ()).unwrap_err().0.contains("build the modules"));
}

#[test]
fn a_refused_configuration_leaves_the_one_before_in_force() {
    // Accepts what begins with "+", and logs the rest.
    let text = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $define)
        (call $note (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 99) (i32.const 16) (i32.const 20)))
        (call $log (i32.const 4) (i32.load (i32.const 16)) (i32.load (i32.const 20))) drop
        (i32.eq (i32.load8_u (i32.load (i32.const 16))) (i32.const 43)))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $note (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 99) (i32.const 16) (i32.const 20)))
        (i32.const 0))"#;
    let mut host = Host::written(&module(text)).unwrap();
    host.configure("+one").unwrap();
    assert_eq!(host.configure("-two").unwrap_err().reason(), "-two");
    host.request(GET).unwrap();
    host.configure("+three").unwrap();
    host.request(GET).unwrap();
    assert_eq!(host.histogram("status"), [OK, OK, NOT_FOUND, OK, NOT_FOUND]);
}

#[test]
fn properties_are_read_back_by_one_segment() {
    let text = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $note (call $set_property (i32.const 64) (i32.const 3) (i32.const 64) (i32.const 1)))
        (call $note (call $set_property (i32.const 67) (i32.const 3) (i32.const 64) (i32.const 1)))
        (call $note (call $get_property (i32.const 64) (i32.const 3) (i32.const 16) (i32.const 20)))
        (call $note (call $get_property (i32.const 67) (i32.const 3) (i32.const 16) (i32.const 20)))
        (call $note (call $get_property (i32.const 80) (i32.const 21) (i32.const 16) (i32.const 20)))
        (call $note (call $get_property (i32.const 101) (i32.const 14) (i32.const 16) (i32.const 20)))
        (i32.const 0))
      (data (i32.const 64) "a.bb\00c") (data (i32.const 80) "filter_state\00wasm.a.bsource\00address")"#;
    let mut host = start_with(text, |host| host.property(&["source", "address"], "10.0.0.1:1"));
    let outcome = host.request(GET).unwrap();
    assert_eq!(outcome.properties["a.b"], b"a");
    assert_eq!(host.histogram("status"), [OK, OK, OK, NOT_FOUND, OK, OK]);
    host.set_property(&["source", "address"], None);
    host.request(GET).unwrap();
    assert_eq!(host.histogram("status")[6..], [OK, OK, OK, NOT_FOUND, OK, NOT_FOUND]);
}

#[test]
fn metrics_of_one_name_are_one() {
    let text = r#"(func (export "proxy_on_tick") (param i32)
        (call $note (call $define_metric (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 16)))
        (call $note (call $increment (i32.load (i32.const 16)) (i64.const 2)))
        (call $note (call $increment (i32.load (i32.const 16)) (i64.const 0)))
        (call $note (call $increment (i32.const 99) (i64.const 1))))
      (data (i32.const 64) "n")"#;
    let mut host = start(text);
    host.tick().unwrap();
    host.tick().unwrap();
    assert_eq!(host.metrics()["n"], 4);
    assert_eq!(host.histogram("status")[..4], [OK, OK, BAD_ARGUMENT, NOT_FOUND]);
}

#[test]
fn the_world_is_what_the_test_says() {
    // Logs the environment, eight random bytes in hexadecimal-free form, and notes the clock.
    let text = r#"(func (export "proxy_on_tick") (param i32)
        (call $note (call $environ_sizes (i32.const 16) (i32.const 20)))
        (call $note (call $environ (i32.const 1024) (i32.const 2048))) 
        (call $log (i32.const 2) (i32.load (i32.const 1028)) (i32.const 3)) drop
        (call $note (call $random (i32.const 32) (i32.const 4)))
        (call $note (i32.load (i32.const 32)))
        (call $note (call $clock (i32.const 0) (i64.const 0) (i32.const 40)))
        (call $note (i32.load (i32.const 40))))"#;
    let run = |seed| {
        let variables: &[_] = &[("A", "1"), ("B", "2")];
        let mut host = start_with(text, |host| host.environment(variables).seed(seed));
        host.set_time(77);
        host.tick().unwrap();
        assert_eq!(host.logs()[0].text, "B=2");
        host.histogram("status")
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1)[3], run(2)[3]);
    assert_eq!(run(1)[5], 77);
}

#[test]
fn a_request_costs_the_same_each_time() {
    let mut host = start(COPIES_HEADERS);
    let costs = [(); 3].map(|()| {
        host.reset();
        host.request(GET).unwrap();
        (host.fuel_used(), host.calls().clone())
    });
    assert_eq!(costs[0], costs[2]);
    assert!(costs[0].0 > 0);
    let names: Vec<_> = costs[0].1.keys().copied().collect();
    assert_eq!(
        names,
        ["proxy_get_header_map_pairs", "proxy_record_metric", "proxy_set_header_map_pairs"]
    );
}

#[track_caller]
fn check_spoiled(corruption: Corruption, spoiled: fn(u64, u64, &[u64]) -> bool) {
    let text = r#"(func (export "proxy_on_tick") (param i32)
        (call $get_pairs (i32.const 0) (i32.const 16) (i32.const 20)) drop)
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $get_pairs (i32.const 0) (i32.const 16) (i32.const 20)) drop
        (call $note (i32.load (i32.const 16)))
        (call $note (i32.load (i32.const 20)))
        (call $note (i32.load (i32.load (i32.const 16))))
        (call $note (i32.load offset=4 (i32.load (i32.const 16))))
        (i32.const 0))"#;
    let mut host = start(text);
    host.corrupt("proxy_get_header_map_pairs", When::Always, corruption);
    host.request(&[("a", "bc")]).unwrap();
    let noted = host.histogram("status");
    assert!(spoiled(noted[0], noted[1], &noted[2..]), "{corruption:?} {noted:?}");
    host.heal();
    host.request(&[("a", "bc")]).unwrap();
    assert_eq!(host.histogram("status")[5..], [17, 1, 1]);
}

fn start(callbacks: &str) -> Host {
    start_with(callbacks, |host| host.cluster("auth"))
}

fn start_with(callbacks: &str, prepare: impl FnOnce(Host) -> Host) -> Host {
    let mut host = prepare(Host::written(&module(callbacks)).unwrap());
    host.configure("").unwrap();
    host
}

/// A module with these callbacks behind what all have in common.
fn module(callbacks: &str) -> String {
    let configure = if callbacks.contains("proxy_on_configure") {
        ""
    } else {
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (call $define) (i32.const 1))"#
    };
    format!("(module {COMMON} {configure} {callbacks})")
}

const MAX: u64 = u32::MAX as u64;

/// Imports; an allocator that never frees; `$define` and `$note`, which records a status.
const COMMON: &str = r#"
(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_pairs" (func $get_pairs (param i32 i32 i32) (result i32)))
(import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_value" (func $get_value (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_add_header_map_value" (func $add_value (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
(import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
(import "env" "proxy_define_metric" (func $define_metric (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
(import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
(memory (export "memory") 64)
(global $free (mut i32) (i32.const 65536))
(func (export "proxy_abi_version_0_2_1"))
(func (export "proxy_on_context_create") (param i32 i32))
(func (export "proxy_on_memory_allocate") (param i32) (result i32)
  (global.get $free)
  (global.set $free (i32.add (global.get $free) (local.get 0))))
(func $define (drop (call $define_metric (i32.const 2) (i32.const 8) (i32.const 6) (i32.const 0))))
(func $note (param i32) (drop (call $record (i32.load (i32.const 0)) (i64.extend_i32_u (local.get 0)))))
(data (i32.const 8) "status")
"#;

/// Reads the request's headers and writes them back.
const COPIES_HEADERS: &str = r#"
(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
  (call $note (call $get_pairs (i32.const 0) (i32.const 16) (i32.const 20)))
  (call $note (call $set_pairs (i32.const 0) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
  (i32.const 0))
"#;

/// Refuses with 403, details "no way", body "way" and header "a: b"; says "go on" all the same.
const REFUSES: &str = r#"
(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
  (call $note (call $reply (i32.const 403) (i32.const 64) (i32.const 6) (i32.const 67) (i32.const 3)
    (i32.const 72) (i32.const 16) (i32.const -1)))
  (i32.const 0))
(data (i32.const 64) "no way")
(data (i32.const 72) "\01\00\00\00\01\00\00\00\01\00\00\00a\00b\00")
"#;

const NOTES_RESPONSE: &str = r#"
(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
  (call $note (call $add_value (i32.const 2) (i32.const 100) (i32.const 4) (i32.const 100) (i32.const 4)))
  (i32.const 0))
(data (i32.const 100) "seen")
"#;

/// Asks the cluster "auth", waits, and puts the answer's status into a header.
const ASKS: &str = r#"
(global $asker (mut i32) (i32.const 0))
(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
  (global.set $asker (local.get 0))
  (call $note (call $http_call (i32.const 64) (i32.const 4) (i32.const 128) (i32.const 64)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 250) (i32.const 24)))
  (i32.const 1))
(func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
  (call $note (call $effective (global.get $asker)))
  (if (i32.eqz (local.get 2)) (then
    (call $note (call $get_value (i32.const 6) (i32.const 68) (i32.const 7) (i32.const 16) (i32.const 20)))
    (drop (call $continue (i32.const 0))) (return)))
  (drop (call $get_value (i32.const 6) (i32.const 68) (i32.const 7) (i32.const 16) (i32.const 20)))
  (drop (call $add_value (i32.const 0) (i32.const 75) (i32.const 8) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
  (call $note (call $get_buffer (i32.const 4) (i32.const 0) (i32.const 99) (i32.const 16) (i32.const 20)))
  (drop (call $continue (i32.const 0))))
(data (i32.const 64) "auth:statusx-answer")
(data (i32.const 128) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\04\00\00\00")
(data (i32.const 156) ":method\00GET\00:path\00/\00:authority\00shop\00")
"#;
