//! Manifests of Istio and of Envoy Gateway.

use crate::envoy::GOOD;
use crate::{findings, lacks, triggers, with};

const ISTIO: &str = r#"
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: basic-auth, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  url: oci://registry.example:5000/gatehouse/basic-auth:0.1.0
  phase: AUTHN
  failStrategy: FAIL_RELOAD
  vmConfig:
    env:
    - { name: DAVE_PASSWORD, valueFrom: HOST }
    - { name: REALM, value: Staff }
  pluginConfig:
    realm: "${REALM}"
    users: [ { name: dave, password: "${DAVE_PASSWORD}" } ]
"#;

const GATEWAY: &str = r#"
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: { name: auth, namespace: default }
spec:
  targetRefs: [ { group: gateway.networking.k8s.io, kind: HTTPRoute, name: backend } ]
  wasm:
  - name: basic
    rootID: basic-auth
    code: { type: Image, image: { url: "registry.example/gatehouse/gatehouse:0.1.0" } }
    env: { hostKeys: [DAVE_PASSWORD] }
    config:
      users: [ { name: dave, password: "${DAVE_PASSWORD}" } ]
"#;

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(findings(ISTIO, ALLOW_UNSET), []);
    assert_eq!(findings(GATEWAY, ALLOW_UNSET), []);
    assert_eq!(findings(&format!("{ISTIO}---{GATEWAY}"), ALLOW_UNSET), []);
}

#[test]
fn the_module_reads_what_is_in_them() {
    triggers(&with(ISTIO, "realm:", "relm:"), ALLOW_UNSET, "error[config]", "relm");
    triggers(&with(GATEWAY, "users:", "user:"), ALLOW_UNSET, "error[config]", "user:");
    triggers(ISTIO, &[], "error[unset-variable]", "users:");
    triggers(
        &with(ISTIO, "valueFrom: HOST", "x: y"),
        ALLOW_UNSET,
        "error[undeclared-variable]",
        "users:",
    );
}

#[test]
fn they_do_not_fail_open() {
    triggers(
        &with(ISTIO, "FAIL_RELOAD", "FAIL_OPEN"),
        ALLOW_UNSET,
        "error[fails-open]",
        "FAIL_OPEN",
    );
    triggers(
        &with(GATEWAY, "    env:", "    failOpen: true\n    env:"),
        ALLOW_UNSET,
        "error[fails-open]",
        "failOpen",
    );
}

#[test]
fn secrets_are_not_in_them() {
    let plain = "{ name: DAVE_PASSWORD, value: hunter2 }";
    let text = with(ISTIO, "{ name: DAVE_PASSWORD, valueFrom: HOST }", plain);
    triggers(&text, ALLOW_UNSET, "warning[plain-secret]", "hunter2");
}

#[test]
fn phase_and_priority_are_the_order() {
    let deferred = with(ISTIO, "realm:", "verdict: defer\n    realm:");
    triggers(&deferred, ALLOW_UNSET, "warning[defer-without-policy]", "verdict:");
    let policy = |phase: &str| {
        let text = with(ISTIO, "name: basic-auth,", "name: access-policy,");
        let text = with(&text, "gatehouse/basic-auth", "gatehouse/access-policy");
        format!("{deferred}---{}", with(&text, "phase: AUTHN", phase))
    };
    let behind = policy("phase: AUTHZ");
    lacks(&behind, ALLOW_UNSET, "defer-without-policy");
    lacks(&behind, ALLOW_UNSET, "policy-order");
    let before = policy("phase: AUTHN\n  priority: 10");
    let found = findings(&before, ALLOW_UNSET);
    assert!(found.iter().any(|finding| finding.code == "policy-order"), "{found:?}");
}

#[test]
fn those_of_others_are_left_alone() {
    let other = with(ISTIO, "gatehouse/basic-auth", "other/waf");
    lacks(&other, &[], "config");
    lacks(&other, &[], "unset-variable");
    triggers(
        &with(ISTIO, "gatehouse/basic-auth", "gatehouse/waf"),
        &[],
        "warning[unknown-filter]",
        "url:",
    );
}

#[test]
fn a_list_of_them_is_read() {
    let indented = ISTIO.trim().replace('\n', "\n  ");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {indented}\n");
    assert_eq!(findings(&list, ALLOW_UNSET), []);
    triggers(&list, &[], "error[unset-variable]", "users:");
}

#[test]
fn a_patch_of_envoys_own_language_is_read() {
    let patch = r#"
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    patch:
      operation: INSERT_BEFORE
      value:
        name: basic-auth
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          config:
            name: basic-auth
            failure_policy: FAIL_OPEN
            configuration: { "@type": type.googleapis.com/google.protobuf.Struct, value: { users: [] } }
"#;
    triggers(patch, &[], "error[fails-open]", "FAIL_OPEN");
    triggers(patch, &[], "error[config]", "users:");
}

#[test]
fn one_of_two_objects_of_one_name_is_lost() {
    let second = with(ISTIO, "phase: AUTHN", "phase: AUTHN # again\n  priority: 5");
    let second = with(&second, "metadata: {", "metadata: { # twice\n ");
    let both = format!("{ISTIO}---{second}");
    let found = findings(&both, ALLOW_UNSET);
    let lines: Vec<_> = both.lines().collect();
    let line = found.iter().find(|one| one.code == "duplicate-object").unwrap().line as usize;
    assert!(lines[line - 2].contains("# twice"), "{}", lines[line - 1]);
    let code = "duplicate-object";
    lacks(ISTIO, ALLOW_UNSET, code);
    lacks(&format!("{ISTIO}---{}", with(&second, "basic-auth,", "other,")), ALLOW_UNSET, code);
    let elsewhere = with(&second, "istio-system", "default");
    lacks(&format!("{ISTIO}---{elsewhere}"), ALLOW_UNSET, code);
    lacks(&format!("{ISTIO}---{}", with(GATEWAY, "auth,", "basic-auth,")), ALLOW_UNSET, code);
}

#[test]
fn the_same_workloads_are_the_same_however_they_are_written() {
    let deferred = with(GATEWAY, "users:", "verdict: defer\n      users:");
    let policy = with(&deferred, "name: auth,", "name: policy,");
    let (head, rest) = policy.split_once("  - name: basic\n").unwrap();
    assert!(rest.contains("rootID: basic-auth"));
    let policy = format!(
        "{head}  - name: policy\n    code: {{ type: Image, image: {{ url: \"registry.example/gatehouse/access-policy:1\" }} }}\n    config: {{ services: [] }}\n"
    );
    let both = |policy: &str| format!("{deferred}---{policy}");
    lacks(&both(&policy), ALLOW_UNSET, "defer-without-policy");
    let sorted = "{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: backend }";
    let turned = "{ name: backend, kind: HTTPRoute, group: gateway.networking.k8s.io }";
    lacks(&both(&with(&policy, sorted, turned)), ALLOW_UNSET, "defer-without-policy");
    let other = with(&policy, "name: backend", "name: other");
    triggers(&both(&other), ALLOW_UNSET, "warning[defer-without-policy]", "verdict: defer");
}

#[test]
fn a_module_of_others_may_have_the_name_of_one_of_ours() {
    let named =
        |text: &str| with(text, "  phase: AUTHN", "  phase: AUTHN\n  pluginName: basic-auth");
    let wrong = with(&named(ISTIO), "realm:", "relm:");
    let others = with(&wrong, "gatehouse/basic-auth", "others/limiter");
    lacks(&others, ALLOW_UNSET, "config");
    lacks(&with(&others, "FAIL_RELOAD", "FAIL_OPEN"), ALLOW_UNSET, "fails-open");
    for ours in ["gatehouse/limiter", "others/basic-auth"] {
        let text = with(&wrong, "gatehouse/basic-auth", ours);
        triggers(&text, ALLOW_UNSET, "error[config]", "relm:");
    }
    let none = with(&wrong, "  url: oci://registry.example:5000/gatehouse/basic-auth:0.1.0\n", "");
    triggers(&none, ALLOW_UNSET, "error[config]", "relm:");
    let envoys =
        with(GOOD, "filename: /etc/envoy/basic-auth.wasm", "filename: /opt/others/limiter.wasm");
    let envoys = with(
        &with(
            &envoys,
            "name: basic\n                failure",
            "name: basic-auth\n                failure",
        ),
        "\"realm\"",
        "\"relm\"",
    );
    lacks(&envoys, ALLOW_UNSET, "config");
}

#[test]
fn manifests_without_a_filter_of_ours_are_told_of() {
    let told = "info[no-filter]";
    triggers(&with(ISTIO, "kind: WasmPlugin", "kind: WasmPlugins"), &[], told, "apiVersion");
    let (without, _) = ISTIO.split_once("spec:").unwrap();
    triggers(without, &[], told, "apiVersion");
    triggers(&with(ISTIO, "gatehouse/basic-auth", "other/waf"), &[], told, "apiVersion");
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: x }\n";
    triggers(&format!("{service}---\n{service}"), &[], told, "apiVersion");
    lacks(&format!("{service}---{ISTIO}"), &[], "no-filter");
    // Beside one of ours, what looks like another.
    let other =
        format!("{ISTIO}--- # other{}", with(ISTIO, "kind: WasmPlugin", "kind: Wasmplugin"));
    assert_eq!(
        findings(&other, ALLOW_UNSET).iter().filter(|one| one.code == "no-filter").count(),
        1
    );
}
