//! Forms in and out, and what is taken off.

use super::*;

/// The same context in every form.
fn carried() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    vec![
        ("w3c", vec![("traceparent", PARENT)]),
        ("b3", vec![("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")]),
        (
            "b3multi",
            vec![
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
                ("x-b3-sampled", "1"),
            ],
        ),
        ("jaeger", vec![("uber-trace-id", "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1")]),
        (
            "datadog",
            vec![
                ("x-datadog-trace-id", "9532127138774266268"),
                ("x-datadog-parent-id", "13235353014750950193"),
                ("x-datadog-sampling-priority", "1"),
                ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=0af7651916cd43dd"),
            ],
        ),
        (
            "xray",
            vec![(
                "x-amzn-trace-id",
                "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1",
            )],
        ),
        (
            "google",
            vec![(
                "x-cloud-trace-context",
                "0af7651916cd43dd8448eb211c80319c/13235353014750950193;o=1",
            )],
        ),
    ]
}

const SOURCES: [&str; 6] = ["w3c", "b3", "jaeger", "datadog", "xray", "google"];

fn into(form: &str) -> Value {
    json!({"extract": SOURCES, "inject": [form], "sampling": {"root": "never"}})
}

#[test]
fn every_form_becomes_every_other() {
    for (source, headers) in carried() {
        for (form, expected) in carried() {
            let upstream = send(into(form), &headers);
            // The span is the proxy's: back through W3C, only that differs.
            let span = upstream.state("gatehouse.span_id").unwrap();
            let whole = upstream.state("gatehouse.traceparent").unwrap();
            assert_eq!(whole, format!("00-{TRACE}-{span}-01"), "{source}");
            let came: Vec<_> = upstream.headers.iter().map(|(n, v)| (&**n, &**v)).collect();
            let again = send(into("w3c"), &came);
            assert_eq!(again.parent().0, TRACE, "{source} to {form}: {came:?}");
            assert_eq!(again.parent().2, "01", "{source} to {form}: {came:?}");
            let mut names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
            names.retain(|name| *name != "x-b3-parentspanid");
            names.sort_unstable();
            assert_eq!(upstream.names(), names, "{source} to {form}");
        }
    }
}

#[test]
fn debug_and_a_users_priority_stay_what_they_are() {
    let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1")];
    let to = |form: &str| send(into(form), &ids);
    assert!(to("b3").header("b3").unwrap().ends_with("-d"));
    assert_eq!(to("datadog").header("x-datadog-sampling-priority"), Some("2"));
    assert!(to("jaeger").header("uber-trace-id").unwrap().ends_with(":3"));
    assert!(to("w3c").header("traceparent").unwrap().ends_with("-01"));
    let multi = to("b3multi");
    assert_eq!(multi.names(), ["x-b3-flags", "x-b3-spanid", "x-b3-traceid"]);
}

#[test]
fn a_decision_alone_is_kept_for_the_trace_that_starts() {
    for (name, value, flags) in [("b3", "0", "02"), ("b3", "1", "03"), ("x-b3-sampled", "0", "02")]
    {
        let root = if flags == "02" { "always" } else { "never" };
        let config = json!({"extract": ["b3"], "sampling": {"root": root}});
        assert_eq!(send(config, &[(name, value)]).parent().2, flags, "{name}: {value}");
    }
}

#[test]
fn where_nobody_has_decided_it_is_decided_here() {
    let config = |root: &str| json!({"extract": SOURCES, "sampling": {"root": root}});
    for (name, value) in [
        ("x-amzn-trace-id", "Root=1-0af76519-16cd43dd8448eb211c80319c"),
        ("x-cloud-trace-context", TRACE),
        ("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"),
    ] {
        for (root, flags) in [("always", "01"), ("never", "00")] {
            let upstream = send(config(root), &[(name, value)]);
            assert_eq!((upstream.parent().0, upstream.parent().2), (TRACE, flags), "{name}");
        }
    }
}

#[test]
fn the_first_form_that_parses_wins() {
    let other = "11111111111111111111111111111111";
    let b3 = format!("{other}-2222222222222222-1");
    let headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("b3", b3.as_str())];
    let of = |extract: Value, headers: &[(&str, &str)]| {
        let upstream = send(json!({"extract": extract}), headers);
        (upstream.parent().0.to_owned(), upstream.names().join(" "))
    };
    let w3c = (TRACE.to_owned(), "traceparent tracestate".to_owned());
    assert_eq!(of(json!(["w3c", "b3"]), &headers), w3c);
    // A state does not belong to the trace of another form.
    assert_eq!(of(json!(["b3", "w3c"]), &headers), (other.into(), "traceparent".into()));
    let broken = [("traceparent", "x"), ("b3", b3.as_str())];
    assert_eq!(of(json!(["w3c", "b3"]), &broken), (other.into(), "traceparent".into()));
    // The one header of B3 comes before the several.
    let both = [("b3", b3.as_str()), ("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
    assert_eq!(of(json!(["b3"]), &both).0, other);
}

#[test]
fn other_forms_are_taken_off_or_left() {
    let b3 = "11111111111111111111111111111111-2222222222222222-1";
    let headers = [("traceparent", PARENT), ("b3", b3), ("uberctx-user", "1"), ("x-other", "1")];
    assert_eq!(send(json!({}), &headers).names(), ["traceparent", "x-other"]);
    let upstream = send(json!({"clear": false}), &headers);
    assert_eq!(upstream.header("b3"), Some(b3));
    assert_eq!(upstream.names(), ["b3", "traceparent", "uberctx-user", "x-other"]);
}

#[test]
fn what_would_contradict_a_form_is_taken_off_with_clear_or_without() {
    let headers = [
        ("traceparent", PARENT),
        ("x-b3-parentspanid", SPAN),
        ("x-b3-flags", "1"),
        ("x-datadog-origin", "rum"),
        ("x-datadog-tags", "_dd.p.tid=1111111111111111"),
    ];
    let config = json!({"inject": ["b3multi", "datadog"], "clear": false});
    let upstream = send(config, &headers);
    let expected = [
        "traceparent",
        "x-b3-sampled",
        "x-b3-spanid",
        "x-b3-traceid",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-tags",
        "x-datadog-trace-id",
    ];
    assert_eq!(upstream.names(), expected);
    assert_eq!(upstream.header("x-datadog-tags"), Some("_dd.p.tid=0af7651916cd43dd"));
}

#[test]
fn datadogs_origin_and_tags_go_on_with_datadogs_trace() {
    let headers = [
        ("x-datadog-trace-id", "7"),
        ("x-datadog-parent-id", "9"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "rum"),
        ("x-datadog-tags", "_dd.p.dm=-4"),
    ];
    let upstream = send(json!({"extract": ["datadog"], "inject": ["datadog"]}), &headers);
    for (name, value) in [
        ("x-datadog-trace-id", "7"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "rum"),
        ("x-datadog-tags", "_dd.p.dm=-4"),
    ] {
        assert_eq!(upstream.header(name), Some(value), "{name}");
    }
    assert_ne!(upstream.header("x-datadog-parent-id"), Some("9"));
}

#[test]
fn baggage_goes_on_within_its_limits() {
    let of = |config: Value, values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| ("baggage", *value)).collect();
        let upstream = send(config, &headers);
        (upstream.header("baggage").map(str::to_owned), upstream.counts())
    };
    let (all, few) =
        (json!({}), json!({"baggage": {"allow": ["tenant", "user.*"], "max_members": 2}}));
    assert_eq!(of(all.clone(), &["a=1", "b=2"]), (Some("a=1,b=2".into()), vec![]));
    assert_eq!(of(all, &["a=1,b"]), (Some("a=1".into()), vec!["baggage_dropped".to_owned()]));
    let dropped = vec!["baggage_dropped".to_owned()];
    assert_eq!(
        of(few.clone(), &["x=1,tenant=2;p=1,tenants=3,user.id=4,user.name=5"]),
        (Some("tenant=2;p=1,user.id=4".into()), dropped.clone())
    );
    assert_eq!(of(few, &["x=1"]), (None, dropped.clone()));
    assert_eq!(
        of(json!({"baggage": {"max_bytes": "1KiB"}}), &[&"x".repeat(2000)]),
        (None, dropped)
    );
}
