//! Manifests for Istio and Envoy Gateway: the filters alone, for there the gateway has the rest.

use serde_json::{Value, json};
use shared::config::Invalid;

use super::yaml::{Lines, text};
use super::{File, Filter, variables};

/// The phases of Istio's chain in which the filters run, each where it belongs and none in front of one that
/// it stands behind: after the first of `AUTHZ` all are.
fn phases(filters: &[Filter]) -> impl Iterator<Item = &'static str> {
    filters.iter().scan("AUTHN", |phase, filter| {
        if matches!(filter.kind.as_str(), "access-policy" | "rate-limit") {
            *phase = "AUTHZ";
        }
        Some(*phase)
    })
}

fn image(file: &File, name: &str) -> Result<String, Invalid> {
    match file.images.as_deref() {
        Some(images) if images.starts_with("oci://") => {
            Ok(format!("{}/{name}:{}", images.trim_end_matches('/'), file.version))
        }
        Some(_) => Err(Invalid::at(
            "images",
            "begins with `oci://`, as `oci://registry.example/gatehouse` does",
        )),
        None => Err(Invalid::at(
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
    // The greater runs first.
    let priorities = (1..=filters.len()).rev().map(|place| place.saturating_mul(10));
    for ((filter, phase), priority) in filters.iter().zip(phases(&filters)).zip(priorities) {
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
                    // Istio's own, in which its gateways are.
                    "namespace": file.kubernetes.namespace.as_deref().unwrap_or("istio-system"),
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
            "metadata": {
                "name": file.name,
                // That of the `Gateway`, which it cannot be for elsewhere.
                "namespace": file.kubernetes.namespace.as_deref().unwrap_or("default"),
            },
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
