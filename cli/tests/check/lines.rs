//! The lines of `telemetry`, and whether anything prints them.

use crate::envoy::GOOD;
use crate::{lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

/// `GOOD` with `telemetry` in front, set to this, and an access log of these loggers.
fn telling(config: &str, loggers: &str) -> String {
    let filter = format!(
        r#"          - name: telemetry
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config: # of telemetry
                name: telemetry
                failure_policy: FAIL_RELOAD
                vm_config: {{ code: {{ local: {{ filename: dist/telemetry.wasm }} }} }}
                {config}
"#
    );
    let text = with(GOOD, "          - name: jwt\n", &format!("{filter}          - name: jwt\n"));
    let log = format!("stat_prefix: main\n          access_log: [ {loggers} ]\n");
    with(&text, "stat_prefix: main\n", &log)
}

/// The configuration of `telemetry`.
fn value(value: &str) -> String {
    let kind = "type.googleapis.com/google.protobuf.Struct";
    format!("configuration: {{ \"@type\": {kind}, value: {{ {value} }} }}")
}

#[test]
fn lines_that_nobody_prints_are_told_of() {
    let found = "warning[unprinted-lines]";
    let json = r#"{ name: all, typed_config: { log_format: { json_format: { status: "%RESPONSE_CODE%" } } } }"#;
    let filter =
        r#"{ filter: { expression: "'wasm.gatehouse.log' in filter_state" }, typed_config: {} }"#;
    for loggers in ["", json, filter] {
        triggers(&telling(&value("lines: asked"), loggers), ALLOW_UNSET, found, "lines: asked");
        let output = value("output: access_log");
        triggers(&telling(&output, loggers), ALLOW_UNSET, found, "output: access_log");
        // Nothing is said of it at all.
        triggers(&telling("", loggers), ALLOW_UNSET, found, "# of telemetry");
    }
    let chained = telling(&value("chain: [ { telemetry: { lines: all } } ]"), json);
    let chained = with(&chained, "dist/telemetry.wasm", "dist/gatehouse.wasm");
    triggers(&chained, ALLOW_UNSET, found, "lines: all");
}

#[test]
fn lines_that_somebody_prints_are_well() {
    let lacks = |config: &str, loggers: &str| {
        lacks(&telling(config, loggers), ALLOW_UNSET, "unprinted-lines");
    };
    let format = |format: &str| format!("{{ typed_config: {{ log_format: {{ {format} }} }} }}");
    let printed =
        r#"text_format_source: { inline_string: "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%\n" }"#;
    lacks("", &format(printed));
    lacks("", &format(r#"json_format: { line: "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%" }"#));
    lacks("", &format("text_format_source: { filename: /etc/envoy/format }"));
    lacks(
        "",
        "{ typed_config: { common_config: { filter_state_objects_to_log: [wasm.gatehouse.log] } } }",
    );
    for elsewhere in ["output: proxy_log", "output: both", "lines: none"] {
        lacks(&value(elsewhere), "");
    }
}
