//! The forms of a refusal's body (`errors`), as a client has them from the real Envoy.

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::Setup;
use tests::upstream::Upstream;

const UNAUTHORIZED: &str = "Credentials are missing or not valid.";
const FORBIDDEN: &str = "The credentials do not permit this request.";
const NOT_FOUND: &str = "There is nothing at this path.";

fn users() -> Value {
    json!({"users": [{"name": "carol", "password": "s"}, {"name": "dave", "password": "s", "groups": ["ops"]}]})
}

fn with(mut config: Value, name: &str, value: &str) -> Value {
    config[name] = json!(value);
    config
}

/// Passwords alone decide.
fn passwords(errors: &str) -> Setup {
    Setup::new().filter("basic-auth", with(users(), "errors", errors))
}

/// A policy decides, which lets in those of a group.
fn policy(errors: &str) -> Setup {
    let policy = json!({
        "schemes": {"basic": {"authenticator": "basic-auth"}},
        "security": [{"basic": []}],
        "services": [{"name": "users", "methods": [{
            "name": "list",
            "match": {"methods": ["GET"], "paths": ["/users"]},
            "allow": {"groups": ["ops"]},
        }]}],
    });
    Setup::new()
        .filter("basic-auth", with(users(), "verdict", "defer"))
        .filter("access-policy", with(policy, "errors", errors))
}

/// A request that is refused, with which status and in which words.
type Case = (Request, u16, &'static str);

/// Sends each, and has its answer looked at; none of them reaches the upstream.
fn send(setup: Setup, cases: &[Case], look: fn(&Response, &Case)) {
    let upstream = Upstream::start();
    let envoy = setup.upstream(&upstream).start();
    for case in cases {
        let answer = case.0.send(envoy.address());
        assert_eq!(answer.status, case.1, "{answer}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        let is_asked = answer.header("www-authenticate").is_some();
        assert_eq!(is_asked, case.1 == 401, "{answer}");
        look(&answer, case);
    }
    assert_eq!(upstream.count(), 0);
    let allowed = Request::get("/users").basic("dave:s").send(envoy.address());
    assert_eq!((allowed.status, allowed.header("goa-error")), (200, None));
}

/// What each filter refuses, with this form of refusals.
fn check(errors: &str, look: fn(&Response, &Case)) {
    let carol = |target: &str| Request::get(target).basic("carol:s");
    let unauthorized = [
        (Request::get("/users"), 401, UNAUTHORIZED),
        (Request::get("/users").basic("carol:x"), 401, UNAUTHORIZED),
    ];
    send(passwords(errors), &unauthorized, look);
    let others = [
        (carol("/users"), 403, FORBIDDEN),
        (carol("/nowhere"), 404, NOT_FOUND),
        (Request::get("/nowhere"), 404, NOT_FOUND),
    ];
    send(policy(errors), &[&unauthorized[..], &others].concat(), look);
}

fn content_type(answer: &Response) -> Option<String> {
    answer.header("content-type")
}

#[test]
fn goa_clients_get_the_error_that_they_know() {
    check("goa", |answer, (_, status, words)| {
        let name = match status {
            401 => "unauthorized",
            403 => "forbidden",
            _ => "not_found",
        };
        assert_eq!(content_type(answer).as_deref(), Some("application/json"));
        assert_eq!(answer.all("goa-error"), [name.as_bytes()]);
        let mut body = answer.json();
        let id = body.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(id.as_str().map(str::len), Some(8), "{id}");
        let expected = json!({
            "name": name, "message": words, "temporary": false, "timeout": false, "fault": false,
        });
        assert_eq!(body, expected);
    });
}

#[test]
fn each_refusal_in_goas_form_has_an_id_of_its_own() {
    let envoy = passwords("goa").start();
    let mut ids: Vec<_> =
        (0..20).map(|_| Request::get("/").send(envoy.address()).json()["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn text_is_one_line() {
    check("text", |answer, (_, _, words)| {
        assert_eq!(content_type(answer).as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("goa-error"), None);
        assert_eq!(answer.text(), format!("{words}\n"));
    });
}

#[test]
fn a_problem_says_its_status_and_what_is_wrong() {
    check("problem", |answer, (_, status, words)| {
        let title = match status {
            401 => "Unauthorized",
            403 => "Forbidden",
            _ => "Not Found",
        };
        assert_eq!(content_type(answer).as_deref(), Some("application/problem+json"));
        assert_eq!(answer.header("goa-error"), None);
        let expected =
            json!({"type": "about:blank", "title": title, "status": status, "detail": words});
        assert_eq!(answer.json(), expected);
    });
}
