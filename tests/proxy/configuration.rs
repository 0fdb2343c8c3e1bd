//! Configurations as Envoy hands them over: as text, as a `Struct`, wrong, and changed.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Setup, Trial};
use tests::upstream::Upstream;

#[test]
fn yaml_of_a_bootstrap_and_json_of_istio_are_the_same() {
    let config = json!({"users": [{"name": "carol", "password": "p", "groups": ["ops"]}], "realm": "Example",
        "verified_cache": {"entries": 10, "ttl": "5m"}});
    let yaml = Setup::new().filter_of_struct("basic-auth", config.clone());
    let envoy = Setup::new().filter("basic-auth", config).beside("yaml", &yaml).start();
    for name in ["main", "yaml"] {
        let address = envoy.listener(name);
        assert_eq!(Request::get("/").basic("carol:p").send(address).status, 200);
        assert_eq!(Request::get("/").send(address).status, 401);
    }
}

#[test]
fn the_environment_of_the_vm_is_used() {
    let config = json!({"users": [{"name": "carol", "password": "${CAROL}"}]});
    let setup = Setup::new().filter("basic-auth", config);
    assert_eq!(
        setup.configuration_error(),
        "users[0].password: the environment variable CAROL is not set"
    );
    let setup = setup.with_plugin(|plugin| {
        plugin["vm_config"]["environment_variables"] =
            json!({"key_values": {"CAROL": "from the environment"}});
    });
    let envoy = setup.start();
    let answer = Request::get("/").basic("carol:from the environment").send(envoy.address());
    assert_eq!(answer.status, 200);
}

/// A rule for each form of `match` that is about more than the request's first line.
#[test]
fn rules_match_headers_routes_and_clusters() {
    let upstream = Upstream::start();
    let off = |matcher: Value| json!({"match": matcher, "mode": "off"});
    let envoy = Setup::new()
        .upstream(&upstream)
        .cluster("other", Some(upstream.address()))
        .route(json!({"match": {"prefix": "/named"}, "name": "named", "route": {"cluster": "upstream"}}))
        .route(json!({"match": {"prefix": "/other"}, "name": "else", "route": {"cluster": "other"}}))
        .filter(
            "basic-auth",
            json!({"users": [{"name": "carol", "password": "s"}], "rules": [
                off(json!({"headers": {"X-There": true}})),
                off(json!({"headers": {"x-gone": false}, "paths": ["/gone"]})),
                off(json!({"headers": {"x-tier": "gold", "x-old": false}})),
                off(json!({"routes": ["named", "nowhere"]})),
                off(json!({"clusters": ["other"]})),
            ]}),
        )
        .start();
    for (path, headers, status) in [
        ("/", &[][..], 401),
        ("/", &[("x-there", "")], 200),
        ("/", &[("X-THERE", "no")], 200),
        ("/", &[("x-there-not", "")], 401),
        ("/gone", &[], 200),
        ("/gone", &[("x-gone", "")], 401),
        ("/", &[("x-tier", "gold")], 200),
        ("/", &[("x-tier", "silver"), ("x-tier", "gold")], 200),
        ("/", &[("x-tier", "Gold")], 401),
        ("/", &[("x-tier", "gold,silver")], 401),
        ("/", &[("x-tier", "gold"), ("x-old", "")], 401),
        ("/named/1", &[], 200),
        ("/other/1", &[], 200),
        ("/nowhere", &[], 401),
    ] {
        let request = headers
            .iter()
            .fold(Request::get(path), |request, (name, value)| request.header(name, value));
        assert_eq!(request.send(envoy.address()).status, status, "{path} {headers:?}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let setup = |config| Setup::new().filter("basic-auth", config);
    let good = json!({"users": [{"name": "carol", "password": "p"}]});
    let trial = Trial::beside(&setup(good));
    let error = |config| trial.error(&setup(config));
    assert_eq!(error(json!({})), "nobody can log in: `htpasswd` and `users` name no user");
    assert_eq!(
        error(json!({"users": [{"name": "a", "hash": "hunter2"}]})),
        "users[0].hash: is plain text or of an unknown format"
    );
    let number = json!({"users": [{"name": 5}]});
    assert_eq!(
        trial.error(&Setup::new().filter_of_struct("basic-auth", number)),
        "users[0].name: invalid type: a number, expected a string"
    );
    assert_eq!(
        Setup::new().filter("health-shortcut", json!({})).configuration_error(),
        "missing field `endpoints`"
    );
}

#[test]
fn text_that_is_no_json_is_refused() {
    let text = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{\"users\": "});
    let setup = Setup::new().native(tests::envoy::wasm("basic-auth", text));
    assert_eq!(
        setup.configuration_error(),
        "not valid JSON: EOF while parsing a value at line 1 column 10"
    );
}

#[test]
fn without_any_configuration_nothing_is_open() {
    let setup = Setup::new().native(tests::envoy::wasm("basic-auth", json!({})));
    let setup = setup.with_plugin(|plugin| {
        plugin.as_object_mut().unwrap().remove("configuration");
    });
    assert!(setup.configuration_error().starts_with("nobody can log in"));
}
