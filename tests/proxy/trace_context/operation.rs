//! What the proxy's own spans are called, as a collector receives them.

use tests::grpc::{Grpc, Reply, framed, head};

use super::collector::Collector;
use super::*;

fn tracing() -> Value {
    json!({
        "sampling": {"root": "always"},
        "export": {
            "cluster": "collector",
            "interval": "100ms",
            "version": "1.2.3",
            "resource": {"deployment.environment.name": "prod"},
        },
    })
}

fn policy() -> Value {
    let show = json!({"name": "show", "match": {"methods": ["GET"], "paths": ["/users/{id}"]}, "security": "none"});
    let update =
        json!({"name": "update", "match": {"methods": ["PUT"], "paths": ["/users/{id}/name"]}});
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}},
        "security": [{"key": []}],
        "services": [{"name": "users", "methods": [show, update]}],
    })
}

#[test]
fn a_span_goes_by_what_the_proxy_knows_of_the_operation() {
    let collector = Collector::start();
    let upstream = Upstream::start();
    let named = json!({
        "name": "listing",
        "match": {"path": "/list"},
        "direct_response": {"status": 200},
    });
    let envoy = Setup::new()
        .filter("trace-context", tracing())
        .filter("access-policy", policy())
        .route(named)
        .upstream(&upstream)
        .cluster("collector", Some(collector.address))
        .start();
    for (method, path, status, name) in [
        ("GET", "/users/7", 200, "GET users.show"),
        ("PUT", "/users/7/name", 503, "PUT users.update"),
        ("GET", "/list", 404, "GET listing"),
        ("GET", "/elsewhere/1", 404, "GET"),
    ] {
        assert_eq!(Request::new(method, path).send(envoy.address()).status, status);
        collector.is_called(path, 1, name);
    }
    let output = collector.output();
    for part in [
        "gatehouse.service: Str(users)",
        "gatehouse.method: Str(show)",
        "service.version: Str(1.2.3)",
        "deployment.environment.name: Str(prod)",
    ] {
        assert!(output.contains(part), "no {part} in:\n{output}");
    }
    assert!(!output.contains("http.route"), "{output}");
}

#[test]
fn a_span_of_grpc_goes_by_its_method_and_a_failure_over_http_200_is_one() {
    let collector = Collector::start();
    let upstream = Grpc::answering(|message| match message {
        b"fail" => {
            let trailers = vec![("grpc-status", "13".into())];
            Reply::Http(head(), framed(b"some"), trailers)
        }
        b"reset" => Reply::Reset,
        b"nothing" => Reply::status("12"),
        _ => Reply::message(b"done"),
    });
    let envoy = Setup::new()
        .filter("trace-context", tracing())
        .cluster_of_grpc("upstream", Some(upstream.address()))
        .cluster("collector", Some(collector.address))
        // Each worker knows the methods that it has seen answered.
        .workers(1)
        .start();
    let call = |path: &str, message: &[u8]| {
        let request = Request::new("POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(&framed(message));
        assert_eq!(request.send(envoy.address()).status, 200);
    };
    call("/shop.Orders/List", b"nothing");
    assert!(collector.is_called("/shop.Orders/List", 1, "POST").contains("UNIMPLEMENTED"));
    call("/shop.Orders/Get", b"");
    let well = collector.is_called("/shop.Orders/Get", 1, "shop.Orders/Get");
    assert!(!well.contains("error.type"), "{well}");
    for (message, times, error) in [(&b"fail"[..], 2, "INTERNAL"), (b"reset", 3, "UNAVAILABLE")] {
        call("/shop.Orders/Get", message);
        let failed = collector.is_called("/shop.Orders/Get", times, "shop.Orders/Get");
        for part in [
            "STATUS_CODE_ERROR",
            &format!("error.type: Str({error})"),
            "rpc.grpc.status_code",
            "Str(shop.Orders)",
        ] {
            assert!(failed.contains(part), "no {part} in:\n{failed}");
        }
    }
}
