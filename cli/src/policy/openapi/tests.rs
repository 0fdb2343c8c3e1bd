//! What becomes of documents, each trap of Goa's among them.

use super::*;

/// The document that Goa writes for the guide's example, older (`None`) or newer.
fn guide(public: Option<Value>) -> Value {
    let mut open = json!({"operationId": "users#public"});
    if let Some(security) = public {
        open["security"] = security;
    }
    json!({
        "openapi": "3.0.3",
        "servers": [{"url": "http://localhost:80"}],
        "security": [{"basic__": []}],
        "paths": {
            "/users": {"get": {"operationId": "users#list",
                "security": [{"api_key_header_Authorization": []}]}},
            "/users/admin": {"get": {"operationId": "users#admin",
                "security": [{"jwt_header_Authorization": []}]}},
            "/users/public": {"get": open},
        },
        "components": {"securitySchemes": {
            "api_key_header_Authorization": {"type": "apiKey", "in": "header", "name": "Authorization"},
            "jwt_header_Authorization": {"type": "http", "scheme": "bearer"},
        }},
    })
}

fn public(ids: &[&str]) -> Options {
    Options { public: ids.iter().map(|id| (*id).to_owned()).collect(), ..Options::default() }
}

fn goa(document: &Value, options: &Options) -> Derived {
    derive(document, Dialect::Goa, options).unwrap_or_else(|why| panic!("{why}"))
}

#[track_caller]
fn refused(document: &Value, dialect: Dialect, options: &Options, message: &str) {
    let why = derive(document, dialect, options).expect_err("refused").to_string();
    assert_eq!(why.split_whitespace().collect::<Vec<_>>().join(" "), message);
}

/// A document of one operation.
fn one(path: &str, operation: Value) -> Value {
    json!({"openapi": "3.1.0", "paths": {path: {"get": operation}}, "components": {"securitySchemes": {
        "key": {"type": "apiKey", "in": "query", "name": "k"},
        "jwt": {"type": "http", "scheme": "Bearer"},
        "basic": {"type": "http", "scheme": "basic"},
        "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"scopes": {"a": "", "b": ""}}}},
        "oidc": {"type": "openIdConnect"},
        "tls": {"type": "mutualTLS"},
        "digest": {"type": "http", "scheme": "digest"},
        "again": {"$ref": "#/components/securitySchemes/jwt"},
        "lost": {"$ref": "other.json#/x"},
        "body": {"type": "apiKey", "in": "body", "name": "k"},
    }}})
}

fn security_of(value: Value) -> Derived {
    let document = one("/a", json!({"operationId": "a", "security": value}));
    derive(&document, Dialect::OpenApi, &Options::default()).unwrap()
}

fn security(value: Value) -> Value {
    let document = one("/a", json!({"operationId": "a", "security": value}));
    let derived = derive(&document, Dialect::OpenApi, &Options::default());
    derived.map_or_else(
        |why| json!(why.to_string()),
        |derived| derived.policy["services"][0]["methods"][0]["security"].clone(),
    )
}

#[test]
fn the_guides_example_in_its_newer_form() {
    let derived = goa(&guide(Some(json!([]))), &Options::default());
    assert_eq!(
        derived.policy,
        json!({
            "schemes": {
                "api_key": {"authenticator": "api-key-auth"},
                "jwt": {"authenticator": "jwt-auth"},
            },
            "services": [{"name": "users", "methods": [
                {"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]},
                 "security": [{"api_key": []}]},
                {"name": "admin", "match": {"methods": ["GET"], "paths": ["/users/admin"]},
                 "security": [{"jwt": []}]},
                {"name": "public", "match": {"methods": ["GET"], "paths": ["/users/public"]},
                 "security": "none"},
            ]}],
        })
    );
    let expected =
        "api-key-auth has to look at {header: Authorization} (`api_key_header_Authorization`)";
    assert!(derived.report.iter().any(|line| line == expected), "{:?}", derived.report);
    let order = "`api-key-auth` takes all of the header authorization, which `jwt-auth` reads: put it behind \
                 the authenticators that read the same header, or give the key a prefix";
    assert!(derived.report.iter().any(|line| line == order), "{:?}", derived.report);
    let elsewhere = security_of(json!([{"key": [], "jwt": []}]));
    assert!(!elsewhere.report.iter().any(|line| line.contains("put it behind")));
}

#[test]
fn the_guides_example_in_its_older_form_has_to_be_told_what_is_open() {
    refused(
        &guide(None),
        Dialect::Goa,
        &Options::default(),
        "users#public: has no `security`, and the API has: open by `NoSecurity` in an older Goa; if so, \
         say --public 'users#public'",
    );
    let derived = goa(&guide(None), &public(&["users#public"]));
    assert_eq!(derived.policy, goa(&guide(Some(json!([]))), &Options::default()).policy);
}

#[test]
fn in_openapi_an_operation_has_the_documents_security_and_dangling_names_are_refused() {
    refused(
        &guide(None),
        Dialect::OpenApi,
        &Options::default(),
        "users#public: requires `basic__`, which `components.securitySchemes` does not have; if it is a \
         file of Goa's, or open, say --public 'users#public'",
    );
    let mut document = one("/a", json!({"operationId": "a"}));
    document["security"] = json!([{"jwt": []}]);
    let derived = derive(&document, Dialect::OpenApi, &Options::default()).unwrap();
    assert_eq!(derived.policy["services"][0]["methods"][0]["security"], json!([{"jwt": []}]));
}

#[test]
fn nothing_is_open_because_the_document_does_not_say() {
    refused(
        &one("/a", json!({"operationId": "a"})),
        Dialect::OpenApi,
        &Options::default(),
        "a: says nothing of security, nor does the document; if it is open, say --public 'a'",
    );
    assert_eq!(security(json!([])), "none");
    let opened = security(json!([{}]));
    assert!(opened.as_str().unwrap().contains("opens it to all"), "{opened}");
}

#[test]
fn what_openapi_has_as_optional_takes_nobody_too() {
    assert_eq!(security(json!([{}, {"jwt": ["a"]}])), json!([{"jwt": ["a"]}, "anonymous"]));
    assert_eq!(
        security(json!([{"key": []}, {}, {"basic": []}, {}])),
        json!([{"key": []}, {"basic": []}, "anonymous"])
    );
    let derived = security_of(json!([{"jwt": []}, {}]));
    let told =
        "a: goes on as nobody where no credential is sent (`{}`); one that is no good is refused";
    assert_eq!(derived.report[0], told);
    // What the document says for all of its operations as well.
    let mut document = one("/a", json!({"operationId": "a"}));
    document["security"] = json!([{"jwt": []}, {}]);
    let derived = derive(&document, Dialect::OpenApi, &Options::default()).unwrap();
    let security = &derived.policy["services"][0]["methods"][0]["security"];
    assert_eq!(*security, json!([{"jwt": []}, "anonymous"]));
}

#[test]
fn goa_writes_nothing_that_is_optional() {
    let key = "jwt_header_Authorization";
    let mut document = one("/a", json!({"operationId": "s#a", "security": [{key: []}, {}]}));
    document["components"]["securitySchemes"][key] = json!({"type": "http", "scheme": "bearer"});
    refused(
        &document,
        Dialect::Goa,
        &Options::default(),
        "s#a: has an alternative without a scheme, which opens it to all; if that is meant, say --public 's#a'",
    );
    let open = goa(&document, &public(&["s#a"]));
    assert_eq!(open.policy["services"][0]["methods"][0]["security"], "none");
}

#[test]
fn alternatives_and_conjunctions_are_kept() {
    assert_eq!(
        security(json!([{"key": [], "jwt": ["a", "b"]}, {"basic": []}])),
        json!([{"key": [], "jwt": ["a", "b"]}, {"basic": []}])
    );
    assert_eq!(
        security(json!([{"again": []}, {"jwt": ["x"]}])),
        json!([{"again": []}, {"jwt": ["x"]}])
    );
}

#[test]
fn what_no_proxy_can_check_is_refused_by_name() {
    for (scheme, why) in [
        ("body", "a: `body` is a key in `body`, where no proxy looks"),
        ("tls", "a: `tls` is mutual TLS, which Envoy itself asks for"),
        ("digest", "a: `digest` is a scheme that is not known: http digest"),
        ("lost", "a: `lost` refers to `other.json#/x`"),
    ] {
        assert_eq!(security(json!([{scheme: []}])), why);
    }
}

#[test]
fn the_place_of_a_token_is_read_from_goas_key_where_there_is_one_reading() {
    let place = |key: &str| {
        let mut document = one("/a", json!({"operationId": "s#a", "security": [{key: []}]}));
        document["components"]["securitySchemes"][key] =
            json!({"type": "http", "scheme": "bearer"});
        let derived = derive(&document, Dialect::Goa, &Options::default());
        derived.map_or_else(|why| why.to_string(), |derived| derived.report[0].clone())
    };
    let looks = |at: &str, key: &str| format!("jwt-auth has to look at {at} (`{key}`)");
    let bearer = "{header: authorization, prefix: Bearer}";
    assert_eq!(place("jwt_header_Authorization"), looks(bearer, "jwt_header_Authorization"));
    assert_eq!(place("my_jwt_query_t_k"), looks("{query: t_k}", "my_jwt_query_t_k"));
    assert_eq!(place("jwt_body_t"), "s#a: `jwt_body_t` is in the body, where no proxy looks");
    assert_eq!(
        place("a_header_b_query_c"),
        "s#a: `a_header_b_query_c` can be read in more than one way"
    );
    assert_eq!(place("jwt"), "s#a: `jwt` does not say where its credential stands");
}

#[test]
fn a_key_with_underscores_is_read_by_its_place_and_name() {
    let key = "api_key_query_api_key";
    let mut document = one("/a", json!({"operationId": "s#a", "security": [{key: []}]}));
    document["components"]["securitySchemes"][key] =
        json!({"type": "apiKey", "in": "query", "name": "api_key"});
    let derived = goa(&document, &Options::default());
    assert_eq!(derived.policy["schemes"], json!({"api_key": {"authenticator": "api-key-auth"}}));
}

#[test]
fn templates_are_segments_and_a_rest_has_to_be_said() {
    let path = |path: &str, options: &Options| {
        let document = one(path, json!({"operationId": "s#a", "security": []}));
        derive(&document, Dialect::Goa, options).map_or_else(
            |why| why.to_string(),
            |derived| {
                derived.policy["services"][0]["methods"][0]["match"]["paths"][0]
                    .as_str()
                    .unwrap()
                    .to_owned()
            },
        )
    };
    let none = Options::default();
    let rest = Options { catch_all: ["s#a".to_owned()].into(), ..Options::default() };
    assert_eq!(path("/users/{id}/x", &none), "/users/{id}/x");
    assert_eq!(path("/users/{user-id}", &none), "/users/*");
    assert_eq!(path("/files/{*path}", &none), "/files/**");
    assert_eq!(path("/files/{path}", &none), "/files/{path}");
    assert_eq!(path("/files/{path}", &rest), "/files/**");
    for wrong in ["/a/{x}.json", "/a{x}", "/{*x}/b", "/{}"] {
        assert!(path(wrong, &none).starts_with("s#a: its path"), "{wrong}");
    }
    assert!(path("/files", &rest).contains("does not end in a template"));
}

#[test]
fn servers_put_their_path_before_every_other() {
    let mut document = one("/a", json!({"operationId": "a", "security": []}));
    document["servers"] = json!([{"url": "https://x/v1/"}, {"url": "/v1"}]);
    let derived = derive(&document, Dialect::OpenApi, &Options::default()).unwrap();
    assert_eq!(derived.policy["services"][0]["methods"][0]["match"]["paths"], json!(["/v1/a"]));
    document["servers"] = json!([{"url": "https://x/v1"}, {"url": "https://x/v2"}]);
    refused(&document, Dialect::OpenApi, &Options::default(), "servers: they have different paths");
}

#[test]
fn one_place_is_offered_once() {
    let operation = |id: &str| json!({"get": {"operationId": id, "security": []}});
    let document = json!({"openapi": "3.0.3", "paths": {"/a/{x}": operation("s#a"), "/a/{y}": operation("s#b")}});
    refused(
        &document,
        Dialect::Goa,
        &Options::default(),
        "s#b: is offered where `s#a` is: GET /a/{y}",
    );
}

#[test]
fn further_routes_of_a_method_have_names_of_their_own() {
    let operation = |id: &str| json!({"get": {"operationId": id, "security": []}});
    let document =
        json!({"openapi": "3.0.3", "paths": {"/a": operation("s#a"), "/b": operation("s#a#1")}});
    let derived = goa(&document, &Options::default());
    assert_eq!(derived.policy["services"][0]["methods"][1]["name"], "a-2");
}

#[test]
fn what_is_named_and_not_there_is_an_error() {
    refused(
        &guide(Some(json!([]))),
        Dialect::Goa,
        &public(&["users#publik"]),
        "there is no operation `users#publik`",
    );
}

#[test]
fn what_is_no_document_is_refused() {
    for document in
        [json!({}), json!([]), json!({"swagger": "2.0"}), json!({"openapi": "3.0.0"}), Value::Null]
    {
        assert!(derive(&document, Dialect::OpenApi, &Options::default()).is_err(), "{document}");
    }
    refused(
        &json!({"openapi": "3.0.0", "paths": {}}),
        Dialect::Goa,
        &Options::default(),
        "offers nothing",
    );
}

#[test]
fn all_scopes_of_a_scheme_are_told_of() {
    let document = one("/a", json!({"operationId": "a", "security": [{"oauth": ["a", "b"]}]}));
    let derived = derive(&document, Dialect::OpenApi, &Options::default()).unwrap();
    assert!(derived.report[0].contains("requires every scope"), "{:?}", derived.report);
}
