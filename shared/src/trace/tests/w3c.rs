//! The cases of the W3C's own test-suite (`trace-context/test/test.py`), by the names of its tests,
//! and the rest of level 2.
//!
//! Where the suite still has rules of level 1 for the keys of `tracestate` (`foo@=1`, a tenant of 242
//! characters), the grammar of level 2 decides.

use super::super::tracestate::{Malformed, combine, is_as_it_should_be};
use super::super::w3c::{parse, print};
use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TRACE: &str = "12345678901234567890123456789012";

/// Whether the suite wants the trace to go on.
#[track_caller]
fn check(value: &str, goes_on: bool) {
    let found = trace(parse(value.as_bytes()));
    assert_eq!(found.is_some(), goes_on, "{value}");
    if let Some(found) = found {
        assert_eq!(found.trace_id.to_string(), TRACE);
        assert_eq!(found.parent.unwrap().to_string(), "1234567890123456");
    }
}

#[test]
fn test_traceparent_included_tracestate_missing() {
    check("00-12345678901234567890123456789012-1234567890123456-01", true);
}

#[test]
fn test_traceparent_version_0x00() {
    check("00-12345678901234567890123456789012-1234567890123456-01.", false);
    check(
        "00-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
        false,
    );
}

#[test]
fn test_traceparent_version_0xcc() {
    check("cc-12345678901234567890123456789012-1234567890123456-01", true);
    check(
        "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
        true,
    );
    check(
        "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
        false,
    );
}

#[test]
fn test_traceparent_version_0xff() {
    check("ff-12345678901234567890123456789012-1234567890123456-01", false);
}

#[test]
fn test_traceparent_version_illegal_characters_too_long_or_too_short() {
    for version in [".0", "0.", "000", "0000", "0", "", "FF", "0G", "CC"] {
        check(&format!("{version}-12345678901234567890123456789012-1234567890123456-01"), false);
    }
}

#[test]
fn test_traceparent_trace_id_all_zero_illegal_too_long_or_too_short() {
    for trace_id in [
        "00000000000000000000000000000000",
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
        "123456789012345678901234567890123",
        "1234567890123456789012345678901",
        "1234567890123456789012345678901A",
    ] {
        check(&format!("00-{trace_id}-1234567890123456-01"), false);
    }
}

#[test]
fn test_traceparent_parent_id_all_zero_illegal_too_long_or_too_short() {
    for parent in [
        "0000000000000000",
        ".234567890123456",
        "123456789012345.",
        "12345678901234567",
        "123456789012345",
        "ABCDEF7890123456",
    ] {
        check(&format!("00-{TRACE}-{parent}-01"), false);
    }
}

#[test]
fn test_traceparent_trace_flags_illegal_too_long_or_too_short() {
    for flags in [".0", "0.", "001", "1", "", "0A", "0g"] {
        check(&format!("00-{TRACE}-1234567890123456-{flags}"), false);
    }
}

#[test]
fn white_space_is_for_the_proxy_to_take_off() {
    check(" 00-12345678901234567890123456789012-1234567890123456-01", false);
    check("00-12345678901234567890123456789012-1234567890123456-01 ", false);
    check("", false);
}

#[test]
fn of_the_flags_two_are_known_and_kept() {
    for (came, goes) in
        [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("fe", "02"), ("ff", "03")]
    {
        let found = trace(parse(format!("00-{TRACE}-1234567890123456-{came}").as_bytes())).unwrap();
        let outgoing = Outgoing {
            trace_id: found.trace_id,
            span_id: found.parent.unwrap(),
            decision: found.decision,
            random: found.random,
        };
        let text = print(&outgoing);
        assert_eq!(text, format!("00-{TRACE}-1234567890123456-{goes}").as_bytes());
    }
}

#[track_caller]
fn check_state(values: &[&str], combined: Option<&str>) {
    if let [value] = values {
        let is_it = combined.is_some_and(|combined| !combined.is_empty() && combined == *value);
        assert_eq!(is_as_it_should_be(value.as_bytes()), is_it, "{value}");
    }
    let list = combine(values.iter().map(|value| value.as_bytes()));
    let list = list.map(|list| String::from_utf8(list).unwrap());
    assert_eq!(
        list.as_deref(),
        combined.ok_or(&Malformed).map_err(|malformed| *malformed).as_deref(),
        "{values:?}"
    );
}

#[test]
fn test_tracestate_included_traceparent_included() {
    check_state(&["foo=1,bar=2"], Some("foo=1,bar=2"));
}

#[test]
fn test_tracestate_empty_header() {
    check_state(&[""], Some(""));
    check_state(&["foo=1", ""], Some("foo=1"));
    check_state(&["", "foo=1"], Some("foo=1"));
    check_state(&["foo=1,,\t,bar=2", " "], Some("foo=1,bar=2"));
}

#[test]
fn test_tracestate_multiple_headers_different_keys() {
    check_state(
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        Some("foo=1,bar=2,rojo=1,congo=2,baz=3"),
    );
}

#[test]
fn test_tracestate_duplicated_keys() {
    check_state(&["foo=1,foo=1"], Some("foo=1"));
    check_state(&["foo=1,bar=2,foo=2"], Some("foo=1,bar=2"));
    check_state(&["foo=1", "foo=2"], Some("foo=1"));
}

#[test]
fn test_tracestate_all_allowed_characters() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (' '..='~').filter(|character| !",=".contains(*character)).collect();
    for member in
        [format!("{key}={value}"), format!("{key}@a-z0-9_-*/={value}"), format!("0={value}")]
    {
        check_state(&[&member], Some(&member));
    }
}

#[test]
fn test_tracestate_ows_handling() {
    for values in [
        "foo=1 \t , \t bar=2, \t baz=3",
        "foo=1\t \t,\t \tbar=2,\t \tbaz=3 ",
        "\t foo=1,bar=2,baz=3",
    ] {
        check_state(&[values], Some("foo=1,bar=2,baz=3"));
    }
    check_state(&["foo=  1 "], Some("foo=  1"));
}

#[test]
fn test_tracestate_key_illegal_characters() {
    for member in
        ["foo =1", "FOO=1", "foo.bar=1", "@foo=1", "_foo=1", "=1", "foo", "föö=1", "foo\t=1"]
    {
        check_state(&[member], None);
        check_state(&["bar=2", member], None);
    }
}

#[test]
fn test_tracestate_key_illegal_vendor_format_by_the_grammar_of_level_2() {
    for member in ["foo@=1", "foo@@bar=1", "foo@bar@baz=1", "1a=1"] {
        check_state(&[member], Some(member));
    }
}

#[test]
fn test_tracestate_member_count_limit() {
    let members: Vec<_> = (1..=33).map(|number| format!("bar{number:02}={number:02}")).collect();
    let all = members[..32].join(",");
    check_state(&[&all], Some(&all));
    check_state(&[&members[..20].join(","), &members[20..32].join(" , "), ",,"], Some(&all));
    check_state(&[&members.join(",")], None);
    // Thirty-three members are too many, whatever their keys.
    check_state(&["a=1,".repeat(33).as_str()], None);
}

#[test]
fn test_tracestate_key_and_value_length_limit() {
    let member = |key: usize, value: usize| format!("{}={}", "z".repeat(key), "v".repeat(value));
    for (key, value, good) in [(256, 256, true), (257, 1, false), (1, 257, false), (242, 1, true)] {
        let member = member(key, value);
        check_state(&[&member], good.then_some(member.as_str()));
    }
}

#[test]
fn test_tracestate_value_illegal_characters() {
    for member in ["foo=bar=baz", "foo=,bar=3", "foo=é", "foo=a\tb", "foo=a\u{7f}"] {
        check_state(&[member], None);
    }
}
