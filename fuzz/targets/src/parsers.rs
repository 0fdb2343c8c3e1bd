//! Readers of bytes that others write, and what holds of what they read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use basic_auth::htpasswd::{self, AllowPlain};
use serde_json::Value;
use shared::config::{self, Environment, filter_metadata};
use shared::effects::{Effect, Effects};
use shared::evidence::Evidence;
use shared::headers::{Headers, write_pairs};
use shared::jose::{Algorithm, Crypto, Expected, KeySet, Token};
use shared::matching::path::{Pattern, Readings};
use shared::sources::{Found, Source, Sources};
use shared::testing::Proxy;
use shared::time::Timestamp;
use shared::trace::{
    Found as Context, Outgoing, SpanId, b3, baggage, datadog, google, jaeger, tracestate, w3c, xray,
};
use shared::view::{NoHost, Request};

/// A configuration, JSON or a `Struct`: what is read is an object, and is read again as the same, but
/// for numbers of more digits than a floating-point number has.
pub fn configuration(bytes: &[u8]) {
    let environment = [("NAME", "value")].into_iter().collect::<Environment>();
    let Ok(object) = config::read(bytes, &environment) else { return };
    let written = Value::Object(object.clone()).to_string();
    if !written.contains("${") {
        let again = config::read(written.as_bytes(), &environment);
        let again = again.map_err(|error| error.to_string()).unwrap();
        assert!(has_floats(&Value::Object(object.clone())) || again == object);
    }
}

fn has_floats(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_floats),
        Value::Object(members) => members.values().any(has_floats),
        _ => false,
    }
}

/// The metadata of a route.
pub fn metadata(bytes: &[u8]) {
    let _ = filter_metadata(bytes, "jwt-auth");
}

/// A header map of the proxy: what was read is written as it came, if it is all there was.
pub fn header_map(bytes: &[u8]) {
    let Ok(headers) = Headers::parse(bytes.to_vec()) else { return };
    let pairs: Vec<_> = headers.iter().collect();
    assert_eq!(pairs.len(), headers.len());
    let written = write_pairs(pairs.iter().copied());
    assert!(bytes.is_empty() || written.len() <= bytes.len().max(4));
    let again = Headers::parse(written).expect("what we write, we read");
    assert!(again.iter().eq(pairs));
}

/// Users in a text: each once, and none without a name.
pub fn htpasswd(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for plain in [AllowPlain::No, AllowPlain::Yes] {
        let Ok(users) = htpasswd::parse(text, plain) else { continue };
        let mut names: Vec<_> = users.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| !name.is_empty()));
    }
}

/// Keys of a provider, asked for a signature that nobody has made.
pub fn key_set(bytes: &[u8]) {
    let Ok((set, _)) = KeySet::of_provider(bytes) else { return };
    assert!(!set.is_empty());
    let names = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA HS256 HS384 HS512";
    for algorithm in names.split(' ').filter_map(Algorithm::named) {
        for key in set.candidates(algorithm, None) {
            assert!(!algorithm.name().starts_with("HS"), "a symmetric key was fetched");
            for length in [64, 96, 132, 256] {
                let signature = vec![1; length];
                let verdict =
                    Crypto::here().verify(&NoHost, key, algorithm, b"text", ("", &signature));
                assert!(!verdict);
            }
        }
    }
}

/// A request's path: no reading leaves the folder that it is in, and the readings of a reading are
/// among them.
pub fn path(bytes: &[u8]) {
    let Ok(readings) = Readings::of(bytes) else { return };
    let any = Pattern::parse("/**").expect("a pattern");
    if bytes.first() == Some(&b'/') {
        assert_eq!(readings.agree(|path| any.matches(path)), Ok(true));
    }
    let _ = readings.agree(|path| {
        assert!(path.split(|byte| *byte == b'/').all(|segment| segment != b".."));
        assert!(path.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f));
        true
    });
}

/// A pattern of a rule, on a path that is written like it.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(pattern) = Pattern::parse(text) else { return };
    assert!(text.starts_with('/'));
    for path in ["/", "/a", "/a/b/c", text] {
        let _ = pattern.matches(path.as_bytes());
    }
}

/// Credentials in a header, the query and a cookie, a line for each: what was taken off is gone, and
/// nothing but that changes.
pub fn sources(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default().to_vec();
    let names = [":path", "authorization", "x-api-key", "cookie", "cookie"];
    let mut headers: Vec<(String, Vec<u8>)> =
        names.into_iter().map(|name| (name.to_owned(), line())).collect();
    headers.push(("x-other".to_owned(), b"other".to_vec()));
    let sources = Sources::new(vec![
        Source::header("x-api-key"),
        Source::authorization("Bearer"),
        Source::Query("api_key".into()),
        Source::Cookie("session".into()),
    ]);
    let proxy = Proxy::with_request(&headers);
    let request = Request::new(&proxy);
    let was_malformed = sources.find(&request) == Found::Malformed;
    let mut effects = Effects::default();
    sources.strip(&request, &mut effects);
    for effect in effects.iter() {
        match effect {
            Effect::RemoveRequestHeader(name) => headers.retain(|(known, _)| **known != **name),
            Effect::SetRequestHeader(name, value) => {
                headers.retain(|(known, _)| **known != **name);
                headers.push((name.to_string(), value.to_vec()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(headers.iter().any(|(name, _)| name == "x-other"));
    let stripped = Proxy::with_request(&headers);
    let left = Request::new(&stripped);
    let found = sources.find(&left);
    assert!(found == Found::Nothing || was_malformed, "{found:?} is left");
}

/// A token: its parts are what it was made of, all of them in base64url as another library reads it, and
/// nobody's signature is good.
pub fn token(bytes: &[u8]) {
    let Ok(token) = Token::read(bytes) else { return };
    assert!(bytes.split(|byte| *byte == b'.').all(|part| URL_SAFE_NO_PAD.decode(part).is_ok()));
    assert_eq!(URL_SAFE_NO_PAD.decode(token.signature.0), Ok(token.signature.1.clone()));
    assert_eq!([token.signed, b".", token.signature.0.as_bytes()].concat(), bytes);
    let expected = Expected {
        issuer: "https://issuer".into(),
        audiences: Some(vec!["api".into()]),
        leeway: Duration::from_secs(60),
        max_lifetime: Some(Duration::from_secs(3600)),
        required: vec![("tenant".into(), vec!["a".into(), 5.into()])],
        ..Expected::default()
    };
    let now = Timestamp::from_secs(1_800_000_000);
    if let Ok(until) = expected.check(&token, now) {
        assert!(until.is_some_and(|until| now < until));
        assert_eq!(token.claims.text("iss"), Some("https://issuer"));
    }
    let _ = (token.claims.words("scope"), token.claims.list("groups"));
}

/// What an authenticator has left, as a filter behind reads it.
pub fn evidence(bytes: &[u8]) {
    let proxy = Proxy::with_request(&[(":path", "/")]);
    proxy.set_property(&["gatehouse.evidence.jwt-auth"], bytes);
    let _ = Evidence::read(&Request::new(&proxy), "jwt-auth");
}

/// The context of a trace in every form: what is read, is written, and is read again as the same.
pub fn trace(bytes: &[u8]) {
    let one = |parse: fn(&[u8]) -> Option<Context>, print: fn(&Outgoing) -> Vec<u8>| {
        let Some(Context::Trace(read)) = parse(bytes) else { return };
        let span_id = read.parent.or_else(|| SpanId::new(7)).expect("it is not zero");
        let (trace_id, decision, random) = (read.trace_id, read.decision, read.random);
        let printed = print(&Outgoing { trace_id, span_id, decision, random });
        assert!(printed.iter().all(u8::is_ascii_graphic));
        let Some(Context::Trace(again)) = parse(&printed) else { panic!("what we write, we read") };
        assert_eq!((again.trace_id, again.parent), (trace_id, Some(span_id)));
        assert_eq!(again.decision.is_sampled(), decision.is_sampled());
    };
    one(w3c::parse, |outgoing| w3c::print(outgoing).to_vec());
    one(b3::parse, b3::print);
    one(jaeger::parse, jaeger::print);
    one(xray::parse, xray::print);
    one(google::parse, google::print);
    let fields: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let field = |place: usize| fields.get(place).copied().filter(|field| !field.is_empty());
    let _ = b3::parse_multi(&b3::Multi {
        trace_id: field(0),
        span_id: field(1),
        parent_span_id: field(2),
        sampled: field(3),
        flags: field(4),
    });
    let headers = datadog::Headers {
        trace_id: field(0),
        parent_id: field(1),
        priority: field(2),
        tags: field(3),
    };
    if let Some(Context::Trace(read)) = datadog::parse(&headers) {
        assert!(read.trace_id.number() != 0);
    }
}

/// `tracestate` and `baggage`, a header for each line: what goes on is a list that goes on again as it
/// is, and within its limits.
pub fn lists(bytes: &[u8]) {
    let lines = || bytes.split(|byte| *byte == b'\n');
    if let Ok(state) = tracestate::combine(lines()) {
        assert_eq!(tracestate::combine([&state[..]].into_iter()).as_ref(), Ok(&state));
        assert!(state.is_empty() || tracestate::is_as_it_should_be(&state));
        assert!(state.split(|byte| *byte == b',').count() <= 32);
    }
    if tracestate::is_as_it_should_be(bytes) {
        assert_eq!(tracestate::combine([bytes].into_iter()).as_deref(), Ok(bytes));
    }
    let limits = baggage::Limits { bytes: 256, members: 8 };
    let allows = |key: &[u8]| key.first() != Some(&b'x');
    let kept = baggage::keep(lines(), &limits, allows);
    assert!(kept.list.len() <= 256 && kept.list.split(|byte| *byte == b',').count() <= 8);
    let again = baggage::keep([&kept.list[..]].into_iter(), &limits, allows);
    assert_eq!((&again.list, again.dropped), (&kept.list, false));
}

/// JSON: what is read, a second reader reads as the same; white space alone is nothing.
pub fn json(bytes: &[u8]) {
    if !bytes.trim_ascii().is_empty()
        && let Ok(value) = config::parse_json(bytes)
    {
        assert_eq!(serde_json::from_slice::<Value>(bytes).ok(), Some(value));
    }
}
