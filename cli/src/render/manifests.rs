//! Manifests for Istio and Envoy Gateway: the filters alone, for there the gateway has the rest.

use serde_json::{Value, json};
use shared::config::Invalid;

use super::yaml::{Lines, text};
use super::{File, Filter, variables};

/// The phase of Istio's chain in which a filter runs, and its place there: the greater runs first.
fn phase(filters: &[Filter], index: usize) -> (&'static str, usize) {
    let name = filters.get(index).map_or("", |filter| filter.name.as_str());
    let phase = match name {
        "access-policy" | "rate-limit" => "AUTHZ",
        _ => "AUTHN",
    };
    (phase, filters.len().saturating_sub(index).saturating_mul(10))
}

fn image(file: &File, name: &str) -> Result<String, Invalid> {
    match file.images.as_deref() {
        Some(images) if images.starts_with("oci://") => {
            Ok(format!("{}/{name}:{}", images.trim_end_matches('/'), file.version))
        }
        _ => Err(Invalid::at(
            "images",
            "manifests need them, such as `oci://registry.example/gatehouse`",
        )),
    }
}

/// One `WasmPlugin` per filter.
pub(crate) fn istio(file: &File) -> Result<String, Invalid> {
    let filters = file.filters()?;
    let mut lines = Lines::default();
    lines.add(0, &format!("# {}, rendered by `gatehouse render`.", file.name));
    for (index, filter) in filters.iter().enumerate() {
        let (phase, priority) = phase(&filters, index);
        let mut spec = json!({
            "selector": {"matchLabels": file.kubernetes.selector},
            "url": image(file, &filter.module)?,
            "pluginName": filter.root_id.as_ref().unwrap_or(&filter.name),
            "phase": phase,
            "priority": priority,
            "failStrategy": "FAIL_RELOAD",
        });
        let env: Vec<Value> = variables(&filter.config)
            .into_iter()
            .map(|name| json!({"name": name, "valueFrom": "HOST"}))
            .collect();
        if let Value::Object(spec) = &mut spec {
            if !env.is_empty() {
                spec.insert("vmConfig".into(), json!({"env": env}));
            }
            spec.insert("pluginConfig".into(), filter.config.clone());
        }
        lines.add(0, "---");
        lines.value(
            0,
            &json!({
                "apiVersion": "extensions.istio.io/v1alpha1",
                "kind": "WasmPlugin",
                "metadata": {
                    "name": format!("{}-{}", file.name, filter.name),
                    "namespace": file.kubernetes.namespace,
                },
                "spec": spec,
            }),
        );
    }
    Ok(lines.finish())
}

/// One `EnvoyExtensionPolicy` with all filters, in their order.
pub(crate) fn envoy_gateway(file: &File) -> Result<String, Invalid> {
    let filters = file.filters()?;
    let mut wasm = Vec::new();
    for filter in &filters {
        let image = image(file, &filter.module)?;
        let mut entry = json!({
            "name": filter.name,
            "rootID": filter.root_id,
            "failOpen": false,
            "code": {"type": "Image", "image": {"url": image.trim_start_matches("oci://")}},
            "config": filter.config,
        });
        let env: Vec<_> = variables(&filter.config).into_iter().collect();
        if let Value::Object(entry) = &mut entry {
            if filter.root_id.is_none() {
                entry.shift_remove("rootID");
            }
            if !env.is_empty() {
                entry.insert("env".into(), json!({"hostKeys": env}));
            }
        }
        wasm.push(entry);
    }
    let mut lines = Lines::default();
    lines.add(0, &format!("# {}, rendered by `gatehouse render`.", file.name));
    lines.add(
        0,
        &format!(
            "# The variables have to be in the environment of the proxies of `{}`.",
            text(&file.kubernetes.gateway)
        ),
    );
    lines.value(
        0,
        &json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyExtensionPolicy",
            "metadata": {"name": file.name, "namespace": file.kubernetes.namespace},
            "spec": {
                "targetRefs": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": file.kubernetes.gateway,
                }],
                "wasm": wasm,
            },
        }),
    );
    Ok(lines.finish())
}
