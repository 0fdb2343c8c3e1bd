//! What is rendered is what the file says.

use serde_json::json;

use super::*;

fn file() -> Value {
    json!({
        "name": "shop",
        "listeners": [
            {"name": "public", "address": "0.0.0.0:8443", "tls": {"certificate": "/tls/chain.pem", "key": "/tls/key.pem"}},
            {"name": "plain", "address": "[::]:8080"},
        ],
        "upstreams": [
            {"name": "users", "address": "127.0.0.1:9000", "health": "/livez"},
            {"name": "issuer", "address": "issuer.example:443", "tls": true},
            {"name": "grpc", "address": "127.0.0.1:9001", "http2": true},
        ],
        "routes": [
            {"prefix": "/grpc/", "upstream": "grpc", "timeout": "0s"},
            {"prefix": "/", "upstream": "users"},
        ],
        "filters": [
            {"health-shortcut": {"endpoints": [{"path": "/livez", "report": "liveness"}]}},
            {"basic-auth": {"users": [{"name": "carol", "password": "${CAROL:-x}"}], "verdict": "defer",
                "rules": [{"match": {"paths": ["/open/**"]}, "mode": "off"}]}},
            {"access-policy": {"schemes": {"basic": {"authenticator": "basic-auth"}}, "services": []}},
        ],
        "images": "oci://registry.example/gatehouse",
    })
}

fn parse(value: Value) -> File {
    serde_json::from_value(value).unwrap()
}

fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .filter_map(|text| {
            serde_norway::from_str::<Value>(text)
                .unwrap_or_else(|why| panic!("{why}\n{text}"))
                .into()
        })
        .filter(|value: &Value| !value.is_null())
        .collect()
}

#[test]
fn the_bootstrap_is_yaml_and_has_what_the_file_says() {
    let text = envoy(&parse(file())).unwrap();
    let bootstrap = &documents(&text)[0];
    let listeners = &bootstrap["static_resources"]["listeners"];
    assert_eq!(listeners[1]["address"]["socket_address"]["address"], "::");
    let chain = &listeners[0]["filter_chains"][0];
    assert!(chain["transport_socket"].is_object(), "{chain:#}");
    let manager = &chain["filters"][0]["typed_config"];
    let filters: Vec<_> = manager["http_filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| filter["name"].as_str().unwrap())
        .collect();
    assert_eq!(filters, ["health-shortcut", "basic-auth", "access-policy", "router"]);
    let basic = &manager["http_filters"][1]["typed_config"]["config"];
    assert_eq!(basic["vm_config"]["environment_variables"]["host_env_keys"], json!(["CAROL"]));
    assert_eq!(basic["configuration"]["value"], file()["filters"][1]["basic-auth"]);
    assert_eq!(manager["request_timeout"], "30s");
    assert_eq!(
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"],
        json!({"cluster": "grpc", "timeout": "0s"})
    );
    let clusters = &bootstrap["static_resources"]["clusters"];
    assert_eq!(clusters[1]["type"], "STRICT_DNS");
    assert_eq!(clusters[1]["transport_socket"]["typed_config"]["sni"], "issuer.example");
    assert_eq!(clusters[0]["health_checks"][0]["http_health_check"]["path"], "/livez");
}

#[test]
fn the_manifests_keep_the_order_of_the_filters() {
    let text = istio(&parse(file())).unwrap();
    let plugins = documents(&text);
    let of =
        |part: &str| plugins.iter().map(|plugin| plugin["spec"][part].clone()).collect::<Vec<_>>();
    assert_eq!(of("phase"), ["AUTHN", "AUTHN", "AUTHZ"]);
    assert_eq!(of("priority"), [30, 20, 10]);
    assert_eq!(plugins[1]["spec"]["url"], "oci://registry.example/gatehouse/basic-auth:0.1.0");
    assert_eq!(plugins[1]["spec"]["vmConfig"]["env"][0]["name"], "CAROL");
    assert_eq!(plugins[1]["spec"]["pluginConfig"], file()["filters"][1]["basic-auth"]);
    let gateway = &documents(&envoy_gateway(&parse(file())).unwrap())[0];
    assert_eq!(gateway["spec"]["wasm"][2]["name"], "access-policy");
    assert_eq!(gateway["spec"]["wasm"][1]["env"]["hostKeys"], json!(["CAROL"]));
}

#[test]
fn the_filters_are_plugins_of_one_module_or_one_chain() {
    let of = |form: &str| {
        let mut file = file();
        file["as"] = json!(form);
        parse(file)
    };
    let filters = |form: &str| {
        let bootstrap = &documents(&envoy(&of(form)).unwrap())[0];
        let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
            [0]["typed_config"];
        let mut filters = manager["http_filters"].as_array().unwrap().clone();
        filters.pop();
        filters.into_iter().map(|filter| filter["typed_config"]["config"].clone()).collect()
    };
    let bundled: Vec<Value> = filters("bundle");
    assert_eq!(bundled.len(), 3);
    for (plugin, name) in bundled.iter().zip(["health-shortcut", "basic-auth", "access-policy"]) {
        assert_eq!((&plugin["root_id"], &plugin["name"]), (&json!(name), &json!(name)));
        assert_eq!(plugin["vm_config"]["vm_id"], "gatehouse");
        assert_eq!(plugin["vm_config"]["code"]["local"]["filename"], "dist/gatehouse.wasm");
    }
    let chained: Vec<Value> = filters("chain");
    let [plugin] = chained.as_slice() else { panic!("{chained:#?}") };
    assert_eq!(plugin["root_id"], "chain");
    assert_eq!(plugin["configuration"]["value"]["chain"], file()["filters"]);
    assert_eq!(plugin["vm_config"]["environment_variables"]["host_env_keys"], json!(["CAROL"]));
    let manifest = &documents(&istio(&of("chain")).unwrap())[0];
    assert_eq!(manifest["spec"]["pluginName"], "chain");
    assert_eq!(manifest["spec"]["url"], "oci://registry.example/gatehouse/gatehouse:0.1.0");
    let gateway = &documents(&envoy_gateway(&of("bundle")).unwrap())[0];
    assert_eq!(gateway["spec"]["wasm"][1]["rootID"], "basic-auth");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let edited = |edit: fn(&mut Value)| {
        let mut file = file();
        edit(&mut file);
        envoy(&parse(file)).unwrap_err().to_string()
    };
    assert_eq!(
        edited(|file| file["routes"][0]["upstream"] = json!("x")),
        "routes[0].upstream: there is no upstream `x`"
    );
    assert_eq!(
        edited(|file| file["upstreams"][1]["address"] = json!("x")),
        "upstreams[1].address: `x` is not `host:port`"
    );
    assert_eq!(
        edited(|file| file["name"] = json!("a\nb: c")),
        "name: is lower-case letters, digits and `-`"
    );
    assert_eq!(
        edited(|file| file["timeouts"] = json!({"idle": "1h"})),
        "timeouts.idle: `1h` is not a number of seconds such as `30s`"
    );
    assert_eq!(edited(|file| file["filters"][0] = json!({})), "filters[0]: names no filter");
    assert_eq!(
        edited(|file| file["filters"][0] = json!({"a": {}, "b": {}})),
        "filters[0]: is more than one filter"
    );
    let known = "api-key-auth, basic-auth, jwt-auth, oauth2-login, token-introspection, access-policy, \
                 rate-limit, health-shortcut, trace-context, telemetry";
    assert_eq!(
        edited(|file| file["filters"][0] = json!({"basic-aut": {}})),
        format!("filters[0].basic-aut: there is no such filter; known are {known}")
    );
    let mut local = file();
    local.as_object_mut().unwrap().remove("images");
    assert!(
        istio(&parse(local)).unwrap_err().to_string().starts_with("images: manifests need them")
    );
}

#[test]
fn hostile_texts_stay_texts() {
    let mut hostile = file();
    let text = "x: [1]\n- \"y\" # {no} ${A} 'é";
    hostile["filters"][1]["basic-auth"]["realm"] = json!(text);
    hostile["filters"][1]["basic-auth"]["more"] = json!({"on": "off", "1": "1", "": "", "list": [[], {}, [["a"]], {"deep": {"a": [1, {"b": null}]}}]});
    let rendered = envoy(&parse(hostile.clone())).unwrap();
    let bootstrap = &documents(&rendered)[0];
    let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        ["typed_config"];
    let value = &manager["http_filters"][1]["typed_config"]["config"]["configuration"]["value"];
    assert_eq!(*value, hostile["filters"][1]["basic-auth"]);
}
