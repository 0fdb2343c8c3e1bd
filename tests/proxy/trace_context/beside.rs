//! Beside Envoy's own tracer of OpenTelemetry: whose parent the upstream gets, and what a collector has of
//! both. The tracer starts its span before any filter runs, and writes its `traceparent` after all.

use super::collector::Collector;
use super::*;

/// `trace-context` behind a tracer of the connection manager that records everything.
fn beside(config: Value, collector: &Collector) -> World {
    let tracer = json!({
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
            "service_name": "envoy",
            "http_service": {"http_uri": {
                "uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "5s",
            }},
        },
    });
    let soon = json!({"tracing.opentelemetry.flush_interval_ms": 100, "tracing.opentelemetry.min_flush_spans": 1});
    World::with(config, |setup| {
        setup
            .connection_manager(json!({"tracing": {"provider": tracer}}))
            .bootstrap_fields(
                &json!({"layered_runtime": {"layers": [{"name": "soon", "static_layer": soon}]}}),
            )
            .cluster("collector", Some(collector.address))
            .log_field("trace", "%FILTER_STATE(wasm.gatehouse.trace_id:PLAIN)%")
            .log_field("span", "%FILTER_STATE(wasm.gatehouse.span_id:PLAIN)%")
            .log_field("envoys_trace", "%TRACE_ID%")
    })
}

/// A span as the collector shows it.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    service: String,
    trace: String,
    parent: String,
    id: String,
}

/// The collector's spans by their own ids, once these are there.
fn spans(collector: &Collector, ids: &[&str]) -> Vec<Span> {
    for id in ids {
        collector.wait_for(&format!("ID             : {id}"), 1);
    }
    let (output, mut service, mut spans) = (collector.output(), String::new(), Vec::new());
    let mut fields = [String::new(), String::new()];
    for line in output.lines() {
        let Some((name, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim().to_owned();
        match name.trim() {
            "-> service.name" => service = value.trim_start_matches("Str(").replace(')', ""),
            "Trace ID" => fields[0] = value,
            "Parent ID" => fields[1] = value,
            "ID" => {
                let [trace, parent] = fields.clone();
                spans.push(Span { service: service.clone(), trace, parent, id: value });
            }
            _ => {}
        }
    }
    spans
}

fn span(service: &str, trace: &str, parent: &str, id: &str) -> Span {
    let [service, trace, parent, id] = [service, trace, parent, id].map(str::to_owned);
    Span { service, trace, parent, id }
}

/// Nothing is lost: the upstream's parent is a span that the tracer has recorded, and its parent is the
/// client's.
#[test]
fn with_span_keep_the_tracers_span_is_the_one_between() {
    let collector = Collector::start();
    let config = json!({"span": "keep", "inject": ["w3c", "b3"]});
    let world = beside(config, &collector);
    let (received, _) = world.send(&[("traceparent", PARENT), ("tracestate", "foo=1")]);
    let (trace, id, flags) = parent(&received);
    assert_eq!((&*trace, &*flags), (TRACE, "01"));
    assert_eq!(received.header("tracestate").as_deref(), Some("foo=1"));
    assert_eq!(spans(&collector, &[&id]), [span("envoy", TRACE, SPAN, &id)]);
    // The other forms, which the tracer does not write, name the client's span: nobody's child is lost.
    let b3 = format!("{TRACE}-{SPAN}-1");
    assert_eq!(received.header("b3"), Some(b3));
    let line = &world.envoy.access_log(1)[0];
    assert_eq!((&line["trace"], &line["span"]), (&json!(TRACE), &json!(SPAN)));
    assert_eq!(line["envoys_trace"], TRACE);
}

/// With a span of the filter's own there are two of the proxy's, and the upstream's parent is the tracer's.
#[test]
fn the_tracers_traceparent_overwrites_ours() {
    let collector = Collector::start();
    let config = json!({
        "sampling": {"root": "always"},
        "export": {"cluster": "collector", "interval": "100ms", "service": "gatehouse"},
    });
    let world = beside(config, &collector);
    let (received, _) = world.send(&[("traceparent", PARENT)]);
    let (trace, id, _) = parent(&received);
    let line = world.envoy.access_log(1).remove(0);
    let own = line["span"].as_str().unwrap();
    assert_eq!((&*trace, &line["trace"]), (TRACE, &json!(TRACE)));
    assert_ne!(id, own);
    let mut spans = spans(&collector, &[&id, own]);
    spans.sort_by(|one, other| one.service.cmp(&other.service));
    let expected = [span("envoy", TRACE, SPAN, &id), span("gatehouse", TRACE, SPAN, own)];
    assert_eq!(spans, expected, "two of the proxy's, side by side");
}

/// The tracer has drawn its id before the filter runs, and neither tells the other.
#[test]
fn a_trace_that_starts_here_has_two_ids() {
    let collector = Collector::start();
    let world = beside(json!({"span": "keep"}), &collector);
    let (trace, id, _) = parent(&world.send(&[]).0);
    let line = world.envoy.access_log(1).remove(0);
    assert_eq!(line["envoys_trace"], json!(trace), "the upstream has the tracer's");
    assert_ne!(line["trace"], json!(trace));
    assert_eq!(spans(&collector, &[&id]), [span("envoy", &trace, "", &id)]);
}

/// What `trust` does not let in, the tracer has read already.
#[test]
fn trust_does_not_bind_the_tracer() {
    let collector = Collector::start();
    let world = beside(json!({"trust": "never"}), &collector);
    let (received, _) = world.send(&[("traceparent", PARENT)]);
    let (trace, id, _) = parent(&received);
    assert_eq!(trace, TRACE);
    assert_eq!(spans(&collector, &[&id]), [span("envoy", TRACE, SPAN, &id)]);
    assert_ne!(world.envoy.access_log(1)[0]["trace"], TRACE);
}
