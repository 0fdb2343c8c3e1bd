//! Modules in Envoy's VMs: one that does nothing, and one that traps, which fails a test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tests::client::Request;
use tests::envoy::{Envoy, Setup};

use super::panics;

/// Traps at every request.
const TRAPS: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 0))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#;

fn trapping() -> Setup {
    let module = BASE64.encode(wat::parse_str(TRAPS).unwrap());
    Setup::new().filter("empty", json!({})).with_plugin(|plugin| {
        plugin["vm_config"]["code"]["local"] = json!({"inline_bytes": module});
        plugin["vm_config"]["vm_id"] = json!("traps");
    })
}

fn trapped(setup: &Setup) -> Envoy {
    let envoy = setup.start();
    assert_eq!(Request::get("/").send(envoy.address()).status, 503);
    envoy
}

#[test]
fn a_module_runs_on_four_workers() {
    let envoy = Setup::new().filter("empty", json!({})).workers(4).start();
    for _ in 0..20 {
        assert_eq!(Request::get("/").send(envoy.address()).status, 200);
    }
    let created = envoy.stat("wasm.envoy.wasm.runtime.v8.created").unwrap();
    assert!(
        created >= 6,
        "one for each worker, one for the main thread, one to start with: {created}"
    );
    assert_eq!(envoy.stats(".vm_reload").into_iter().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn a_vm_that_trapped_fails_the_test() {
    let envoy = trapped(&trapping());
    let address = envoy.address();
    let said = panics(|| drop(envoy));
    assert!(said.starts_with("a VM did not survive"), "{said}");
    assert!(said.contains("Uncaught RuntimeError: unreachable"), "{said}");
    assert!(Request::get("/").try_send(address).is_err());
}

#[test]
fn a_vm_that_may_trap_does_not() {
    let envoy = trapped(&trapping().vm_may_fail());
    assert!(envoy.log().contains("Function: proxy_on_request_headers failed"), "{}", envoy.log());
}

#[test]
fn a_module_that_is_not_built_is_asked_for() {
    let said = panics(|| drop(Setup::new().filter("absent", json!({}))));
    assert!(said.ends_with("run `make wasm`"), "{said}");
}
