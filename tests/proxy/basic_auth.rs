//! `basic-auth` in the real Envoy.

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

/// `htpasswd -nbB -C 5 alice secret`, `-nb5 bob secret`, `-nbm erin secret`, `-nbs frank secret`
const HTPASSWD: &str = include_str!("users.htpasswd");

fn config() -> Value {
    json!({
        "realm": "Example",
        "htpasswd": HTPASSWD,
        "users": [{"name": "carol", "password": "c:s", "groups": ["ops"]}],
    })
}

fn start(config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let envoy = Setup::new().filter("basic-auth", config).upstream(&upstream).workers(4).start();
    (envoy, upstream)
}

#[test]
fn every_format_of_htpasswd_lets_its_user_through() {
    let (envoy, upstream) = start(config());
    for user in ["alice", "bob", "dan", "erin", "frank"] {
        let answer = Request::get("/").basic(&format!("{user}:secret")).send(envoy.address());
        assert_eq!(answer.status, 200, "{user}: {answer}");
        assert_eq!(upstream.last().header("x-auth-subject").as_deref(), Some(user));
        let answer = Request::get("/").basic(&format!("{user}:wrong")).send(envoy.address());
        assert_eq!(answer.status, 401, "{user}");
    }
    assert_eq!(upstream.count(), 5);
}

#[test]
fn the_upstream_learns_who_it_is_and_not_the_password() {
    let (envoy, upstream) = start(config());
    let forged =
        Request::get("/x").header("x-auth-subject", "root").header("x_auth_groups", "admin");
    assert_eq!(forged.basic("carol:c:s").send(envoy.address()).status, 200);
    let got = upstream.last();
    let of = |name: &str| {
        let values: Vec<_> = got.headers.iter().filter(|(known, _)| known == name).collect();
        assert!(values.len() <= 1, "{values:?}");
        got.header(name)
    };
    assert_eq!(of("x-auth-subject").as_deref(), Some("carol"));
    assert_eq!(of("x-auth-scheme").as_deref(), Some("basic"));
    assert_eq!(of("x-auth-groups").as_deref(), Some("ops"));
    assert_eq!((of("authorization"), of("x_auth_groups")), (None, None));
}

#[test]
fn the_access_log_and_the_statistics_say_what_happened() {
    let (envoy, _upstream) = start(config());
    Request::get("/").basic("carol:c:s").send(envoy.address());
    Request::get("/").basic("carol:wrong").send(envoy.address());
    let log = envoy.access_log(2);
    let of = |status: u64| log.iter().find(|line| line["status"] == status).expect("logged");
    assert_eq!((&of(200)["subject"], &of(200)["groups"]), (&json!("carol"), &json!("ops")));
    assert!(of(200)["evidence"].as_str().unwrap().contains(r#""subject":"carol""#));
    assert_eq!(of(401)["details"], "gatehouse.basic-auth.wrong_password");
    assert_eq!(of(401)["subject"], Value::Null);
    assert_eq!(envoy.counted("basic-auth.allowed.by.hash"), 1);
    assert_eq!(envoy.counted("basic-auth.refused.reason.wrong_password"), 1);
}

#[test]
fn a_refusal_is_a_problem_with_a_challenge() {
    let (envoy, upstream) = start(config());
    let answer = Request::get("/").send(envoy.address());
    assert_eq!(answer.status, 401);
    let challenge = r#"Basic realm="Example", charset="UTF-8""#;
    assert_eq!(answer.header("www-authenticate").as_deref(), Some(challenge));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.json()["status"], 401);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn grpc_clients_get_a_grpc_status() {
    let (envoy, _upstream) = start(config());
    let answer = Request::new("POST", "/service/method")
        .header("content-type", "application/grpc")
        .body(b"")
        .send(envoy.address());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("grpc-status").as_deref(), Some("16"));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"));
    let message = answer.header("grpc-message").unwrap();
    assert!(message.starts_with("Credentials"), "{message}");
    assert!(answer.header("www-authenticate").is_some());
}

#[test]
fn credentials_that_are_none_are_refused() {
    let (envoy, upstream) = start(config());
    let good = "Basic Y2Fyb2w6Yzpz"; // carol:c:s
    let refused = [
        Request::get("/").header("authorization", good).header("authorization", good),
        Request::get("/").header("authorization", "Bearer Y2Fyb2w6Yzpz"),
        Request::get("/").header("authorization", "Basic"),
        Request::get("/").header("authorization", "Basic Y2Fyb2w6Yzpz="),
        Request::get("/").header("authorization", format!("{good},{good}")),
        Request::get("/").header("authorization", b"Basic \xff\xfe"),
        Request::get("/").basic("nobody:c:s"),
        Request::get("/").basic("carol"),
        Request::get("/").basic("carol:"),
    ];
    for request in refused {
        assert_eq!(request.send(envoy.address()).status, 401, "{request:?}");
    }
    assert_eq!(upstream.count(), 0);
    let odd = Request::get("/").header("authorization", "bAsIC    Y2Fyb2w6Yzpz");
    assert_eq!(odd.send(envoy.address()).status, 200);
}

#[test]
fn rules_routes_and_virtual_hosts_set_anew() {
    let upstream = Upstream::start();
    let metadata =
        |config: Value| json!({"filter_metadata": {"gatehouse": {"basic-auth": config}}});
    let mut config = config();
    config["rules"] = json!([{"match": {"paths": ["/open/**"]}, "mode": "off"}]);
    let envoy = Setup::new()
        .filter("basic-auth", config)
        .upstream(&upstream)
        .route(json!({
            "match": {"prefix": "/route"}, "route": {"cluster": "upstream"},
            "metadata": metadata(json!({"realm": "Route"})),
        }))
        .route(json!({
            "match": {"prefix": "/broken"}, "route": {"cluster": "upstream"},
            "metadata": metadata(json!({"mode": "of"})),
        }))
        .virtual_host(json!({"metadata": metadata(json!({"errors": "text", "realm": "Host"}))}))
        .start();
    let send = |path: &str| Request::get(path).send(envoy.address());
    assert_eq!(send("/open/x").status, 200);
    let realm = |path: &str| send(path).header("www-authenticate").unwrap_or_default();
    assert!(realm("/route").contains("\"Route\""), "{}", realm("/route"));
    assert!(realm("/x").contains("\"Host\""));
    assert_eq!(send("/x").text(), "Credentials are missing or not valid.\n");
    assert_eq!(send("/broken").status, 500);
    for path in
        ["/open/..%2fx", "/open/../x", "//open/x", "/open/%2e%2e/x", "/open/..;/x", "/open\\x"]
    {
        assert!([400, 401].contains(&send(path).status), "{path}: {}", send(path));
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_hash_is_paid_once_on_each_worker() {
    let (envoy, _upstream) = start(config());
    for _ in 0..40 {
        assert_eq!(Request::get("/").basic("alice:secret").send(envoy.address()).status, 200);
    }
    let (hashed, cached) =
        (envoy.counted("basic-auth.allowed.by.hash"), envoy.counted("basic-auth.allowed.by.cache"));
    assert!((1..=4).contains(&hashed) && hashed + cached == 40, "{hashed} {cached}");
}

#[test]
fn failures_are_counted_over_all_workers_and_exactly() {
    let mut config = config();
    config["throttle"] = json!({"failures": 5, "window": "1m"});
    let (envoy, upstream) = start(config);
    assert_eq!(Request::get("/").basic("carol:c:s").send(envoy.address()).status, 200);
    let attempt = |_| Request::get("/").basic("alice:wrong").send(envoy.address()).status;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..8).map(attempt).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 27);
    let throttled = Request::get("/").basic("alice:secret").send(envoy.address());
    assert_eq!(throttled.status, 429);
    let wait: u32 = throttled.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_deferred_verdict_lets_through_with_evidence() {
    let mut config = config();
    config["verdict"] = json!("defer");
    let (envoy, upstream) = start(config);
    assert_eq!(Request::get("/").basic("carol:wrong").send(envoy.address()).status, 200);
    assert_eq!((upstream.count(), upstream.last().header("authorization")), (1, None));
    let evidence = envoy.access_log(1)[0]["evidence"].as_str().unwrap().to_owned();
    assert!(evidence.starts_with(r#"{"refused":{"reason":"wrong_password""#), "{evidence}");
}

#[test]
fn shadow_mode_lets_through_and_counts() {
    let mut config = config();
    config["mode"] = json!("shadow");
    let (envoy, upstream) = start(config);
    assert_eq!(Request::get("/").basic("carol:wrong").send(envoy.address()).status, 200);
    assert!(upstream.last().header("authorization").is_some());
    assert_eq!(envoy.counted("basic-auth.shadow_refused.reason.wrong_password"), 1);
}

#[test]
fn a_kept_connection_is_authenticated_at_every_request() {
    let (envoy, _upstream) = start(config());
    let mut connection = Connection::open(envoy.address()).unwrap();
    let statuses = ["carol:c:s", "carol:x", "carol:c:s"]
        .map(|pair| connection.send(&Request::get("/").basic(pair)).unwrap().status);
    assert_eq!(statuses, [200, 401, 200]);
}
