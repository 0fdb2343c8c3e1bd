//! What a span is called, and what it says of how the exchange ended.

use super::*;
use crate::export::read;

/// An exchange: what is known of it, and its span.
struct Ended {
    request: Vec<(&'static str, String)>,
    response: Vec<(&'static str, &'static str)>,
    properties: Vec<(&'static [&'static str], Vec<u8>)>,
}

fn http(method: &str, path: &str, status: u64) -> Ended {
    Ended {
        request: vec![(":method", method.into()), (":path", path.into())],
        response: Vec::new(),
        properties: vec![(&["response", "code"], status.to_le_bytes().to_vec())],
    }
}

fn grpc(path: &str, status: &'static str) -> Ended {
    let mut ended = http("POST", path, 200).knowing(&["response", "code_details"], "via_upstream");
    ended.request.push(("content-type", "application/grpc+proto".into()));
    ended.response = vec![("content-type", "application/grpc"), ("grpc-status", status)];
    ended
}

impl Ended {
    fn knowing(mut self, property: &'static [&'static str], value: &str) -> Self {
        self.properties.push((property, value.as_bytes().to_vec()));
        self
    }

    /// The span: name, status and attributes.
    fn span(&self, bench: &mut Bench<TraceContext>) -> String {
        for (path, value) in &self.properties {
            bench.proxy.set_property(path, value);
        }
        let (mut run, _) = bench.begin(&self.request);
        bench.proxy.set_response(&self.response);
        bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut Effects::default());
        for (path, _) in &self.properties {
            bench.proxy.remove_property(path);
        }
        let (id, call) = tick(bench);
        answer(bench, id, 200);
        let (_, mut spans) = read(&call.body);
        assert_eq!(spans.len(), 1);
        spans.remove(0)
    }
}

#[track_caller]
fn check(ended: &Ended, name: &str) -> String {
    named(&mut exporting(), ended, name)
}

#[track_caller]
fn named(bench: &mut Bench<TraceContext>, ended: &Ended, name: &str) -> String {
    let span = ended.span(bench);
    assert_eq!(span.split(" | ").next(), Some(name), "{span}");
    span
}

const SERVICE: &[&str] = &["gatehouse.service"];
const METHOD: &[&str] = &["gatehouse.method"];
const ROUTE: &[&str] = &["xds", "route_name"];

#[test]
fn a_span_goes_by_the_operation_that_the_policy_found() {
    let known = |ended: Ended| ended.knowing(SERVICE, "users").knowing(METHOD, "show");
    let span = check(&known(http("GET", "/users/7", 200)).knowing(ROUTE, "all"), "GET users.show");
    assert!(span.contains("gatehouse.service=users, gatehouse.method=show"), "{span}");
    check(&known(http("BREW", "/users/7", 200)), "HTTP users.show");
    check(&http("GET", "/users", 404).knowing(SERVICE, "users"), "GET users");
    // What upstreams have not answered as theirs goes by the policy's names, too.
    check(&known(grpc("/shop.Orders/Get", "16")), "POST users.show");
}

#[test]
fn a_span_goes_by_its_route_where_no_policy_knows_it_and_never_by_a_path() {
    let span = check(&http("GET", "/users/7", 200).knowing(ROUTE, "users"), "GET users");
    assert!(!span.contains("http.route") && !span.contains("gatehouse."), "{span}");
    check(&http("GET", "/users/7", 200), "GET");
    check(&http("GET", "/users/7", 200).knowing(ROUTE, ""), "GET");
    check(&http("BREW", "/users/7", 200), "HTTP");
}

#[test]
fn a_span_of_grpc_goes_by_the_method_that_an_upstream_has() {
    for status in ["0", "3", "5", "6", "9", "10", "11", "15"] {
        let span = check(&grpc("/shop.Orders/Get", status), "shop.Orders/Get");
        let parts = format!(
            "rpc.system=grpc, rpc.grpc.status_code={status}, \
             {}rpc.service=shop.Orders, rpc.method=Get",
            if status == "15" { "error.type=DATA_LOSS, " } else { "" }
        );
        assert!(span.contains(&parts), "{span}");
    }
    // gRPC's libraries and proxies give these where there is no such method.
    for status in ["1", "2", "4", "7", "8", "12", "13", "14", "16", "17", "-1", "x"] {
        let span = check(&grpc("/shop.Orders/Get", status), "POST");
        assert!(span.contains("rpc.system=grpc") && !span.contains("rpc.service"), "{span}");
    }
}

#[test]
fn a_method_of_grpc_that_is_known_keeps_its_name_when_it_fails() {
    let mut bench = exporting();
    let refused = || {
        let mut ended = grpc("/shop.Orders/Get", "16");
        ended.properties.pop();
        ended.knowing(&["response", "code_details"], "gatehouse.jwt-auth.missing")
    };
    named(&mut bench, &refused(), "POST");
    named(&mut bench, &grpc("/shop.Orders/Get", "0"), "shop.Orders/Get");
    named(&mut bench, &refused(), "shop.Orders/Get");
    named(&mut bench, &http("GET", "/shop.Orders/Get", 200), "GET");
}

#[test]
fn what_the_proxy_itself_answers_makes_no_method_known() {
    let mut ended = grpc("/shop.Orders/Get", "0");
    ended.properties.pop();
    check(&ended, "POST");
    check(&ended.knowing(&["response", "code_details"], "direct_response"), "POST");
}

#[test]
fn what_is_no_method_of_grpc_gives_no_name() {
    let long = format!("/shop.{}/Get", "x".repeat(250));
    for path in
        ["/", "/Get", "//Get", "/shop.Orders/", "/a/b/c", "/a/b?c", "/a/%62", "/a b/c", &long]
    {
        check(&grpc(path, "0"), "POST");
    }
    // Of the response alone, and of the request alone.
    let mut ended = grpc("/shop.Orders/Get", "0");
    ended.response.remove(0);
    let span = check(&ended, "POST");
    assert!(span.contains("rpc.system") && !span.contains("rpc.grpc.status_code"), "{span}");
    let mut ended = grpc("/shop.Orders/Get", "0");
    ended.request.pop();
    assert!(!check(&ended, "POST").contains("rpc."));
}

#[test]
fn so_many_methods_of_grpc_are_remembered() {
    let mut bench = exporting();
    for number in 0..512 {
        let name = format!("shop.Orders/M{number}");
        named(&mut bench, &grpc(&format!("/{name}"), "0"), &name);
    }
    named(&mut bench, &grpc("/shop.Orders/More", "0"), "POST");
    named(&mut bench, &grpc("/shop.Orders/M7", "14"), "shop.Orders/M7");
}

#[test]
fn a_failure_is_an_error() {
    let mut bench = exporting();
    let details: &[&str] = &["response", "code_details"];
    for status in [500, 503, 599] {
        let span = http("GET", "/", status).knowing(details, "upstream_reset").span(&mut bench);
        assert!(span.contains("| error `upstream_reset` |"), "{span}");
        assert!(span.contains(&format!("error.type={status}")), "{span}");
    }
    for status in [200, 302, 400, 404, 499] {
        let span = http("GET", "/", status).knowing(details, "x").span(&mut bench);
        assert!(span.contains("| unset |") && !span.contains("error.type"), "{span}");
    }
    assert!(http("GET", "/", 0).span(&mut bench).contains("error.type=no_response"));
}

#[test]
fn a_failure_of_grpc_is_an_error_over_http_200() {
    let mut bench = exporting();
    for (status, name) in [
        ("2", "UNKNOWN"),
        ("4", "DEADLINE_EXCEEDED"),
        ("12", "UNIMPLEMENTED"),
        ("13", "INTERNAL"),
        ("14", "UNAVAILABLE"),
        ("15", "DATA_LOSS"),
        ("nonsense", "UNKNOWN"),
    ] {
        let span = grpc("/a.B/C", status).span(&mut bench);
        assert!(span.contains("| error `via_upstream` |"), "{span}");
        assert!(span.contains(&format!("error.type={name}")), "{span}");
    }
    for status in ["0", "1", "3", "5", "6", "7", "8", "9", "10", "11", "16", "99"] {
        let span = grpc("/a.B/C", status).span(&mut bench);
        assert!(span.contains("| unset |") && !span.contains("error.type"), "{span}");
    }
    // It came in the trailers, or never came.
    let trailers: &[&str] = &["response", "grpc_status"];
    let mut ended = grpc("/a.B/C", "0");
    ended.response.pop();
    assert!(ended.span(&mut bench).contains("rpc.grpc.status_code=2"));
    ended.properties.push((trailers, 14_u64.to_le_bytes().to_vec()));
    assert!(ended.span(&mut bench).contains("error.type=UNAVAILABLE"));
}

#[test]
fn who_makes_the_spans_is_as_configured() {
    let resource = |more: Value| {
        let mut export = json!({"cluster": "collector"});
        export.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut bench = bench(json!({"sampling": {"root": "always"}, "export": export}));
        exchange(&mut bench, &[], 200);
        read(&tick(&mut bench).1.body).0
    };
    let sdk = format!(
        "telemetry.sdk.name=gatehouse, telemetry.sdk.language=rust, telemetry.sdk.version={}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(resource(json!({})), format!("service.name=unknown_service:envoy, {sdk}"));
    let more = json!({
        "service": "edge",
        "version": "1.2.3",
        "resource": {"deployment.environment.name": "prod", "service.instance.id": "pod-7"},
    });
    assert_eq!(
        resource(more),
        format!(
            "deployment.environment.name=prod, service.instance.id=pod-7, service.name=edge, \
             service.version=1.2.3, {sdk}"
        )
    );
}

#[test]
fn nothing_is_asked_of_what_is_not_exported() {
    let mut bench = exporting();
    for sent in 0..=4 {
        let (mut run, _) = bench.begin::<&str, &str>(&[]);
        let before = bench.proxy.reads().len();
        bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut Effects::default());
        let is_asked = bench.proxy.reads().len() > before;
        assert_eq!(is_asked, sent < 4, "the queue holds four: {sent}");
    }
    let parent = PARENT.replace("-01", "-00");
    let (mut run, _) = bench.begin(&[("traceparent", &parent)]);
    let before = bench.proxy.reads().len();
    bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut Effects::default());
    assert_eq!(bench.proxy.reads().len(), before);
}
