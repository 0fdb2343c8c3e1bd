//! `api-key-auth` in the real Envoy.

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup, Trial};
use tests::upstream::Upstream;

/// `printf %s zenith-key | sha256sum`
const ZENITH: &str = "96a6b655d9b2b9aa14629885ea94c579f53086a3253cd41bbf1fc4356425be08";

fn config() -> Value {
    json!({
        "realm": "Example",
        "sources": [
            {"header": "x-api-key"},
            {"header": "authorization", "prefix": "Bearer"},
            {"query": "api_key"},
            {"cookie": "api_key"},
        ],
        "consumers": [
            {
                "name": "acme",
                "groups": ["gold"],
                "scopes": ["api:read", "api:write"],
                "keys": [
                    {"id": "now", "value": "acme key+/=", "not_after": "2127-01-01T00:00:00Z"},
                    {"id": "past", "value": "acme-past-key", "not_after": "2026-01-01T00:00:00Z"},
                    {"id": "next", "value": "acme-next-key", "not_before": "2127-01-01T00:00:00Z"},
                ],
            },
            {"name": "zenith", "keys": [{"id": "a", "sha256": ZENITH}]},
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

fn start(config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("api-key-auth", config)
        .upstream(&upstream)
        .log_field("consumer", "%FILTER_STATE(wasm.gatehouse.consumer:PLAIN)%")
        .log_field("evidence", "%FILTER_STATE(wasm.gatehouse.evidence.api-key-auth:PLAIN)%")
        .workers(2)
        .start();
    (envoy, upstream)
}

fn key(key: &str) -> Request {
    Request::get("/").header("x-api-key", key)
}

#[test]
fn the_upstream_learns_whose_key_it_is_and_not_the_key() {
    let (envoy, upstream) = start(config());
    let forged =
        key("acme key+/=").header("x-auth-consumer", "root").header("x_auth_scopes", "all");
    assert_eq!(forged.send(envoy.address()).status, 200);
    let got = upstream.last();
    let of = |name: &str| {
        assert!(got.all(name).len() <= 1, "{got:?}");
        got.header(name)
    };
    for (name, value) in [
        ("x-auth-subject", Some("acme")),
        ("x-auth-consumer", Some("acme")),
        ("x-auth-scheme", Some("api-key")),
        ("x-auth-scopes", Some("api:read api:write")),
        ("x-auth-groups", Some("gold")),
        ("x_auth_scopes", None),
        ("x-api-key", None),
    ] {
        assert_eq!(of(name).as_deref(), value, "{name}");
    }
    assert_eq!(key("zenith-key").send(envoy.address()).status, 200);
    assert_eq!(upstream.last().header("x-auth-consumer").as_deref(), Some("zenith"));
    assert_eq!(upstream.last().header("x-auth-groups"), None);
}

#[test]
fn a_scheme_before_the_key_is_written_in_any_case() {
    let (envoy, upstream) = start(config());
    for value in ["Bearer acme key+/=", "bearer   acme key+/=", "BEARER\tacme key+/="] {
        let answer = Request::get("/").header("authorization", value).send(envoy.address());
        assert_eq!(answer.status, 200, "{value}");
        assert_eq!(upstream.last().header("authorization"), None);
    }
    let basic = Request::get("/").header("authorization", "Basic abc");
    assert_eq!(basic.send(envoy.address()).status, 401);
    assert_eq!(
        key("zenith-key").header("authorization", "Basic abc").send(envoy.address()).status,
        200
    );
    assert_eq!(upstream.last().header("authorization").as_deref(), Some("Basic abc"));
}

#[test]
fn a_key_is_cut_from_the_query_and_the_rest_stays_as_it_is() {
    let (envoy, upstream) = start(config());
    for (target, seen) in [
        ("/a?api_key=acme+key%2B/%3d", "/a"),
        ("/a?api_key=acme%20key%2b/=&x=1", "/a?x=1"),
        ("/%61/..;/b?x=%zz&%61pi%5fkey=acme+key%2B/=&&y;=+%20?", "/%61/..;/b?x=%zz&&y;=+%20?"),
    ] {
        assert_eq!(Request::get(target).send(envoy.address()).status, 200, "{target}");
        assert_eq!(upstream.last().target, seen);
    }
    assert_eq!(envoy.access_log(3)[0]["consumer"], "acme");
}

#[test]
fn a_key_is_cut_from_the_cookies_and_the_others_stay() {
    let (envoy, upstream) = start(config());
    let cookies = |request: &Request| {
        assert_eq!(request.send(envoy.address()).status, 200, "{request:?}");
        let got = upstream.last();
        let all: Vec<_> = got.all("cookie").iter().map(|value| value.to_vec()).collect();
        String::from_utf8(all.join(&b'|')).unwrap()
    };
    let get = || Request::get("/");
    assert_eq!(cookies(&get().header("cookie", "api_key=zenith-key")), "");
    let among = "a=\"1 2\";api_key=\"zenith-key\"; api_keys=3";
    assert_eq!(cookies(&get().header("cookie", among)), "a=\"1 2\"; api_keys=3");
    let several = get()
        .header("cookie", "a=1")
        .header("cookie", "api_key=zenith-key; b=2")
        .header("cookie", "c=3");
    assert_eq!(cookies(&several), "a=1; b=2; c=3");
}

#[test]
fn keys_that_are_none_are_refused_each_with_its_reason() {
    let (envoy, upstream) = start(config());
    let long = "k".repeat(16 * 1024 + 1);
    let refused = [
        ("missing", Request::get("/")),
        ("missing", Request::get("/?Api_key=zenith-key").header("x_api_key", "zenith-key")),
        ("repeated", key("zenith-key").header("x-api-key", "zenith-key")),
        ("repeated", Request::get("/?api_key=zenith-key").header("x-api-key", "zenith-key")),
        ("repeated", Request::get("/?api_key=zenith-key&api_key=zenith-key")),
        // Envoy joins them with a comma.
        (
            "unknown_key",
            Request::get("/")
                .header("authorization", "Bearer zenith-key")
                .header("authorization", "Bearer zenith-key"),
        ),
        ("empty", key("")),
        ("empty", Request::get("/?api_key")),
        ("empty", Request::get("/").header("cookie", "api_key=")),
        ("empty", Request::get("/").header("cookie", "a=1; api_key=\"\"; b=2")),
        // Envoy takes the space off its end.
        ("empty", Request::get("/").header("authorization", "Bearer ")),
        ("empty", Request::get("/").header("authorization", "bearer")),
        ("malformed", Request::get("/?api_key=zenith-key%")),
        ("malformed", key(&long)),
        ("unknown_key", key("zenith-ke")),
        ("unknown_key", key("Zenith-key")),
        ("unknown_key", key(ZENITH)),
        ("unknown_key", Request::get("/").header("x-api-key", b"\xff\xfe")),
        ("expired", key("acme-past-key")),
        ("not_yet_valid", key("acme-next-key")),
    ];
    let mut bodies = Vec::new();
    for (index, (reason, request)) in refused.iter().enumerate() {
        let answer = request.send(envoy.address());
        assert_eq!(answer.status, 401, "{request:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.as_deref(), Some(r#"Bearer realm="Example""#));
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        bodies.push(answer.text());
        let log = envoy.access_log(index + 1);
        assert_eq!(
            log[index]["details"],
            format!("gatehouse.api-key-auth.{reason}"),
            "{request:?}"
        );
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(upstream.count(), 0);
    for (reason, _) in &refused {
        let times = refused.iter().filter(|(other, _)| other == reason).count();
        let counted = envoy.counted(&format!("api-key-auth.refused.reason.{reason}"));
        assert_eq!(counted, times as u64, "{reason}");
    }
    let all: u64 = envoy.stats("api-key-auth.refused.reason.").iter().map(|(_, count)| count).sum();
    assert_eq!(all, refused.len() as u64);
    assert!(!envoy.log().contains("zenith-ke") && !envoy.page("/stats").contains("zenith-ke"));
}

#[test]
fn who_is_not_allowed_or_lacks_a_scope_gets_403() {
    let (envoy, upstream) = start(with(json!({"rules": [
        {"match": {"paths": ["/gold"]}, "allow": {"groups": ["gold"]}},
        {"match": {"paths": ["/write"]}, "scopes": ["api:read", "api:write"]},
        {"match": {"paths": ["/open"]}, "mode": "off"},
    ]})));
    let status = |path: &str, key: &str| {
        Request::get(path).header("x-api-key", key).send(envoy.address()).status
    };
    for path in ["/gold", "/write"] {
        assert_eq!([status(path, "acme key+/="), status(path, "zenith-key")], [200, 403], "{path}");
    }
    // A parameter that is cut does not change which rule it was.
    assert_eq!(Request::get("/gold?api_key=zenith-key").send(envoy.address()).status, 403);
    assert_eq!(status("/open", "nobodys-key"), 200);
    assert_eq!(upstream.last().header("x-api-key").as_deref(), Some("nobodys-key"));
    assert_eq!(upstream.count(), 3);
    assert_eq!(envoy.counted("api-key-auth.refused.reason.not_allowed"), 2);
    assert_eq!(envoy.counted("api-key-auth.refused.reason.insufficient_scope"), 1);
    assert_eq!(envoy.counted("api-key-auth.allowed"), 2);
}

#[test]
fn a_deferred_verdict_lets_through_with_evidence_and_without_keys() {
    let (envoy, upstream) = start(with(json!({"verdict": "defer"})));
    let bad = Request::get("/?api_key=nobody&x").header("cookie", "api_key=nobody");
    assert_eq!(bad.send(envoy.address()).status, 200);
    let got = upstream.last();
    assert_eq!((got.target.as_str(), got.header("cookie")), ("/?x", None));
    assert_eq!(key("zenith-key").send(envoy.address()).status, 200);
    let got = upstream.last();
    assert_eq!((got.header("x-api-key"), got.header("x-auth-consumer")), (None, None));
    let log = envoy.access_log(2);
    let evidence: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line["evidence"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(evidence[0]["refused"]["reason"], "repeated");
    assert_eq!(
        (&evidence[1]["consumer"], &evidence[1]["claims"]["key"]),
        (&json!("zenith"), &json!("a"))
    );
}

#[test]
fn keys_are_forwarded_where_asked_and_in_shadow_mode() {
    for more in [json!({"forward_credentials": true}), json!({"mode": "shadow"})] {
        let (envoy, upstream) = start(with(more));
        let target = "/?api_key=zenith-key";
        assert_eq!(Request::get(target).send(envoy.address()).status, 200);
        assert_eq!(upstream.last().target, target);
        assert_eq!(envoy.counted("api-key-auth.allowed"), 1);
    }
    let (envoy, upstream) = start(with(json!({"mode": "shadow"})));
    assert_eq!(key("nobodys-key").send(envoy.address()).status, 200);
    assert_eq!(upstream.last().header("x-api-key").as_deref(), Some("nobodys-key"));
    assert_eq!(envoy.counted("api-key-auth.shadow_refused.reason.unknown_key"), 1);
}

#[test]
fn the_route_is_chosen_anew_without_the_key() {
    let upstream = Upstream::start();
    let teapot = json!({
        "match": {"prefix": "/", "query_parameters": [{"name": "api_key", "present_match": true}]},
        "direct_response": {"status": 418},
    });
    let envoy =
        Setup::new().filter("api-key-auth", config()).upstream(&upstream).route(teapot).start();
    assert_eq!(Request::get("/?api_key=zenith-key").send(envoy.address()).status, 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_kept_connection_is_authenticated_at_every_request() {
    let (envoy, _upstream) = start(config());
    let mut connection = Connection::open(envoy.address()).unwrap();
    let statuses = ["zenith-key", "zenith-kez", "zenith-key"]
        .map(|text| connection.send(&key(text)).unwrap().status);
    assert_eq!(statuses, [200, 401, 200]);
}

#[test]
fn ten_thousand_keys_are_loaded_and_known() {
    let consumers: Vec<_> = (0..1000)
        .map(|consumer| {
            let keys: Vec<_> = (0..10)
                .map(|key| json!({"id": key.to_string(), "value": format!("key-of-{consumer}-{key}")}))
                .collect();
            json!({"name": format!("consumer-{consumer}"), "groups": ["all"], "keys": keys})
        })
        .collect();
    let (envoy, upstream) = start(json!({"consumers": consumers}));
    for consumer in [0, 500, 999] {
        assert_eq!(key(&format!("key-of-{consumer}-9")).send(envoy.address()).status, 200);
        let seen = upstream.last().header("x-auth-consumer");
        assert_eq!(seen, Some(format!("consumer-{consumer}")));
    }
    assert_eq!(key("key-of-1000-9").send(envoy.address()).status, 401);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path_and_without_its_keys() {
    let setup = |config| Setup::new().filter("api-key-auth", config);
    let trial = Trial::beside(&setup(config()));
    let error = |config| trial.error(&setup(config));
    assert_eq!(error(json!({})), "missing field `consumers`");
    let keys = |keys: Value| json!({"consumers": [{"name": "acme", "keys": keys}]});
    let setup = setup(keys(json!([{"id": "a", "value": "${KEY}"}])));
    assert_eq!(
        trial.error(&setup),
        "consumers[0].keys[0].value: the environment variable KEY is not set"
    );
    let setup = setup.with_plugin(|plugin| {
        plugin["vm_config"]["environment_variables"] = json!({"key_values": {"KEY": ""}});
    });
    assert_eq!(trial.error(&setup), "consumers[0].keys[0].value: is empty");
    assert_eq!(
        error(keys(json!([{"id": "a", "sha256": "hunter2"}]))),
        "consumers[0].keys[0].sha256: is not 64 hexadecimal digits"
    );
    let mut twice = config();
    twice["consumers"][0]["keys"][2]["value"] = json!("zenith-key");
    assert_eq!(error(twice), "consumers[1].keys[0]: is the same key as consumers[0].keys[2]");
    assert_eq!(
        error(with(json!({"sources": [{"query": "a"}, {"query": "b", "prefix": "Bearer"}]}))),
        "sources[1]: `prefix` goes with `header`"
    );
    assert_eq!(
        error(with(json!({"rules": [{"match": {"paths": ["/"]}, "scopes": ["api:reed"]}]}))),
        "rules[0].scopes[0]: no consumer holds the scope `api:reed`"
    );
}
