//! What a module may do, in the real Envoy (`capability_restriction_config`): every bootstrap shipped has the list of
//! each of its modules, and Envoy keeps to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Setup;
use tests::modules::{BUNDLE, filters, module, top};
use tests::upstream::Upstream;

use crate::drain::program;

/// `allowed_capabilities`, as `gatehouse capabilities` has it.
fn of(path: &str) -> Value {
    let output = Command::new(program()).args(["capabilities", path]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let block: Value = serde_norway::from_slice(&output.stdout).unwrap();
    block["capability_restriction_config"]["allowed_capabilities"].clone()
}

/// The files in YAML of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect()
}

/// The `vm_config`s in a bootstrap.
fn machines<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("vm_config"));
            object.values().for_each(|value| machines(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| machines(value, found)),
        _ => (),
    }
}

#[test]
fn every_bootstrap_allows_its_modules_what_they_need_and_no_more() {
    let mut machine_count = 0;
    for path in files(&top().join("envoy")) {
        let text = fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> = serde_norway::Deserializer::from_str(&text)
            .map(|document| Value::deserialize(document).unwrap())
            .collect();
        let mut found = Vec::new();
        documents.iter().for_each(|document| machines(document, &mut found));
        for machine in found {
            let code = machine["code"]["local"]["filename"].as_str().expect("a local module");
            // Where envoy/Dockerfile puts them.
            let code = code.trim_start_matches("/etc/envoy/");
            let allowed = &machine["capability_restriction_config"]["allowed_capabilities"];
            let needed = of(&top().join(code).display().to_string());
            assert_eq!(allowed, &needed, "{} and {code}: run scripts/capabilities", path.display());
            machine_count += 1;
        }
    }
    assert!(machine_count >= 13, "{machine_count}");
}

/// A filter's README says what its module may do.
#[test]
fn every_readme_ends_with_what_its_module_may_do() {
    for name in filters().into_iter().chain(["bundle".to_owned()]) {
        let text = fs::read_to_string(top().join(format!("filters/{name}/README.md"))).unwrap();
        let section = text.split_once("\n## What the module may do\n").map(|(_, section)| section);
        let section = section.unwrap_or_else(|| panic!("{name}: run scripts/capabilities"));
        let block = section.split("```\n").nth(1).unwrap_or_default();
        let block: Value = serde_norway::from_str(block).unwrap();
        let module = module(if name == "bundle" { BUNDLE } else { &name });
        let needed = of(&module.display().to_string());
        let allowed = &block["capability_restriction_config"]["allowed_capabilities"];
        assert_eq!(allowed, &needed, "filters/{name}/README.md: run scripts/capabilities");
    }
}

/// The status of a request without credentials, with a list without one of its names.
fn without(name: &str) -> (u16, usize) {
    let mut allowed = of(&module("basic-auth").display().to_string());
    if !name.is_empty() {
        allowed.as_object_mut().unwrap().remove(name).expect("it is on the list");
    }
    let upstream = Upstream::start();
    let users = json!({"users": [{"name": "carol", "password": "secret"}]});
    let setup = Setup::new().filter("basic-auth", users).upstream(&upstream).vm_may_fail();
    let setup = setup.with_plugin(|plugin| {
        plugin["vm_config"]["capability_restriction_config"] =
            json!({"allowed_capabilities": allowed});
    });
    let envoy = setup.start();
    let status = Request::get("/").send(envoy.address()).status;
    if name.is_empty() {
        assert_eq!(Request::get("/").basic("carol:secret").send(envoy.address()).status, 200);
    }
    (status, upstream.count())
}

#[test]
fn what_is_not_on_the_list_is_refused_to_the_module() {
    assert_eq!(without(""), (401, 1));
    assert_eq!(without("proxy_get_header_map_pairs"), (503, 0));
}

/// Why the list is never written by hand.
#[test]
fn a_callback_that_is_not_on_the_list_is_not_called() {
    assert_eq!(without("proxy_on_request_headers"), (200, 1));
}
