//! Modules in Envoy's VMs: one that does nothing, and one that traps, which fails a test.

use serde_json::json;
use tempfile::TempDir;
use tests::client::Request;
use tests::envoy::{Envoy, Setup};

use super::panics;

/// Traps at every request.
const TRAPS: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 0))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#;

fn trapping() -> (Setup, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traps.wasm");
    std::fs::write(&file, wat::parse_str(TRAPS).unwrap()).unwrap();
    let setup = Setup::new().filter("empty", json!({})).with_plugin(|plugin| {
        plugin["vm_config"]["code"]["local"]["filename"] = json!(file);
        plugin["vm_config"]["vm_id"] = json!("traps");
    });
    (setup, folder)
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
    let (setup, _folder) = trapping();
    let envoy = trapped(&setup);
    let address = envoy.address();
    let said = panics(|| drop(envoy));
    assert!(said.starts_with("a VM did not survive"), "{said}");
    assert!(said.contains("Uncaught RuntimeError: unreachable"), "{said}");
    assert!(Request::get("/").try_send(address).is_err());
}

#[test]
fn a_vm_that_may_trap_does_not() {
    let (setup, _folder) = trapping();
    let envoy = trapped(&setup.vm_may_fail());
    assert!(envoy.log().contains("Function: proxy_on_request_headers failed"), "{}", envoy.log());
}

#[test]
fn a_module_that_is_not_built_is_asked_for() {
    let said = panics(|| drop(Setup::new().filter("absent", json!({}))));
    assert!(said.ends_with("run `make wasm`"), "{said}");
}
