//! What others answer and write, through the filter that reads it, against a second opinion.

use prost::Message;
use rate_limit::RateLimit;
use serde_json::{Value, json};
use shared::driver::Step;
use shared::effects::Effect;
use shared::filter::Answer;
use shared::headers::Headers;
use shared::testing::{Bench, Outcome};
use shared::view::Request;
use telemetry::Telemetry;
use token_introspection::TokenIntrospection;

use crate::stage::is_legal;

fn bench<P: shared::filter::Plugin>(config: &Value) -> Bench<P> {
    let bench = Bench::configure(config).map_err(|error| error.to_string());
    bench.expect("the configuration is good")
}

fn ok<'a>(headers: &'a Headers, body: &'a [u8], trailers: &'a Headers) -> Answer<'a> {
    Answer::Response { status: 200, headers, body, trailers }
}

/// `RateLimitResponse`, as far as it decides.
#[derive(Message)]
struct Decided {
    #[prost(int32, tag = "1")]
    overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    statuses: Vec<Status>,
}

#[derive(Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// The answer of a rate-limit service, in its frame or as it comes: a request goes on only if the
/// message says so, and is told of nothing that it is trusted by.
pub fn rate_limit_answer(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let limit = |name: &str| json!({"name": name, "quota": {"requests": 9, "per": "1m"}, "counted": "global"});
    let config = json!({
        "limits": [limit("a"), limit("b")],
        "service": {"cluster": "limits", "domain": "test", "on_failure": "deny"},
    });
    let length = u32::try_from(rest.len()).unwrap_or_default().to_be_bytes();
    let body = if first % 4 == 0 { rest.to_vec() } else { [&[0], &length[..], rest].concat() };
    let mut bench = bench::<RateLimit>(&config);
    let request = [(":method", "GET"), (":path", "/"), (":authority", "shop"), ("x-user", "alice")];
    let (mut run, outcome) = bench.begin(&request);
    assert!(matches!(outcome.step, Step::Wait(_)), "{}", outcome.line());
    let headers: Headers =
        [(":status", "200"), ("content-type", "application/grpc")].into_iter().collect();
    let trailers: Headers = [("grpc-status", "0")].into_iter().collect();
    let mut effects = outcome.effects;
    let view = Request::new(&bench.proxy);
    let step =
        bench.instance.on_answer(&mut run, &ok(&headers, &body, &trailers), &view, &mut effects);
    let message = body.get(5..).unwrap_or_default();
    let decided = Decided::decode(message).ok();
    let known = |code: i32| code == 1 || code == 2;
    match &step {
        Step::Continue => {
            let decided = decided.expect("a message");
            assert_eq!(decided.overall_code, 1);
            assert!(decided.statuses.is_empty() || decided.statuses.len() == 2);
            assert!(decided.statuses.iter().all(|status| known(status.code)));
        }
        Step::Reply(reply) => assert!(matches!(reply.status, 429 | 503), "{reply:?}"),
        Step::Wait(_) | Step::Hold | Step::Read(_) | Step::Anew => panic!("it waits again"),
    }
    for effect in effects.iter() {
        if let Effect::SetRequestHeader(name, value) | Effect::SetResponseHeader(name, value) =
            effect
        {
            let folded = name.replace(['_', '.'], "-");
            let trusted = [
                "x-auth-",
                "x-forwarded-",
                "x-envoy-",
                "content-",
                "authorization",
                "cookie",
                "host",
                "x-user",
            ];
            let is_ours = folded.starts_with("ratelimit") || folded == "retry-after";
            assert!(is_ours || !trusted.iter().any(|prefix| folded.starts_with(prefix)), "{name}");
            assert!(is_legal(value) && !name.starts_with(':'), "{name}");
        }
    }
    // What was learned of it makes nothing of the next request but a verdict.
    let (_, next) = bench.begin(&request);
    assert!(!matches!(next.step, Step::Hold));
}

/// The answer of an introspection endpoint: a token is good only if a second reader of JSON finds that
/// it says so.
pub fn introspection_answer(bytes: &[u8]) {
    let config = json!({
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
        "client": {"id": "gatehouse", "secret": "s3cret"},
        "audiences": ["api"],
        "issuer": "https://idp.example",
        "claim_headers": {"x-tenant": "tenant.id"},
        "claims": ["username"],
    });
    let mut bench = bench::<TokenIntrospection>(&config);
    let headers = [(":method", "GET"), (":path", "/"), ("authorization", "Bearer t")];
    let (mut run, mut outcome) = bench.begin(&headers);
    let calls = outcome.effects.take_calls();
    let [(ticket, _)] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    let json: Headers = [("content-type", "application/json")].into_iter().collect();
    bench.answer(ticket.id, &ok(&json, bytes, &Headers::default()));
    let outcome = bench.news(&mut run);
    if outcome.step == Step::Continue {
        let says: Value = serde_json::from_slice(bytes).expect("JSON");
        assert_eq!(says["active"], true);
        assert_eq!(says["iss"], "https://idp.example");
        assert!(
            says["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
        );
        let aud = &says["aud"];
        assert!(aud == "api" || aud.as_array().is_some_and(|all| all.contains(&"api".into())));
        assert!(
            says["exp"].is_null() || says["exp"].as_f64().is_some_and(|exp| exp > 1_799_999_939.0)
        );
        assert!(says["cnf"].is_null());
    }
    legal(&outcome);
}

fn legal(outcome: &Outcome) {
    for effect in outcome.effects.iter() {
        if let Effect::SetRequestHeader(name, value) = effect {
            assert!(is_legal(value), "{name}: {:?}", String::from_utf8_lossy(value));
        }
    }
}

/// A discovery document, a zero byte, keys: those are fetched if the document is of the issuer, from
/// the provider's cluster alone, and nobody gets in by an unsigned token.
pub fn discovery(bytes: &[u8]) {
    let config = json!({"providers": [{
        "name": "main", "issuer": "https://idp.example", "audiences": ["api"],
        "algorithms": ["ES256", "EdDSA", "RS256", "PS384"], "discovery": {"cluster": "idp"},
    }]});
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let mut bench = bench::<jwt_auth::JwtAuth>(&config);
    let calls = bench.tick();
    let [(id, call)] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    assert_eq!(
        (call.path.as_str(), call.authority.as_str()),
        ("/.well-known/openid-configuration", "idp.example")
    );
    let json: Headers = [("content-type", "application/json")].into_iter().collect();
    let none = Headers::default();
    let document = parts.next().unwrap_or_default();
    let calls = bench.answer(*id, &ok(&json, document, &none));
    for (id, call) in calls {
        let says: Value = serde_json::from_slice(document).expect("JSON");
        assert_eq!(says["issuer"], "https://idp.example");
        // The cluster decides on TLS, and on who is asked at all.
        assert_eq!(call.cluster, "idp");
        assert!(says["jwks_uri"].as_str().is_some_and(|uri| uri.starts_with("http")));
        assert!(
            call.path.starts_with('/') && call.path.bytes().all(|byte| byte.is_ascii_graphic())
        );
        assert!(call.authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@'));
        bench.answer(id, &ok(&json, parts.next().unwrap_or_default(), &none));
    }
    for header in
        ["eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ"]
    {
        // {"iss":"https://idp.example","aud":"api","exp":1900000000}
        let claims =
            "eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwiYXVkIjoiYXBpIiwiZXhwIjoxOTAwMDAwMDAwfQ";
        let value = format!("Bearer {header}.{claims}.AAAA");
        let outcome = bench.send(&[(":path", "/"), ("authorization", &value)]);
        assert!(outcome.step != Step::Continue, "an unsigned token is good");
    }
}

/// Addresses that a client writes in front of those that a trusted proxy adds: it is counted as the one
/// whom the trusted proxy saw, whatever they are.
pub fn client_address(bytes: &[u8]) {
    let config = json!({"limits": [{
        "name": "address", "key": [{"client_address": {"trusted_hops": 1}}],
        "quota": {"requests": 1, "per": "1h"},
    }]});
    let mut bench = bench::<RateLimit>(&config);
    bench.proxy.set_property(&["source", "address"], b"10.1.2.3:4567");
    let seen = ("x-forwarded-for".to_owned(), b"192.0.2.7".to_vec());
    let mut ask = |mut forged: Vec<(String, Vec<u8>)>, last: &[u8]| {
        forged.push(("x-forwarded-for".to_owned(), last.to_vec()));
        bench.send(&forged).step
    };
    assert_eq!(ask(Vec::new(), &seen.1), Step::Continue);
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let last = [&lines.pop().unwrap_or_default()[..], b",", &seen.1].concat();
    let lines = lines.into_iter().map(|line| ("x-forwarded-for".to_owned(), line)).collect();
    assert!(matches!(ask(lines, &last), Step::Reply(reply) if reply.status == 429));
}

/// Paths to what is nobody's business: what any number of decodings makes `/debug/pprof` is not let
/// through.
pub fn debug_path(bytes: &[u8]) {
    let config = json!({"debug": {"allow": [{"addresses": ["10.0.0.0/8"]}]}});
    let mut bench = bench::<Telemetry>(&config);
    let path = [b"/", bytes].concat();
    let step = bench.send(&[(":method", &b"GET"[..]), (":path", &path)]).step;
    let head = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let mut text = head.to_ascii_lowercase();
    loop {
        let decoded: Vec<_> = percent_encoding::percent_decode(&text).collect();
        if decoded == text {
            break;
        }
        text = decoded.to_ascii_lowercase();
    }
    if text.windows(12).any(|window| window == b"/debug/pprof")
        && text.split(|byte| *byte == b'/').all(|segment| segment != b"..")
    {
        let end = text.windows(12).position(|window| window == b"/debug/pprof").unwrap_or_default();
        if matches!(text.get(end.saturating_add(12)), None | Some(b'/')) {
            assert!(step != Step::Continue, "{}", String::from_utf8_lossy(&path));
        }
    }
    if let Step::Reply(reply) = step {
        assert!(matches!(reply.status, 200 | 404), "{reply:?}");
    }
}

/// The names of a service's version and dependencies, a line each, and what a client accepts: the
/// report is JSON, or XML that a reader of XML takes, and says what it was told.
pub fn health_report(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (version, one, other, accept) = (line(), line(), line(), line());
    let dependency = |name: &str| json!({"name": name, "cluster": "db", "path": "/"});
    let config = json!({
        "version": version,
        "endpoints": [{"path": "/readyz", "report": "readiness"}],
        "dependencies": [dependency(one), dependency(other)],
    });
    let Ok(mut bench) = Bench::<health_shortcut::HealthShortcut>::configure(&config) else {
        return;
    };
    for accept in ["application/xml", accept] {
        let outcome = bench.send(&[(":method", "GET"), (":path", "/readyz"), ("accept", accept)]);
        let body = &outcome.reply().expect("an answer").body;
        match outcome.header("content-type") {
            Some("application/json") => {
                let report: Value = serde_json::from_slice(body).expect("JSON");
                assert_eq!(report["version"], version);
                assert_eq!(report["status"].as_object().map(serde_json::Map::len), Some(2));
            }
            Some("application/xml") => {
                let report = std::str::from_utf8(body).expect("a text");
                let report = roxmltree::Document::parse(report).expect("XML");
                assert!(report.root_element().has_tag_name("health"));
                assert_eq!(
                    report.descendants().filter(|node| node.has_tag_name("status")).count().min(1),
                    1
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
