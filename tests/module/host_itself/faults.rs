//! What goes wrong on demand, and what goes wrong by itself.

use tests::host::{Corruption, Host, When};

use super::probe::{data, note_word, on_headers, quiet, start};
use super::{GET, OK, copies_headers};

#[test]
fn a_host_call_returns_any_status() {
    for status in (0..=12).chain([99, u32::MAX]) {
        let mut host = start(&[copies_headers()]);
        host.inject("proxy_get_header_map_pairs", When::Nth(2), status);
        let outcomes = [(); 3].map(|()| host.request(&[("a", "1")]).unwrap());
        assert_eq!(host.histogram("status"), [OK, OK, status.into(), OK, OK, OK]);
        assert_eq!(outcomes[2].request_headers.get("a").unwrap(), "1");
    }
}

#[test]
fn a_host_call_that_fails_does_nothing() {
    let mut host = start(&[copies_headers()]);
    host.inject("proxy_set_header_map_pairs", When::Always, OK as u32);
    // A map that was written would have its names in lower case.
    let outcome = host.request(&[("A", "1")]).unwrap();
    assert_eq!(outcome.request_headers.pairs()[0].0, b"A");
    host.heal();
    let outcome = host.request(&[("A", "1")]).unwrap();
    assert_eq!(outcome.request_headers.pairs()[0].0, b"a");
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
    let calls = [quiet("log", "5 64 3"), "unreachable".to_owned()];
    let mut host = start(&[on_headers("request", &calls, 0), data(64, b"why")]);
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
#[should_panic(expected = "there is no host call proxy_get_heder_map_pairs")]
fn a_misspelt_host_call_is_noticed() {
    start(&[]).inject("proxy_get_heder_map_pairs", When::Always, 2);
}

#[track_caller]
fn check_spoiled(corruption: Corruption, spoiled: fn(u64, u64, &[u64]) -> bool) {
    let calls = [
        quiet("get_pairs", "0 16 20"),
        note_word("[16]"),
        note_word("[20]"),
        note_word("[[16]]"),
        "(call $note (i32.load offset=4 (i32.load (i32.const 16))))".to_owned(),
    ];
    let mut host = start(&[on_headers("request", &calls, 0)]);
    host.corrupt("proxy_get_header_map_pairs", When::Always, corruption);
    host.request(&[("a", "bc")]).unwrap();
    let noted = host.histogram("status");
    assert!(spoiled(noted[0], noted[1], &noted[2..]), "{corruption:?} {noted:?}");
    host.heal();
    host.request(&[("a", "bc")]).unwrap();
    assert_eq!(host.histogram("status")[5..], [17, 1, 1]);
}

const MAX: u64 = u32::MAX as u64;
