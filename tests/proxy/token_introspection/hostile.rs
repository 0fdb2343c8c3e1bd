//! Ten thousand hostile requests through `token-introspection`, and an endpoint that is no better.

use serde_json::{Value, json};
use tests::client::Request;
use tests::tokens::with;
use tests::upstream::{Answer, Received, Upstream};

use super::joined::active;
use super::setup;
use crate::hostile::{Case, case, high_bytes, large, send_all, vms};

/// What the endpoint says of a token depends on what the token is called.
fn endpoint() -> Upstream {
    Upstream::answering(|request: &Received| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let token = form.strip_prefix("token=").and_then(|rest| rest.split('&').next());
        let of = |more: Value| Answer::json(&with(active(), &more));
        let text = |body: &str| {
            let kind = ("content-type".to_owned(), "application/json".to_owned());
            Answer::Http(200, vec![kind], body.as_bytes().to_vec())
        };
        match token.unwrap_or_default() {
            "good" => Answer::json(&active()),
            "reset" => Answer::Reset,
            "garbage" => Answer::Garbage,
            "refused" => Answer::status(401, "{}"),
            "html" => Answer::ok("<script>"),
            "deep" => text(&"[".repeat(30_000)),
            "twice" => text(r#"{"active": false, "active": true}"#),
            "text" => of(json!({"active": "true"})),
            "bound" => of(json!({"cnf": {"jkt": "x"}})),
            "foreign" => of(json!({"aud": ["other"]})),
            "aud" => of(json!({"aud": ["api", 1]})),
            "eternal" => of(json!({"exp": 1e300})),
            "never" => of(json!({"exp": -1e300})),
            "nobody" => of(json!({"sub": null, "client_id": null})),
            "split" => of(json!({"sub": "a\r\nx-auth-subject: root"})),
            _ => Answer::json(&json!({"active": false})),
        }
    })
}

fn cases() -> Vec<Case> {
    let bearer =
        |token: &[u8]| Request::get("/").header("authorization", [b"Bearer ", token].concat());
    let good = || bearer(b"good");
    let connect = Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443");
    vec![
        case("good", good(), 200, true),
        case("good, in the query", Request::get("/?a=%zz&t=good&b"), 200, true),
        case("good, forged names", good().header("x-auth-subject", high_bytes()), 200, true),
        case("good, high bytes", good().header("x-high", high_bytes()), 200, true),
        case("good, large", large(good()), 200, true),
        case("good, body", Request::new("POST", "/?t=good").body(&[b'x'; 20_000]), 200, true),
        case("good for ever", bearer(b"eternal"), 200, true),
        case("of nobody", bearer(b"nobody"), 200, true),
        case("none", Request::get("/"), 401, false),
        case("none, large", large(Request::get("/")), 401, false),
        case("empty", Request::get("/?t="), 401, false),
        case("high bytes", bearer(&high_bytes()), 401, false),
        case("signs", bearer(b"&token=good&%00=+%"), 401, false),
        case("long", bearer(&[b'x'; 50_000]), 401, false),
        case("broken escape", Request::get("/?t=good%"), 401, false),
        case(
            "in two places",
            Request::get("/?t=good").header("authorization", "Bearer good"),
            400,
            false,
        ),
        // Envoy makes one of two.
        case("twice", good().header("authorization", "Bearer good"), 401, false),
        case("connect", connect, 401, false),
        case("body, refused", Request::new("POST", "/?t=bad").body(&[b'x'; 20_000]), 401, false),
        case("bound", bearer(b"bound"), 401, false),
        case("of another audience", bearer(b"foreign"), 401, false),
        case("over before all time", bearer(b"never"), 401, false),
        case("of two headers", bearer(b"split"), 401, false),
        case("endpoint resets", bearer(b"reset"), 503, false),
        case("endpoint is none", bearer(b"garbage"), 503, false),
        case("endpoint refuses us", bearer(b"refused"), 503, false),
        case("endpoint says HTML", bearer(b"html"), 503, false),
        case("endpoint goes deep", bearer(b"deep"), 503, false),
        case("endpoint says both", bearer(b"twice"), 503, false),
        case("endpoint says a text", bearer(b"text"), 503, false),
        case("endpoint says a number", bearer(b"aud"), 503, false),
    ]
}

#[test]
fn ten_thousand_hostile_requests_through_token_introspection() {
    let (endpoint, upstream) = (endpoint(), Upstream::start());
    let sources = json!([{"header": "authorization", "prefix": "Bearer"}, {"query": "t"}]);
    let more = json!({ "sources": sources, "issuer": null });
    let envoy = setup(more, endpoint.address(), &upstream)
        .connection_manager(
            json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}),
        )
        .start();
    let before = vms(&envoy);
    let passed = send_all(&envoy, &cases(), 10_000);
    assert_eq!(upstream.count(), passed);
    let told = upstream.received().iter().any(|got| {
        let head = String::from_utf8_lossy(&got.head).into_owned();
        head.contains("Bearer") || head.contains("good") || head.contains("root")
    });
    assert!(!told, "a token, or somebody else's name, went upstream");
    let asked = endpoint.received();
    assert!(asked.iter().all(|request| request.body.ends_with(b"&token_type_hint=access_token")));
    assert_eq!(vms(&envoy), before);
}
