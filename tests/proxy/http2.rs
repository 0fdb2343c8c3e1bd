//! Authenticators behind HTTP/2, where a request is fields and frames: what Envoy makes of them, and
//! that nothing of it lets anybody through.

use serde_json::json;
use tests::client;
use tests::envoy::{Envoy, Setup};
use tests::http2::{Answer, Connection, Request};
use tests::tokens::{Key, claims, jwks};
use tests::upstream::Upstream;

/// `basic-auth` before an upstream: open on `open.example` alone.
fn basic() -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let config = json!({
        "users": [{"name": "carol", "password": "s"}],
        "rules": [{"match": {"hosts": ["open.example"]}, "mode": "off"}],
    });
    (Setup::new().filter("basic-auth", config).upstream(&upstream).start(), upstream)
}

/// `api-key-auth`, with keys in a header and in a cookie.
fn keys() -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let config = json!({
        "sources": [{"header": "x-api-key"}, {"cookie": "key"}],
        "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme-key-1"}]}],
    });
    (Setup::new().filter("api-key-auth", config).upstream(&upstream).start(), upstream)
}

#[test]
fn who_is_known_passes_and_nobody_else() {
    let (envoy, upstream) = basic();
    let mut connection = Connection::open(envoy.address()).unwrap();
    let mut status = |request: &Request| connection.send(request).unwrap().status;
    assert_eq!(status(&Request::get("/1").basic("carol:s")), Some(200));
    assert_eq!(status(&Request::get("/2")), Some(401));
    assert_eq!(status(&Request::get("/3").basic("carol:x")), Some(401));
    let forged = Request::get("/4").basic("carol:s").field("x-auth-subject", "root");
    assert_eq!(status(&forged.field("x_auth_subject", "root")), Some(200));
    assert_eq!(upstream.last().all("x-auth-subject"), [b"carol"]);
    assert!(upstream.last().all("x_auth_subject").is_empty());
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_field_that_comes_twice_is_not_one() {
    let (envoy, upstream) = basic();
    let twice = Request::get("/").basic("carol:s").basic("carol:s");
    assert_eq!(twice.send(envoy.address()).status, Some(401));
    let one_good = Request::get("/").field("authorization", "Basic").basic("carol:s");
    assert_eq!(one_good.send(envoy.address()).status, Some(401));
    assert_eq!(upstream.count(), 0);
    let (envoy, upstream) = keys();
    let twice = Request::get("/").field("x-api-key", "acme-key-1").field("x-api-key", "x");
    assert_eq!(twice.send(envoy.address()).status, Some(401));
    assert_eq!(upstream.count(), 0);
}

/// RFC 9113, 8.2.3.
#[test]
fn cookies_in_crumbs_are_one_list() {
    let (envoy, upstream) = keys();
    let crumbs = Request::get("/").field("cookie", "a=1").field("cookie", "key=acme-key-1");
    let crumbs = crumbs.field("cookie", "b=2; c=3");
    assert_eq!(crumbs.send(envoy.address()).status, Some(200));
    assert_eq!(upstream.last().header("cookie").as_deref(), Some("a=1; b=2; c=3"));
    let twice = Request::get("/").field("cookie", "key=acme-key-1").field("cookie", "key=x");
    assert_eq!(twice.send(envoy.address()).status, Some(401));
    // A crumb ends where its field does.
    let cut = Request::get("/").field("cookie", "key=acme-").field("cookie", "key-1");
    assert_eq!(cut.send(envoy.address()).status, Some(401));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_session_in_crumbs_is_none_or_whole() {
    let upstream = Upstream::start();
    let config = json!({
        "issuer": "https://idp.example", "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "s3cret"}, "external_url": "https://app.example",
        "session": {"keys": ["q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM="]},
    });
    let envoy = Setup::new()
        .filter("oauth2-login", config)
        .upstream(&upstream)
        .cluster("idp", None)
        .start();
    let crumbs = Request::get("/").field("cookie", "__Host-session=2.x");
    let answer = crumbs.field("cookie", "__Host-session.1=y").send(envoy.address());
    assert!(matches!(answer.status, Some(401 | 503)), "{answer:?}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_host_is_the_authority() {
    let (envoy, upstream) = basic();
    let to = |authority: Option<&str>, host: Option<&str>| {
        let mut request = Request::bare().field(":method", "GET").field(":scheme", "http");
        if let Some(authority) = authority {
            request = request.field(":authority", authority);
        }
        request = request.field(":path", "/");
        if let Some(host) = host {
            request = request.field("host", host);
        }
        request.send(envoy.address())
    };
    assert_eq!(to(Some("open.example"), None).status, Some(200));
    assert_eq!(to(Some("closed.example"), None).status, Some(401));
    // Where they contradict each other, the rule and the upstream go by the same.
    let before = upstream.count();
    let both = to(Some("closed.example"), Some("open.example"));
    assert_ne!(both.status, Some(200), "{both:?}");
    assert_eq!(upstream.count(), before);
    let other = to(Some("open.example"), Some("closed.example"));
    if other.status == Some(200) {
        assert_eq!(upstream.last().header("host").as_deref(), Some("open.example"));
    }
    // Who says no authority may say a host (RFC 9113, 8.3.1).
    let host = to(None, Some("open.example"));
    if host.status == Some(200) {
        assert_eq!(upstream.last().header("host").as_deref(), Some("open.example"));
    }
    assert_ne!(to(None, Some("closed.example")).status, Some(200));
}

#[test]
fn pseudo_headers_that_are_none_never_arrive() {
    let (envoy, upstream) = basic();
    let good = || Request::get("/").basic("carol:s");
    let late = Request::bare().field(":method", "GET").field(":scheme", "http").basic("carol:s");
    let cases = [
        ("path twice", good().field(":path", "/admin")),
        ("method twice", good().field(":method", "POST")),
        ("authority twice", good().field(":authority", "open.example")),
        ("behind a field", late.field(":authority", "a").field(":path", "/")),
        (
            "no path",
            Request::bare().field(":method", "GET").field(":scheme", "http").basic("carol:s"),
        ),
        ("empty path", Request::new("GET", "").basic("carol:s")),
        ("unknown", good().field(":subject", "root")),
        ("a response's", good().field(":status", "200")),
        ("upper case", Request::get("/").field("Authorization", "Basic Y2Fyb2w6cw==")),
        ("a line feed", good().field("x-a", "1\r\nx-auth-subject: root")),
        ("a zero byte", good().field("x-a", "1\0")),
        ("of the connection", good().field("connection", "x-a")),
        ("coded", good().field("transfer-encoding", "chunked")),
    ];
    // At once: Envoy takes its time to close such a connection.
    let to = envoy.address();
    std::thread::scope(|scope| {
        for (what, request) in cases {
            scope.spawn(move || {
                let answer = Connection::open(to).unwrap().send(&request);
                let passed = matches!(answer, Ok(Answer { status: Some(200), .. }));
                assert!(!passed, "{what}: {answer:?}");
            });
        }
    });
    assert_eq!(upstream.count(), 0);
    assert_eq!(good().send(envoy.address()).status, Some(200));
}

#[test]
fn trailers_are_no_headers() {
    let (envoy, upstream) = basic();
    let late = Request::new("POST", "/").part(b"x").trailer("authorization", "Basic Y2Fyb2w6cw==");
    assert_eq!(late.send(envoy.address()).status, Some(401));
    assert_eq!(upstream.count(), 0);
    let good = Request::new("POST", "/").basic("carol:s").part(b"x").part(b"y");
    let good = good.trailer("x-auth-subject", "root").trailer("x-sum", "1");
    assert_eq!(good.send(envoy.address()).status, Some(200));
    assert_eq!(upstream.last().body, b"xy");
    assert_eq!(upstream.last().all("x-auth-subject"), [b"carol"]);
}

#[test]
fn a_refusal_waits_for_no_body() {
    let (envoy, upstream) = basic();
    let answer = Request::new("POST", "/").part(&[b'x'; 9000]).open().send(envoy.address());
    assert_eq!(answer.status, Some(401));
    assert!(String::from_utf8_lossy(&answer.body).contains("Unauthorized"), "{answer:?}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_and_trailers_wait_for_the_keys() {
    let (key, upstream) = (Key::of("p256"), Upstream::start());
    let issuer = Upstream::answering({
        let keys = jwks([&key]).to_string();
        move |_| {
            std::thread::sleep(std::time::Duration::from_millis(300));
            tests::upstream::Answer::status(200, &keys)
        }
    });
    let config = json!({"providers": [{
        "name": "main", "issuer": "https://issuer.example", "audiences": ["api"],
        "algorithms": ["ES256"], "jwks": {"uri": "https://issuer.example/keys", "cluster": "issuer"},
    }]});
    let envoy = Setup::new()
        .filter("jwt-auth", config)
        .upstream(&upstream)
        .cluster("issuer", Some(issuer.address()))
        .start();
    let ask = |token: &str| {
        let request = Request::new("POST", "/").field("authorization", format!("Bearer {token}"));
        request.part(b"in parts, ").part(b"one by one").trailer("x-sum", "1").send(envoy.address())
    };
    let good = key.sign("ES256", &claims("https://issuer.example", "api"));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    assert_eq!(ask(&forged).status, Some(401));
    assert_eq!(upstream.count(), 0);
    assert_eq!(ask(&good).status, Some(200));
    assert_eq!(upstream.last().body, b"in parts, one by one");
    // The same over HTTP/1.1.
    let old = client::Request::get("/").header("authorization", format!("Bearer {good}"));
    assert_eq!(old.send(envoy.address()).status, 200);
}
