//! The cases of the W3C's test-suite (`trace-context/test/test.py`) that are about more than one
//! header or about spaces, through the real Envoy; those about one value are in the core.

use super::*;

const ID: &str = "12345678901234567890123456789012";
const IN: &str = "00-12345678901234567890123456789012-1234567890123456-00";

/// Whether the trace goes on, and with which state.
fn sent(headers: &[(&str, &str)]) -> (bool, Option<String>) {
    thread_local! {
        static WORLD: World = World::new(json!({}));
    }
    WORLD.with(|world| {
        let (received, _) = world.send(headers);
        let (trace, span, _) = parent(&received);
        assert_ne!(span, "1234567890123456");
        (trace == ID, received.header("tracestate"))
    })
}

#[track_caller]
fn check(headers: &[(&str, &str)], goes_on: bool, state: Option<&str>) {
    assert_eq!(sent(headers), (goes_on, state.map(str::to_owned)), "{headers:?}");
}

#[test]
fn the_suite_holds() {
    // test_both_traceparent_and_tracestate_missing, test_traceparent_included_tracestate_missing
    check(&[], false, None);
    check(&[("traceparent", IN)], true, None);
    // test_traceparent_duplicated
    let other = "00-12345678901234567890123456789011-1234567890123456-01";
    check(&[("traceparent", other), ("traceparent", IN)], false, None);
    check(&[("traceparent", IN), ("traceparent", IN), ("tracestate", "foo=1")], false, None);
    // test_traceparent_header_name, …_valid_casing
    check(&[("trace-parent", IN)], false, None);
    check(&[("trace.parent", IN)], false, None);
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        check(&[(name, IN)], true, None);
    }
    // test_traceparent_ows_handling
    for value in [format!(" {IN}"), format!("\t{IN}"), format!("{IN} "), format!("\t {IN} \t")] {
        check(&[("traceparent", &value)], true, None);
    }
    // test_tracestate_included_traceparent_missing
    check(&[("tracestate", "foo=1")], false, None);
    check(&[("tracestate", "foo=1,bar=2")], false, None);
    // test_tracestate_included_traceparent_included
    check(&[("traceparent", IN), ("tracestate", "foo=1,bar=2")], true, Some("foo=1,bar=2"));
    // test_tracestate_header_name, …_valid_casing
    for name in ["trace-state", "trace.state"] {
        check(&[("traceparent", IN), (name, "foo=1")], true, None);
    }
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        check(&[("traceparent", IN), (name, "foo=1")], true, Some("foo=1"));
    }
    // test_tracestate_empty_header
    check(&[("traceparent", IN), ("tracestate", "")], true, None);
    check(&[("traceparent", IN), ("tracestate", "foo=1"), ("tracestate", "")], true, Some("foo=1"));
    check(&[("traceparent", IN), ("tracestate", ""), ("tracestate", "foo=1")], true, Some("foo=1"));
    // test_tracestate_multiple_headers_different_keys
    let several = ["foo=1,bar=2", "rojo=1,congo=2", "baz=3"];
    let mut headers = vec![("traceparent", IN)];
    headers.extend(several.map(|value| ("tracestate", value)));
    check(&headers, true, Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
    // test_tracestate_duplicated_keys: one of them may be discarded
    check(
        &[("traceparent", IN), ("tracestate", "foo=1"), ("tracestate", "foo=2")],
        true,
        Some("foo=1"),
    );
    // test_tracestate_ows_handling
    check(&[("traceparent", IN), ("tracestate", "foo=1 \t , \t bar=2")], true, Some("foo=1,bar=2"));
    check(&[("traceparent", IN), ("tracestate", "\t foo=1 \t")], true, Some("foo=1"));
    // test_tracestate_member_count_limit, over several headers
    let members: Vec<_> = (1..=33).map(|number| format!("bar{number:02}={number:02}")).collect();
    let parts =
        |to: usize| [members[..10].join(","), members[10..20].join(","), members[20..to].join(",")];
    for (to, state) in [(32, Some(members[..32].join(","))), (33, None)] {
        let parts = parts(to);
        let mut headers = vec![("traceparent", IN)];
        headers.extend(parts.iter().map(|part| ("tracestate", part.as_str())));
        check(&headers, true, state.as_deref());
    }
    // AdvancedTest: test_multiple_requests_…
    check(
        &[("traceparent", "00-00000000000000000000000000000000-1234567890123456-01")],
        false,
        None,
    );
}
