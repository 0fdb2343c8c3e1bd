//! Operations that take nobody too, where authenticators cannot say, or have not run.

use serde_json::{Value, json};
use tests::envoy::Setup;

use super::{World, keys, request, tokens, users, with};

fn policy(security: &Value) -> Value {
    json!({
        "schemes": {
            "basic": {"authenticator": "basic-auth"},
            "api_key": {"authenticator": "api-key-auth"},
            "jwt": {"authenticator": "jwt-auth"},
            "session": {"authenticator": "oauth2-login"},
        },
        "services": [{"name": "shop", "methods": [
            {"name": "home", "match": {"methods": ["GET"], "paths": ["/home"]}, "security": security},
        ]}],
    })
}

#[track_caller]
fn check(world: &World, with: &[&str], status: u16, details: &str) {
    let before = world.upstream.count();
    let answer = request("GET /home", with).send(world.envoy.address());
    assert_eq!(answer.status, status, "{with:?}");
    let seen = world.upstream.count() - before;
    assert_eq!(seen, usize::from(status == 200), "{with:?}");
    if status != 200 {
        assert_eq!(world.envoy.counted(&format!("access-policy.refused.reason.{details}")), 1);
    }
}

#[test]
fn nobody_is_told_of_and_counted() {
    let world = World::start(policy(&json!([{"jwt": []}, "anonymous"])));
    check(&world, &["x-auth-subject: root", "x_auth_groups: root"], 200, "");
    let got = world.upstream.last();
    assert!(got.headers.iter().all(|(name, _)| !name.contains("auth")), "{got:?}");
    check(&world, &["token"], 200, "");
    assert_eq!(world.upstream.last().header("x-auth-subject").as_deref(), Some("alice"));
    let log = world.envoy.access_log(2);
    let said: Vec<_> = log.iter().map(|line| (&line["operation"], &line["subject"])).collect();
    let home = json!("home");
    assert_eq!(said, [(&home, &json!(null)), (&home, &json!("alice"))]);
    assert_eq!(world.envoy.counted("access-policy.allowed"), 2);
    assert_eq!(world.envoy.counted("access-policy.anonymous"), 1);
}

#[test]
fn keys_that_cannot_be_had_matter_to_who_has_a_token() {
    let mut config = tokens::config();
    config["providers"][0]["jwks"] =
        json!({"uri": "https://issuer.example/k", "cluster": "issuer"});
    config["providers"][0]["algorithms"] = json!(["ES256"]);
    let policy = policy(&json!([{"jwt": []}, "anonymous"]));
    let setup = Setup::new().cluster("issuer", None).filter("jwt-auth", config);
    let world = World::of(setup.filter("access-policy", policy));
    check(&world, &[], 200, "");
    let token = format!("authorization: Bearer {}", tokens::of_unknown_key());
    check(&world, &[&token], 503, "authenticator_unavailable");
}

#[test]
fn who_is_throttled_is_not_nobody() {
    let throttled = with(users(), json!({"throttle": {"failures": 1, "window": "1h"}}));
    let policy = policy(&json!([{"basic": []}, "anonymous"]));
    let world =
        World::of(Setup::new().filter("basic-auth", throttled).filter("access-policy", policy));
    check(&world, &["wrong basic"], 401, "unauthenticated");
    check(&world, &["basic"], 429, "throttled");
    check(&world, &[], 200, "");
}

#[test]
fn an_authenticator_that_has_not_run_lets_in_nobody() {
    let policy = policy(&json!([{"api_key": []}, {"jwt": []}, "anonymous"]));
    let world =
        World::of(Setup::new().filter("api-key-auth", keys()).filter("access-policy", policy));
    check(&world, &[], 503, "authenticator_missing");
    check(&world, &["key"], 200, "");
}

#[test]
fn a_session_that_is_no_good_is_not_nobodys() {
    let login = json!({
        "verdict": "defer",
        "issuer": "https://idp.example",
        "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "secret"},
        "external_url": "https://app.example",
        "session": {"keys": ["b1946ac92492d2347c6235b4d2611184591a8b3c7d0e4f6a9c2b5d8e7f1a0c3e"]},
    });
    let policy = policy(&json!([{"session": []}, "anonymous"]));
    let setup = Setup::new().cluster("idp", None).filter("oauth2-login", login);
    let world = World::of(setup.filter("access-policy", policy));
    check(&world, &["cookie: a=b"], 200, "");
    check(&world, &["cookie: __Host-session=1.forged"], 401, "unauthenticated");
}
