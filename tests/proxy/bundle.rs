//! `gatehouse.wasm` in the real Envoy: which filter a plugin is, and chains of them.

mod refusals;
mod update;

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup, Trial};
use tests::tokens::{Key, claims, jwks};
use tests::upstream::{Answer, Upstream};

fn users() -> Value {
    json!({"users": [{"name": "carol", "password": "s", "groups": ["ops"]}]})
}

fn keys() -> Value {
    let keys = json!([{"id": "a", "value": "acme-key-1"}]);
    json!({"consumers": [{"name": "acme", "scopes": ["api:read"], "keys": keys}]})
}

fn deferred(mut config: Value) -> Value {
    config["verdict"] = json!("defer");
    config
}

fn probes() -> Value {
    json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})
}

fn policy() -> Value {
    let method = |name: &str, path: &str, security: Value| json!({"name": name, "match": {"methods": ["GET"], "paths": [path]}, "security": security});
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}, "basic": {"authenticator": "basic-auth"}},
        "services": [{"name": "users", "methods": [
            method("open", "/open", json!("none")),
            method("either", "/either/**", json!([{"key": []}, {"basic": []}])),
            method("both", "/both", json!([{"key": ["api:read"], "basic": []}])),
            method("write", "/write", json!([{"key": ["api:write"]}])),
        ]}],
    })
}

fn filters() -> [(&'static str, Value); 4] {
    [
        ("health-shortcut", probes()),
        ("basic-auth", deferred(users())),
        ("api-key-auth", deferred(keys())),
        ("access-policy", policy()),
    ]
}

fn chain(filters: &[(&str, Value)]) -> Value {
    let entries: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    json!({ "chain": entries })
}

fn start(setup: Setup, upstream: &Upstream) -> Envoy {
    setup
        .upstream(upstream)
        .log_field("service", "%FILTER_STATE(wasm.gatehouse.service:PLAIN)%")
        .log_field("method", "%FILTER_STATE(wasm.gatehouse.method:PLAIN)%")
        .log_field("key", "%FILTER_STATE(wasm.gatehouse.evidence.api-key-auth:PLAIN)%")
        .start()
}

/// Every path with every credential, forged and real.
fn requests() -> Vec<Request> {
    let paths =
        ["/open", "/either/x", "/both", "/write", "/healthz", "/none", "/either%2fx", "/%zz"];
    let more: [fn(Request) -> Request; 9] = [
        |request| request,
        |request| request.basic("carol:s"),
        |request| request.basic("carol:wrong"),
        |request| request.header("x-api-key", "acme-key-1"),
        |request| request.header("x-api-key", "wrong"),
        |request| request.basic("carol:s").header("x-api-key", "acme-key-1"),
        |request| request.header("x-auth-subject", "root").header("X_Auth_Groups", "ops"),
        |request| request.header("x-auth-subject", "root").header("x-api-key", "acme-key-1"),
        |request| request.header("content-type", "application/grpc").header("x-high", b"\xe4\xff"),
    ];
    let with = |path: &str| {
        let with_each = more.map(|with| with(Request::get(path)));
        with_each.into_iter().chain([Request::new("POST", path).body(b"x")]).collect::<Vec<_>>()
    };
    paths.iter().flat_map(|path| with(path)).collect()
}

#[test]
fn a_chain_answers_as_its_filters_do_in_modules_of_their_own() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let filters = filters();
    let alone =
        filters.iter().fold(Setup::new(), |setup, (name, config)| setup.alone(name, config));
    let alone = start(alone, &one);
    let chained = start(Setup::new().bundled("chain", "chain", &chain(&filters)), &other);
    let requests = requests();
    for request in &requests {
        let before = one.count();
        let (left, right) = (request.send(alone.address()), request.send(chained.address()));
        let what = String::from_utf8_lossy(&request.bytes()).into_owned();
        assert_eq!(left.status, right.status, "{what}");
        // A probe tells for how long the process has run.
        assert!(left.body == right.body || left.text().contains("uptime"), "{what}");
        for name in ["www-authenticate", "allow", "grpc-status", "content-type", "cache-control"] {
            assert_eq!(left.all(name), right.all(name), "{what}: {name}");
        }
        assert_eq!(one.count(), other.count(), "{what}");
        if one.count() > before {
            let head = |upstream: &Upstream| {
                let head = String::from_utf8_lossy(&upstream.last().head).into_owned();
                let mut lines: Vec<_> = head
                    .lines()
                    .filter(|line| !line.starts_with("x-request-id:") && !line.starts_with("host:"))
                    .map(str::to_owned)
                    .collect();
                lines.sort();
                lines
            };
            assert_eq!(head(&one), head(&other), "{what}");
        }
    }
    // The access log, filter state and details in it, and every counter.
    let mut statuses = std::collections::BTreeSet::new();
    let (left, right) = (alone.access_log(requests.len()), chained.access_log(requests.len()));
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right);
        statuses.insert(left["details"].to_string());
    }
    assert!(statuses.len() >= 8, "{statuses:?}");
    assert_eq!(alone.stats("wasmcustom.gatehouse."), chained.stats("wasmcustom.gatehouse."));
    assert!(one.count() >= 10, "{}", one.count());
}

#[test]
fn a_request_that_is_held_goes_on_where_it_was() {
    let upstream = Upstream::start();
    let set = jwks(&[Key::of("p256")]).to_string();
    let issuer = Upstream::answering(move |_| {
        Answer::After(Duration::from_millis(700), Box::new(Answer::ok(&set)))
    });
    let provider = json!({"name": "main", "issuer": "https://issuer", "audiences": ["shop"],
        "algorithms": ["ES256"], "jwks": {"uri": "https://issuer/keys", "cluster": "issuer"}});
    let both = json!([{"key": [], "jwt": []}]);
    let policy = json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}, "jwt": {"authenticator": "jwt-auth"}},
        "services": [{"name": "users", "methods": [
            {"name": "both", "match": {"methods": ["GET", "POST"], "paths": ["/both"]}, "security": both},
        ]}],
    });
    let chain = chain(&[
        ("api-key-auth", deferred(keys())),
        ("jwt-auth", json!({"verdict": "defer", "providers": [provider]})),
        ("access-policy", policy),
    ]);
    let setup = Setup::new().bundled("chain", "chain", &chain);
    let envoy = start(setup.cluster("issuer", Some(issuer.address())), &upstream);
    let token = Key::of("p256").sign("ES256", &claims("https://issuer", "shop"));
    let with_token = Request::new("POST", "/both")
        .header("authorization", format!("Bearer {token}"))
        .header("x-auth-subject", "root")
        .body(&[b'x'; 20_000]);
    // Both are held for the keys; in front of them is one key more, or none.
    let refused = std::thread::scope(|scope| {
        let refused = scope.spawn(|| with_token.send(envoy.address()).status);
        let both = with_token.clone().header("x-api-key", "acme-key-1");
        assert_eq!(both.send(envoy.address()).status, 200);
        refused.join().unwrap()
    });
    assert_eq!((refused, upstream.count()), (401, 1));
    let got = upstream.last();
    assert_eq!((got.header("x-auth-subject").as_deref(), got.body.len()), (Some("alice"), 20_000));
    assert_eq!((got.header("authorization"), got.header("x-api-key")), (None, None));
}

#[test]
fn two_chains_and_a_filter_share_a_vm_and_nothing_else() {
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .bundled(
            "first",
            "chain",
            &chain(&[("health-shortcut", probes()), ("basic-auth", users())]),
        )
        .bundled("second", "chain", &chain(&[("api-key-auth", keys())]))
        .bundled(
            "third",
            "health-shortcut",
            &json!({"endpoints": [{"path": "/livez", "report": "liveness"}]}),
        )
        .upstream(&upstream)
        .workers(2)
        .start();
    let send = |request: Request| {
        let answer = request.send(envoy.address());
        (
            answer.status,
            envoy.access_log(1).last().unwrap()["details"].as_str().unwrap_or("").to_owned(),
        )
    };
    let basic = |path: &str| Request::get(path).basic("carol:s");
    assert_eq!(send(Request::get("/")).0, 401);
    assert_eq!(send(basic("/")).0, 401);
    assert_eq!(send(basic("/").header("x-api-key", "acme-key-1")).0, 200);
    assert_eq!(send(Request::get("/healthz")).0, 200);
    assert_eq!(send(basic("/livez").header("x-api-key", "acme-key-1")).0, 200);
    assert_eq!(upstream.count(), 1, "the probes were answered here");
    // A VM for each worker, one for the main thread, one that the others are made of.
    assert_eq!(envoy.stat("wasm.wasm_vm_count"), Some(4));
    assert_eq!(envoy.counted("basic-auth.refused.reason.missing"), 1);
    assert_eq!(envoy.counted("api-key-auth.refused.reason.missing"), 1);
}

#[test]
fn a_root_id_or_the_configuration_says_which_filter_it_is() {
    let gate = |root_id: &str, config: Value| Setup::new().bundled("gate", root_id, &config);
    let with = |name: &str, value: Value| {
        let mut config = users();
        config[name] = value;
        config
    };
    let setup = gate("basic-auth", users())
        .beside("configured", &gate("", with("filter", json!("basic-auth"))))
        .beside("both", &gate("my-gate", with("filter", json!("basic-auth"))))
        .beside("chain", &gate("", chain(&[("basic-auth", users())])));
    let trial = Trial::beside(&setup);
    for name in ["main", "configured", "both", "chain"] {
        let address = trial.envoy().listener(name);
        let statuses = [Request::get("/"), Request::get("/").basic("carol:s")]
            .map(|request| request.send(address).status);
        assert_eq!(statuses, [401, 200], "{name}");
    }

    let error = |root_id: &str, config: Value| trial.line(&gate(root_id, config));
    assert!(error("", users()).starts_with("which filter is meant? there is no root id"));
    let names_none = "which filter is meant? the root id `basic` names none of them";
    assert!(error("basic", users()).starts_with(names_none));
    let twice = chain(&[("basic-auth", users()), ("basic-auth", users())]);
    assert_eq!(error("", twice), "chain[1].basic-auth: is in the chain already, as chain[0]");
    let wrong = chain(&[("api-key-auth", keys()), ("basic-auth", json!({"users": [{"name": 5}]}))]);
    let message = "chain[1].basic-auth.users[0].name: invalid type: a number, expected a string";
    assert_eq!(error("chain", wrong), message);
}

#[test]
fn metadata_of_a_route_is_for_each_filter_of_a_chain() {
    let upstream = Upstream::start();
    let route = |prefix: &str, ours: Value| {
        json!({"match": {"prefix": prefix}, "route": {"cluster": "upstream"},
            "metadata": {"filter_metadata": {"gatehouse": ours}}})
    };
    let chain = chain(&[("basic-auth", users()), ("api-key-auth", keys())]);
    let envoy = Setup::new()
        .bundled("chain", "chain", &chain)
        .route(route("/no-basic", json!({"basic-auth": {"mode": "off"}})))
        .route(route(
            "/open",
            json!({"basic-auth": {"mode": "off"}, "api-key-auth": {"mode": "off"}}),
        ))
        .route(route("/wrong", json!({"api-key-auth": {"mode": "of"}})))
        .upstream(&upstream)
        .start();
    let send = |path: &str| {
        let request = Request::get(path).header("x-api-key", "acme-key-1");
        [Request::get(path), request.clone(), request.basic("carol:s")]
            .map(|request| request.send(envoy.address()).status)
    };
    assert_eq!(send("/"), [401, 401, 200]);
    assert_eq!(send("/no-basic"), [401, 200, 200]);
    assert_eq!(send("/open"), [200, 200, 200]);
    assert_eq!(send("/wrong"), [401, 401, 500]);
}

#[test]
fn evidence_goes_to_filters_behind_the_chain_unless_it_is_not_to() {
    let upstream = Upstream::start();
    let setup = |shares: bool| {
        let mut chain =
            chain(&[("api-key-auth", deferred(keys())), ("basic-auth", deferred(users()))]);
        chain["share_evidence"] = json!(shares);
        let setup = Setup::new().bundled("chain", "chain", &chain);
        setup.alone("access-policy", &policy()).upstream(&upstream)
    };
    let envoy = setup(true).beside("unshared", &setup(false)).start();
    let status = |listener: &str| {
        let request = Request::get("/either/x").header("x-api-key", "acme-key-1");
        request.send(envoy.listener(listener)).status
    };
    assert_eq!([status("main"), status("unshared")], [200, 503]);
}
