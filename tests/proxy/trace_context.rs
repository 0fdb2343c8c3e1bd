//! `trace-context` in the real Envoy: each of its rules.

mod beside;
mod collector;
mod differential;
mod operation;
mod settings;
mod w3c;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::client::{Connection, Request, Response};
use tests::envoy::{Envoy, Setup};
use tests::tokens::now;
use tests::upstream::{Answer, Received, Upstream};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct World {
    envoy: Envoy,
    upstream: Upstream,
}

impl World {
    fn new(config: Value) -> Self {
        Self::with(config, |setup| setup)
    }

    fn with(config: Value, more: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start();
        let setup = Setup::new().filter("trace-context", config).upstream(&upstream);
        Self { envoy: more(setup).start(), upstream }
    }

    fn send(&self, headers: &[(&str, &str)]) -> (Received, Response) {
        let request = Request::get("/users/7?full=yes");
        let request = headers.iter().fold(request, |request, (n, v)| request.header(n, v));
        let answer = request.send(self.envoy.address());
        assert_eq!(answer.status, 200, "{answer}");
        (self.upstream.last(), answer)
    }
}

/// `(trace, span, flags)` of the one `traceparent` there is.
#[track_caller]
fn parent(received: &Received) -> (String, String, String) {
    let values = received.all("traceparent");
    assert_eq!(values.len(), 1, "{values:?}");
    let value = String::from_utf8(values[0].to_vec()).unwrap();
    let fields: Vec<_> = value.split('-').map(str::to_owned).collect();
    assert_eq!((fields.len(), &*fields[0], value.len()), (4, "00", 55), "{value}");
    (fields[1].clone(), fields[2].clone(), fields[3].clone())
}

#[test]
fn with_nothing_said_it_is_w3c_in_and_out() {
    let world = World::new(json!({}));
    let (received, answer) = world.send(&[("traceparent", PARENT), ("tracestate", "foo=1")]);
    let (trace, span, flags) = parent(&received);
    assert_eq!(
        (&*trace, &*flags, received.header("tracestate").as_deref()),
        (TRACE, "01", Some("foo=1"))
    );
    assert_ne!(span, SPAN);
    assert_eq!(answer.header("traceresponse"), None);
    let (received, _) = world.send(&[]);
    assert_eq!(received.header("tracestate"), None);
    let (trace, _, flags) = parent(&received);
    assert!(trace != TRACE && ["02", "03"].contains(&&*flags), "{flags}");
}

#[test]
fn all_workers_draw_ids_of_their_own() {
    let world = World::with(json!({}), |setup| setup.workers(4));
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        // Each on a connection of its own, so that all workers get some.
        let (trace, span, _) = parent(&world.send(&[]).0);
        assert!(seen.insert(trace) && seen.insert(span));
    }
}

#[test]
fn nothing_of_a_sender_who_is_not_trusted_reaches_the_upstream() {
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "secret=1"),
        ("baggage", "secret=1"),
        ("B3", "1"),
        ("X-B3-Flags", "1"),
        ("uber-trace-id", "1:2:0:3"),
        ("uberctx-secret", "1"),
        ("x-datadog-tags", "secret"),
        ("x-amzn-trace-id", "Root=1-0af76519-16cd43dd8448eb211c80319c"),
        ("x-cloud-trace-context", TRACE),
    ];
    for trust in [json!("never"), json!({"addresses": ["203.0.113.0/24"]})] {
        let world = World::new(json!({"trust": trust, "clear": false}));
        let (received, _) = world.send(&headers);
        assert_ne!(parent(&received).0, TRACE);
        let names: Vec<_> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        let left = received.headers.iter().filter(|(name, _)| names.contains(name)).count();
        assert_eq!(left, 1, "the traceparent: {:?}", received.headers);
        assert_eq!(world.envoy.counted("trace-context.untrusted"), 1);
    }
    let world = World::new(json!({"trust": {"addresses": ["127.0.0.0/8"]}}));
    assert_eq!(parent(&world.send(&headers).0).0, TRACE);
}

#[test]
fn trust_goes_by_the_address_that_envoy_believes() {
    let connection = json!({"use_remote_address": true, "xff_num_trusted_hops": 1});
    let world = World::with(json!({"trust": {"addresses": ["10.0.0.0/8"]}}), |setup| {
        setup.connection_manager(connection)
    });
    let trusts = |forwarded: &str| {
        let (received, _) = world.send(&[("traceparent", PARENT), ("x-forwarded-for", forwarded)]);
        parent(&received).0 == TRACE
    };
    assert!(trusts("10.1.2.3") && trusts("203.0.113.1, 10.1.2.3"));
    assert!(!trusts("203.0.113.1") && !trusts("10.1.2.3, 203.0.113.1"));
}

#[test]
fn two_a_second_are_recorded_of_all_workers_together() {
    let world =
        World::with(json!({"sampling": {"root": {"per_second": 5}}}), |setup| setup.workers(4));
    let start = std::time::Instant::now();
    let mut recorded = 0;
    let mut connections: Vec<_> =
        (0..8).map(|_| Connection::open(world.envoy.address()).unwrap()).collect();
    let mut sent = 0_u32;
    while start.elapsed().as_secs() < 6 {
        for connection in &mut connections {
            connection.send(&Request::get("/")).unwrap();
            sent += 1;
        }
        recorded += world.upstream.received().iter().filter(|r| parent(r).2 == "03").count();
        world.upstream.clear();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let seconds = start.elapsed().as_secs_f64();
    let most = 10.0 + 5.0 * (seconds + 1.0);
    assert!(f64::from(sent) > 20.0 * seconds, "{sent} requests show nothing");
    assert!(recorded >= 15 && (recorded as f64) < most, "{recorded} of {sent} in {seconds} s");
}

#[test]
fn the_access_log_and_filters_behind_know_the_trace() {
    let rbac = json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {"ours": {
            "permissions": [{"any": true}],
            "principals": [{"filter_state": {"key": "wasm.gatehouse.trace_id", "string_match": {"exact": TRACE}}}],
        }}},
    }});
    let world = World::with(json!({"inject": ["b3"]}), |setup| {
        setup
            .native(rbac)
            .log_field("trace_id", "%FILTER_STATE(wasm.gatehouse.trace_id:PLAIN)%")
            .log_field("span_id", "%FILTER_STATE(wasm.gatehouse.span_id:PLAIN)%")
            .log_field("traceparent", "%FILTER_STATE(wasm.gatehouse.traceparent:PLAIN)%")
    });
    let (received, _) = world.send(&[("traceparent", PARENT)]);
    let line = &world.envoy.access_log(1)[0];
    let span = line["span_id"].as_str().unwrap();
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["traceparent"], format!("00-{TRACE}-{span}-01"));
    assert_eq!(received.header("b3"), Some(format!("{TRACE}-{span}-1")));
    assert_eq!(Request::get("/").send(world.envoy.address()).status, 403, "another trace");
}

#[test]
fn calls_of_other_filters_carry_the_trace() {
    let asked = Upstream::answering(|request| match request.target.as_str() {
        "/again" => Answer::status(202, ""),
        _ => Answer::ok("yes"),
    });
    let with_ask = |setup: Setup| {
        setup.filter("ask", json!({"timeout": "5s"})).cluster("asked", Some(asked.address()))
    };
    let world = World::with(json!({"inject": ["b3"]}), with_ask);
    world.send(&[("traceparent", PARENT), ("x-ask", "asked/yes")]);
    let (trace, span, flags) = parent(&asked.last());
    assert_eq!((&*trace, &*flags), (TRACE, "01"));
    let b3 = world.upstream.last().header("b3").unwrap();
    assert_eq!(b3, format!("{TRACE}-{span}-1"), "the same span is its parent");
    // A second call in a row, too.
    asked.clear();
    let request = Request::get("/").header("traceparent", PARENT).header("x-ask", "asked/again");
    request.send(world.envoy.address());
    assert!(asked.count() > 1 && asked.received().iter().all(|call| parent(call).0 == TRACE));
    // Without trace-context in front, what a client says of a trace is not repeated.
    let upstream = Upstream::start();
    let alone = with_ask(Setup::new()).upstream(&upstream).start();
    let request = Request::get("/").header("traceparent", PARENT).header("x-ask", "asked/yes");
    assert_eq!(request.send(alone.address()).status, 200);
    assert_eq!(asked.last().header("traceparent"), None);
}

/// A call that many requests may wait for is that of the first.
#[test]
fn calls_that_a_request_only_gives_rise_to_carry_its_trace() {
    let active = json!({"active": true, "iss": "https://idp.example", "aud": "api", "sub": "alice", "token_type": "Bearer",
        "exp": now() + 600});
    let endpoint = Upstream::answering(move |_| Answer::json(&active));
    let introspection = json!({
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
        "client": {"id": "gate", "secret": "s"},
        "issuer": "https://idp.example", "audiences": ["api"],
    });
    let world = World::with(json!({}), |setup| {
        setup.filter("token-introspection", introspection).cluster("idp", Some(endpoint.address()))
    });
    let (received, _) = world.send(&[("traceparent", PARENT), ("authorization", "Bearer t0ken")]);
    assert_eq!(endpoint.count(), 1);
    assert_eq!(parent(&endpoint.last()), parent(&received), "the same span is its parent");
}

#[test]
fn the_client_is_told_of_the_trace_and_the_request_id() {
    let config = json!({"response": {"traceresponse": true}, "request_id": {"max_bytes": 16}});
    let preserve = json!({"preserve_external_request_id": true});
    let world = World::with(config, |setup| setup.connection_manager(preserve));
    let (received, answer) =
        world.send(&[("traceparent", PARENT), ("x-request-id", "0123456789abcdef-and-more")]);
    assert_eq!(answer.header("traceresponse"), received.header("traceparent"));
    assert_eq!(answer.header("x-request-id").as_deref(), Some("0123456789abcdef"));
    assert_eq!(received.header("x-request-id").as_deref(), Some("0123456789abcdef"));
    let (received, answer) = world.send(&[("x-request-id", "a b")]);
    let id = received.header("x-request-id").unwrap();
    assert_eq!((id.len(), answer.header("x-request-id")), (36, Some(id)));
    // Envoy has made one of its own where the client has none, and that is kept.
    let (received, answer) = world.send(&[]);
    assert_eq!(received.header("x-request-id"), answer.header("x-request-id"));
}

#[test]
fn the_client_is_told_where_another_filter_answers_too() {
    let deny = json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "DENY", "policies": {"all": {
            "permissions": [{"any": true}], "principals": [{"any": true}],
        }}},
    }});
    let config = json!({"response": {"traceresponse": true}, "request_id": {}});
    let world = World::with(config, |setup| setup.native(deny));
    let answer = Request::get("/").header("traceparent", PARENT).send(world.envoy.address());
    assert_eq!(answer.status, 403);
    assert!(answer.header("traceresponse").unwrap().starts_with(&format!("00-{TRACE}-")));
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn baggage_and_state_are_one_header_each() {
    let world = World::new(json!({"baggage": {"allow": ["tenant", "user.*"]}}));
    let (received, _) = world.send(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("tracestate", ""),
        ("tracestate", "b=2"),
        ("baggage", "tenant=acme, secret=1"),
        ("baggage", "user.id=7"),
    ]);
    assert_eq!(received.all("tracestate"), [b"a=1,b=2"]);
    assert_eq!(received.all("baggage"), [b"tenant=acme,user.id=7"]);
    assert_eq!(world.envoy.counted("trace-context.baggage_dropped"), 1);
}

#[test]
fn a_route_has_settings_of_its_own() {
    let metadata = json!({"filter_metadata": {"gatehouse": {"trace-context": {"trust": "never"}}}});
    let world = World::with(json!({}), |setup| {
        setup.route(json!({
            "match": {"prefix": "/", "headers": [{"name": "x-edge", "present_match": true}]},
            "route": {"cluster": "upstream"},
            "metadata": metadata,
        }))
    });
    assert_eq!(parent(&world.send(&[("traceparent", PARENT)]).0).0, TRACE);
    assert_ne!(parent(&world.send(&[("traceparent", PARENT), ("x-edge", "1")]).0).0, TRACE);
}

#[test]
fn whatever_the_headers_hold_the_request_goes_on() {
    let world = World::new(json!({
        "extract": ["w3c", "b3", "jaeger", "datadog", "xray", "google"],
        "inject": ["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"],
        "request_id": {"accept": "always"},
    }));
    let mut connection = Connection::open(world.envoy.address()).unwrap();
    let high: Vec<u8> = (0x80..=0xff).collect();
    let long = "0-".repeat(10_000);
    for name in [
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-sampled",
        "uber-trace-id",
        "uberctx-x",
        "x-datadog-trace-id",
        "x-datadog-tags",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-request-id",
    ] {
        for value in
            [high.as_slice(), b"", b"-", b"00-", b"%", b"=", b";;;", b",,,", b"0", long.as_bytes()]
        {
            let request = Request::get("/").header(name, value).header(name, value);
            let answer = connection.send(&request).unwrap();
            assert_eq!(answer.status, 200, "{name}");
            parent(&world.upstream.last());
        }
    }
}

#[test]
fn a_wrong_configuration_is_refused() {
    let setup = Setup::new().filter("trace-context", json!({"inject": ["zipkin"]}));
    let error = setup.configuration_error();
    assert!(
        error.starts_with("inject[0].zipkin: unknown variant")
            || error.starts_with("inject[0]: unknown variant"),
        "{error}"
    );
}
