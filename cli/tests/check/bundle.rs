//! Plugins of the module that has every filter, and chains.

use crate::{Finding, findings, lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

const CHAIN: &str = r#"http_filters:
- name: gate
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      name: gate
      root_id: chain
      failure_policy: FAIL_RELOAD
      vm_config:
        code: { local: { filename: dist/gatehouse.wasm } }
        environment_variables: { host_env_keys: [ACME_KEY] }
      configuration:
        "@type": type.googleapis.com/google.protobuf.Struct
        value:
          chain:
          - health-shortcut:
              endpoints: [ { path: /livez, report: liveness } ]
          - api-key-auth:
              verdict: defer
              consumers: [ { name: acme, keys: [ { id: a, value: "${ACME_KEY}" } ] } ]
          - access-policy:
              schemes: { key: { authenticator: api-key-auth } }
              security: [ { key: [] } ]
              services: []
"#;

const PLUGIN: &str = r#"apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: gate }
spec:
  url: oci://registry.example/gatehouse:0.1.0
  pluginName: my-gate
  failStrategy: FAIL_RELOAD
  pluginConfig:
    filter: health-shortcut
    endpoints: [ { path: /livez, report: liveness } ]
"#;

#[track_caller]
fn only(text: &str, arguments: &[&str]) -> Finding {
    let found = findings(text, arguments);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    one.clone()
}

#[test]
fn good_ones_pass() {
    assert_eq!(findings(CHAIN, ALLOW_UNSET), []);
    assert_eq!(findings(PLUGIN, ALLOW_UNSET), []);
    let chain = with(
        PLUGIN,
        "filter: health-shortcut\n    endpoints:",
        "chain:\n    - health-shortcut:\n        endpoints:",
    );
    assert_eq!(findings(&chain, ALLOW_UNSET), []);
    let alone = "# chain\nchain: [ { health-shortcut: { endpoints: [ { path: /livez, report: liveness } ] } } ]\n";
    assert_eq!(findings(alone, &[]), []);
}

#[test]
fn a_mistake_in_a_filter_is_found_where_it_is() {
    let wrong = with(CHAIN, "report: liveness", "report: health");
    triggers(&wrong, ALLOW_UNSET, "error[config]", "report: health");
    assert!(
        only(&wrong, ALLOW_UNSET)
            .path
            .ends_with("value.chain[0].health-shortcut.endpoints[0].report")
    );
    triggers(CHAIN, &[], "error[unset-variable]", "${ACME_KEY}");
    let unknown = with(CHAIN, "- health-shortcut:", "- health-shortcuts:");
    triggers(&unknown, ALLOW_UNSET, "error[config]", "- health-shortcuts:");
    assert!(only(&unknown, ALLOW_UNSET).message.contains("there is no such filter; there are"));
    let twice = with(
        CHAIN,
        "- access-policy:",
        "- api-key-auth: { consumers: [] }\n          - access-policy:",
    );
    assert!(only(&twice, ALLOW_UNSET).message.contains("is in the chain already, as chain[1]"));
    let wrong = with(PLUGIN, "report: liveness", "report: health");
    triggers(&wrong, ALLOW_UNSET, "error[config]", "report: health");
}

#[test]
fn a_text_of_json_is_looked_into() {
    let head = CHAIN.split_once("        \"@type\": type.googleapis.com/google").unwrap().0;
    let text = |chain: &str| {
        format!(
            "{head}        \"@type\": type.googleapis.com/google.protobuf.StringValue\n        value: |\n          {chain}\n"
        )
    };
    let good = r#"{"chain": [{"health-shortcut":
            {"endpoints": [{"path": "/livez", "report": "liveness"}]}}]}"#;
    assert_eq!(findings(&text(good), ALLOW_UNSET), []);
    triggers(&text(&with(good, "liveness", "health")), ALLOW_UNSET, "error[config]", "\"health\"");
}

#[test]
fn the_filters_of_a_chain_are_looked_at_as_a_chain() {
    let manager = "\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n";
    let chain = format!("{manager}{CHAIN}");
    let list = chain.split_once("          - access-policy:").unwrap().0;
    triggers(list, ALLOW_UNSET, "error[defer-without-policy]", "verdict: defer");
    lacks(&chain, ALLOW_UNSET, "defer-without-policy");
    let open = with(&chain, "FAIL_RELOAD", "FAIL_OPEN");
    triggers(&open, ALLOW_UNSET, "error[fails-open]", "FAIL_OPEN");
    let other = with(&chain, "{ authenticator: api-key-auth }", "{ authenticator: jwt-auth }");
    triggers(&other, ALLOW_UNSET, "error[missing-authenticator]", "authenticator: jwt-auth");
}

#[test]
fn a_plugin_that_could_be_any_filter_is_none() {
    let nobody = with(PLUGIN, "    filter: health-shortcut\n", "");
    let found = findings(&nobody, ALLOW_UNSET);
    let is_it = |finding: &Finding| {
        finding.code == "config"
            && finding.message.contains("the root id `my-gate` names none of them")
    };
    assert!(found.iter().any(is_it), "{found:#?}");
}

/// A document as that of a connection manager, in which all filters are seen.
fn whole(chain: &str) -> String {
    format!(
        "\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n{chain}"
    )
}

/// The chain with a limit in the place of its policy.
fn limited(limit: &str) -> String {
    let chain = CHAIN.split_once("          - access-policy:").unwrap().0;
    let quota = "quota: { requests: 1, per: 1s }";
    format!("{chain}          - rate-limit:\n              limits: [ {{ name: a, {quota}, {limit} }} ]\n")
        .replace("verdict: defer", "realm: x")
}

#[test]
fn a_limit_by_who_it_is_has_somebody_in_front_who_says_it() {
    let alone = |limit: &str| {
        let chain = limited(limit);
        let (head, rest) = chain.split_once("          - api-key-auth:").unwrap();
        let (_, limits) = rest.split_once("          - rate-limit:").unwrap();
        format!("{head}          - rate-limit:{limits}")
    };
    for limit in [
        "key: [consumer]",
        "key: [route, subject]",
        "key: [{ claim: tenant }]",
        "tiers: { gold: { requests: 2, per: 1s } }",
    ] {
        lacks(&whole(&limited(limit)), ALLOW_UNSET, "limit-key");
        triggers(&whole(&alone(limit)), ALLOW_UNSET, "warning[limit-key]", limit);
    }
    lacks(&whole(&alone("key: [client_address, { header: x }]")), ALLOW_UNSET, "limit-key");
    // Nobody but a policy speaks for those who defer, and nobody else knows of operations.
    let deferred = whole(&limited("key: [consumer]").replace("realm: x", "verdict: defer"));
    triggers(&deferred, ALLOW_UNSET, "warning[limit-key]", "key: [consumer]");
    triggers(
        &whole(&limited("key: [service]")),
        ALLOW_UNSET,
        "warning[limit-key]",
        "key: [service]",
    );
    let policy = "          - access-policy: { services: [] }\n          - rate-limit:";
    let behind = limited("key: [consumer, service]").replace("          - rate-limit:", policy);
    lacks(&whole(&behind), ALLOW_UNSET, "limit-key");
}

#[test]
fn a_limit_of_failures_stands_in_front_of_those_who_refuse() {
    let limit = whole(&limited("on: unauthenticated"));
    triggers(&limit, ALLOW_UNSET, "warning[limit-order]", "on: unauthenticated");
}

#[test]
fn a_header_that_is_taken_whole_is_not_left_for_those_behind() {
    let chain = |key: &str, first: &str| {
        let key = format!(
            "- api-key-auth: {{ verdict: defer, sources: [ {{ {key} }} ], consumers: [ {{ name: a, keys: [ {{ id: a, value: \"${{K}}\" }} ] }} ] }}\n"
        );
        let basic =
            "- basic-auth: { verdict: defer, users: [ { name: a, password: \"${P}\" } ] }\n";
        let policy = "- access-policy: { schemes: { basic: { authenticator: basic-auth } }, services: [] }\n";
        match first {
            "key" => format!("# chain\nchain:\n{key}{basic}{policy}"),
            _ => format!("# chain\nchain:\n{basic}{key}{policy}"),
        }
    };
    let whole = chain("header: Authorization", "key");
    triggers(&whole, &["--allow-unset"], "warning[whole-header]", "api-key-auth");
    for text in [
        chain("header: Authorization", "basic"),
        chain("header: Authorization, prefix: Key", "key"),
        chain("header: x-key", "key"),
        whole.replace("sources:", "forward_credentials: true, sources:"),
    ] {
        lacks(&text, &["--allow-unset"], "whole-header");
        lacks(&text, &["--allow-unset"], "config");
    }
}

#[test]
fn what_comes_twice_in_a_text_of_json_is_found() {
    let chain = with(CHAIN, "root_id: chain", "root_id: gate");
    let head = chain.split_once("        \"@type\": type.googleapis.com/google").unwrap().0;
    let text = |json: &str| {
        format!(
            "{head}        \"@type\": type.googleapis.com/google.protobuf.StringValue\n        value: |\n          {json}\n"
        )
    };
    let probe = r#"{"path": "/livez", "report": "liveness"}"#;
    let twice = with(probe, "\"path\"", "\"path\": \"/x\",\n             \"path\"");
    for json in [
        "{\"chain\": [{\"health-shortcut\": {\"endpoints\": [PROBE]}}]}",
        "{\"filter\": \"health-shortcut\", \"endpoints\": [PROBE]}",
    ] {
        let of = |probe: &str| text(&with(json, "PROBE", probe));
        lacks(&of(probe), ALLOW_UNSET, "duplicate-field");
        triggers(&of(&twice), ALLOW_UNSET, "error[duplicate-field]", "             \"path\"");
        let found = findings(&of(&twice), ALLOW_UNSET);
        assert!(found[0].path.ends_with("endpoints[0].path"), "{found:?}");
    }
}

#[test]
fn a_bundle_that_cannot_be_read_is_no_bootstrap_without_a_filter() {
    let unknown = with(CHAIN, "- health-shortcut:", "- health-shortcuts:");
    triggers(&unknown, ALLOW_UNSET, "error[config]", "- health-shortcuts:");
    lacks(&unknown, ALLOW_UNSET, "no-filter");
    let other = with(CHAIN, "dist/gatehouse.wasm", "dist/other.wasm");
    triggers(&other, ALLOW_UNSET, "info[no-filter]", "http_filters:");
}
