//! Two authenticators, one behind the other, in the real Envoy: what the upstream is told of whom.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

/// `basic-auth`, and `api-key-auth` behind it, each with what else is configured of it.
fn start(basic: Value, keys: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let with = |mut config: Value, more: Value| {
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        config
    };
    let users = json!({"users": [{"name": "carol", "password": "s", "groups": ["ops"]}]});
    let consumers =
        json!({"consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme-key-1"}]}]});
    let envoy = Setup::new()
        .filter("basic-auth", with(users, basic))
        .filter("api-key-auth", with(consumers, keys))
        .upstream(&upstream)
        .log_field("groups", "%FILTER_STATE(wasm.gatehouse.groups:PLAIN)%")
        .workers(2)
        .start();
    (envoy, upstream)
}

/// What the upstream was told of who asks, and of which groups.
fn told(upstream: &Upstream) -> (Option<String>, Option<String>) {
    let got = upstream.last();
    (got.header("x-auth-subject"), got.header("x-auth-groups"))
}

fn forged(path: &str) -> Request {
    Request::get(path)
        .header("x-auth-subject", "root")
        .header("X_Auth_Subject", "root")
        .header("x-auth-groups", "ops,admin")
}

#[test]
fn one_that_is_off_leaves_what_the_other_has_told() {
    let off = |path: &str| json!({"rules": [{"match": {"paths": [path]}, "mode": "off"}]});
    let (envoy, upstream) = start(off("/keys/**"), off("/users/**"));
    let answer = forged("/users/1").basic("carol:s").send(envoy.address());
    assert_eq!(answer.status, 200);
    assert_eq!(told(&upstream), (Some("carol".into()), Some("ops".into())));
    assert!(upstream.last().all("x_auth_subject").is_empty());
    assert_eq!(
        forged("/keys/1").header("x-api-key", "acme-key-1").send(envoy.address()).status,
        200
    );
    assert_eq!(told(&upstream), (Some("acme".into()), None));
}

#[test]
fn what_a_client_says_is_taken_off_by_the_first_and_not_kept_by_the_second() {
    let (envoy, upstream) = start(json!({"mode": "off"}), json!({"mode": "off"}));
    assert_eq!(forged("/").basic("carol:s").send(envoy.address()).status, 200);
    assert_eq!(told(&upstream), (None, None));
    let (envoy, upstream) = start(json!({"verdict": "defer"}), json!({"mode": "off"}));
    assert_eq!(forged("/").basic("carol:s").send(envoy.address()).status, 200);
    assert_eq!(told(&upstream), (None, None));
}

#[test]
fn of_two_that_enforce_the_one_behind_speaks() {
    let (envoy, upstream) = start(json!({}), json!({}));
    let both = forged("/").basic("carol:s").header("x-api-key", "acme-key-1");
    assert_eq!(both.send(envoy.address()).status, 200);
    assert_eq!(told(&upstream), (Some("acme".into()), None));
    assert_eq!(forged("/").basic("carol:s").send(envoy.address()).status, 401);
    let log = envoy.access_log(2);
    assert!(log.iter().all(|line| line["groups"] != "ops" || line["status"] == 401), "{log:?}");
}

/// The second does not know under which names the first has told the upstream.
#[test]
fn it_does_so_whatever_names_the_first_one_uses() {
    let names = ["subject", "scheme", "consumer", "scopes", "groups"];
    let names: serde_json::Map<_, _> =
        names.into_iter().map(|part| (part.to_owned(), json!(format!("x-basic-{part}")))).collect();
    let (envoy, upstream) = start(json!({"identity_headers": names}), json!({}));
    let both = || Request::get("/").basic("carol:s").header("x-api-key", "acme-key-1");
    for request in [both(), both().header("x-auth-groups", "admin")] {
        assert_eq!(request.send(envoy.address()).status, 200);
        assert_eq!(told(&upstream), (Some("acme".into()), None));
        let got = upstream.last();
        for part in ["subject", "scheme", "groups"] {
            assert_eq!(got.header(&format!("x-basic-{part}")), None, "{part}");
        }
    }
    let log = envoy.access_log(2);
    assert!(log.iter().all(|line| line["groups"] != "ops"), "{log:?}");
}
