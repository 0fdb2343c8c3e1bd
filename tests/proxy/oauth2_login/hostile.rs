//! Ten thousand hostile requests through `oauth2-login`.

use super::*;
use crate::hostile::{Case, case, high_bytes, large, send_all, vms};

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases(session: &str, attempt: &str, state: &str) -> Vec<Case> {
    let good = || Request::get("/").header("cookie", session);
    let cookie = |value: &[u8]| Request::get("/").header("cookie", value);
    let back = |query: &str| {
        let path = format!("{CALLBACK}?{}", query.replace("STATE", state));
        Request::bare("GET", path.as_bytes())
            .header("host", "app.example")
            .header("cookie", attempt)
    };
    let iss = "iss=https%3A%2F%2Fidp.example";
    let out = |method: &str| Request::new(method, "/oauth2/logout").header("cookie", session);
    let connect = Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443");
    let many = (0..40).map(|n| format!("__Host-session.login.{n}=x")).collect::<Vec<_>>();
    vec![
        case("good", good(), 200, true),
        case("good, forged names", good().header("x-auth-subject", high_bytes()), 200, true),
        case("good, high bytes", good().header("x-high", high_bytes()), 200, true),
        case("good, many cookies", good().header("cookie", "x=1;".repeat(5000)), 200, true),
        case("good, large", large(good()), 200, true),
        case(
            "good, path",
            Request::bare("GET", b"/%zz/%ff//..;/%00")
                .header("host", "h")
                .header("cookie", session),
            200,
            true,
        ),
        case(
            "good, body",
            Request::new("POST", "/").header("cookie", session).body(&[b'x'; 20_000]),
            200,
            true,
        ),
        case("none", Request::get("/"), 303, false),
        case("none, of a program", Request::get("/api/x"), 401, false),
        case("none, body", Request::new("POST", "/").body(&[b'x'; 20_000]), 401, false),
        case("none, large", large(Request::get("/")), 303, false),
        // Envoy by itself.
        case(
            "none, high bytes",
            Request::bare("GET", b"/\xff\xfe").header("host", "h"),
            400,
            false,
        ),
        case("connect", connect, 401, false),
        case("cut", cookie(session.split_at(session.len() / 2).0.as_bytes()), 303, false),
        case("twice", cookie(format!("{session}; {session}").as_bytes()), 303, false),
        case("high bytes in it", cookie(b"__Host-session=1.\xff\x80"), 303, false),
        case("high bytes as cookies", cookie(&high_bytes()), 303, false),
        case(
            "long",
            cookie(format!("__Host-session=1.{}", "x".repeat(50_000)).as_bytes()),
            303,
            false,
        ),
        case("of nine parts", cookie(b"__Host-session=9.x; __Host-session.8=y"), 303, false),
        case("many attempts", cookie(many.join("; ").as_bytes()), 303, false),
        case("nothing but signs", cookie(b";;;=;__Host-session;=;__Host-session.=\""), 303, false),
        case("callback of nobody", Request::get(CALLBACK), 400, false),
        case("callback, broken", back(&format!("code=%zz&{iss}&state=STATE")), 400, false),
        case("callback, twice", back(&format!("code=a&code=b&{iss}&state=STATE")), 400, false),
        case("callback, another issuer", back("code=a&iss=x&state=STATE"), 400, false),
        case("callback, another state", back(&format!("code=a&{iss}&state=STATEx")), 400, false),
        case("callback, stolen code", back(&format!("code=stolen&{iss}&state=STATE")), 400, false),
        case(
            "callback, refused",
            back(&format!("error=access_denied&{iss}&state=STATE")),
            403,
            false,
        ),
        case("callback, long", back(&format!("state={}", "x".repeat(50_000))), 400, false),
        case("callback, signs", back("&&=&%=%&state&code=&=&iss"), 400, false),
        case("callback by POST", Request::new("POST", CALLBACK).body(&[b'x'; 20_000]), 405, false),
        case("out, asked", out("GET"), 200, false),
        case("out", out("POST").body(&[b'x'; 20_000]), 303, false),
        case("out, another site", out("POST").header("origin", high_bytes()), 403, false),
        case("out, by PUT", out("PUT"), 405, false),
    ]
}

#[test]
fn ten_thousand_hostile_requests_through_oauth2_login() {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    let envoy = Setup::new()
        .filter("oauth2-login", config())
        .upstream(&upstream)
        .cluster("idp", Some(provider.server.address()))
        .connection_manager(
            json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}),
        )
        .workers(4)
        .start();
    let (mut browser, mut leaving) = (Browser::default(), Browser::default());
    assert_eq!(browser.sign_in(envoy.address(), "/").status, 303);
    let sent = leaving.leave(envoy.address(), "/");
    let pair = |browser: &Browser| {
        let pairs = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    };
    let cases = cases(&pair(&browser), &pair(&leaving), &sent["state"]);
    let before = vms(&envoy);
    let passed = send_all(&envoy, &cases, 10_000);
    assert_eq!(upstream.count(), passed);
    assert!(provider.state.lock().unwrap().given == 1, "no code but the first was good");
    let told = upstream.received().iter().any(|got| {
        let head = String::from_utf8_lossy(&got.head).into_owned();
        head.contains("__Host-session") || !head.contains("x-auth-subject: alice")
    });
    assert!(!told, "a cookie of ours, or somebody else's name, went upstream");
    assert_eq!(vms(&envoy), before);
}
