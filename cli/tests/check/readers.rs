//! What Envoy and Kubernetes make of what is written.

use crate::envoy::{GOOD, check};
use crate::{findings, lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

#[test]
fn a_field_in_both_spellings_comes_twice() {
    for (from, other) in [
        ("merge_slashes: true\n", "mergeSlashes: false"),
        ("stat_prefix: main\n", "statPrefix: other"),
    ] {
        let both = format!("{from}          {other}\n");
        check("error[duplicate-field]", from, &both, other);
    }
    let open = "failure_policy: FAIL_RELOAD\n                failurePolicy: FAIL_OPEN";
    check("error[duplicate-field]", "failure_policy: FAIL_RELOAD", open, "failurePolicy");
    // In what is no message of Envoy's a name is a name.
    let struct_of = "endpoints: [ { path: /livez, report: liveness } ]";
    let free = with(
        GOOD,
        struct_of,
        &format!("{struct_of}\n                    a_b: 1\n                    aB: 2"),
    );
    lacks(&free, ALLOW_UNSET, "duplicate-field");
    let variables = with(GOOD, "{ REALM: Staff }", "{ REALM: Staff, re_alm: a, reAlm: b }");
    lacks(&variables, ALLOW_UNSET, "duplicate-field");
    let metadata = "stat_prefix: main\n          filter_metadata: { x: { a_b: 1, aB: 2 } }";
    lacks(&with(GOOD, "stat_prefix: main", metadata), ALLOW_UNSET, "duplicate-field");
    let manifest = "apiVersion: v1\nkind: ConfigMap\ndata: { a_b: x, aB: y }\n";
    lacks(manifest, &[], "duplicate-field");
}

/// `GOOD` with an audience, in a `Struct`.
fn audience(audience: &str) -> String {
    with(GOOD, "audiences: [api]", &format!("audiences: [{audience}]"))
}

#[test]
fn in_yaml_envoy_hands_on_texts_for_numbers_that_are_not_small_and_whole() {
    for text in
        ["1234567890123", "-2147483649", "1.5", "1e3", "08", "0x1ffffffff", "99999999999999999999"]
    {
        assert_eq!(findings(&audience(text), ALLOW_UNSET), [], "{text}");
    }
    for number in ["2147483647", "-2147483648", "010", "0x1f"] {
        triggers(&audience(number), ALLOW_UNSET, "error[config]", "audiences:");
    }
    // Neither in JSON nor through Kubernetes.
    let json = with(GOOD, "{\"name\": \"dave\",", "{\"name\": 1.5,");
    triggers(&json, ALLOW_UNSET, "error[config]", "\"name\": 1.5");
    let json = r#"{"resources": [{"@type": "x.filters.http.wasm.v3.Wasm", "config": {"name": "basic-auth",
  "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {
    "realm": 1.5 }}}}]}"#;
    triggers(json, &[], "error[config]", "1.5");
    let manifest = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: { name: x }\nspec:\n  url: oci://x/gatehouse/basic-auth:1\n  pluginConfig:\n    realm: 1.5\n";
    triggers(manifest, &[], "error[config]", "realm:");
    triggers("# basic-auth\nrealm: 1.5\n", &[], "error[config]", "realm");
}

#[test]
fn of_a_bootstrap_envoy_reads_the_first_document_alone() {
    let two = format!("admin: {{}}\n---{GOOD}");
    triggers(&two, ALLOW_UNSET, "error[unread-document]", "static_resources:");
    let two = format!("{GOOD}---\n# basic-auth\nrealm: x\nusers: []\n");
    triggers(&two, ALLOW_UNSET, "error[unread-document]", "realm: x");
    lacks(&format!("---{GOOD}---\n"), ALLOW_UNSET, "unread-document");
    let other = "apiVersion: v1\nkind: Service\nmetadata: { name: x }\n";
    lacks(&format!("{other}---\n{other}"), &[], "unread-document");
    // Resources are looked at, whichever file they are meant for.
    let resource = "\"@type\": x.filters.http.wasm.v3.Wasm\nconfig: { name: x }\n";
    lacks(&format!("{resource}---\n{resource}"), &[], "unread-document");
}

#[test]
fn in_manifests_a_name_that_is_a_word_is_quoted() {
    let limit = |on: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{ name: x }}
spec:
  url: oci://x/gatehouse/rate-limit:1
  failStrategy: FAIL_RELOAD
  pluginConfig:
    limits:
    - name: failures
      {on}: unauthenticated
      quota: {{ requests: 1, per: 1s }}
"
        )
    };
    for word in ["on", "y", "No", "OFF", "~", "true"] {
        triggers(&limit(word), &[], "error[unquoted-name]", "unauthenticated");
    }
    assert_eq!(findings(&limit("\"on\""), &[]), []);
    for name in ["'y'", "why", "5"] {
        lacks(&limit(name), &[], "unquoted-name");
    }
    // Envoy has names as they are written.
    lacks(
        &with(GOOD, "audiences: [api]", "audiences: [api]\n                      y: 1"),
        ALLOW_UNSET,
        "unquoted-name",
    );
    lacks("# rate-limit\nlimits: [ { on: unauthenticated } ]\n", &[], "unquoted-name");
    let json = limit("on").replace("unauthenticated", "1");
    let json = serde_norway::from_str::<serde_json::Value>(&json).unwrap().to_string();
    lacks(&json, &[], "unquoted-name");
}

#[test]
fn what_envoy_leaves_out_has_the_tag_that_envoy_knows() {
    let health = "failure_policy: FAIL_OPEN\n";
    let text = with(GOOD, health, "failure_policy: FAIL_CLOSED\n");
    let tagged = |tag: &str| {
        with(&text, "failure_policy: FAIL_RELOAD", &format!("{tag} failure_policy: FAIL_OPEN"))
    };
    lacks(&tagged("!ignore"), ALLOW_UNSET, "fails-open");
    for tag in ["!!ignore", "!<tag:x.example,2000:ignore>"] {
        triggers(&tagged(tag), ALLOW_UNSET, "error[fails-open]", " failure_policy: FAIL_OPEN");
    }
    let manifest = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: { name: x }\nspec:\n  url: oci://x/gatehouse/basic-auth:1\n  !ignore failStrategy: FAIL_OPEN\n";
    triggers(manifest, &[], "error[fails-open]", "FAIL_OPEN");
}

#[test]
fn bytes_are_in_base64() {
    use base64::Engine as _;
    let json = r#"{"endpoints": [{"path": "/livez", "report": "REPORT"}]}"#;
    let of = |json: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(json);
        let bytes = format!("protobuf.BytesValue\n                  value: {text}\n");
        let (from, _) = GOOD.split_once("                    endpoints:").unwrap();
        let (_, from) = from.rsplit_once("google.").unwrap();
        let text = with(GOOD, from, &bytes);
        let rest = "                    endpoints: [ { path: /livez, report: liveness } ]\n                    dependencies: [ { name: service, cluster: upstream } ]\n";
        with(&text, rest, "")
    };
    assert_eq!(findings(&of(&with(json, "REPORT", "liveness")), ALLOW_UNSET), []);
    triggers(&of(json), ALLOW_UNSET, "error[config]", "value: eyJ");
}
