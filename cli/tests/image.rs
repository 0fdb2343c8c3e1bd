//! `gatehouse image` and `gatehouse capabilities`, as they are run: what is made is taken apart as Istio's agent
//! takes it apart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A module with one import and two callbacks, and what Envoy asks of every module.
const MODULE: &str = r#"(module
    (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "_start"))
    (func (export "proxy_on_tick") (param i32))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
    (memory (export "memory") 1))"#;

/// A folder with `small.wasm`.
fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.wasm"), wat::parse_str(text).unwrap()).unwrap();
    folder
}

/// What the program prints, and its exit code.
fn run(folder: &TempDir, arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    let code = output.status.code().unwrap();
    (if code == 0 { String::from_utf8(output.stdout).unwrap() } else { err }, code)
}

/// A blob that a descriptor names, its size and its digest compared.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    assert_eq!(descriptor["size"], bytes.len());
    assert_eq!(digest, sha256(&bytes));
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn an_image_is_fetched_as_istio_and_envoy_gateway_fetch_it() {
    let folder = folder(MODULE);
    let (said, code) = run(&folder, &["image", "small.wasm", "--to", "oci", "--version", "1.2.0"]);
    assert_eq!(code, 0, "{said}");
    let layout = folder.path().join("oci/small");
    assert_eq!(json(&fs::read(layout.join("oci-layout")).unwrap())["imageLayoutVersion"], "1.0.0");
    let index = json(&fs::read(layout.join("index.json")).unwrap());
    let [reference] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(reference["annotations"]["org.opencontainers.image.ref.name"], "1.2.0");
    assert_eq!(said, format!("{}  oci/small\n", reference["digest"].as_str().unwrap()));

    let manifest = json(&blob(&layout, reference));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    // The last layer, of this kind exactly; in its archive the file of this name.
    let layers = manifest["layers"].as_array().unwrap();
    let layer = layers.last().unwrap();
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut archive = Vec::new();
    let packed = blob(&layout, layer);
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut archive).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut files = archive.entries().unwrap().map(Result::unwrap);
    let mut file = files.next().unwrap();
    assert_eq!(file.path().unwrap().to_str(), Some("plugin.wasm"));
    let mut module = Vec::new();
    file.read_to_end(&mut module).unwrap();
    assert_eq!(module, fs::read(folder.path().join("small.wasm")).unwrap());
    assert!(files.next().is_none());

    let config = json(&blob(&layout, &manifest["config"]));
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut archive).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([sha256(&archive)]));
}

#[test]
fn the_same_module_makes_the_same_bytes_and_another_leaves_nothing_behind() {
    let folder = folder(MODULE);
    let make = || run(&folder, &["image", "small.wasm", "--to", "oci"]).0;
    let first = make();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(make(), first);
    let other = MODULE.replace("proxy_on_tick", "proxy_on_done");
    fs::write(folder.path().join("small.wasm"), wat::parse_str(other).unwrap()).unwrap();
    assert_ne!(make(), first);
    assert_eq!(fs::read_dir(folder.path().join("oci/small/blobs/sha256")).unwrap().count(), 3);
}

#[test]
fn what_is_no_module_makes_no_image() {
    let folder = folder("(module)");
    fs::write(folder.path().join("text.wasm"), "not a module").unwrap();
    for (file, why) in [
        ("small.wasm", "no module for a proxy"),
        ("text.wasm", "text.wasm: "),
        ("none.wasm", "none.wasm: "),
    ] {
        for arguments in [vec!["image", file, "--to", "oci"], vec!["capabilities", file]] {
            let (said, code) = run(&folder, &arguments);
            assert!(code == 2 && said.contains(why), "{said}");
        }
    }
    assert!(!folder.path().join("oci").exists());
    assert_eq!(run(&folder, &["image", "small.wasm", "--to", "oci", "--version", "a b"]).1, 2);
}

#[test]
fn capabilities_are_what_is_imported_and_the_callbacks() {
    let folder = folder(MODULE);
    let (said, code) = run(&folder, &["capabilities", "small.wasm", "--indent", "2"]);
    assert_eq!(code, 0, "{said}");
    let block: Value = serde_norway::from_str(&said).unwrap();
    let allowed = &block["capability_restriction_config"]["allowed_capabilities"];
    let names: Vec<_> = allowed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["proxy_log", "proxy_on_request_headers", "proxy_on_tick", "random_get"]);
}

#[test]
fn an_error_says_what_it_is_of_in_one_line() {
    let folder = folder(MODULE);
    fs::write(folder.path().join("text.wasm"), "#!/bin/sh\n").unwrap();
    for arguments in [&["image", "text.wasm", "--to", "oci"][..], &["capabilities", "text.wasm"]] {
        let (said, code) = run(&folder, arguments);
        assert_eq!((said.as_str(), code), ("error: text.wasm: is no WebAssembly module\n", 2));
    }
    fs::write(folder.path().join("taken"), "").unwrap();
    let (said, code) = run(&folder, &["image", "small.wasm", "--to", "taken"]);
    assert!(said.starts_with("error: taken/small: ") && code == 2, "{said}");
}

/// A module that Envoy would ask, for `gatehouse render`.
const ASKED: &str = r#"(module
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

const FILE: &str = r#"{ name: shop, modules: modules, listeners: [ { name: main, address: "127.0.0.1:1" } ],
    upstreams: [ { name: users, address: "127.0.0.1:2" } ],
    filters: [ { basic-auth: { users: [ { name: dave, password: "${DAVE_PASSWORD}" } ] } } ] }"#;

#[test]
fn what_is_rendered_says_what_modules_may_do() {
    let folder = folder(MODULE);
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wat::parse_str(text).unwrap()).unwrap();
    };
    fs::write(folder.path().join("shop.yaml"), FILE).unwrap();
    let render = |arguments: &[&str]| {
        run(&folder, &[&["render", "shop.yaml", "--for", "envoy"], arguments].concat())
    };
    let allowed = |arguments: &[&str]| {
        let (text, code) = render(arguments);
        assert_eq!(code, 0, "{text}");
        text.contains("proxy_on_request_headers: {}")
    };
    assert!(!allowed(&[]), "there is no module");
    let (error, code) = render(&["--modules", "elsewhere"]);
    assert!(code == 2 && error.contains("elsewhere/basic-auth.wasm"), "{error}");
    put("elsewhere/basic-auth.wasm", ASKED);
    assert!(allowed(&["--modules", "elsewhere"]));
    put("modules/basic-auth.wasm", ASKED);
    assert!(allowed(&[]));
    // One that Envoy would not ask is no authenticator.
    put("modules/basic-auth.wasm", MODULE);
    let (error, code) = render(&[]);
    assert!(code == 1 && error.contains("missing-callback"), "{error}");
}

#[test]
fn two_modules_of_one_name_are_no_image() {
    let folder = folder(MODULE);
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::copy(folder.path().join("small.wasm"), folder.path().join("more/small.wasm")).unwrap();
    let modules = ["small.wasm", "more/small.wasm"];
    let (err, code) = run(&folder, &["image", modules[0], modules[1], "--to", "oci"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("more/small.wasm: oci/small is for small.wasm already"), "{err}");
    assert!(!folder.path().join("oci").exists());
}
