//! What `gatehouse policy` refuses to read in a document, and what it says of what it reads.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What the program made of a document.
struct Made {
    code: Option<i32>,
    policy: Value,
    said: String,
}

fn run(dialect: &str, document: &str, options: &[&str]) -> Made {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(["policy", "-", "--json", "--dialect", dialect])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    let policy = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Made { code: output.status.code(), policy, said }
}

#[track_caller]
fn refused(dialect: &str, document: &str, options: &[&str], why: &str) {
    let made = run(dialect, document, options);
    assert_eq!((made.code, &made.policy), (Some(1), &Value::Null), "{}", made.said);
    assert!(made.said.contains(why), "{}", made.said);
}

/// The requirements of the methods, in their order, and what was said.
#[track_caller]
fn required(dialect: &str, document: &str, options: &[&str]) -> (Vec<Value>, String) {
    let made = run(dialect, document, options);
    assert_eq!(made.code, Some(0), "{}", made.said);
    let services = made.policy["services"].as_array().unwrap();
    let methods = services.iter().flat_map(|service| service["methods"].as_array().unwrap());
    (methods.map(|method| method["security"].clone()).collect(), made.said)
}

/// A document of these paths, with schemes of every kind.
fn document(paths: &Value) -> String {
    let key = |name: &str| json!({"type": "apiKey", "in": "header", "name": name});
    json!({"openapi": "3.0.3", "paths": paths, "components": {"securitySchemes": {
        "userKey": key("X-User-Key"),
        "adminKey": key("X-Admin-Key"),
        "again": {"$ref": "#/components/securitySchemes/adminKey"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "oauth": {"type": "oauth2", "flows": {}},
        "basic": {"type": "http", "scheme": "basic"},
        "jwt_header_Authorization": {"type": "http", "scheme": "bearer"},
        "jwt_header_X-Authorization": {"type": "http", "scheme": "bearer"},
        "jwt_header_header_Token": {"type": "http", "scheme": "bearer"},
    }}})
    .to_string()
}

/// An operation.
fn operation(id: &str, security: Value) -> Value {
    json!({"operationId": id, "security": security})
}

#[test]
fn what_comes_twice_is_refused_with_its_line() {
    let twice = "openapi: 3.0.3
paths:
  /admin:
    get: { operationId: a, security: [ { basic: [] } ] }
  /admin:
    get: { operationId: a, security: [] }
components: { securitySchemes: { basic: { type: http, scheme: basic } } }
";
    refused("openapi", twice, &[], "stdin:5: ");
    let within = twice
        .replace("  /admin:\n    get: { operationId: a, security: [] }\n", "")
        .replace("security: [ { basic: [] } ]", "security: [ { basic: [] } ],\n      security: []");
    refused("openapi", &within, &[], "stdin:5: ");
    let json = r#"{"openapi": "3.0.3", "security": [{"basic": []}],
"security": [], "paths": {"/a": {"get": {"operationId": "a"}}}}"#;
    refused("openapi", json, &[], "stdin:2: ");
}

#[test]
fn scopes_are_texts() {
    for scopes in ["[ admin: write ]", "[ a, 42 ]", "[ yes ]", "[ null ]", "[ [] ]"] {
        let text = format!(
            "openapi: 3.0.3
paths: {{ /a: {{ get: {{ operationId: list, security: [ {{ oauth: {scopes} }} ] }} }} }}
components: {{ securitySchemes: {{ oauth: {{ type: oauth2, flows: {{}} }} }} }}
"
        );
        refused("openapi", &text, &[], "list: `oauth` has a scope that is no text");
    }
}

#[test]
fn schemes_of_one_authenticator_are_refused_where_nobody_says_that_they_are_the_same() {
    let two = document(&json!({
        "/list": {"get": operation("list", json!([{"userKey": []}]))},
        "/admin": {"get": operation("admin", json!([{"adminKey": []}]))},
    }));
    refused(
        "openapi",
        &two,
        &[],
        "`adminKey` (required by admin) and `userKey` (required by list)",
    );
    refused("openapi", &two, &["--interchangeable", "adminKey"], "--interchangeable userKey");
    let both = ["--interchangeable", "userKey", "--interchangeable", "adminKey"];
    let (methods, said) = required("openapi", &two, &both);
    assert_eq!(methods, [json!([{"userKey": []}]), json!([{"adminKey": []}])]);
    assert!(said.contains("`adminKey` and `userKey` are the same to `api-key-auth`"), "{said}");
    let other = [&both[..], &["--interchangeable", "basic"]].concat();
    refused("openapi", &two, &other, "no operation requires a scheme `basic`");
    // Bearer and OAuth 2.0 are both tokens, unless OAuth 2.0 has an authenticator of its own.
    let tokens = document(&json!({
        "/a": {"get": operation("a", json!([{"bearer": []}, {"oauth": ["x"]}]))},
    }));
    refused("openapi", &tokens, &[], "--oauth2");
    required("openapi", &tokens, &["--oauth2", "token-introspection"]);
    // A reference is the scheme that it refers to.
    let reference = document(&json!({
        "/a": {"get": operation("a", json!([{"adminKey": []}]))},
        "/b": {"get": operation("b", json!([{"again": []}]))},
    }));
    required("openapi", &reference, &[]);
}

#[test]
fn a_scheme_of_goas_in_two_places_is_one() {
    let places = document(&json!({
        "/a": {"get": operation("s#a", json!([{"jwt_header_Authorization": ["x"]}]))},
        "/b": {"get": operation("s#b", json!([{"jwt_header_X-Authorization": ["y"]}]))},
    }));
    let (methods, _) = required("goa", &places, &[]);
    assert_eq!(methods, [json!([{"jwt": ["x"]}]), json!([{"jwt": ["y"]}])]);
}

#[test]
fn two_credentials_of_one_authenticator_are_never_both_there() {
    let keys = document(&json!({
        "/both": {"get": operation("both", json!([{"userKey": [], "adminKey": []}]))},
    }));
    let why = "both: requires `userKey` and `adminKey` together, and `api-key-auth`";
    refused("openapi", &keys, &[], why);
    let same = ["--interchangeable", "userKey", "--interchangeable", "adminKey"];
    refused("openapi", &keys, &same, why);
    let places = document(&json!({"/both": {"get": operation("s#both", json!([
        {"jwt_header_Authorization": ["a"], "jwt_header_X-Authorization": ["b"]}
    ]))}}));
    refused(
        "goa",
        &places,
        &[],
        "s#both: requires `jwt_header_Authorization` and `jwt_header_X-Auth",
    );
}

#[test]
fn paths_that_overlap_and_differ_in_security_are_refused() {
    let paths = json!({
        "/u/{id}": {"get": operation("s#show", json!([]))},
        "/{x}/admin": {"get": operation("s#admin", json!([{"basic": []}]))},
    });
    let why = "s#admin: `/{x}/admin` and `/u/{id}` of `s#show` have paths in common";
    refused("openapi", &document(&paths), &[], why);
    // Who knows which of them the server takes says so, of the one that the policy takes.
    let first = ["--first", "s#show"];
    let (methods, said) = required("openapi", &document(&paths), &first);
    assert_eq!(methods, [json!("none"), json!([{"basic": []}])]);
    assert!(said.contains("`s#show` comes first"), "{said}");
    refused("openapi", &document(&paths), &["--first", "s#admin"], why);
    refused(
        "openapi",
        &document(&paths),
        &["--first", "s#show", "--first", "s#none"],
        "there is no operation `s#none`",
    );
    // What serves Goa's documents has the policy's own order.
    let mut goa = paths;
    goa["/{x}/admin"]["get"]["security"] = json!([{"jwt_header_Authorization": []}]);
    let (_, said) = required("goa", &document(&goa), &[]);
    assert!(said.contains("`s#show` comes first"), "{said}");
}

#[test]
fn paths_that_overlap_and_require_the_same_or_are_ordered_are_not() {
    let open = |id| operation(id, json!([]));
    let shut = |id| operation(id, json!([{"basic": []}]));
    for paths in [
        json!({"/u/{id}": {"get": shut("a")}, "/{x}/admin": {"get": shut("b")}}),
        json!({"/u/{id}": {"get": open("a")}, "/{x}/admin": {"put": shut("b")}}),
        json!({"/u/{id}": {"get": open("a")}, "/u/admin": {"get": shut("b")}}),
        json!({"/u/{id}/{y}": {"get": open("a")}, "/u/{id}/keys": {"get": shut("b")}}),
        json!({"/u/{id}": {"get": open("a")}, "/u/": {"get": shut("b")}}),
        json!({"/u/{id}": {"get": open("a")}, "/{x}/admin/": {"get": shut("b")}}),
        json!({"/{*all}": {"get": shut("a")}, "/u/{id}": {"get": open("b")}}),
    ] {
        required("openapi", &document(&paths), &[]);
    }
    for paths in [
        json!({"/f/{*rest}": {"get": open("a")}, "/{x}/admin": {"get": shut("b")}}),
        json!({"/f/{*rest}": {"get": open("a")}, "/{x}": {"get": shut("b")}}),
        // One letter, written in two ways.
        json!({"/u/{id}/x": {"get": open("a")}, "/%75/admin/{y}": {"get": shut("b")}}),
    ] {
        refused("openapi", &document(&paths), &[], "have paths in common");
    }
}

#[test]
fn a_name_that_several_operations_have_opens_none() {
    let shut = json!([{"basic": []}]);
    let twins = document(&json!({
        "/a": {"get": operation("x", shut.clone()), "put": operation("x", shut.clone())},
    }));
    let why = "`x` is GET /a and PUT /a";
    refused("openapi", &twins, &["--public", "x"], why);
    refused("openapi", &twins.replace("/a", "/{a}"), &["--catch-all", "x"], "`x` is GET /{a} and");
    let (methods, _) = required("openapi", &twins, &["--public", "GET /a"]);
    assert_eq!(methods, [json!("none"), shut.clone()]);
    let disguised = document(&json!({
        "/a": {"get": operation("GET /b", shut.clone())},
        "/b": {"get": operation("b", shut)},
    }));
    refused("openapi", &disguised, &["--public", "GET /b"], "`GET /b` is GET /a and GET /b");
}

#[test]
fn a_key_of_goas_with_two_readings_is_refused_where_they_overlap_too() {
    let key = document(&json!({
        "/a": {"get": operation("s#a", json!([{"jwt_header_header_Token": []}]))},
    }));
    refused("goa", &key, &[], "s#a: `jwt_header_header_Token` can be read in more than one way");
}

#[test]
fn what_is_no_operation_is_refused() {
    let open = operation("s#a", json!([]));
    for (item, why) in [
        (json!({"get": null}), "GET /a: is no object"),
        (json!({"get": "x"}), "GET /a: is no object"),
        (json!({"get": [open]}), "GET /a: is no object"),
        (json!({"get": {"$ref": "#/x"}}), "GET /a: is a reference to elsewhere"),
        (json!({"get": {"operationId": "s#a", "Security": []}}), "s#a: has `Security`"),
        (json!(null), "/a: is no object"),
        (json!("x"), "/a: is no object"),
        (json!([{"get": open}]), "/a: is no object"),
        (json!({"GET": open}), "/a: has `GET`"),
        (json!({"connect": open}), "/a: has `connect`"),
        (json!({"get": open, "security": []}), "/a: has `security`"),
    ] {
        let paths = json!({"/a": item, "/b": {"get": operation("s#b", json!([]))}});
        for dialect in ["goa", "openapi"] {
            refused(dialect, &document(&paths), &[], why);
        }
    }
    let whole = json!({"/a": {"get": open, "summary": "", "description": "", "parameters": [],
        "x-more": {"get": null}}});
    required("goa", &document(&whole), &[]);
}

#[test]
fn many_operations_of_one_name_take_no_time() {
    let shut = json!([{"basic": []}]);
    let paths: serde_json::Map<_, _> = (0..3000)
        .map(|n| (format!("/a{n}/{{id}}"), json!({"get": operation("same", shut.clone())})))
        .collect();
    let begin = Instant::now();
    let made = run("openapi", &document(&Value::Object(paths)), &[]);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(made.code, Some(0));
    assert_eq!(made.policy["services"][0]["methods"][2999]["name"], "same-3000");
}

#[test]
fn what_the_filter_refuses_has_the_name_of_its_operation() {
    let text = "openapi: 3.0.3
paths:
  /a:
    get: { operationId: s#a, security: [] }
  /..:
    put: { operationId: s#b, security: [] }
";
    refused("openapi", text, &[], "stdin:6: error: s#b: match.paths[0]: ");
}

#[test]
fn what_is_another_version_is_said() {
    let text = "openapi: 3.1\npaths: { /a: { get: { operationId: a, security: [] } } }\n";
    refused("openapi", text, &[], "stdin:1: error: `openapi` is a number: write it in quotes");
    let text = "swagger: \"2.0\"\npaths: {}\n";
    refused("openapi", text, &[], "stdin:1: error: is Swagger 2.0");
    refused("openapi", "paths: {}\n", &[], "is no OpenAPI 3 document");
}

#[test]
fn extensions_are_no_paths() {
    let paths = json!({"x-more": {"get": {}}, "/a": {"get": operation("a", json!([]))}});
    assert_eq!(required("openapi", &document(&paths), &[]).0, [json!("none")]);
    refused("openapi", &document(&json!({"a": {"get": {}}})), &[], "no `/` first");
}

#[test]
fn servers_have_paths_and_nothing_else_in_them() {
    let with = |servers: Value| {
        let mut document: Value =
            serde_json::from_str(&document(&json!({"/a": {"get": operation("a", json!([]))}})))
                .unwrap();
        document["servers"] = servers;
        document.to_string()
    };
    let path = |servers: Value| {
        let made = run("openapi", &with(servers), &[]);
        made.policy["services"][0]["methods"][0]["match"]["paths"][0].clone()
    };
    assert_eq!(path(json!([{"url": "//host/v1"}])), "/v1/a");
    assert_eq!(path(json!([{"url": "//host"}, {"url": "/"}, {"url": "https://{x}:1/"}])), "/a");
    assert_eq!(path(json!([])), "/a");
    for (servers, why) in [
        (json!([{"url": "/*"}]), "servers: `/*`"),
        (json!([{"url": "https://host/v1/**"}]), "servers: `https://host/v1/**`"),
        (json!([{"url": "v1"}]), "servers: `v1` is relative"),
        (json!({"url": "/v1"}), "servers: is no list"),
        (json!("/v1"), "servers: is no list"),
        (json!(["/v1"]), "servers: one has no `url`"),
        (json!([{"url": 1}]), "servers: one has no `url`"),
    ] {
        refused("openapi", &with(servers), &[], why);
    }
}

#[test]
fn what_the_document_opens_is_said() {
    let text = "openapi: 3.0.3
security: []
paths: { /a: { get: { operationId: s#a } } }
";
    for (dialect, said) in [
        ("openapi", "s#a: is open by the `security: []` of the document"),
        ("goa", "s#a: is open: neither it nor the API"),
    ] {
        let (methods, notes) = required(dialect, text, &[]);
        assert_eq!(methods, [json!("none")]);
        assert!(notes.contains(said), "{notes}");
    }
    refused("goa", &text.replace("[]", "{}"), &[], "a `security` that is no list");
}

#[test]
fn a_session_has_no_header() {
    let paths = json!({"/a": {"get": operation("a", json!([{"oauth": []}]))}});
    let (_, said) = required("openapi", &document(&paths), &["--oauth2", "oauth2-login"]);
    assert!(!said.contains("authorization"), "{said}");
    assert!(said.contains("`oauth2-login` knows browsers by a cookie of its own"), "{said}");
}
