//! Preflights of browsers (CORS), as the README has it: answered by Envoy's own filter in front, or let
//! through by a rule.

use std::fs;

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::Setup;

use super::{World, with_keys};

const ORIGIN: &str = "https://app.example";
const REFUSED: &str = "access-policy.refused.reason";

/// What the README shows: fields of a virtual host, and a policy.
fn shown() -> [Value; 2] {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../filters/access-policy/README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, part) = text.split_once("\n## Scripts of other origins\n").unwrap();
    let blocks = part.split("\n## ").next().unwrap().split("```").skip(1).step_by(2);
    let blocks = blocks.map(|block| block.strip_prefix("yaml").unwrap_or(block));
    let blocks: Vec<_> = blocks.map(|block| serde_norway::from_str(block).unwrap()).collect();
    blocks.try_into().unwrap()
}

fn virtual_host() -> Value {
    let [fields, _] = shown();
    fields
}

fn policy() -> Value {
    let [_, policy] = shown();
    policy
}

fn without_rules() -> Value {
    let mut policy = policy();
    policy.as_object_mut().unwrap().remove("rules").unwrap();
    policy
}

fn cors_filter() -> Value {
    let kind = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors";
    json!({"name": "envoy.filters.http.cors", "typed_config": {"@type": kind}})
}

fn preflight(origin: &str) -> Request {
    Request::new("OPTIONS", "/users")
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "x-api-key")
}

fn allows(answer: &Response) -> Option<String> {
    answer.header("access-control-allow-origin")
}

#[test]
fn the_proxys_filter_in_front_answers_preflights_and_lets_scripts_read_refusals() {
    let (fields, policy) = (virtual_host(), without_rules());
    let setup = with_keys(Setup::new().native(cors_filter())).virtual_host(fields);
    let world = World::of(setup.filter("access-policy", policy));
    let send = |request: Request| request.send(world.envoy.address());
    let answer = send(preflight(ORIGIN));
    assert_eq!((answer.status, allows(&answer).as_deref()), (200, Some(ORIGIN)));
    for (name, value) in [
        ("access-control-allow-methods", "GET, POST"),
        ("access-control-allow-headers", "authorization, content-type, x-api-key"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name).as_deref(), Some(value));
    }
    assert_eq!((world.upstream.count(), world.envoy.stats(REFUSED).len()), (0, 0));
    // Refused by the policy, and read by the script that asked.
    let asked = || Request::get("/users").header("origin", ORIGIN);
    let answer = send(asked());
    assert_eq!((answer.status, allows(&answer).as_deref()), (401, Some(ORIGIN)));
    assert_eq!(answer.header("access-control-expose-headers").as_deref(), Some("www-authenticate"));
    assert!(answer.header("www-authenticate").is_some());
    let answer = send(asked().header("x-api-key", "acme-key-1"));
    assert_eq!((answer.status, allows(&answer).as_deref()), (200, Some(ORIGIN)));
    assert_eq!(world.upstream.count(), 1);
    // Another origin's, and what is no preflight, are for the policy.
    let answer = send(preflight("https://evil.example"));
    assert_eq!((answer.status, allows(&answer)), (405, None));
    let answer = send(Request::get("/users").header("origin", "https://evil.example"));
    assert_eq!((answer.status, allows(&answer)), (401, None));
    let answer = send(Request::new("OPTIONS", "/users").header("origin", ORIGIN));
    assert_eq!(answer.status, 405);
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn the_proxys_filter_behind_the_policy_answers_no_preflight() {
    let setup = with_keys(Setup::new()).filter("access-policy", without_rules());
    let world = World::of(setup.native(cors_filter()).virtual_host(virtual_host()));
    let answer = preflight(ORIGIN).send(world.envoy.address());
    assert_eq!((answer.status, allows(&answer)), (405, None));
    let answer = Request::get("/users").header("origin", ORIGIN).send(world.envoy.address());
    assert_eq!((answer.status, allows(&answer)), (401, None));
}

#[test]
fn a_rule_lets_preflights_through_to_an_upstream_that_answers_them() {
    let world = World::of(with_keys(Setup::new()).filter("access-policy", policy()));
    let send = |request: Request| request.send(world.envoy.address());
    assert_eq!(send(preflight(ORIGIN).header("x-auth-subject", "root")).status, 200);
    let got = world.upstream.last();
    assert_eq!((got.method.as_str(), got.header("x-auth-subject")), ("OPTIONS", None));
    // Nothing else: no other method, and no OPTIONS that is no preflight.
    assert_eq!(send(Request::new("OPTIONS", "/users").header("origin", ORIGIN)).status, 405);
    let posing = Request::get("/users").header("access-control-request-method", "GET");
    let answer = send(posing.header("origin", ORIGIN));
    assert_eq!((answer.status, allows(&answer)), (401, None));
    assert_eq!(world.upstream.count(), 1);
}
