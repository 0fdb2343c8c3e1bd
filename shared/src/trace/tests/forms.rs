//! What each form but W3C's takes, and what it refuses.

use super::super::{b3, datadog, google, jaeger, xray};
use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";

/// In one line: `{trace}/{span} {decision}`, a decision alone, or `none`.
fn line(found: Option<Found>) -> String {
    match found {
        None => "none".to_owned(),
        Some(Found::Only(decision)) => format!("{decision:?}"),
        Some(Found::Trace(Incoming { trace_id, parent, decision, random })) => {
            assert!(!random);
            let parent = parent.map(|parent| parent.to_string()).unwrap_or_default();
            format!("{trace_id}/{parent} {decision:?}")
        }
    }
}

#[track_caller]
fn check(parse: fn(&[u8]) -> Option<Found>, value: &str, expected: &str) {
    assert_eq!(line(parse(value.as_bytes())), expected, "{value}");
}

#[test]
fn b3_in_one_header() {
    let is = |value: &str, expected: &str| check(b3::parse, value, expected);
    is(&format!("{TRACE}-{SPAN}"), &format!("{TRACE}/{SPAN} Deferred"));
    is(&format!("{TRACE}-{SPAN}-1"), &format!("{TRACE}/{SPAN} Record"));
    is(&format!("{TRACE}-{SPAN}-0-05e3ac9a4f6e3b90"), &format!("{TRACE}/{SPAN} Drop"));
    is(&format!("{TRACE}-{SPAN}-d"), &format!("{TRACE}/{SPAN} Debug"));
    is(
        &format!("64FE8B2A57D3EFF7-{SPAN}-1"),
        &format!("000000000000000064fe8b2a57d3eff7/{SPAN} Record"),
    );
    for (state, decision) in [("0", "Drop"), ("1", "Record"), ("d", "Debug")] {
        is(state, decision);
    }
    for state in ["", "2", "true", "D", "-", "--", TRACE] {
        is(state, "none");
    }
    for value in [
        format!("{TRACE}-{SPAN}-2"),
        format!("{TRACE}-{SPAN}-"),
        format!("{TRACE}-{SPAN}-1-"),
        format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-"),
        format!("{TRACE}-{SPAN}-1-0000000000000000"),
        format!("{TRACE}0-{SPAN}"),
        format!("0{TRACE}-{SPAN}"),
        format!("{}-{SPAN}", "0".repeat(32)),
        format!("{TRACE}-{}", "0".repeat(16)),
        format!("{TRACE}-{SPAN}0"),
        format!("g{}-{SPAN}", "0".repeat(15)),
    ] {
        is(&value, "none");
    }
}

#[test]
fn b3_in_several_headers() {
    let ids = b3::Multi {
        trace_id: Some(TRACE.as_bytes()),
        span_id: Some(SPAN.as_bytes()),
        ..b3::Multi::default()
    };
    let is = |headers: &b3::Multi<'_>, expected: &str| {
        assert_eq!(line(b3::parse_multi(headers)), expected, "{headers:?}");
    };
    let of = |decision: &str| format!("{TRACE}/{SPAN} {decision}");
    is(&ids, &of("Deferred"));
    for (sampled, decision) in
        [("1", "Record"), ("true", "Record"), ("0", "Drop"), ("false", "Drop")]
    {
        is(&b3::Multi { sampled: Some(sampled.as_bytes()), ..ids }, &of(decision));
    }
    is(&b3::Multi { flags: Some(b"1"), ..ids }, &of("Debug"));
    is(&b3::Multi { flags: Some(b"0"), sampled: Some(b"1"), ..ids }, &of("Record"));
    is(&b3::Multi { sampled: Some(b"0"), ..b3::Multi::default() }, "Drop");
    is(&b3::Multi { flags: Some(b"1"), ..b3::Multi::default() }, "Debug");
    for wrong in [
        b3::Multi::default(),
        b3::Multi { span_id: None, ..ids },
        b3::Multi { trace_id: None, sampled: Some(b"1"), ..ids },
        b3::Multi { sampled: Some(b"yes"), ..ids },
        b3::Multi { parent_span_id: Some(b"x"), ..ids },
    ] {
        is(&wrong, "none");
    }
}

#[test]
fn jaegers_header() {
    let is = |value: &str, expected: &str| check(jaeger::parse, value, expected);
    is(&format!("{TRACE}:{SPAN}:0:1"), &format!("{TRACE}/{SPAN} Record"));
    is(&format!("{TRACE}%3A{SPAN}%3a{SPAN}%3A03"), &format!("{TRACE}/{SPAN} Debug"));
    is(&format!("{TRACE}:{SPAN}:0:2"), &format!("{TRACE}/{SPAN} Drop"));
    is(&format!("{TRACE}:{SPAN}:0:8"), &format!("{TRACE}/{SPAN} Drop"));
    is("1:2:0:0", &format!("{:032}/{:016} Drop", 1, 2));
    for value in [
        "",
        ":::",
        "0:1:0:1",
        "1:0:0:1",
        "1:2:0",
        "1:2:0:1:",
        "1:2::1",
        "1:2:x:1",
        "1:2:0:",
        "1:2:0:001",
        "1:2:0:-1",
        "1 :2:0:1",
        "1%3A2:0:1%3A",
    ] {
        is(value, "none");
    }
    is(&format!("0{TRACE}:{SPAN}:0:1"), "none");
    is(&format!("{TRACE}:0{SPAN}:0:1"), "none");
}

#[test]
fn datadogs_headers() {
    let ids = datadog::Headers {
        trace_id: Some(b"7277407061855694839"),
        parent_id: Some(b"16453819474850114513"),
        ..datadog::Headers::default()
    };
    let is = |headers: &datadog::Headers<'_>, expected: &str| {
        assert_eq!(line(datadog::parse(headers)), expected, "{headers:?}");
    };
    let low = "64fe8b2a57d3eff7";
    let of = |high: &str, decision: &str| format!("{high}{low}/{SPAN} {decision}");
    let zero = "0".repeat(16);
    is(&ids, &of(&zero, "Deferred"));
    for (priority, decision) in [("-1", "Drop"), ("0", "Drop"), ("1", "Record"), ("2", "Debug")] {
        is(&datadog::Headers { priority: Some(priority.as_bytes()), ..ids }, &of(&zero, decision));
    }
    for (tags, high) in [
        ("_dd.p.tid=80f198ee56343ba8", "80f198ee56343ba8"),
        ("_dd.p.dm=-4,_dd.p.tid=80f198ee56343ba8", "80f198ee56343ba8"),
        ("_dd.p.tid=80F198EE56343BA8", &*zero),
        ("_dd.p.tid=80f198ee", &*zero),
        ("x_dd.p.tid=80f198ee56343ba8", &*zero),
    ] {
        is(&datadog::Headers { tags: Some(tags.as_bytes()), ..ids }, &of(high, "Deferred"));
    }
    for parent_id in [None, Some(&b"0"[..])] {
        is(&datadog::Headers { parent_id, ..ids }, &format!("{zero}{low}/ Deferred"));
    }
    for wrong in [
        datadog::Headers { trace_id: None, ..ids },
        datadog::Headers { trace_id: Some(b"0"), ..ids },
        datadog::Headers { trace_id: Some(b"18446744073709551616"), ..ids },
        datadog::Headers { trace_id: Some(b"+1"), ..ids },
        datadog::Headers { parent_id: Some(b"x"), ..ids },
        datadog::Headers { priority: Some(b"3"), ..ids },
    ] {
        is(&wrong, "none");
    }
}

#[test]
fn datadogs_tags_are_passed_on_with_the_right_half_of_the_id() {
    let outgoing = |number: u128| Outgoing {
        trace_id: TraceId::new(number).unwrap(),
        span_id: SpanId::new(1).unwrap(),
        decision: Decision::Record,
        random: false,
    };
    let tags = |number, tags: &str| {
        String::from_utf8(datadog::print(&outgoing(number), Some(tags.as_bytes())).tags).unwrap()
    };
    assert_eq!(tags(1, "_dd.p.dm=-4"), "_dd.p.dm=-4");
    assert_eq!(tags(1, "_dd.p.tid=0000000000000009,_dd.p.dm=-4"), "_dd.p.dm=-4");
    assert_eq!(tags(9 << 64, "_dd.p.tid=x,_dd.p.dm=-4"), "_dd.p.dm=-4,_dd.p.tid=0000000000000009");
    assert_eq!(tags(1, &"x".repeat(513)), "");
}

#[test]
fn x_rays_header() {
    let is = |value: &str, expected: &str| check(xray::parse, value, expected);
    let root = "1-80f198ee-56343ba864fe8b2a57d3eff7";
    let of = |span: &str, decision: &str| format!("{TRACE}/{span} {decision}");
    is(&format!("Root={root};Parent={SPAN};Sampled=1"), &of(SPAN, "Record"));
    is(
        &format!("Sampled=0; Parent={SPAN} ;Lineage=a87bd80c:1|68fd508a:5; Root={root}"),
        &of(SPAN, "Drop"),
    );
    is(&format!("Self=1-67891234-12456789abcdef012345678;Root={root}"), &of("", "Deferred"));
    is(&format!("Root={root};Sampled=?;"), &of("", "Deferred"));
    for value in [
        "".to_owned(),
        format!("Parent={SPAN};Sampled=1"),
        format!("Root={root};Root={root}"),
        format!("Root={root};Parent={SPAN};Parent={SPAN}"),
        format!("Root={root};Sampled=2"),
        format!("Root={root};Parent=1"),
        format!("Root={root};Parent={}", "0".repeat(16)),
        format!("Root={}", root.replacen("1-", "2-", 1)),
        format!("Root={root}0"),
        "Root=1-00000000-000000000000000000000000".to_owned(),
        format!("Root={root};junk"),
        format!("Root={root};{}", "x=1;".repeat(200)),
    ] {
        is(&value, "none");
    }
}

#[test]
fn googles_header() {
    let is = |value: &str, expected: &str| check(google::parse, value, expected);
    let of = |span: &str, decision: &str| format!("{TRACE}/{span} {decision}");
    is(&format!("{TRACE}/16453819474850114513;o=1"), &of(SPAN, "Record"));
    is(&format!("{TRACE}/16453819474850114513;o=0"), &of(SPAN, "Drop"));
    is(&format!("{TRACE}/1;o=3"), &of("0000000000000001", "Record"));
    is(&format!("{TRACE}/1"), &of("0000000000000001", "Deferred"));
    is(&format!("{TRACE}/0;o=1"), &of("", "Record"));
    is(TRACE, &of("", "Deferred"));
    for value in [
        "".to_owned(),
        format!("{TRACE}0"),
        format!("{TRACE}/"),
        format!("{TRACE}/18446744073709551616"),
        format!("{TRACE}/1;"),
        format!("{TRACE}/1;o="),
        format!("{TRACE}/1;o=x"),
        format!("{TRACE}/-1;o=1"),
        format!("{}/1;o=1", "0".repeat(32)),
    ] {
        is(&value, "none");
    }
}
