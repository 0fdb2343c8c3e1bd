//! The rules of the policy, one test each, and its configuration errors.

use serde_json::{Value, json};
use shared::testing::{Bench, Outcome};

use super::*;

mod allow;
mod anonymous;
mod enforced;
mod openings;

/// The policy of the production guide: Basic for the API, a key for the service, a token for one of
/// its methods, and one that is open; and a method with alternatives.
fn config() -> Value {
    json!({
        "schemes": {
            "basic": {"authenticator": "basic-auth"},
            "api_key": {"authenticator": "api-key-auth"},
            "jwt": {"authenticator": "jwt-auth"},
        },
        "realm": "Example",
        "security": [{"basic": []}],
        "services": [
            {
                "name": "users",
                "security": [{"api_key": []}],
                "methods": [
                    {"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}},
                    {"name": "admin", "match": {"methods": ["GET"], "paths": ["/users/admin"]},
                     "security": [{"jwt": []}]},
                    {"name": "create", "match": {"methods": ["POST"], "paths": ["/users"]},
                     "security": [{"jwt": ["api:write"], "api_key": []}, {"basic": []}]},
                    {"name": "public", "match": {"methods": ["GET"], "paths": ["/users/public"]},
                     "security": "none"},
                    {"name": "show", "match": {"methods": ["GET", "HEAD"], "paths": ["/users/{id}"]},
                     "allow": {"groups": ["ops"]}},
                ],
            },
            {"name": "files", "methods": [
                {"name": "read", "match": {"methods": ["GET"], "paths": ["/files/**"]}},
            ]},
        ],
    })
}

fn with(more: Value) -> Value {
    let mut config = config();
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// The evidence of an authenticator that knows who it is.
fn known(subject: &str, more: Value) -> Value {
    let mut evidence = json!({"scheme": "x", "subject": subject,
        "headers": {"x-auth-subject": subject}});
    for (name, value) in more.as_object().unwrap() {
        evidence[name] = value.clone();
    }
    evidence
}

fn refused(reason: &str, status: u16, challenge: &str) -> Value {
    json!({"refused": {"reason": reason, "status": status,
        "headers": [["www-authenticate", challenge]]}})
}

fn bench(config: &Value, evidence: &[(&str, Value)]) -> Bench<AccessPolicy> {
    let bench = Bench::configure(config).map_err(|error| error.to_string()).unwrap();
    for (authenticator, evidence) in evidence {
        let name = format!("gatehouse.evidence.{authenticator}");
        bench.proxy.set_property(&[&name], evidence.to_string().as_bytes());
    }
    bench
}

/// What nobody has shown anything for.
fn nothing() -> [(&'static str, Value); 3] {
    [
        ("basic-auth", refused("missing", 401, r#"Basic realm="b""#)),
        ("api-key-auth", refused("missing", 401, r#"ApiKey realm="k""#)),
        ("jwt-auth", refused("missing", 401, r#"Bearer realm="j""#)),
    ]
}

/// The evidence of somebody who has shown these and nothing else.
fn showing(shown: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let mut evidence = nothing().to_vec();
    for (authenticator, value) in shown {
        evidence.iter_mut().find(|(name, _)| name == authenticator).unwrap().1 = value.clone();
    }
    evidence
}

fn send(evidence: &[(&str, Value)], method: &str, path: &str) -> Outcome {
    bench(&config(), evidence).send(&[(":method", method), (":path", path)])
}

#[track_caller]
fn check(evidence: &[(&str, Value)], request: &str, verdict: &str) -> Outcome {
    let (method, path) = request.split_once(' ').unwrap();
    let outcome = send(evidence, method, path);
    let got = outcome.reply().map_or_else(
        || "passes".to_owned(),
        |reply| format!("{} {}", reply.status, reply.details.rsplit('.').next().unwrap()),
    );
    assert_eq!(got, verdict, "{request}: {}", outcome.line());
    outcome
}

fn key() -> Vec<(&'static str, Value)> {
    showing(&[("api-key-auth", known("acme", json!({"groups": ["ops"]})))])
}

fn token(scopes: &[&str]) -> Vec<(&'static str, Value)> {
    showing(&[("jwt-auth", known("alice", json!({"scopes": scopes})))])
}

#[test]
fn a_narrower_level_replaces_a_wider_one() {
    check(&key(), "GET /users", "passes");
    check(&token(&[]), "GET /users", "401 unauthenticated");
    check(&token(&[]), "GET /users/admin", "passes");
    check(&key(), "GET /users/admin", "401 unauthenticated");
    check(&key(), "GET /files/a", "401 unauthenticated");
    check(&showing(&[("basic-auth", known("carol", json!({})))]), "GET /files/a", "passes");
}

#[test]
fn what_is_open_is_open_and_tells_of_nobody() {
    let outcome = check(&nothing(), "GET /users/public", "passes");
    assert_eq!(
        outcome.effects.to_string(),
        "gatehouse.service=users gatehouse.method=public #allowed"
    );
    let line = check(&key(), "GET /users/public", "passes").line();
    assert!(!line.contains("acme"), "{line}");
    // Nor does it need an authenticator.
    check(&[], "GET /users/public", "passes");
}

#[test]
fn what_is_not_offered_is_not_found_and_a_method_that_is_not_is_not_allowed() {
    for path in ["/", "/users/", "/users/admin/x", "/other", "/USERS", "/users/7/x", "*"] {
        check(&key(), &format!("GET {path}"), "404 not_found");
    }
    for method in ["OPTIONS", "HEAD", "PUT", "get"] {
        let outcome = check(&key(), &format!("{method} /users"), "405 method_not_allowed");
        assert_eq!(outcome.header("allow"), Some("GET, POST"));
    }
}

#[test]
fn a_literal_comes_before_a_template() {
    check(&key(), "GET /users/7", "passes");
    check(&key(), "GET /users/admin", "401 unauthenticated");
    check(&key(), "HEAD /users/7", "passes");
    check(&key(), "HEAD /users/admin", "405 method_not_allowed");
}

#[test]
fn a_path_with_readings_that_differ_is_refused() {
    for path in [
        "/users/%61dmin%2f",
        "/users//admin",
        "/users/x/../admin",
        "/users/admin;x",
        "/users/public%2f..%2fadmin",
        "/users/admin%3fx",
        "/users/pub%2flic",
        "//users",
    ] {
        check(&key(), &format!("GET {path}"), "400 ambiguous_path");
    }
    check(&key(), "GET /users/%61dmin", "401 unauthenticated");
    check(&key(), "GET /users?x=/users/public", "passes");
}

#[test]
fn alternatives_are_one_or_another_and_halves_do_not_combine() {
    let both = |scopes: &[&str]| {
        showing(&[
            ("jwt-auth", known("alice", json!({"scopes": scopes}))),
            ("api-key-auth", known("acme", json!({}))),
        ])
    };
    check(&both(&["api:write"]), "POST /users", "passes");
    check(&showing(&[("basic-auth", known("carol", json!({})))]), "POST /users", "passes");
    check(&token(&["api:write"]), "POST /users", "401 unauthenticated");
    check(&key(), "POST /users", "401 unauthenticated");
    check(&both(&["api:read"]), "POST /users", "403 insufficient_scope");
    // A token that lacks a scope is half an alternative, and no reason for 403.
    check(&token(&["api:read"]), "POST /users", "401 unauthenticated");
}

#[test]
fn scopes_are_all_needed_and_compared_whole() {
    let mut config = config();
    config["services"][0]["methods"][1]["security"] = json!([{"jwt": ["a:b", "c"]}]);
    let status = |scopes: &[&str]| {
        let outcome =
            bench(&config, &token(scopes)).send(&[(":method", "GET"), (":path", "/users/admin")]);
        outcome.reply().map_or(200, |reply| reply.status)
    };
    assert_eq!(status(&["a:b", "c", "d"]), 200);
    for scopes in [&["a:b"][..], &["a", "c"], &["a:*", "c"], &["A:b", "c"], &["a:b c"], &[]] {
        assert_eq!(status(scopes), 403, "{scopes:?}");
    }
}

#[test]
fn a_lacking_scope_is_named_as_rfc_6750_has_it() {
    let mut config = config();
    config["services"][0]["methods"][1]["security"] = json!([{"jwt": ["a:b", "c"]}]);
    let outcome =
        bench(&config, &token(&[])).send(&[(":method", "GET"), (":path", "/users/admin")]);
    assert_eq!(
        outcome.header("www-authenticate"),
        Some(r#"Bearer realm="Example", error="insufficient_scope", scope="a:b c""#)
    );
}

#[test]
fn nobody_gets_every_challenge_that_is_asked_for() {
    let outcome = check(&nothing(), "POST /users", "401 unauthenticated");
    let challenges: Vec<_> = outcome
        .reply()
        .unwrap()
        .headers
        .iter()
        .filter(|(name, _)| *name == "www-authenticate")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(challenges, [r#"ApiKey realm="k""#, r#"Bearer realm="j""#, r#"Basic realm="b""#]);
    // Who has shown half of it is asked for all of it.
    let outcome = check(&key(), "POST /users", "401 unauthenticated");
    assert_eq!(outcome.header("www-authenticate"), Some(r#"ApiKey realm="Example""#));
}

#[test]
fn one_that_is_needed_and_has_not_run_is_told_of() {
    check(&[], "GET /users", "503 authenticator_missing");
    check(&[("api-key-auth", json!("nonsense"))], "GET /users", "503 authenticator_missing");
    // What another alternative satisfies does not need it.
    let basic = [
        ("basic-auth", known("carol", json!({}))),
        ("jwt-auth", nothing()[2].1.clone()),
        ("api-key-auth", nothing()[1].1.clone()),
    ];
    check(&basic, "POST /users", "passes");
}

#[test]
fn an_authenticator_that_cannot_say_is_no_reason_for_401() {
    let down = showing(&[("jwt-auth", refused("no_keys", 503, ""))]);
    check(&down, "GET /users/admin", "503 authenticator_unavailable");
    let throttled = json!({"refused": {"reason": "throttled", "status": 429, "headers": [["retry-after", "17"]]}});
    let outcome = check(&showing(&[("basic-auth", throttled)]), "GET /files/a", "429 throttled");
    assert_eq!(outcome.header("retry-after"), Some("17"));
}

#[test]
fn the_upstream_is_told_of_the_alternative_that_held_and_of_no_other() {
    let evidence = showing(&[
        ("basic-auth", known("carol", json!({"groups": ["ops"]}))),
        ("jwt-auth", known("alice", json!({"scopes": ["api:read"]}))),
    ]);
    let line = check(&evidence, "POST /users", "passes").line();
    assert!(line.contains("+x-auth-subject: carol") && !line.contains("alice"), "{line}");
    assert!(
        line.contains("gatehouse.subject=carol") && line.contains("gatehouse.groups=ops"),
        "{line}"
    );
}

#[test]
fn of_two_schemes_that_hold_both_are_told_and_the_first_is_believed() {
    let evidence = showing(&[
        ("api-key-auth", known("acme", json!({"consumer": "acme"}))),
        ("jwt-auth", known("alice", json!({"scopes": ["api:write"]}))),
    ]);
    let line = check(&evidence, "POST /users", "passes").line();
    assert!(
        line.contains("+x-auth-subject: acme") && line.contains("gatehouse.scopes=api:write"),
        "{line}"
    );
}

#[test]
fn what_a_client_says_of_itself_is_taken_off() {
    let mut bench = bench(&config(), &[]);
    let headers = [(":method", "GET"), (":path", "/users/public"), ("x-auth-subject", "root")];
    assert!(bench.send(&headers).line().contains("-x-auth-subject"));
}

#[test]
fn shadow_mode_counts_and_lets_pass() {
    let mut shadow = bench(&with(json!({"mode": "shadow"})), &nothing());
    let line = shadow.send(&[(":method", "GET"), (":path", "/users")]).line();
    assert!(
        line.starts_with("continue") && line.contains("#shadow_refused[reason=unauthenticated]"),
        "{line}"
    );
    let mut shadow = bench(&with(json!({"mode": "shadow", "require_https": "redirect"})), &key());
    let headers =
        [(":method", "GET"), (":path", "/users"), (":scheme", "http"), (":authority", "x")];
    assert_eq!(shadow.send(&headers).line(), "continue #shadow_answered");
}

#[test]
fn https_is_asked_for_where_it_is_required() {
    let send = |mode: &str, headers: &[(&str, &str)]| {
        let mut bench = bench(&with(json!({"require_https": mode})), &key());
        let mut all =
            vec![(":method", "GET"), (":path", "/users?a=b"), (":authority", "api.example:8080")];
        all.extend_from_slice(headers);
        bench.send(&all)
    };
    let location = |outcome: &Outcome| outcome.header("location").map(str::to_owned);
    let redirected = send("redirect", &[(":scheme", "http")]);
    assert_eq!(redirected.reply().unwrap().status, 308);
    assert_eq!(location(&redirected).as_deref(), Some("https://api.example/users?a=b"));
    assert_eq!(
        send("redirect", &[("x-forwarded-proto", "https"), (":scheme", "http")]).reply(),
        None
    );
    assert_eq!(
        send("redirect", &[("x-forwarded-proto", "http"), (":scheme", "https")])
            .reply()
            .unwrap()
            .status,
        308
    );
    let twice = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")];
    assert_eq!(
        send("refuse", &twice).reply().unwrap().details,
        "gatehouse.access-policy.https_required"
    );
    assert_eq!(send("refuse", &[(":scheme", "https")]).reply(), None);
    assert_eq!(send("off", &[(":scheme", "http")]).reply(), None);
}

#[test]
fn nobody_is_redirected_to_a_host_that_is_none() {
    for (authority, location) in [
        ("api.example", Some("https://api.example/users")),
        ("[::1]:80", Some("https://[::1]/users")),
        ("evil.example/x", None),
        ("a@evil.example", None),
        ("", None),
        ("a b", None),
        ("::1", None),
    ] {
        let mut bench = bench(&with(json!({"require_https": "redirect"})), &key());
        let outcome =
            bench.send(&[(":method", "GET"), (":path", "/users"), (":authority", authority)]);
        assert_eq!(outcome.header("location"), location, "{authority}");
        assert!(outcome.reply().is_some());
    }
}

#[test]
fn the_policy_may_live_in_a_routes_metadata() {
    use prost::Message as _;
    let mut bench = bench(&json!({}), &nothing());
    let request = [(":method", "GET"), (":path", "/open")];
    assert_eq!(bench.send(&request).reply().unwrap().status, 404);
    let policy = json!({"services": [{"name": "s", "security": "none", "methods": [
        {"name": "m", "match": {"methods": ["GET"], "paths": ["/open"]}}]}]});
    bench.proxy.set_property(&["xds", "route_metadata"], &metadata(&policy).encode_to_vec());
    assert_eq!(bench.send(&request).reply(), None);
    let wrong = json!({"services": [{"name": "s", "methods": []}]});
    bench.proxy.set_property(&["xds", "route_metadata"], &metadata(&wrong).encode_to_vec());
    assert_eq!(bench.send(&request).reply().unwrap().status, 500);
}

/// `envoy.config.core.v3.Metadata` with the policy in its place.
#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: std::collections::HashMap<String, prost_types::Struct>,
}

fn metadata(policy: &Value) -> Metadata {
    let of_gatehouse = shared::testing::structure(&json!({"access-policy": policy}));
    Metadata { filter_metadata: [("gatehouse".to_owned(), of_gatehouse)].into() }
}

#[track_caller]
fn refuse(config: &Value, message: &str) {
    let error = Bench::<AccessPolicy>::configure(config).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

fn edited(edit: impl FnOnce(&mut Value)) -> Value {
    let mut config = config();
    edit(&mut config);
    config
}

#[test]
fn mistakes_in_the_policy_are_named() {
    refuse(&with(json!({"security": [{"basik": []}]})), "security[0].basik: is none of `schemes`");
    refuse(
        &edited(|config| {
            config["services"][0]["methods"][1]["security"] = json!([{"jwt": []}, {"oauth": []}])
        }),
        "services[0].methods[1].security[1].oauth: is none of `schemes`",
    );
    refuse(
        &edited(|config| config["schemes"]["jwt"]["authenticator"] = json!("jwt_authn")),
        "schemes.jwt.authenticator: `jwt_authn` is none of api-key-auth, basic-auth, jwt-auth, \
         oauth2-login, token-introspection",
    );
    refuse(
        &edited(|config| {
            config.as_object_mut().unwrap().remove("security");
        }),
        "services[1].methods[0]: has no `security`, nor has its service or the API; write `none` to open it",
    );
    refuse(
        &with(json!({"security": []})),
        "security: a list of at least one alternative, or `none`",
    );
    refuse(
        &with(json!({"security": [{}]})),
        "security[0]: an alternative without a scheme; write `anonymous`",
    );
    refuse(&with(json!({"security": "open"})), "security: is not `none`");
    refuse(&with(json!({"security": null})), "security: is null; leave the field out instead");
    refuse(
        &edited(|config| {
            config["services"][0]["methods"][4]["match"]["paths"] = json!(["/users/{id}", "/users"])
        }),
        "services[0].methods[4].match.paths[1]: `users.list` is offered there by GET already",
    );
    refuse(
        &edited(|config| config["services"][0]["methods"][3]["allow"] = json!({"groups": ["ops"]})),
        "services[0].methods[3].allow: names some, where `security: none` knows nobody",
    );
}

#[test]
fn mistakes_in_names_fields_and_patterns_are_named() {
    refuse(
        &edited(|config| config["services"][1]["name"] = json!("users")),
        "services[1].name: is empty, or another service's",
    );
    refuse(
        &edited(|config| config["services"][0]["methods"][1]["name"] = json!("list")),
        "services[0].methods[1].name: is empty, or another method's",
    );
    refuse(
        &edited(|config| {
            config["services"][0]["methods"][1]["security"] = json!([{"jwt": ["a b"]}])
        }),
        "services[0].methods[1].security[0].jwt: a scope is printable ASCII without space, quote and backslash",
    );
    refuse(
        &with(json!({"service": []})),
        "service: unknown field; known are mode, errors, schemes, security, allow, services, require_https, \
         realm, identity_headers, rules, route_overrides",
    );
    refuse(
        &edited(|config| config["services"][0]["methods"][0]["match"]["paths"] = json!(["users"])),
        "services[0].methods[0].match.paths[0]: `users` is not a path pattern: it begins with `/`",
    );
    refuse(&with(json!({"allow": {}})), "allow: names nobody; write `all` to allow everybody");
}
