//! The parts of a bootstrap that have a form of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::modules::{module, top};

/// The file of the access log.
pub(super) const ACCESS_LOG: &str = "access.log";

/// A filter that is a built module.
pub fn wasm(name: &str, configuration: Value) -> Value {
    wasm_of(name, name, "", configuration)
}

/// A filter that one of our modules becomes by a root id.
pub fn wasm_of(file: &str, name: &str, root_id: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": root_id,
                "failure_policy": "FAIL_RELOAD",
                "configuration": configuration,
                "vm_config": {
                    "vm_id": file,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module(file)}},
                },
            },
        },
    })
}

/// Lines of JSON: who asked what, what came of it, and what the filters know of it.
pub(super) fn access_log(fields: &Value) -> Value {
    let state = |name: &str| format!("%FILTER_STATE(wasm.gatehouse.{name}:PLAIN)%");
    let mut format = json!({
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "subject": state("subject"),
        "groups": state("groups"),
        "evidence": state("evidence.basic-auth"),
    });
    merge(&mut format, fields);
    json!({
        "name": "access",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": format!("{{folder}}/{ACCESS_LOG}"),
            "log_format": {"json_format": format},
        },
    })
}

pub(super) fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// A folder where an Envoy in a container sees it too.
pub(super) fn shared_folder() -> TempDir {
    let place = top().join("target");
    fs::create_dir_all(&place).expect("a folder for what is built");
    tempfile::tempdir_in(place).expect("a temporary folder")
}

/// A file that something is discovered from.
pub(super) fn source(path: &Path) -> Value {
    json!({
        "path_config_source": {"path": path.display().to_string()},
        "resource_api_version": "V3",
    })
}

/// Puts a file in the place of the one before, at once: Envoy watches for renames.
pub(super) fn put(path: &Path, text: &str) {
    let next = path.with_extension("new");
    fs::write(&next, text).expect("written");
    fs::rename(next, path).expect("renamed");
}

/// Sets fields of an object.
pub(super) fn merge(into: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

/// The filter that ends every chain.
pub(super) fn router() -> Value {
    json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}
