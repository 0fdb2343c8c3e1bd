//! What is seen of a request: traces and lines.

use serde_json::{Value, json};
use tests::envoy::Setup;
use tests::upstream::{Answer, Upstream};

use crate::load::Load;
use crate::plan::{Section, Target, Variant, bare};

/// A trace that goes on: every request of the load has a `traceparent`, of a trace that is recorded.
pub(super) fn trace(requests: u32) -> Section {
    let collector = collector();
    let ours = |name, config| Variant::ours(name, bare().filter("trace-context", config));
    let above = |variant: Variant| variant.target(Target::Above("empty", 3.0));
    let all = ["w3c", "b3", "jaeger", "datadog", "xray", "google"];
    let exporting = Variant::ours(
        "trace-context, spans exported",
        to_collector(bare().filter("trace-context", exporting()), &collector),
    );
    Section::new(
        "A trace goes on from the client; what is done once a second counts too.",
        Load::same(&[], requests).and_after(),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's tracer (OpenTelemetry)", tracer(bare(), &collector))
                .stat("tracing.opentelemetry.spans_sent"),
            Variant::empty(),
            Variant::floor(bare(), "settings trace"),
            above(ours("trace-context, as it is", json!({}))),
            above(ours("trace-context, no overrides", json!({"route_overrides": false}))),
            above(ours(
                "trace-context, W3C and B3",
                json!({"extract": all, "inject": ["w3c", "b3"]}),
            )),
            exporting.counts("trace-context.spans"),
        ],
    )
    .with(collector)
}

/// The configuration with which every span goes to the collector, in the second after it ended.
pub(super) fn exporting() -> Value {
    json!({"export": {"cluster": "collector", "service": "edge", "max_queue": 65_536, "max_batch": 4096}})
}

/// Something that takes spans.
pub(super) fn collector() -> Upstream {
    let kind = ("content-type".to_owned(), "application/x-protobuf".to_owned());
    Upstream::answering(move |_| Answer::Http(200, vec![kind.clone()], Vec::new()))
}

pub(super) fn to_collector(setup: Setup, collector: &Upstream) -> Setup {
    setup.cluster("collector", Some(collector.address()))
}

/// Envoy's own tracer, as in `envoy/complete.yaml`.
pub(super) fn tracer(setup: Setup, collector: &Upstream) -> Setup {
    let uri = json!({"uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "1s"});
    let tracing = json!({"tracing": {"provider": {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
            "service_name": "edge",
            "http_service": {"http_uri": uri},
        },
    }}});
    to_collector(setup.connection_manager(tracing), collector)
}

/// A trace that is not recorded asks for no line.
pub(super) fn line_kept_back(requests: u32) -> Section {
    let unrecorded = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let telemetry = bare().filter("telemetry", json!({}));
    Section::new(
        "Nothing asks for a line; exchanges are counted. What is done once a second counts too.",
        Load::same(&[unrecorded.to_owned()], requests).and_after(),
        vec![
            Variant::no_filter(),
            Variant::empty(),
            Variant::floor(bare(), "line"),
            Variant::ours("telemetry, as it is", telemetry).target(Target::Above("empty", 5.0)),
        ],
    )
}

/// A trace that is recorded asks for a whole line.
pub(super) fn line(requests: u32) -> Section {
    let telemetry = || bare().filter("telemetry", json!({}));
    Section::new(
        "A recorded trace asks for a line of each exchange. What is done once a second counts too.",
        Load::same(&[], requests).and_after(),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's access log, JSON", access_log(bare())),
            Variant::empty(),
            Variant::ours("telemetry, for filter state", telemetry())
                .target(Target::Above("empty", 5.0)),
            Variant::ours("telemetry, in the access log", lines(telemetry())),
        ],
    )
}

/// Envoy's own access log, with the fields of `envoy/complete.yaml` that it knows by itself.
pub(super) fn access_log(setup: Setup) -> Setup {
    to_file(
        setup,
        json!({"json_format": {
            "time": "%START_TIME%",
            "method": "%REQ(:METHOD)%",
            "path": "%PATH(NQ)%",
            "protocol": "%PROTOCOL%",
            "status": "%RESPONSE_CODE%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "flags": "%RESPONSE_FLAGS%",
            "duration": "%DURATION%",
            "received": "%BYTES_RECEIVED%",
            "sent": "%BYTES_SENT%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "trace_id": "%TRACE_ID%",
            "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            "upstream": "%UPSTREAM_CLUSTER%",
        }}),
    )
}

/// The lines of `telemetry`.
pub(super) fn lines(setup: Setup) -> Setup {
    let line = "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%\n";
    to_file(setup, json!({"text_format_source": {"inline_string": line}}))
}

fn to_file(setup: Setup, format: Value) -> Setup {
    setup.connection_manager(json!({"access_log": [{
        "name": "file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "{folder}/lines.log",
            "log_format": format,
        },
    }]}))
}
