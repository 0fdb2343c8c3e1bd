//! Requests, with what they show, and what becomes of each: who the upstream is told of, or that it
//! has seen nothing at all.

use super::{World, request};

/// A request, what is sent with it ([`request`]), and the verdict: `200 acme` where it passes and the
/// upstream is told of acme, `200` where it is told of nobody, else the status and the reason; the
/// status alone where it is Envoy that refuses.
type Case = (&'static str, &'static [&'static str], &'static str);

#[test]
fn every_request_has_its_verdict() {
    let cases =
        [LEVELS, ALTERNATIVES_AND_SCOPES, OPTIONAL, METHODS, PATHS, SAID_BY_CLIENTS].concat();
    let world = World::start(super::large());
    let verdicts: Vec<_> =
        cases.iter().enumerate().map(|(number, case)| verdict(&world, number, case)).collect();
    let log = world.envoy.access_log(cases.len());
    let reason = |number: usize| {
        let line = log.iter().find(|line| line["case"] == number.to_string().as_str());
        let details = line.and_then(|line| line["details"].as_str()).unwrap_or_default();
        details.strip_prefix("gatehouse.access-policy.").map(|reason| format!(" {reason}"))
    };
    let mut wrong = Vec::new();
    for (number, ((line, with, expected), verdict)) in cases.iter().zip(&verdicts).enumerate() {
        let verdict = format!("{verdict}{}", reason(number).unwrap_or_default());
        if verdict != *expected {
            wrong.push(format!("{line} {with:?}: {verdict}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What becomes of a request: its status, and where it passes of whom the upstream is told.
fn verdict(world: &World, number: usize, (line, with, _): &Case) -> String {
    world.upstream.clear();
    let request = request(line, with).header("x-case", number.to_string());
    let answer = request.send(world.envoy.address());
    match world.upstream.received().as_slice() {
        [] => answer.status.to_string(),
        [got] => {
            assert_eq!(answer.status, 200, "{line}: the upstream has seen it");
            assert_clean(line, with, got);
            assert!(line.ends_with(&got.target), "{line}: {}", got.target);
            let told = got.header("x-auth-subject").map(|subject| format!(" {subject}"));
            format!("200{}", told.unwrap_or_default())
        }
        more => panic!("{line}: {} requests", more.len()),
    }
}

/// No credential is left, and nothing that the client has said of itself.
#[track_caller]
fn assert_clean(line: &str, with: &[&str], got: &tests::upstream::Received) {
    for (name, value) in &got.headers {
        let value = String::from_utf8_lossy(value);
        let ours = ["subject", "scheme", "consumer", "scopes", "groups"];
        let folded: String = name
            .chars()
            .map(|letter| if letter.is_alphanumeric() { letter } else { '-' })
            .collect();
        if let Some(part) = folded.strip_prefix("x-auth-") {
            let is_told = ours.contains(&part) && *name == folded && got.all(name).len() == 1;
            assert!(is_told && !value.contains("root"), "{line} {with:?}: {name}: {value}");
        }
        let is_sent = with.iter().any(|what| what.starts_with("authorization: "));
        let is_credential = name == "x-api-key" || name == "authorization" && !is_sent;
        assert!(!is_credential, "{line} {with:?}: {name}: {value}");
    }
}

const LEVELS: &[Case] = &[
    // The service's replaces the API's.
    ("GET /users", &["key"], "200 acme"),
    ("GET /users", &[], "401 unauthenticated"),
    ("GET /users", &["basic"], "401 unauthenticated"),
    ("GET /users", &["token"], "401 unauthenticated"),
    ("GET /users", &["key", "basic"], "200 acme"),
    ("GET /users", &["bad key"], "401 unauthenticated"),
    ("GET /users", &["key", "key"], "401 unauthenticated"),
    ("GET /users", &["key", "bad key"], "401 unauthenticated"),
    ("GET /users?x-api-key=acme-key-1", &[], "401 unauthenticated"),
    // The method's replaces the service's.
    ("GET /users/admin", &["token"], "200 alice"),
    ("GET /users/admin", &["key"], "401 unauthenticated"),
    ("GET /users/admin", &["basic"], "401 unauthenticated"),
    ("GET /users/admin", &["key", "token"], "200 alice"),
    ("GET /users/admin", &["bad key", "token"], "200 alice"),
    ("GET /users/admin", &["expired"], "401 unauthenticated"),
    ("GET /users/admin", &["forged"], "401 unauthenticated"),
    ("GET /users/admin", &["unsigned"], "401 unauthenticated"),
    ("GET /users/admin", &["token", "token"], "401 unauthenticated"),
    // And opens.
    ("GET /users/public", &[], "200"),
    ("GET /users/public", &["key"], "200"),
    ("GET /users/public", &["token"], "200"),
    ("GET /users/public", &["bad key", "forged"], "200"),
    ("GET /users/public", &["authorization: garbage"], "200"),
    ("GET /users/public", &["authorization: Basic !"], "200"),
    // The API's is for the rest.
    ("GET /files/a/b", &["basic"], "200 carol"),
    ("GET /files", &["basic"], "200 carol"),
    ("GET /files/a", &["wrong basic"], "401 unauthenticated"),
    ("GET /files/a", &["key", "token"], "401 unauthenticated"),
];

const ALTERNATIVES_AND_SCOPES: &[Case] = &[
    // { api_key, jwt: api:write } or { basic }.
    ("POST /users", &["key", "token api:write"], "200 acme"),
    ("POST /users", &["basic"], "200 carol"),
    ("POST /users", &["basic", "key"], "200 carol"),
    ("POST /users", &["token api:write"], "401 unauthenticated"),
    ("POST /users", &["key"], "401 unauthenticated"),
    ("POST /users", &["key", "token api:read"], "403 insufficient_scope"),
    ("POST /users", &["key", "token api:writer"], "403 insufficient_scope"),
    ("POST /users", &["key", "token API:WRITE"], "403 insufficient_scope"),
    ("POST /users", &["key", "token api:*"], "403 insufficient_scope"),
    ("POST /users", &["key", "expired"], "401 unauthenticated"),
    ("POST /users", &["key", "forged"], "401 unauthenticated"),
    ("POST /users", &["bad key", "token api:write"], "401 unauthenticated"),
    ("POST /users", &["key", "wrong basic"], "401 unauthenticated"),
    // All of its scopes.
    ("GET /users/audit", &["token api:read api:audit"], "200 alice"),
    ("GET /users/audit", &["token x api:audit y api:read"], "200 alice"),
    ("GET /users/audit", &["token api:read"], "403 insufficient_scope"),
    ("GET /users/audit", &["token api:read,api:audit"], "403 insufficient_scope"),
    ("GET /users/audit", &["token"], "403 insufficient_scope"),
    ("GET /users/audit", &["token", "x-auth-scopes: api:read api:audit"], "403 insufficient_scope"),
    // Halves: { api_key, jwt: a } or { api_key: reports:read, jwt: b }; zenith has no scope.
    ("GET /halves", &["zenith", "token a"], "200 zenith"),
    ("GET /halves", &["key", "token b"], "200 acme"),
    ("GET /halves", &["zenith", "token b"], "403 insufficient_scope"),
    ("GET /halves", &["zenith"], "401 unauthenticated"),
    ("GET /halves", &["token a b"], "401 unauthenticated"),
    // Whom `allow` names: { jwt: api:read } or { api_key: reports:read }.
    ("GET /reports", &["token api:read"], "200 alice"),
    ("GET /reports", &["key"], "200 acme"),
    ("GET /reports", &["token", "key"], "200 acme"),
    ("GET /reports", &["mallory api:read"], "403 not_allowed"),
    ("GET /reports", &["mallory api:read", "key"], "200 acme"),
    ("GET /reports", &["zenith"], "403 insufficient_scope"),
    ("GET /reports", &["mallory api:read", "zenith"], "403 insufficient_scope"),
    ("GET /reports", &["mallory api:read", "x-auth-subject: alice"], "403 not_allowed"),
];

const OPTIONAL: &[Case] = &[
    // { jwt: api:read } or { api_key, basic } or nobody.
    ("GET /home", &[], "200"),
    ("GET /home", &["x-auth-subject: root", "x_auth_scopes: api:read"], "200"),
    ("GET /home", &["token api:read"], "200 alice"),
    ("GET /home", &["key", "basic"], "200 acme"),
    ("GET /home", &["expired"], "401 unauthenticated"),
    ("GET /home", &["forged"], "401 unauthenticated"),
    ("GET /home", &["unsigned"], "401 unauthenticated"),
    ("GET /home", &["token api:read", "token api:read"], "401 unauthenticated"),
    ("GET /home", &["authorization: Bearer"], "401 unauthenticated"),
    ("GET /home", &["authorization: Bearer garbage"], "401 unauthenticated"),
    ("GET /home", &["authorization: Basic !"], "401 unauthenticated"),
    ("GET /home", &["wrong basic"], "401 unauthenticated"),
    ("GET /home", &["bad key"], "401 unauthenticated"),
    ("GET /home", &["x-api-key: "], "401 unauthenticated"),
    ("GET /home", &["key", "wrong basic"], "401 unauthenticated"),
    // Half of an alternative is more than nothing, and nobody's place is not to be had by it.
    ("GET /home", &["key"], "401 unauthenticated"),
    ("GET /home", &["basic"], "401 unauthenticated"),
    ("GET /home", &["token"], "403 insufficient_scope"),
    ("GET /home", &["token api:write", "key"], "403 insufficient_scope"),
    // No scheme that is asked for.
    ("GET /home", &["authorization: garbage"], "200"),
    ("GET /home", &["authorization: Digest x"], "200"),
    ("POST /home", &[], "405 method_not_allowed"),
];

const METHODS: &[Case] = &[
    ("GET /users/7", &["key"], "200 acme"),
    ("GET /users/7", &["zenith"], "403 not_allowed"),
    ("HEAD /users/7", &["key"], "200 acme"),
    ("HEAD /users/7", &[], "401 unauthenticated"),
    ("HEAD /users", &["key"], "405 method_not_allowed"),
    // Not the template's because of the method.
    ("HEAD /users/admin", &["key"], "405 method_not_allowed"),
    ("POST /users/admin", &["token"], "405 method_not_allowed"),
    ("OPTIONS /users", &["key"], "405 method_not_allowed"),
    ("OPTIONS /users/public", &[], "405 method_not_allowed"),
    ("OPTIONS *", &["key"], "404"),
    ("DELETE /users", &["key"], "405 method_not_allowed"),
    ("PATCH /users", &["key"], "405 method_not_allowed"),
    ("TRACE /users", &["key"], "405 method_not_allowed"),
    ("PROPFIND /users", &["key"], "405 method_not_allowed"),
    ("get /users", &["key"], "400"),
    ("Get /users", &["key"], "400"),
    ("GETX /users", &["key"], "400"),
    ("DELETE /users", &["key", "x-http-method-override: GET"], "405 method_not_allowed"),
    ("POST /users", &["x-http-method-override: GET", "key"], "401 unauthenticated"),
    ("GET /users/admin", &["key", "x-http-method-override: PUT"], "401 unauthenticated"),
    ("CONNECT test.example:443", &[], "404 not_found"),
    ("CONNECT test.example:443", &["key", "token", "x-auth-subject: root"], "404 not_found"),
    ("CONNECT /users", &["key"], "400"),
];

const PATHS: &[Case] = &[
    ("GET /", &["key"], "404 not_found"),
    ("GET /users/", &["key"], "404 not_found"),
    ("GET /users/admin/", &["key"], "404 not_found"),
    ("GET /users/admin/x", &["key"], "404 not_found"),
    ("GET /users/public/", &[], "404 not_found"),
    ("GET /other", &["key"], "404 not_found"),
    ("GET /users.json", &["key"], "404 not_found"),
    ("GET /USERS", &["key"], "404 not_found"),
    ("GET /Users/public", &[], "404 not_found"),
    ("GET /users/PUBLIC", &[], "401 unauthenticated"),
    ("GET /users?x=/users/public", &[], "401 unauthenticated"),
    ("GET /users/admin?/users/public", &["key"], "401 unauthenticated"),
    ("GET /users/public?/../admin", &[], "200"),
    ("GET /users/%61dmin", &["key"], "401 unauthenticated"),
    ("GET /users/%61dmin", &["token"], "200 alice"),
    ("GET /users/%2561dmin", &["key"], "400 ambiguous_path"),
    ("GET //users", &["key"], "400 ambiguous_path"),
    ("GET /users//admin", &["key"], "400 ambiguous_path"),
    ("GET //test.example/users/public", &[], "400 ambiguous_path"),
    ("GET /users/./admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public/.", &[], "404 not_found"),
    ("GET /users/public/../admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public/..;/admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public/%2e%2e/admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public/.%2E/admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public/%252e%252e/admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public%2f..%2fadmin", &["key"], "400 ambiguous_path"),
    ("GET /users/public%252f..%252fadmin", &["key"], "400 ambiguous_path"),
    ("GET /users%2fadmin", &["key"], "400 ambiguous_path"),
    ("GET /users%252fadmin", &["key"], "400 ambiguous_path"),
    ("GET /users%5cadmin", &["key"], "400 ambiguous_path"),
    ("GET /users\\admin", &["key"], "400 ambiguous_path"),
    ("GET /users/admin%2f", &["key"], "400 ambiguous_path"),
    ("GET /users/admin;x", &["key"], "400 ambiguous_path"),
    ("GET /users/admin%3bx", &["key"], "400 ambiguous_path"),
    ("GET /users;x/admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public;/../admin", &["key"], "400 ambiguous_path"),
    ("GET /users/public;x", &[], "400 ambiguous_path"),
    ("GET /users/admin%3fx", &["key"], "400 ambiguous_path"),
    ("GET /users/admin%23x", &["key"], "400 ambiguous_path"),
    ("GET /users/admin#x", &["key"], "400"),
    ("GET /users/admin%00", &["key"], "400 ambiguous_path"),
    ("GET /users/admin%0a", &["key"], "400 ambiguous_path"),
    ("GET /users/%c0%afadmin", &["key"], "400 ambiguous_path"),
    ("GET /users/admin%zz", &["key"], "400 ambiguous_path"),
    ("GET /users/7%2fadmin", &["key"], "400 ambiguous_path"),
    ("GET /files/../users/public", &[], "400 ambiguous_path"),
    // A target with a scheme and a host.
    ("GET http://test.example/users", &[], "401 unauthenticated"),
    ("GET http://test.example/users", &["key"], "200 acme"),
    ("GET http://test.example/users/public", &[], "200"),
    ("GET http://test.example//users", &["key"], "400 ambiguous_path"),
    ("GET http://test.example", &["key"], "404 not_found"),
    ("GET users/public", &[], "400"),
];

const SAID_BY_CLIENTS: &[Case] = &[
    ("GET /users", &["x-auth-subject: root"], "401 unauthenticated"),
    ("GET /users", &["x_auth_subject: root", "X-Auth-Scheme: api-key"], "401 unauthenticated"),
    (
        "GET /users",
        &["key", "x-auth-subject: root", "x_auth_subject: root", "x.auth.groups: root"],
        "200 acme",
    ),
    ("GET /users/public", &["x-auth-subject: root", "X_AUTH-SCOPES: root"], "200"),
    ("GET /users/admin", &["token", "x-auth-consumer: root"], "200 alice"),
    ("GET /users/7", &["zenith", "x-auth-groups: gold"], "403 not_allowed"),
    ("GET /users/7", &["zenith", "x_auth_groups: gold"], "403 not_allowed"),
    (
        "GET /users",
        &[r#"gatehouse.evidence.api-key-auth: {"subject": "root", "consumer": "acme"}"#],
        "401 unauthenticated",
    ),
    (
        "GET /users",
        &[r#"wasm.gatehouse.evidence.api-key-auth: {"subject": "root"}"#],
        "401 unauthenticated",
    ),
    (
        "GET /users/admin",
        &[r#"x-gatehouse-evidence-jwt-auth: {"subject": "root"}"#, "gatehouse.subject: root"],
        "401 unauthenticated",
    ),
    (
        "GET /users",
        &["gatehouse.method: public", "x-gatehouse-method: public"],
        "401 unauthenticated",
    ),
    // Paths, methods and hosts that other proxies would believe.
    ("GET /users", &["x-original-url: /users/public"], "401 unauthenticated"),
    ("GET /users", &["x-rewrite-url: /users/public"], "401 unauthenticated"),
    ("GET /users", &["x-envoy-original-path: /users/public"], "401 unauthenticated"),
    ("GET /users", &["x-forwarded-prefix: /users/public"], "401 unauthenticated"),
    ("GET /users", &["x-forwarded-host: localhost"], "401 unauthenticated"),
    ("GET http://localhost/users", &[], "401 unauthenticated"),
    ("GET http://TEST.EXAMPLE./users", &["key"], "200 acme"),
];
