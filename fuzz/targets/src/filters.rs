//! Each filter, and a chain of all of them, told of requests, answers, responses, bodies and time in an
//! order that the bytes say.
//!
//! No filter panics, and what [`stage`](crate::stage) checks holds of all. Where the secrets are no
//! bytes that a fuzzer comes upon, no authenticator lets anybody through; and none lets a header
//! through in which a client says who it is.

use serde_json::{Value, json};
use shared::reply::Reply;
use shared::trace::{tracestate, w3c};

use crate::stage::{Passed, Rules, play};
use crate::words::Fields;

/// A hash that no password is known of.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where people are sent to, and where from.
pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const APPLICATION: &str = "https://app.example";

/// `basic-auth`: nobody gets in.
pub fn basic_auth(bytes: &[u8]) {
    let config = json!({
        "realm": "Example",
        "users": [{"name": "alice", "hash": "{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="}],
        "throttle": {"failures": 3, "window": "1m"},
        "rules": [{"match": {"paths": ["/a/{id}"]}, "errors": "goa"}],
    });
    play("basic-auth", &config, Rules { passed: nobody, ..Rules::default() }, bytes);
}

/// `api-key-auth`: nobody gets in.
pub fn api_key_auth(bytes: &[u8]) {
    let config = json!({
        "sources": key_sources(),
        "consumers": [{"name": "acme", "keys": [{"id": "a", "sha256": NOBODY}]}],
    });
    play("api-key-auth", &config, Rules { passed: nobody, ..Rules::default() }, bytes);
}

fn key_sources() -> Value {
    json!([
        {"header": "x-api-key"},
        {"header": "authorization", "prefix": "Bearer"},
        {"query": "api_key"},
        {"cookie": "session"},
    ])
}

/// `jwt-auth`: with a key that is written down, and with such as are fetched from the fuzzer. Nobody
/// gets in: no key that can be fetched makes a signature that a fuzzer comes upon.
pub fn jwt_auth(bytes: &[u8]) {
    let key = json!({
        "kty": "EC", "crv": "P-256", "kid": "a",
        "x": "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis",
        "y": "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE",
    });
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let provider = |algorithms: Value, keys: (&str, Value)| {
        json!({"providers": [{
            "name": "main",
            "issuer": "https://issuer",
            "audiences": ["api"],
            "algorithms": algorithms,
            keys.0: keys.1,
            "sources": [
                {"header": "authorization", "prefix": "Bearer"},
                {"query": "access_token"},
                {"cookie": "session"},
            ],
        }]})
    };
    let config = match first % 3 {
        0 => provider(json!(["ES256"]), ("jwks", json!({"inline": {"keys": [key]}}))),
        1 => provider(
            json!(["ES256", "EdDSA", "RS256"]),
            ("jwks", json!({"uri": "https://issuer/keys", "cluster": "issuer"})),
        ),
        _ => provider(json!(["ES256", "PS512"]), ("discovery", json!({"cluster": "issuer"}))),
    };
    play("jwt-auth", &config, Rules { passed: nobody, ..Rules::default() }, rest);
}

/// `token-introspection`, whose endpoint is the fuzzer: it may well let somebody in, who is then who
/// the endpoint says.
pub fn token_introspection(bytes: &[u8]) {
    let config = json!({
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
        "client": {"id": "gatehouse", "secret": "s3cret"},
        "audiences": ["api"],
        "sources": [{"header": "authorization", "prefix": "Bearer"}, {"cookie": "session"}],
        "claim_headers": {"x-tenant": "tenant.id"},
    });
    play("token-introspection", &config, Rules { passed: ours_alone, ..Rules::default() }, bytes);
}

/// `oauth2-login`, whose provider is the fuzzer, without a key to sign with: nobody gets in, and
/// browsers are sent to the application or to the provider, and nowhere else.
pub fn oauth2_login(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let mut config = login();
    if first % 2 == 1 {
        config["api_clients"] = json!({"paths": ["/a/**"]});
    }
    let rules = Rules { passed: nobody, answered: goes_home, ..Rules::default() };
    play("oauth2-login", &config, rules, rest);
}

/// A sign-in of browsers.
pub(crate) fn login() -> Value {
    json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "s3cr:t"},
        "logout": {"path": "/oauth2/logout", "return_to": "/bye"},
        "login_path": "/oauth2/login",
        "external_url": APPLICATION,
        "session": {"keys": ["b1946ac92492d2347c6235b4d2611184591a8b3c7d0e4f6a9c2b5d8e7f1a0c3e"]},
        "forward": {"access_token": "authorization", "claims": {"x-email": "email"}},
    })
}

/// A browser is sent to the application or to the provider.
pub(crate) fn goes_home(reply: &Reply) {
    for (_, location) in reply.headers.iter().filter(|(name, _)| *name == "location") {
        let url = url::Url::parse(location).expect("a whole address");
        let origin = url.origin().ascii_serialization();
        assert!(origin == APPLICATION || origin == ISSUER, "{location}");
        assert!(url.username().is_empty() && url.password().is_none(), "{location}");
    }
}

/// `access-policy`: without evidence nothing is open, and with the fuzzer's no client says who it is.
pub fn access_policy(bytes: &[u8]) {
    let config = json!({
        "schemes": {"jwt": {"authenticator": "jwt-auth"}, "basic": {"authenticator": "basic-auth"}},
        "security": [{"jwt": ["read"]}, {"jwt": [], "basic": []}],
        "services": [{"name": "things", "methods": [
            {"name": "show", "match": {"methods": ["GET"], "paths": ["/a/{id}"]}},
            {"name": "rest", "match": {"methods": ["GET", "POST"], "paths": ["/a/b/**"]}, "allow": {"groups": ["ops"]}},
            {"name": "greet", "match": {"methods": ["GET"], "paths": ["/b"]}, "security": [{"jwt": []}, "anonymous"]},
        ]}],
        "require_https": "off",
    });
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let rules = match first % 2 {
        0 => Rules { passed: nobody, ..Rules::default() },
        _ => Rules { has_properties: true, ..Rules::default() },
    };
    play("access-policy", &config, rules, rest);
}

/// `rate-limit`, counted here and by a service that is the fuzzer: what it says of the limits are
/// structured fields.
pub fn rate_limit(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let on_failure = ["deny", "allow", "local"][usize::from(first % 3)];
    let config = json!({
        "limits": [
            {"name": "address", "key": [{"client_address": {"trusted_hops": 1}}], "quota": {"requests": 3, "per": "1s", "burst": 5}},
            {"name": "cost", "quota": {"requests": 100, "per": "1m"}, "algorithm": "sliding-window", "cost": {"header": "x-cost", "greatest": 50}},
            {"name": "failed", "on": "unauthenticated", "key": ["client_address"], "quota": {"requests": 2, "per": "1m"}},
            {"name": "fleet", "key": [{"header": "x-api-key"}, {"query": "page"}, {"cookie": "session"}], "quota": {"requests": 10, "per": "1h"}, "counted": "global"},
        ],
        "service": {"cluster": "limits", "domain": "test", "on_failure": on_failure},
        "memory": "1MiB",
    });
    let rules = Rules { told: structured, has_properties: first & 128 != 0, ..Rules::default() };
    play("rate-limit", &config, rules, rest);
}

/// The fields of draft-ietf-httpapi-ratelimit-headers are lists of RFC 9651.
fn structured(name: &str, value: &[u8]) {
    if matches!(name, "ratelimit" | "ratelimit-policy") {
        let list = sfv::Parser::new(value).parse::<sfv::List>().expect("a list");
        assert!(!list.is_empty());
    }
}

/// `trace-context`, with a sender who is trusted and one who is not: what goes on is one well-formed
/// context, and nothing of a stranger's.
pub fn trace_context(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let mut config = json!({
        "extract": ["w3c", "b3", "jaeger", "datadog", "xray", "google"],
        "sampling": {"parent": true, "root": {"per_second": 5}},
        "baggage": {"allow": ["tenant", "user.*"], "max_bytes": 4096},
        "request_id": {"header": "x-request-id", "accept": "trusted", "max_bytes": 64},
        "response": {"traceresponse": true},
        "export": {"cluster": "collector", "service": "edge"},
    });
    let passed = if first % 2 == 0 {
        config["inject"] = json!(["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"]);
        one_trace
    } else {
        config["trust"] = json!({"addresses": ["fd5e:aa31:90c7:5be1::/64"]});
        a_new_trace
    };
    play("trace-context", &config, Rules { passed, ..Rules::default() }, rest);
}

fn one_trace(passed: &Passed<'_>) {
    let parents: Vec<_> = of(passed.goes, "traceparent").collect();
    assert!(matches!(parents.as_slice(), [one] if one.len() == 55 && w3c::parse(one).is_some()));
    let states: Vec<_> = of(passed.goes, "tracestate").collect();
    assert!(states.len() <= 1 && tracestate::combine(states.into_iter()).is_ok());
    assert!(of(passed.goes, "baggage").map(<[u8]>::len).sum::<usize>() <= 4096);
    assert!(
        matches!(of(passed.goes, "x-request-id").collect::<Vec<_>>().as_slice(), [id] if id.len() <= 64)
    );
}

fn a_new_trace(passed: &Passed<'_>) {
    one_trace(passed);
    for gone in ["tracestate", "b3", "x-b3-traceid", "uber-trace-id", "x-datadog-trace-id"] {
        assert_eq!(of(passed.goes, gone).count(), 0, "{gone}");
    }
    let new = of(passed.goes, "traceparent").next().unwrap_or_default();
    assert!(of(passed.came, "traceparent").all(|old| old != new));
}

/// `telemetry`: whatever it is told, a line is JSON.
pub fn telemetry(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let config = json!({
        "lines": "all",
        "query": {"allow": ["page"]},
        "headers": {"allow": ["user-agent", "accept"]},
        "metrics": {"max_series": 4, "tiers": [{"name": "gold", "consumers": ["acme"]}]},
        "debug": {"allow": [{"addresses": ["10.0.0.0/8"]}], "for": "1h"},
        "payloads": {"max_bytes": "1KiB", "redact": ["iban"]},
        "server_timing": {"allow": [{"addresses": ["10.0.0.0/8"]}]},
    });
    let rules = Rules { kept: a_line, has_properties: first % 2 == 1, ..Rules::default() };
    play("telemetry", &config, rules, rest);
}

fn a_line(name: &str, value: &[u8]) {
    if name == "gatehouse.log" {
        assert!(value.iter().all(|byte| matches!(byte, b' '..=b'~')), "it is printable");
        let line = serde_json::from_slice::<Value>(value).expect("JSON");
        assert!(line.is_object() && value.len() < 256 * 1024, "{line}");
        for secret in ["YWxpY2U6c2VjcmV0", "__Host-session"] {
            let shown = line["http.url"].as_str().unwrap_or_default();
            assert!(!shown.split_once('?').is_some_and(|(_, query)| query.contains(secret)));
        }
    }
}

/// `health-shortcut`, whose dependencies are the fuzzer.
pub fn health_shortcut(bytes: &[u8]) {
    let config = json!({
        "version": "1",
        "endpoints": [
            {"path": "/livez", "report": "liveness"},
            {"path": "/readyz", "report": "readiness"},
        ],
        "dependencies": [{"name": "db", "cluster": "db", "path": "/a"}],
        "grpc": {"cluster": "grpc-health", "services": [{"name": "", "dependencies": ["db"]}]},
    });
    play("health-shortcut", &config, Rules { answered: goes_home, ..Rules::default() }, bytes);
}

/// All filters in one pass: who passes has shown a credential, or asks for what is open; and the
/// upstream hears of nobody else.
pub fn chain(bytes: &[u8]) {
    let mut login = login();
    login["verdict"] = "defer".into();
    let method = |name: &str, path: &str, security: Value| json!({"name": name, "match": {"methods": ["GET", "POST"], "paths": [path]}, "security": security});
    let schemes = json!({
        "basic": {"authenticator": "basic-auth"}, "key": {"authenticator": "api-key-auth"},
        "jwt": {"authenticator": "jwt-auth"}, "token": {"authenticator": "token-introspection"},
        "login": {"authenticator": "oauth2-login"},
    });
    let config = json!({"chain": [
        {"health-shortcut": {"endpoints": [{"path": "/livez", "report": "liveness"}]}},
        {"trace-context": {"export": {"cluster": "collector"}}},
        {"telemetry": {"lines": "all"}},
        {"rate-limit": {"limits": [{"name": "failed", "on": "unauthenticated", "key": ["client_address"], "quota": {"requests": 50, "per": "1m"}}]}},
        {"basic-auth": {"verdict": "defer", "users": [{"name": "alice", "password": "secret", "groups": ["ops"]}]}},
        {"api-key-auth": {"verdict": "defer", "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme-key"}]}]}},
        {"jwt-auth": {"verdict": "defer", "providers": [{"name": "main", "issuer": "https://issuer", "audiences": ["api"], "algorithms": ["ES256"], "jwks": {"uri": "https://issuer/keys", "cluster": "issuer"}}]}},
        {"token-introspection": {
            "verdict": "defer", "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
            "client": {"id": "g", "secret": "s"}, "audiences": ["api"], "sources": [{"cookie": "session"}],
        }},
        {"oauth2-login": login},
        {"access-policy": {"schemes": schemes, "require_https": "off", "services": [{"name": "things", "methods": [
            method("open", "/open", json!("none")),
            method("greet", "/", json!([{"key": []}, {"basic": []}, "anonymous"])),
            method("show", "/a/{id}", json!([{"key": []}, {"basic": []}, {"login": []}])),
            method("rest", "/a/b/**", json!([{"token": []}, {"jwt": ["read"]}, {"basic": [], "key": []}])),
        ]}]}},
    ]});
    let rules = Rules { passed: has_shown, kept: a_line, answered: goes_home, ..Rules::default() };
    play("chain", &config, rules, bytes);
}

fn has_shown(passed: &Passed<'_>) {
    ours_alone(passed);
    assert_eq!(of(passed.goes, "x-api-key").count(), 0, "a key goes upstream");
    let path = of(passed.came, ":path").next().unwrap_or_default();
    // A credential, or the name of what is open, may be written with escapes.
    let has = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let is_open = has(path, b"open") || has(path, b"%");
    let shows = |value: &[u8]| {
        ["YWxpY2U6c2VjcmV0", "acme-key", "session="].iter().any(|part| has(value, part.as_bytes()))
    };
    let has_shown = passed.came.iter().any(|(_, value)| shows(value));
    // Nobody is greeted as well, if nothing was shown that could be good or bad.
    let is_greeted = matches!(path, [b'/'] | [b'/', b'?' | b'#', ..]);
    let is_basic = |value: &[u8]| {
        let value = value.trim_ascii().to_ascii_lowercase();
        let rest = value.strip_prefix(b"basic");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t' | b',')))
    };
    let shows_nothing = of(passed.came, "x-api-key").next().is_none()
        && !of(passed.came, "authorization").any(is_basic);
    assert!(is_open || has_shown || is_greeted && shows_nothing, "{:?}", passed.came);
    if !has_shown {
        assert!(identity(passed.goes).next().is_none(), "{:?}", passed.goes);
    }
}

/// Nobody gets in.
fn nobody(passed: &Passed<'_>) {
    panic!("somebody was let in: {:?}", passed.came);
}

/// What says who it is, the module says.
fn ours_alone(passed: &Passed<'_>) {
    for name in identity(passed.goes) {
        assert!(passed.set.contains(name), "{name}: {:?}", passed.goes);
    }
}

/// The headers that say who it is, in every spelling that a gateway interface may fold into one.
fn identity(fields: &Fields) -> impl Iterator<Item = &String> {
    let fold = |name: &str| {
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        name.chars().map(fold).collect::<String>()
    };
    let is_one = move |name: &&String| {
        let parts = ["subject", "scheme", "consumer", "scopes", "groups"];
        fold(name).strip_prefix("x-auth-").is_some_and(|rest| parts.contains(&rest))
    };
    fields.iter().map(|(name, _)| name).filter(is_one)
}

fn of<'f>(fields: &'f Fields, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
    fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
}
