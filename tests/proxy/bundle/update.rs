//! A chain that is changed while Envoy runs: discovered (ECDS) from a file.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Setup, wasm_of};
use tests::modules::BUNDLE;

use super::{chain, keys, probes, users};

/// Puts a chain where Envoy looks for it: whole, by a move.
fn put(folder: &Path, chain: &Value) {
    let text = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": chain.to_string()});
    let mut resource = wasm_of(BUNDLE, "gate", "chain", text);
    resource["@type"] = json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
    fs::write(folder.join("new"), json!({"resources": [resource]}).to_string()).unwrap();
    fs::rename(folder.join("new"), folder.join("chain.json")).unwrap();
}

#[test]
fn a_chain_is_changed_without_a_wrong_answer_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &chain(&[("basic-auth", users())]));
    let envoy = Setup::new()
        .native(json!({
            "name": "gate",
            "config_discovery": {
                "config_source": {
                    "path_config_source": {"path": folder.path().join("chain.json")},
                    "resource_api_version": "V3",
                },
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        }))
        .workers(2)
        // Envoy says of the wrong one that its VM failed.
        .vm_may_fail()
        .start();
    let mut connection = Connection::open(envoy.address()).unwrap();
    let mut send = |request: &Request| connection.send(request).unwrap().status;
    let (nobody, carol) = (Request::get("/"), Request::get("/").basic("carol:s"));
    let both = carol.clone().header("x-api-key", "acme-key-1");
    assert_eq!([send(&nobody), send(&carol)], [401, 200]);

    put(
        folder.path(),
        &chain(&[("health-shortcut", probes()), ("basic-auth", users()), ("api-key-auth", keys())]),
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while send(&carol) != 401 {
        // Old or new, nothing between.
        assert_eq!([send(&nobody), send(&both)], [401, 200]);
        assert!(Instant::now() < deadline, "the chain is not changed");
    }
    assert_eq!([send(&nobody), send(&both), send(&Request::get("/healthz"))], [401, 200, 200]);

    put(folder.path(), &chain(&[("health-shortcut", probes()), ("basic-auth", json!({}))]));
    let refused = "chain[1].basic-auth: nobody can log in";
    while !envoy.log().contains(refused) {
        assert!(Instant::now() < deadline, "the wrong chain is not refused");
        assert_eq!([send(&nobody), send(&carol), send(&both)], [401, 401, 200]);
    }
    assert_eq!([send(&nobody), send(&carol), send(&both)], [401, 401, 200]);
}
