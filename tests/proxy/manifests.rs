//! What is applied to a cluster: each manifest is what its definition allows, has a place in the chain, and the same
//! configuration for Istio and for Envoy Gateway. That the modules take it is shown in `examples`.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use boon::{Compiler, SchemaIndex, Schemas};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tests::modules::{filters, top};

/// A schema of `tests/schemas/`, and whether a value is of it.
struct Schema {
    all: Schemas,
    this: SchemaIndex,
}

impl Schema {
    fn read(name: &str) -> Self {
        let (mut all, mut compiler) = (Schemas::new(), Compiler::new());
        let text = fs::read_to_string(top().join(format!("tests/schemas/{name}.json"))).unwrap();
        compiler.add_resource(name, serde_json::from_str(&text).unwrap()).unwrap();
        let this = compiler.compile(name, &mut all).unwrap();
        Self { all, this }
    }

    fn complaint(&self, value: &Value) -> Option<String> {
        self.all.validate(value, self.this).err().map(|error| format!("{error:#}"))
    }
}

fn documents(path: &str) -> Vec<Value> {
    let text =
        fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let documents = serde_norway::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).unwrap()).collect()
}

#[test]
fn what_is_for_istio_is_a_wasm_plugin_with_a_place() {
    let schema = Schema::read("wasm-plugin");
    for name in filters().into_iter().chain(["chain".to_owned()]) {
        let path = format!("envoy/istio/{name}.yaml");
        for document in documents(&path) {
            let spec = &document["spec"];
            assert_eq!(document["apiVersion"], "extensions.istio.io/v1alpha1", "{path}");
            assert_eq!(document["kind"], "WasmPlugin", "{path}");
            if let Some(complaint) = schema.complaint(spec) {
                panic!("{path}: {complaint}");
            }
            assert!(
                ["AUTHN", "AUTHZ", "STATS"].map(Value::from).contains(&spec["phase"]),
                "{path}"
            );
            assert!(spec["priority"].is_i64(), "{path}: its place in the phase is chance");
            assert_eq!(spec["failStrategy"], "FAIL_RELOAD", "{path}");
        }
    }
}

/// What a configuration is without the names of clusters, which are of the one or the other.
fn elsewhere(config: &Value) -> String {
    let text = config.to_string();
    let mut parts = text.split("\"cluster\":\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('"').map_or("", |(_, rest)| rest))
}

#[test]
fn what_is_for_envoy_gateway_is_the_same_in_the_same_order() {
    let schema = Schema::read("envoy-extension-policy");
    for name in filters().into_iter().chain(["chain".to_owned()]) {
        let path = format!("envoy/gateway/{name}.yaml");
        let [document] = documents(&path).try_into().unwrap_or_else(|_| panic!("{path}: not one"));
        assert_eq!(document["apiVersion"], "gateway.envoyproxy.io/v1alpha1", "{path}");
        assert_eq!(document["kind"], "EnvoyExtensionPolicy", "{path}");
        if let Some(complaint) = schema.complaint(&document["spec"]) {
            panic!("{path}: {complaint}");
        }
        let of_istio = documents(&format!("envoy/istio/{name}.yaml"));
        let plugins = document["spec"]["wasm"].as_array().unwrap();
        assert_eq!(plugins.len(), of_istio.len(), "{path}");
        for (plugin, other) in plugins.iter().zip(&of_istio) {
            let other = &other["spec"];
            assert_eq!(plugin["name"], other["pluginName"], "{path}");
            assert_eq!(plugin["failOpen"], false, "{path}");
            assert_eq!(elsewhere(&plugin["config"]), elsewhere(&other["pluginConfig"]), "{path}");
            let names: Vec<_> = other["vmConfig"]["env"].as_array().into_iter().flatten().collect();
            let names: Vec<_> = names.iter().map(|variable| variable["name"].clone()).collect();
            let keys = plugin["env"]["hostKeys"].as_array().cloned().unwrap_or_default();
            assert_eq!(keys, names, "{path}");
            let url = format!("oci://{}", plugin["code"]["image"]["url"].as_str().unwrap());
            assert_eq!(other["url"], url, "{path}");
        }
    }
}

#[test]
fn the_schemas_refuse_what_the_definitions_refuse() {
    let plugin = Schema::read("wasm-plugin");
    let good = json!({"url": "oci://x/y:1", "phase": "AUTHN", "failStrategy": "FAIL_RELOAD"});
    assert_eq!(plugin.complaint(&good), None);
    for (field, value) in [
        ("phase", json!("LATER")),
        ("failStrategy", json!("RELOAD")),
        ("priority", json!("high")),
        ("pluginConfg", json!({})),
        ("sha256", json!("abc")),
        ("vmConfig", json!({"env": [{"value": "x"}]})),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(plugin.complaint(&bad).is_some(), "{bad}");
    }
    let policy = Schema::read("envoy-extension-policy");
    let image = json!({"type": "Image", "image": {"url": "registry.example/y:1"}});
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"});
    let with =
        |code: &Value| json!({"targetRefs": [target], "wasm": [{"name": "y", "code": code}]});
    assert_eq!(policy.complaint(&with(&image)), None);
    for code in
        [json!({"type": "Image"}), json!({"type": "HTTP", "image": image["image"]}), json!({})]
    {
        assert!(policy.complaint(&with(&code)).is_some(), "{code}");
    }
}

/// What the definitions that npm publishes say of manifests, a line for each.
fn published(manifests: &[Value]) -> Vec<String> {
    let modules = std::env::var("GATEHOUSE_DEFINITIONS_MODULES");
    let modules = modules.expect("run `make setup`, and tests by scripts/env");
    let mut node = Command::new("node")
        .arg(top().join("tests/schemas/check.mjs"))
        .arg(modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = Value::from(manifests).to_string();
    node.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_published_definitions_take_all_of_them() {
    let mut manifests = Vec::new();
    for name in filters().into_iter().chain(["chain".to_owned()]) {
        manifests.extend(documents(&format!("envoy/istio/{name}.yaml")));
        manifests.extend(documents(&format!("envoy/gateway/{name}.yaml")));
    }
    let said = published(&manifests);
    assert_eq!(said.len(), manifests.len());
    assert!(said.iter().all(|line| line.ends_with(": good")), "{said:#?}");
    // And they do refuse something.
    let chain = ["istio", "gateway"].map(|of| documents(&format!("envoy/{of}/chain.yaml")));
    let [mut istio, mut gateway] = chain.map(|documents| documents[0].clone());
    istio["spec"]["phase"] = json!("LATER");
    gateway["spec"]["wasm"][0]["code"]["type"] = json!("File");
    let said = published(&[istio, gateway]);
    assert!(said.iter().all(|line| line.contains("one of the allowed values")), "{said:#?}");
}
