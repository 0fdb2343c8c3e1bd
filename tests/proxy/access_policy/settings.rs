//! Where a policy stands, and what else it can be told.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Setup, Trial};

use super::{World, example, large, request, schemes, with, with_keys};

#[test]
fn a_policy_may_stand_in_a_routes_metadata() {
    let policy = with(example(), json!({"security": "none"}));
    let wrong = json!({"services": [{"name": "users", "methods": []}]});
    let of = |prefix: &str, policy: Value| {
        json!({
            "match": {"prefix": prefix},
            "route": {"cluster": "upstream"},
            "metadata": {"filter_metadata": {"gatehouse": {"access-policy": policy}}},
        })
    };
    let setup = with_keys(Setup::new())
        .filter("access-policy", json!({"schemes": schemes()}))
        .route(of("/users/wrong", wrong))
        .route(of("/users", policy));
    let world = World::of(setup);
    for (line, with, status) in [
        ("GET /users", &["key"][..], 200),
        ("GET /users", &[], 401),
        ("GET /users/public", &[], 200),
        ("GET /users/other", &["key"], 404),
        // A policy with a mistake lets nothing through, and one without a service neither.
        ("GET /users/wrong", &["key"], 500),
        ("GET /elsewhere", &["key"], 404),
    ] {
        assert_eq!(world.status(line, with), status, "{line} {with:?}");
    }
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_rule_may_have_a_policy_for_a_host() {
    let list = json!({"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}});
    let open = json!([{"name": "users", "security": "none", "methods": [list]}]);
    let rules = json!([{"match": {"hosts": ["open.example"]}, "services": open}]);
    let policy = with(example(), json!({"rules": rules}));
    let world = World::of(with_keys(Setup::new()).filter("access-policy", policy));
    let status = |host: &str| {
        let request = Request::bare("GET", b"/users").header("host", host);
        request.header("x-forwarded-host", "open.example").send(world.envoy.address()).status
    };
    for host in ["open.example", "OPEN.example.:80"] {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in ["open.example.evil", "x.open.example", "evil:open.example", "test.example"] {
        assert_eq!(status(host), 401, "{host}");
    }
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn https_is_asked_for_as_the_proxy_has_seen_it() {
    let refuse = json!({"match": {"hosts": ["refuse.example"]}, "require_https": "refuse"});
    let policy = with(example(), json!({"require_https": "redirect", "rules": [refuse]}));
    let setup = with_keys(Setup::new())
        .filter("access-policy", policy)
        .connection_manager(json!({"use_remote_address": true}));
    let world = World::of(setup);
    let send = |host: &str, with: &[&str]| {
        // The host of the target replaces the one of the header.
        let target = format!("GET http://{host}/users?a=b");
        request(&target, with).send(world.envoy.address())
    };
    for with in [
        &["key"][..],
        &["key", "x-forwarded-proto: https"],
        &["key", "x-forwarded-proto: https", "x-forwarded-for: 10.0.0.1"],
        &[],
    ] {
        let answer = send("api.example:8080", with);
        assert_eq!(answer.status, 308, "{with:?}");
        let location = answer.header("location");
        assert_eq!(location.as_deref(), Some("https://api.example/users?a=b"));
        let answer = send("refuse.example", with);
        assert_eq!((answer.status, answer.header("location")), (403, None), "{with:?}");
    }
    for host in ["evil.example/x", "a@evil.example", "evil example", "a\\b"] {
        let request = Request::bare("GET", b"/users").header("host", host);
        let answer = request.send(world.envoy.address());
        assert!(matches!(answer.status, 400 | 403), "{host}: {answer}");
        assert_eq!(answer.header("location"), None, "{host}");
    }
    assert_eq!(world.upstream.count(), 0);
    // Behind a proxy that is trusted, what it says counts.
    let setup = with_keys(Setup::new())
        .filter("access-policy", with(example(), json!({"require_https": "refuse"})));
    let world = World::of(setup);
    assert_eq!(world.status("GET /users", &["key", "x-forwarded-proto: https"]), 200);
    assert_eq!(world.status("GET /users", &["key", "x-forwarded-proto: http"]), 403);
}

#[test]
fn in_shadow_mode_it_counts_and_lets_pass() {
    let config = with(large(), json!({"mode": "shadow"}));
    let world = World::of(with_keys(Setup::new()).filter("access-policy", config));
    for (line, with) in [
        ("GET /users", &[][..]),
        ("GET /users", &["key"]),
        ("GET /nowhere", &["x-auth-subject: root"]),
        ("DELETE /users", &[]),
        ("GET /users//admin", &[]),
    ] {
        assert_eq!(world.status(line, with), 200, "{line}");
        assert!(world.upstream.last().header("x-auth-subject").is_none_or(|who| who == "acme"));
    }
    assert_eq!(world.upstream.count(), 5);
    for (name, count) in [
        ("allowed", 1),
        ("shadow_refused.reason.unauthenticated", 1),
        ("shadow_refused.reason.not_found", 1),
        ("shadow_refused.reason.method_not_allowed", 1),
        ("shadow_refused.reason.ambiguous_path", 1),
    ] {
        assert_eq!(world.envoy.counted(&format!("access-policy.{name}")), count, "{name}");
    }
}

#[test]
fn two_thousand_operations_load_and_are_told_apart() {
    let security =
        [json!([{"api_key": []}]), json!([{"api_key": ["reports:read"]}]), json!("none")];
    let services: Vec<_> = (0..100)
        .map(|service| {
            let method = |number: usize| {
                json!({
                    "name": format!("m{number}"),
                    "match": {
                        "methods": ["GET"],
                        "paths": [format!("/s{service}/{{id}}/m{number}"), format!("/s{service}/m{number}")],
                    },
                    "security": security[number % 3],
                })
            };
            let methods: Vec<_> = (0..20).map(method).collect();
            json!({"name": format!("s{service}"), "methods": methods})
        })
        .collect();
    let policy = json!({"schemes": schemes(), "services": services});
    let world = World::of(with_keys(Setup::new()).filter("access-policy", policy));
    for service in [0, 50, 99] {
        for (path, with, status) in [
            ("m0", &["key"][..], 200),
            ("m0", &["zenith"], 200),
            ("m0", &["bad key"], 401),
            ("7/m1", &["key"], 200),
            ("7/m1", &["zenith"], 403),
            ("7/m1", &[], 401),
            ("m2", &[], 200),
            ("7/m19", &[], 401),
            ("m20", &["key"], 404),
            ("7/m20", &["key"], 404),
        ] {
            let line = format!("GET /s{service}/{path}");
            assert_eq!(world.status(&line, with), status, "{line}");
        }
    }
    assert_eq!(world.status("GET /s100/m0", &["key"]), 404);
    let line = world.envoy.access_log(31).into_iter().find(|line| line["path"] == "/s99/7/m19");
    assert_eq!(line.map(|line| line["operation"].clone()), Some(json!("m19")));
}

#[test]
fn a_wrong_policy_is_refused_with_its_path() {
    let setup = |config| Setup::new().filter("access-policy", config);
    let trial = Trial::beside(&setup(example()));
    let error = |config: Value| trial.error(&setup(config));
    assert_eq!(
        error(with(example(), json!({"security": [{"oauth": []}]}))),
        "security[0].oauth: is none of `schemes`"
    );
    let mut twice = example();
    twice["services"][0]["methods"][2]["match"]["paths"] = json!(["/users"]);
    assert_eq!(
        error(twice),
        "services[0].methods[2].match.paths[0]: `users.list` is offered there by GET already"
    );
    let mut unsaid = example();
    unsaid.as_object_mut().unwrap().remove("security");
    unsaid["services"][0].as_object_mut().unwrap().remove("security");
    assert_eq!(
        error(unsaid),
        "services[0].methods[0]: has no `security`, nor has its service or the API; write `none` to \
         open it"
    );
}
