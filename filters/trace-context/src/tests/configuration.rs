//! What a configuration may say, and what not.

use super::*;

#[track_caller]
fn refused(config: Value, message: &str) {
    let Err(error) = Bench::<TraceContext>::configure(&config) else {
        panic!("{config} is accepted");
    };
    assert_eq!(error.to_string(), message);
}

#[test]
fn everything_can_be_said() {
    bench(json!({
        "extract": ["w3c", "b3", "jaeger", "datadog", "xray", "google"],
        "inject": ["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"],
        "clear": true,
        "trust": {"addresses": ["10.0.0.0/8"]},
        "span": "new",
        "sampling": {"parent": true, "root": {"per_second": 0.5}},
        "baggage": {"allow": ["tenant", "user.*", "*"], "max_bytes": "8KiB", "max_members": 64},
        "request_id": {"header": "x-request-id", "accept": "trusted", "max_bytes": 128, "echo": true},
        "response": {"traceresponse": true},
        "export": {"cluster": "collector", "protocol": "otlp_http", "host": "collector:4318",
            "path": "/v1/traces", "service": "edge", "version": "1.2.3",
            "resource": {"deployment.environment.name": "prod", "service.instance.id": "pod-7"}, "interval": "1s", "timeout": "2s",
            "max_queue": 100, "max_batch": 10},
        "rules": [{"match": {"paths": ["/x"]}, "sampling": {"root": {"ratio": 0.1}}}],
    }));
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused(json!({"extract": []}), "extract: a list of at least one, and this one is empty");
    refused(json!({"extract": ["w3c", "w3c"]}), "extract: names a form twice");
    for header in ["host", "Authorization", "traceparent", "x-b3-traceid"] {
        refused(
            json!({"request_id": {"header": header}}),
            "request_id.header: is a header that means something else",
        );
    }
    refused(
        json!({"trust": {"addresses": ["10.0.0.1/8"]}}),
        "trust.addresses[0]: `10.0.0.1/8` has bits behind its prefix; `10.0.0.0/8` has none",
    );
    refused(
        json!({"sampling": {"root": {"ratio": 0}}}),
        "sampling.root.ratio: is not more than 0 and at most 1; for none there is `never`",
    );
    refused(
        json!({"sampling": {"root": {"per_second": 0}}}),
        "sampling.root.per_second: is not more than 0 and at most 1000000; for none there is `never`",
    );
    refused(json!({"baggage": {"max_bytes": 0}}), "baggage.max_bytes: a size of zero");
    refused(json!({"baggage": {"max_bytes": "1MiB"}}), "baggage.max_bytes: is more than 64KiB");
    refused(
        json!({"baggage": {"allow": ["a,b"]}}),
        "baggage.allow[0]: `a,b` is not a key such as `tenant` or `user.*`",
    );
    refused(
        json!({"request_id": {"max_bytes": 7}}),
        "request_id.max_bytes: is not between 8 and 1024",
    );
    refused(
        json!({"export": {"cluster": "outbound|80||otel"}}),
        "export.host: missing, and the name of the cluster is no host",
    );
    refused(
        json!({"export": {"cluster": "c", "interval": "1m"}}),
        "export.interval: is not between 100ms and 5s",
    );
    refused(
        json!({"export": {"cluster": "c", "max_queue": 10, "max_batch": 11}}),
        "export.max_batch: more than the queue holds",
    );
    refused(
        json!({"span": "keep", "export": {"cluster": "c"}}),
        "span: `keep` leaves the proxy no span of its own to export",
    );
    refused(
        json!({"rules": [{"match": {"paths": ["/x"]}, "export": {"cluster": "c"}}]}),
        "rules[0].export: is set once, at the top level, and not by a rule",
    );
}

#[test]
fn the_resource_says_what_is_not_set_otherwise_and_so_much() {
    let resource =
        |name: &str, value: &str| json!({"export": {"cluster": "c", "resource": {name: value}}});
    for (name, value, message) in [
        ("service.name", "x", "service.name: is set by `service`"),
        ("service.version", "x", "service.version: is set by `version`"),
        ("telemetry.sdk.name", "x", "telemetry.sdk.name: is for the filter to say"),
        ("a b", "x", "a b: is no name such as `deployment.environment.name`"),
        ("team", "", "team: is empty"),
        ("team", &"x".repeat(257), "team: is longer than 256 bytes"),
    ] {
        refused(resource(name, value), &format!("export.resource.{message}"));
    }
    bench(resource(&"a".repeat(128), &"x".repeat(256)));
    assert!(Bench::<TraceContext>::configure(&resource(&"a".repeat(129), "x")).is_err());
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("a{n}"), json!("x"))).collect();
    refused(
        json!({"export": {"cluster": "c", "resource": many}}),
        "export.resource: more than 32 attributes",
    );
    refused(json!({"export": {"cluster": "c", "version": ""}}), "export.version: is empty");
}

#[test]
fn rules_of_one_rate_share_their_budget() {
    let config = json!({
        "sampling": {"root": {"per_second": 2}},
        "rules": [{"match": {"paths": ["/x"]}, "sampling": {"root": {"per_second": 2}}}],
    });
    let mut bench = bench(config);
    let mut recorded = 0;
    for number in 0..2000 {
        bench.proxy.pass(std::time::Duration::from_millis(10));
        let headers = [(":path", if number % 2 == 0 { "/x" } else { "/y" })];
        let upstream = Upstream::of(&headers, &bench.send(&headers));
        recorded += usize::from(upstream.parent().2 == "03");
    }
    assert!((20..=50).contains(&recorded), "{recorded} in 20 seconds");
    assert_eq!(bench.proxy.shared_keys(), 1);
}
