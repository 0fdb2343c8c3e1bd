//! Every configuration shown in a document runs.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::modules::{filters, top};
use tests::tokens::{Key, jwks};
use tests::upstream::{Answer, Upstream};

/// An example bootstrap, its addresses free ones.
fn start(name: &str, upstream: &Upstream) -> Envoy {
    start_with(name, upstream, |text| text)
}

/// The same, with further changes.
fn start_with(name: &str, upstream: &Upstream, change: impl FnOnce(String) -> String) -> Envoy {
    let text = fs::read_to_string(top().join(format!("envoy/{name}.yaml"))).unwrap();
    let text = text
        .replace("port_value: 10000", "port_value: 0")
        .replace("port_value: 9901", "port_value: 0")
        .replace("port_value: 4318", &format!("port_value: {}", free_port()))
        .replace("port_value: 10001", &format!("port_value: {}", free_port()))
        .replace("port_value: 8080", &format!("port_value: {}", upstream.address().port()))
        .replace("dist/", &format!("{}/dist/", top().display()));
    Envoy::of_yaml(&change(text), 2)
}

/// A port for what an example serves to itself, and so has to name twice.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Configurations of plugins run, all in one Envoy: their modules take them as YAML and as JSON.
fn run(configs: &[(String, Value)]) {
    let forms = [Setup::filter, Setup::filter_of_struct];
    let setups = configs.iter().flat_map(|(filter, config)| {
        forms.map(|with| with(Setup::new(), filter, config.clone()).with_plugin(give_variables))
    });
    start_all(setups);
}

/// An Envoy with a listener for each, which it has then.
fn start_all(setups: impl Iterator<Item = Setup>) {
    let named: Vec<_> =
        setups.enumerate().map(|(place, setup)| (place.to_string(), setup)).collect();
    let all = named.iter().fold(Setup::new(), |all, (name, setup)| all.beside(name, setup));
    let envoy = all.start();
    for (name, _) in &named {
        envoy.listener(name);
    }
}

fn give_variables(plugin: &mut Value) {
    plugin["vm_config"]["environment_variables"] = json!({"key_values": {"DAVE_PASSWORD": "x", "ACME_KEY": "long enough", "CLIENT_SECRET": "x",
        "COOKIE_KEY": "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=",
        "OLD_COOKIE_KEY": "wK8xQz3Lr6Vn1Tj9Yc4Hb7Mf2Pd5Sg0A"}});
}

#[test]
fn the_bootstrap_of_access_policy_runs() {
    let upstream = Upstream::start();
    let envoy = start("access-policy", &upstream);
    let text = fs::read_to_string(top().join("envoy/access-policy.yaml")).unwrap();
    let token = text.lines().find_map(|line| line.strip_prefix("# eyJ")).unwrap();
    let send = |request: Request| request.send(envoy.address()).status;
    let key = |request: Request| request.header("x-api-key", "acme demo key");
    let token = |request: Request| request.header("authorization", format!("Bearer eyJ{token}"));
    let get = |target: &str| Request::get(target);
    assert_eq!([send(get("/users")), send(key(get("/users")))], [401, 200]);
    assert_eq!(upstream.last().header("x-auth-subject").as_deref(), Some("acme"));
    assert_eq!([send(key(get("/users/admin"))), send(token(get("/users/admin")))], [401, 200]);
    assert_eq!(send(get("/users/public").header("authorization", "garbage")), 200);
    let create = || Request::new("POST", "/users");
    assert_eq!([send(key(create())), send(token(create()))], [401, 401]);
    assert_eq!(send(key(token(create()))), 200);
    assert_eq!(send(create().basic("carol:demo").header("x-http-method-override", "PUT")), 200);
    assert_eq!(upstream.last().header("x-http-method-override"), None);
    assert_eq!([send(get("/files/a")), send(get("/files/a").basic("carol:demo"))], [401, 200]);
    assert_eq!([send(key(get("/users/"))), send(key(Request::new("PUT", "/users")))], [404, 405]);
    assert_eq!(upstream.count(), 6);
}

#[test]
fn the_bootstrap_of_api_key_auth_runs() {
    let upstream = Upstream::start();
    let envoy = start("api-key-auth", &upstream);
    let send = |request: Request| request.send(envoy.address()).status;
    let with = |key: &str| Request::get("/").header("x-api-key", key);
    assert_eq!(send(Request::get("/")), 401);
    assert_eq!(send(with("acme demo key")), 200);
    assert_eq!(send(with("zenith demo key")), 200);
    assert_eq!(send(with("zenith old key")), 401);
    assert_eq!(send(Request::get("/x?api_key=acme+demo+key&y=1")), 200);
    assert_eq!(upstream.last().target, "/x?y=1");
    assert_eq!(send(Request::new("POST", "/").header("x-api-key", "zenith demo key")), 403);
    assert_eq!(send(Request::get("/public/x")), 200);
    assert_eq!(upstream.count(), 4);
}

#[test]
fn the_bootstrap_of_basic_auth_runs() {
    let upstream = Upstream::start();
    let envoy = start("basic-auth", &upstream);
    let send = |request: Request| request.send(envoy.address()).status;
    assert_eq!(send(Request::get("/")), 401);
    assert_eq!(send(Request::get("/").basic("alice:secret")), 200);
    assert_eq!(send(Request::get("/").basic("dave:change me")), 200);
    assert_eq!(send(Request::get("/public/x")), 200);
    assert_eq!(send(Request::get("/public/..%2fx")), 400);
    assert_eq!(upstream.count(), 3);
}

#[test]
fn the_bootstrap_of_health_shortcut_runs() {
    let upstream = Upstream::start();
    let envoy = start("health-shortcut", &upstream);
    let send = |path: &str| Request::get(path).send(envoy.address());
    assert_eq!(send("/livez").json()["version"], "1.4.2");
    assert_eq!(send("/livez/").status, 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while send("/healthz").status != 200 {
        assert!(std::time::Instant::now() < deadline, "{}", send("/healthz"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_bootstrap_of_health_checks_of_grpc_runs() {
    let upstream = Upstream::start();
    let envoy = start("grpc-health", &upstream);
    let ready = || Request::get("/readyz").send(envoy.address()).status == 200;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !ready() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let services = ["", "users.v1.Users", "orders.v1.Orders"];
    let answers = crate::health_shortcut::grpc::ask(&envoy, "check", &services);
    assert_eq!(answers, ["SERVING", "SERVING", "NOT_FOUND"]);
    let asked = upstream.received().into_iter().map(|request| request.target);
    assert!(asked.clone().all(|target| target == "/livez"), "{:?}", asked.collect::<Vec<_>>());
}

#[test]
fn the_bootstrap_of_trace_context_runs() {
    let upstream = Upstream::start();
    let envoy = start("trace-context", &upstream);
    let b3 = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1";
    let answer = Request::get("/").header("b3", b3).send(envoy.address());
    let (got, told) = (upstream.last(), answer.header("traceresponse").unwrap());
    assert_eq!(got.header("traceparent").as_deref(), Some(&*told));
    assert!(told.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{told}");
    assert!(got.header("b3").unwrap().starts_with(&b3[..33]));
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn the_bootstrap_of_jwt_auth_runs() {
    let upstream = Upstream::start();
    let envoy = start("jwt-auth", &upstream);
    let text = fs::read_to_string(top().join("envoy/jwt-auth.yaml")).unwrap();
    let tokens: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#   eyJ")).collect();
    let [alice, bob] = tokens.as_slice() else { panic!("{} tokens", tokens.len()) };
    let with = |method: &str, token: &str| {
        let request =
            Request::new(method, "/").header("authorization", format!("Bearer eyJ{token}"));
        request.send(envoy.address()).status
    };
    assert_eq!(Request::get("/").send(envoy.address()).status, 401);
    assert_eq!(with("GET", alice), 200);
    let got = upstream.last();
    for (name, value) in
        [("x-auth-subject", "alice"), ("x-auth-scopes", "api:read"), ("x-tenant", "7")]
    {
        assert_eq!(got.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(got.header("authorization"), None);
    assert_eq!((with("POST", alice), with("POST", bob)), (403, 200));
    assert_eq!(with("GET", alice.trim_end_matches(char::is_alphanumeric)), 401);
    assert_eq!(Request::get("/public/x").send(envoy.address()).status, 200);
    assert_eq!(upstream.count(), 3);
}

#[test]
fn the_bootstrap_of_a_chain_runs() {
    let upstream = Upstream::start();
    let envoy = start("chain", &upstream);
    let text = fs::read_to_string(top().join("envoy/chain.yaml")).unwrap();
    let token = text.lines().find_map(|line| line.strip_prefix("# eyJ")).unwrap();
    let send = |request: Request| request.send(envoy.address()).status;
    let key = |request: Request| request.header("x-api-key", "acme demo key");
    let token = |request: Request| request.header("authorization", format!("Bearer eyJ{token}"));
    let get = |target: &str| Request::get(target);
    assert_eq!(
        [send(get("/healthz")), send(get("/users")), send(key(get("/users")))],
        [200, 401, 200]
    );
    assert_eq!(upstream.last().header("x-auth-subject").as_deref(), Some("acme"));
    assert_eq!([send(key(get("/users/admin"))), send(token(get("/users/admin")))], [401, 200]);
    assert_eq!(send(get("/users/public").header("authorization", "garbage")), 200);
    let create = || Request::new("POST", "/users");
    assert_eq!(
        [send(key(create())), send(key(token(create()))), send(create().basic("carol:demo"))],
        [401, 200, 200]
    );
    assert_eq!(send(get("/files/a")), 404);
    assert_eq!(upstream.count(), 5);
}

#[test]
fn the_bootstrap_of_oauth2_login_runs() {
    let upstream = Upstream::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let issuer = format!("http://localhost:{port}");
    let known = issuer.clone();
    let _provider = Upstream::on(listener, move |request| match request.target.as_str() {
        "/keys" => Answer::ok(&jwks([&Key::of("p256")]).to_string()),
        _ => Answer::ok(
            &json!({
                "issuer": known,
                "authorization_endpoint": format!("{known}/auth"),
                "token_endpoint": format!("{known}/token"),
                "jwks_uri": format!("{known}/keys"),
            })
            .to_string(),
        ),
    });
    let variables = "key_values: {CLIENT_SECRET: x, COOKIE_KEY: \"q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=\"}";
    let envoy = start_with("oauth2-login", &upstream, |text| {
        text.replace("9400", &port.to_string())
            .replace("host_env_keys: [COOKIE_KEY, CLIENT_SECRET]", variables)
    });
    let begun = Request::get("/").send(envoy.address());
    assert_eq!(begun.status, 303, "{begun}");
    let location = begun.header("location").unwrap();
    assert!(location.starts_with(&format!("{issuer}/auth?response_type=code")), "{location}");
    assert_eq!(Request::get("/api/x").send(envoy.address()).status, 401);
    assert_eq!(Request::get("/public/goodbye").send(envoy.address()).status, 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_bootstrap_of_token_introspection_runs() {
    let upstream = Upstream::start();
    let envoy = start("token-introspection", &upstream);
    let with = |method: &str| {
        let request = Request::new(method, "/").header("authorization", "Bearer anything");
        request.send(envoy.address()).status
    };
    assert_eq!(Request::get("/").send(envoy.address()).status, 401);
    assert_eq!(with("GET"), 200);
    let got = upstream.last();
    for (name, value) in
        [("x-auth-subject", "alice"), ("x-auth-scopes", "api:read"), ("x-tenant", "7")]
    {
        assert_eq!(got.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(with("POST"), 403);
    assert_eq!(Request::get("/public/x").send(envoy.address()).status, 200);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn the_bootstrap_of_rate_limit_runs() {
    let upstream = Upstream::start();
    let envoy = start("rate-limit", &upstream);
    let send = |key: &str| Request::get("/").header("x-api-key", key).send(envoy.address());
    let statuses: Vec<_> = (0..6).map(|_| send("acme demo key").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    let left = send("zenith demo key").header("ratelimit");
    assert_eq!(left.as_deref(), Some(r#""per-consumer";r=19;t=1"#));
    let wrong: Vec<_> = (0..11).map(|_| send("wrong").status).collect();
    assert_eq!(wrong, [[401; 10].as_slice(), &[429]].concat());
    assert_eq!(send("zenith demo key").status, 429);
    assert_eq!(upstream.count(), 6);
    let page = envoy.page("/stats/prometheus?filter=gatehouse");
    assert!(page.contains(r#"limit="per-consumer"#), "{page}");
}

#[test]
fn our_counters_become_labels() {
    let upstream = Upstream::start();
    let envoy = start("basic-auth", &upstream);
    Request::get("/").send(envoy.address());
    Request::get("/").basic("alice:secret").send(envoy.address());
    let page = envoy.page("/stats/prometheus?filter=gatehouse");
    for line in [
        r#"gatehouse_refused{filter="basic-auth",reason="missing"} 1"#,
        r#"gatehouse_allowed{by="hash",filter="basic-auth"} 1"#,
    ] {
        let mut words: Vec<_> = line.split(['{', ',', '}']).collect();
        let found = page.lines().any(|known| {
            let all = words.iter().all(|word| known.contains(word));
            all && known.starts_with("gatehouse_")
        });
        words.clear();
        assert!(found, "{line} is not in\n{page}");
    }
}

#[test]
fn the_bootstrap_of_telemetry_runs() {
    let upstream = Upstream::start();
    let envoy = start("telemetry", &upstream);
    let send = |request: Request| request.send(envoy.address());
    let with = |path: &str| Request::get(path).header("x-api-key", "acme demo key");
    assert_eq!(send(Request::get("/users")).status, 401);
    assert_eq!(send(with("/users?page=2")).status, 200);
    assert_eq!(send(Request::get("/debug?debug-logs=on")).status, 404);
    assert_eq!(send(with("/debug?debug-logs=on")).text(), r#"{"debug-logs":"on"}"#);
    assert_eq!(send(with("/debug/pprof/")).status, 404);
    let timed = send(with("/users/7").header("x-gatehouse-timing", "1"));
    assert!(timed.header("server-timing").is_some_and(|told| told.starts_with("total;dur=")));
    assert_eq!(upstream.count(), 2);
}

#[test]
fn all_bootstraps_hold_the_block_of_tags() {
    let block = fs::read_to_string(top().join("envoy/stats-tags.yaml")).unwrap();
    let block = block.split_once("  stats_tags:").unwrap().1.trim_end();
    for name in filters().into_iter().chain(["chain".to_owned(), "complete".to_owned()]) {
        let text = fs::read_to_string(top().join(format!("envoy/{name}.yaml"))).unwrap();
        assert!(text.contains(block), "envoy/{name}.yaml");
    }
}

/// What a document shows in blocks of YAML.
fn blocks(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(top().join(path)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let read =
        |block| serde_norway::from_str(block).unwrap_or_else(|error| panic!("{path}: {error}"));
    blocks.map(read).collect()
}

#[test]
fn the_configurations_in_the_readmes_run() {
    let mut configs = Vec::new();
    for name in filters() {
        let shown = blocks(&format!("filters/{name}/README.md"));
        assert!(!shown.is_empty(), "filters/{name}/README.md has no example");
        configs.extend(shown.into_iter().map(|config| (name.clone(), config)));
    }
    run(&configs);
}

/// What `filters/bundle/README.md` and the manifest of a chain show.
#[test]
fn the_configurations_of_the_bundle_run() {
    let text = fs::read_to_string(top().join("envoy/istio/chain.yaml")).unwrap();
    let manifest: Value = serde_norway::from_str(&text).unwrap();
    assert_eq!(manifest["spec"]["pluginName"], "chain");
    let shown = blocks("filters/bundle/README.md");
    assert_eq!(shown.len(), 2);
    let chain = ("chain", &manifest["spec"]["pluginConfig"]);
    let plugins = shown.iter().map(|config| ("", config)).chain([chain]);
    start_all(plugins.map(|(root_id, config)| {
        Setup::new().bundled("gate", root_id, config).with_plugin(give_variables)
    }));
}

#[test]
fn the_manifests_for_istio_run() {
    let mut configs = Vec::new();
    for name in filters() {
        let text = fs::read_to_string(top().join(format!("envoy/istio/{name}.yaml"))).unwrap();
        // Those of the filters that it needs in front come first.
        let documents = text.split("\n---\n").map(serde_norway::from_str);
        let manifest: Value = documents.last().unwrap().unwrap();
        assert_eq!(
            (&manifest["kind"], &manifest["spec"]["pluginName"]),
            (&json!("WasmPlugin"), &json!(name))
        );
        assert_eq!(manifest["spec"]["failStrategy"], "FAIL_RELOAD");
        configs.push((name, manifest["spec"]["pluginConfig"].clone()));
    }
    run(&configs);
}
