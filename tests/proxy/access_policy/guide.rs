//! The production guide's example, and what is told of it: to the client, to the upstream, in logs.

use serde_json::json;
use tests::envoy::Setup;

use super::{World, example, large, request, users, with_keys};

#[test]
fn each_method_has_the_requirement_that_the_guide_gives_it() {
    let world = World::start(example());
    for (line, with, status) in [
        ("GET /users", &[][..], 401),
        ("GET /users", &["key"], 200),
        ("GET /users", &["token api:read"], 401),
        ("GET /users", &["basic"], 401),
        ("GET /users/admin", &["key"], 401),
        ("GET /users/admin", &["token"], 200),
        ("GET /users/public", &[], 200),
        ("GET /users/public", &["authorization: Bearer garbage"], 200),
        ("OPTIONS /users", &["key"], 405),
        ("HEAD /users", &["key"], 405),
        ("POST /users", &["key"], 405),
        ("GET /users/", &["key"], 404),
        ("GET /users/admin/x", &["token"], 404),
        ("GET /other", &["basic"], 404),
    ] {
        let before = world.upstream.count();
        assert_eq!(world.status(line, with), status, "{line} {with:?}");
        let seen = world.upstream.count() - before;
        assert_eq!(seen, usize::from(status == 200), "{line} {with:?}");
    }
    let answer = request("POST /users", &["key"]).send(world.envoy.address());
    assert_eq!(answer.header("allow").as_deref(), Some("GET"));
    assert_eq!(world.envoy.counted("access-policy.allowed"), 4);
    assert_eq!(world.envoy.counted("access-policy.refused.reason.unauthenticated"), 4);
    assert_eq!(world.envoy.counted("access-policy.refused.reason.method_not_allowed"), 4);
    assert_eq!(world.envoy.counted("access-policy.refused.reason.not_found"), 3);
}

#[test]
fn the_upstream_is_told_of_whom_the_method_asks_for() {
    let world = World::start(large());
    let told = |line: &str, with: &[&str]| {
        assert_eq!(world.status(line, with), 200, "{line} {with:?}");
        let got = world.upstream.last();
        for name in ["authorization", "x-api-key"] {
            assert!(got.all(name).is_empty(), "{got:?}");
        }
        ["subject", "scheme", "consumer", "scopes", "groups"]
            .map(|part| got.header(&format!("x-auth-{part}")).unwrap_or_default())
    };
    let acme = ["acme", "api-key", "acme", "reports:read", "gold"];
    assert_eq!(told("GET /users", &["key", "basic"]), acme);
    assert_eq!(told("GET /users/admin", &["key", "token x y"]), ["alice", "jwt", "", "x y", ""]);
    assert_eq!(told("POST /users", &["key", "basic"]), ["carol", "basic", "", "", "ops"]);
    // Of two that both have to hold the first is believed, part by part.
    assert_eq!(
        told("POST /users", &["zenith", "token api:write"]),
        ["zenith", "api-key", "zenith", "api:write", ""]
    );
    assert_eq!(told("GET /users/public", &["key", "token x"]), [""; 5]);
}

#[test]
fn the_client_is_asked_for_what_the_method_takes() {
    let world = World::start(large());
    let challenges = |line: &str, with: &[&str]| {
        let answer = request(line, with).send(world.envoy.address());
        let texts = answer.all("www-authenticate").into_iter().map(String::from_utf8_lossy);
        texts.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(challenges("GET /users", &[]), r#"ApiKey realm="restricted""#);
    assert_eq!(
        challenges("POST /users", &[]),
        concat!(
            r#"ApiKey realm="restricted"; Bearer realm="restricted"; "#,
            r#"Basic realm="restricted", charset="UTF-8""#
        )
    );
    let expired = challenges("GET /users/admin", &["expired"]);
    assert!(expired.contains(r#"error="invalid_token""#), "{expired}");
    assert_eq!(
        challenges("GET /users/audit", &["token api:read"]),
        r#"Bearer realm="restricted", error="insufficient_scope", scope="api:read api:audit""#
    );
}

#[test]
fn the_log_says_what_it_was_for_and_why_it_was_refused() {
    let world = World::start(large());
    for (line, with) in [
        ("GET /users/public", &[][..]),
        ("GET /users/7", &["key"]),
        ("POST /users", &["key", "token api:read"]),
        ("GET /nowhere", &[]),
    ] {
        world.status(line, with);
    }
    let log = world.envoy.access_log(4);
    let of = |path: &str| log.iter().find(|line| line["path"] == path).unwrap();
    for (path, status, service, operation, subject) in [
        ("/users/public", 200, json!("users"), json!("public"), json!(null)),
        ("/users/7", 200, json!("users"), json!("show"), json!("acme")),
        ("/users", 403, json!("users"), json!("create"), json!(null)),
        ("/nowhere", 404, json!(null), json!(null), json!(null)),
    ] {
        let line = of(path);
        let found = (&line["status"], &line["service"], &line["operation"], &line["subject"]);
        assert_eq!(found, (&json!(status), &service, &operation, &subject), "{line}");
    }
    let said = "access-policy: users.create: jwt: lacks api:write; basic: other_scheme";
    let log = world.envoy.log();
    assert!(log.contains(said), "{log}");
    assert!(!log.contains("acme-key-1"), "{log}");
}

#[test]
fn grpc_clients_get_a_status_of_theirs() {
    let world = World::start(large());
    for (with, code) in [(&[][..], "16"), (&["key", "token api:read"], "7"), (&["key"], "16")] {
        let request = request("POST /users", with).header("content-type", "application/grpc");
        let answer = request.send(world.envoy.address());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("grpc-status").as_deref(), Some(code), "{with:?}");
        assert!(answer.header("grpc-message").is_some());
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn an_authenticator_that_has_not_run_is_told_of() {
    let setup = Setup::new().filter("basic-auth", users()).filter("access-policy", large());
    let world = World::of(setup);
    for (line, with) in [
        ("GET /users", &["key"][..]),
        ("GET /users", &["key", r#"gatehouse.evidence.api-key-auth: {"subject": "acme"}"#]),
        ("GET /users/admin", &["token"]),
        ("POST /users", &["key"]),
    ] {
        let answer = request(line, with).send(world.envoy.address());
        assert_eq!(answer.status, 503, "{line} {with:?}");
    }
    assert_eq!(world.upstream.count(), 0);
    // What does not need it goes on.
    assert_eq!(world.status("GET /users/public", &[]), 200);
    assert_eq!(world.status("GET /files/a", &["basic"]), 200);
    assert_eq!(world.status("POST /users", &["basic"]), 200);
    let log = world.envoy.log();
    for name in ["api-key-auth", "jwt-auth"] {
        let said = format!("access-policy: {name} has not run on a request that needs it");
        assert!(log.contains(&said), "{log}");
    }
    let missing = "access-policy.refused.reason.authenticator_missing";
    assert_eq!(world.envoy.counted(missing), 4);
}

#[test]
fn a_policy_alone_takes_off_what_a_client_says_of_itself() {
    let world = World::of(Setup::new().filter("access-policy", example()));
    let forged = &["x-auth-subject: root", "x_auth_groups: root"];
    assert_eq!(world.status("GET /users/public", forged), 200);
    let got = world.upstream.last();
    assert!(!got.headers.iter().any(|(_, value)| value == b"root"), "{got:?}");
    assert_eq!(world.status("GET /users", forged), 503);
}

#[test]
fn an_authenticator_that_is_off_for_a_route_has_not_run() {
    let off = json!({"filter_metadata": {"gatehouse": {"api-key-auth": {"mode": "off"}}}});
    let route =
        json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}, "metadata": off});
    let setup = with_keys(Setup::new()).filter("access-policy", large()).route(route);
    let world = World::of(setup);
    assert_eq!(world.status("GET /users", &["key"]), 503);
    assert_eq!(world.status("GET /users/public", &["key"]), 200);
}
