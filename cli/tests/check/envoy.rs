//! Bootstraps. [`GOOD`] has nothing wrong; each test spoils one thing of it.

use crate::{findings, lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

/// A bootstrap with a filter configured in JSON, one in YAML, and one that is no gate.
pub(crate) const GOOD: &str = r#"
static_resources:
  listeners:
  - name: main
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          strip_any_host_port: true
          use_remote_address: true
          request_timeout: 30s
          request_headers_timeout: 10s
          stream_idle_timeout: 60s
          common_http_protocol_options:
            idle_timeout: 120s
            headers_with_underscores_action: REJECT_REQUEST
          upgrade_configs:
          - { upgrade_type: websocket }
          http_filters:
          - name: health
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: health
                failure_policy: FAIL_OPEN
                vm_config: { code: { local: { filename: dist/health-shortcut.wasm } } }
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value:
                    endpoints: [ { path: /livez, report: liveness } ]
                    dependencies: [ { name: service, cluster: upstream } ]
          - name: basic
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: basic
                failure_policy: FAIL_RELOAD
                vm_config:
                  code: { local: { filename: /etc/envoy/basic-auth.wasm } }
                  environment_variables: { host_env_keys: [DAVE_PASSWORD], key_values: { REALM: Staff } }
                configuration:
                  "@type": type.googleapis.com/google.protobuf.StringValue
                  value: |
                    {
                      "realm": "${REALM}",
                      "users": [
                        {"name": "dave", "password": "${DAVE_PASSWORD}"}
                      ]
                    }
          - name: jwt
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: jwt
                root_id: jwt-auth
                failure_policy: FAIL_RELOAD
                vm_config: { code: { local: { filename: dist/gatehouse.wasm } } }
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value:
                    providers:
                    - name: issuer
                      issuer: https://issuer.example
                      audiences: [api]
                      algorithms: [RS256]
                      jwks: { uri: "https://issuer.example/jwks", cluster: issuer }
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: upstream }
  clusters:
  - name: upstream
  - name: issuer
"#;

/// `GOOD` has no such finding; with a part replaced it has one, on the line where `word` stands.
#[track_caller]
pub(crate) fn check(what: &str, from: &str, to: &str, word: &str) {
    let code = what.split(['[', ']']).nth(1).unwrap();
    lacks(GOOD, ALLOW_UNSET, code);
    triggers(&with(GOOD, from, to), ALLOW_UNSET, what, word);
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(findings(GOOD, ALLOW_UNSET), []);
}

#[test]
fn what_the_module_refuses_has_its_line_in_yaml_and_in_json() {
    check("error[config]", "audiences: [api]", "audience: [api]", "audience:");
    check("error[config]", r#"{"name": "dave","#, r#"{"nam": "dave","#, r#"{"nam": "dave""#);
    check("error[config]", r#""dave", "password""#, r#""dave" "password""#, r#""dave" "#);
    check("error[config]", r#""users": ["#, r#""users": 1, "users": ["#, r#""users": 1"#);
    let found = findings(&with(GOOD, "path: /livez", "path: livez"), ALLOW_UNSET);
    let path = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config.configuration.value.endpoints[0].path";
    assert_eq!(found[0].path, path);
}

#[test]
fn a_word_without_quotes_is_explained() {
    let text = with(GOOD, "providers:\n", "mode: off\n                    providers:\n");
    let found = findings(&text, ALLOW_UNSET);
    assert!(found[0].message.contains("without quotes"), "{found:?}");
}

#[test]
fn variables_have_to_be_given_and_set() {
    triggers(GOOD, &[], "error[unset-variable]", r#""${DAVE_PASSWORD}""#);
    lacks(GOOD, ALLOW_UNSET, "unset-variable");
    check(
        "error[undeclared-variable]",
        "host_env_keys: [DAVE_PASSWORD], ",
        "",
        "\"${DAVE_PASSWORD}\"",
    );
    let hidden = with(
        GOOD,
        "audiences: [api]",
        "audiences: [api]\n                      leeway: \"${LEEWAY}\"",
    );
    triggers(&hidden, ALLOW_UNSET, "error[undeclared-variable]", "LEEWAY");
    lacks(&hidden, ALLOW_UNSET, "config");
}

#[test]
fn what_depends_on_a_variable_is_told_where_it_cannot_be_checked() {
    let choice =
        with(GOOD, r#""realm": "${REALM}","#, r#""realm": "x", "mode": "${DAVE_PASSWORD}","#);
    triggers(&choice, ALLOW_UNSET, "warning[stand-in]", "\"mode\"");
    lacks(GOOD, ALLOW_UNSET, "stand-in");
}

#[test]
fn a_gate_must_not_open_when_its_module_traps() {
    let reload = "failure_policy: FAIL_RELOAD";
    check("error[fails-open]", reload, "failure_policy: FAIL_OPEN # here", "# here");
    check("error[fails-open]", reload, "failurePolicy: 3", "failurePolicy");
    check("error[fails-open]", reload, "fail_open: true", "fail_open");
}

#[test]
fn a_gate_that_is_not_asked_is_told_of() {
    let reload = "failure_policy: FAIL_RELOAD";
    let allowed = |names: &str| {
        format!("capability_restriction_config: {{ allowed_capabilities: {{ {names} }} }}")
    };
    let all = "proxy_on_vm_start: {}, proxy_on_configure: {}, proxy_on_context_create: {}";
    check("error[missing-callback]", reload, &allowed(all), "allowed_capabilities");
    let text = with(GOOD, reload, &allowed(&format!("{all}, proxy_on_request_headers: {{}}")));
    lacks(&text, &[], "missing-callback");
}

#[test]
fn a_gate_that_does_not_run_is_told_of() {
    let entry = "- name: jwt\n";
    check("warning[disabled]", entry, "- name: jwt\n            disabled: true\n", "disabled:");
    let route = "              - match: { prefix: / }\n";
    let own = format!(
        "{route}                typed_per_filter_config: {{ jwt: {{ disabled: true }} }}\n"
    );
    check("warning[disabled]", route, &own, "typed_per_filter_config");
}

#[test]
fn metadata_is_for_a_filter_that_there_is() {
    let route = "              - match: { prefix: / }\n";
    let own = |name: &str| {
        let metadata =
            format!("{{ filter_metadata: {{ gatehouse: {{ {name}: {{ mode: shadow }} }} }} }}");
        format!("{route}                metadata: {metadata}\n")
    };
    check("warning[unknown-override]", route, &own("jwt"), "filter_metadata");
    lacks(&with(GOOD, route, &own("jwt-auth")), ALLOW_UNSET, "unknown-override");
}

#[test]
fn the_module_reads_what_metadata_says() {
    let route = "              - match: { prefix: / }\n";
    let own = |settings: &str| {
        format!(
            "{route}                metadata:\n                  filter_metadata:\n                    \
             gatehouse:\n                      jwt-auth:\n                        {settings}\n"
        )
    };
    check("error[config]", route, &own("scopes: [\"a b\", 5]"), "scopes");
    check("error[config]", route, &own("providers: []"), "providers: []");
    check("error[config]", route, &own("mode: shadowed"), "shadowed");
    check("error[config]", route, &own("leeway: 5s"), "leeway");
    lacks(&with(GOOD, route, &own("scopes: [read]")), ALLOW_UNSET, "config");
    let list = own("").replace("jwt-auth:\n", "jwt-auth: [x]\n");
    check("error[config]", route, &list, "jwt-auth: [x]");
}

#[test]
fn a_mode_for_all_is_told_of() {
    check(
        "warning[mode-of-all]",
        "providers:\n",
        "mode: shadow\n                    providers:\n",
        "mode: shadow",
    );
    check("warning[mode-of-all]", r#""realm": "#, r#""mode": "off", "realm": "#, "\"mode\"");
    let rule = with(
        GOOD,
        r#""realm": "#,
        r#""rules": [{"match": {"paths": ["/x"]}, "mode": "off"}], "realm": "#,
    );
    lacks(&rule, ALLOW_UNSET, "mode-of-all");
}

#[test]
fn what_allows_on_failure_is_told_of() {
    check(
        "warning[on-failure-allow]",
        "audiences:",
        "on_failure: allow\n                      audiences:",
        "on_failure",
    );
}

/// The policy's configuration is no matter here.
const POLICY: &str = r#"          - name: policy
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config: { name: policy, vm_config: { code: { local: { filename: dist/access-policy.wasm } } } }
"#;

#[test]
fn a_deferred_verdict_needs_a_policy_behind_it() {
    let defer = r#""verdict": "defer", "realm": "#;
    check("error[defer-without-policy]", r#""realm": "#, defer, "\"verdict\"");
    let deferred = with(GOOD, r#""realm": "#, defer);
    let router = "          - name: router\n";
    let behind = with(&deferred, router, &format!("{POLICY}{router}"));
    lacks(&behind, ALLOW_UNSET, "defer-without-policy");
    let discovered = with(
        &deferred,
        router,
        &format!("          - {{ name: policy, config_discovery: {{}} }}\n{router}"),
    );
    triggers(&discovered, ALLOW_UNSET, "warning[defer-without-policy]", "\"verdict\"");
    let rule = r#""rules": [{"match": {"paths": ["/x"]}, "verdict": "defer"}], "realm": "#;
    check("error[defer-without-policy]", r#""realm": "#, rule, "\"verdict\"");
}

#[test]
fn a_policy_comes_behind_those_who_say_who_it_is() {
    let (jwt, router) = ("          - name: jwt\n", "          - name: router\n");
    let between = with(GOOD, jwt, &format!("{POLICY}{jwt}"));
    triggers(&between, ALLOW_UNSET, "error[policy-order]", "config: { name: policy");
    lacks(&with(GOOD, router, &format!("{POLICY}{router}")), ALLOW_UNSET, "policy-order");
}

#[test]
fn a_policy_has_the_authenticators_that_it_names_in_front() {
    let policy = |name: &str| {
        let config = format!(
            r#"vm_config: {{ code: {{ local: {{ filename: dist/access-policy.wasm }} }} }},
                configuration: {{ "@type": x.Struct, value: {{
                  schemes: {{ some: {{ authenticator: {name} }} }}, security: [some] }} }}"#
        );
        POLICY.replace(
            "vm_config: { code: { local: { filename: dist/access-policy.wasm } } }",
            &config,
        )
    };
    let router = "          - name: router\n";
    let other = with(GOOD, router, &format!("{}{router}", policy("api-key-auth")));
    triggers(&other, ALLOW_UNSET, "error[missing-authenticator]", "authenticator:");
    let known = with(GOOD, router, &format!("{}{router}", policy("jwt-auth")));
    lacks(&known, ALLOW_UNSET, "missing-authenticator");
}

#[test]
fn a_module_that_may_be_ours_is_told_of() {
    let plugin = |root_id: &str, module: &str| {
        format!(
            "root_id: {root_id}\n                failure_policy: FAIL_RELOAD\n                \
             vm_config: {{ code: {{ local: {{ filename: {module} }} }} }}"
        )
    };
    let ours = plugin("jwt-auth", "dist/gatehouse.wasm");
    let module = "dist/gatehouse/waf.wasm";
    check("warning[unknown-filter]", &ours, &plugin("no-auth", module), module);
}

#[test]
fn upgrades_do_not_bypass_the_gates() {
    let upgrade = "{ upgrade_type: websocket }";
    let own = "{ upgrade_type: websocket, filters: [ { name: router } ] }";
    check("error[upgrade-bypass]", upgrade, own, "upgrade_type");
}

#[test]
fn clusters_have_to_be_there() {
    check("error[unknown-cluster]", "cluster: issuer }", "cluster: other }", "cluster: other");
    check(
        "error[unknown-cluster]",
        "name: service, cluster: upstream",
        "name: service, cluster: up",
        "cluster: up }",
    );
    let other = with(GOOD, "cluster: issuer }", "cluster: other }");
    let dynamic = format!("dynamic_resources: {{ cds_config: {{}} }}{other}");
    lacks(&dynamic, ALLOW_UNSET, "unknown-cluster");
}

#[test]
fn secrets_are_not_in_the_file() {
    let variable = r#""${DAVE_PASSWORD}""#;
    check("warning[plain-secret]", variable, "\"hunter2\"", "hunter2");
    check(
        "warning[plain-secret]",
        "REALM: Staff",
        "REALM: Staff, DAVE_PASSWORD: hunter2",
        "hunter2",
    );
    check("info[default-secret]", variable, "\"${DAVE_PASSWORD:-hunter2}\"", "hunter2");
    let inline = r#"jwks: { inline: { keys: [ { kty: oct, k: "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISE" } ] } }"#;
    let symmetric = with(GOOD, "algorithms: [RS256]", "algorithms: [HS256]");
    let remote = r#"jwks: { uri: "https://issuer.example/jwks", cluster: issuer }"#;
    triggers(&with(&symmetric, remote, inline), ALLOW_UNSET, "warning[plain-secret]", "kty: oct");
    for finding in findings(&with(GOOD, variable, "\"hunter2\""), ALLOW_UNSET) {
        assert!(!finding.message.contains("hunter2"), "{finding:?}");
    }
}

#[test]
fn the_connection_manager_says_what_it_has_to() {
    for (field, code) in [
        ("normalize_path: true", "normalize-path"),
        ("merge_slashes: true", "merge-slashes"),
        ("path_with_escaped_slashes_action: REJECT_REQUEST", "escaped-slashes"),
        ("strip_any_host_port: true", "host-port"),
        ("use_remote_address: true", "remote-address"),
        ("request_timeout: 30s", "request-timeout"),
        ("request_headers_timeout: 10s", "request-headers-timeout"),
        ("stream_idle_timeout: 60s", "stream-idle-timeout"),
        ("  idle_timeout: 120s", "idle-timeout"),
        ("  headers_with_underscores_action: REJECT_REQUEST", "header-underscores"),
    ] {
        let field = format!("          {field}\n");
        let what = format!("warning[{code}]");
        check(&what, &field, "", "typed_config:");
    }
    check(
        "warning[request-timeout]",
        "request_timeout: 30s",
        "request_timeout: 0s",
        "typed_config:",
    );
    check("warning[idle-timeout]", "idle_timeout: 120s", "idle_timeout: 0s", "typed_config:");
    check("warning[escaped-slashes]", "REJECT_REQUEST", "KEEP_UNCHANGED", "typed_config:");
}

#[test]
fn a_pause_that_nobody_needs_is_told_of() {
    let field =
        "allow_on_headers_stop_iteration: true\n                failure_policy: FAIL_RELOAD";
    check("info[stop-iteration]", "failure_policy: FAIL_RELOAD", field, "allow_on");
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    check(
        "error[duplicate-field]",
        "merge_slashes: true",
        "merge_slashes: true\n          merge_slashes: false",
        "merge_slashes: false",
    );
}

#[test]
fn a_filter_that_is_discovered_is_found_in_its_resource() {
    let resource = r#"
version_info: "1"
resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: basic
  typed_config:
    "@type": type.googleapis.com/xds.type.v3.TypedStruct
    type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    value:
      config:
        failurePolicy: FAIL_OPEN
        vmConfig: { code: { remote: { httpUri: { uri: "https://x.example/gatehouse/basic-auth.wasm" } } } }
        configuration:
          "@type": type.googleapis.com/google.protobuf.StringValue
          value: '{"users": []}'
"#;
    triggers(resource, &[], "error[fails-open]", "FAIL_OPEN");
    triggers(resource, &[], "error[config]", "users");
}

#[test]
fn a_bootstrap_in_json_has_its_lines() {
    let json = r#"{"static_resources": {"listeners": [
  {"typed_config": {
    "@type": "x.filters.http.wasm.v3.Wasm",
    "config": {"name": "basic-auth", "failurePolicy": "FAIL_RELOAD", "configuration": {
      "@type": "type.googleapis.com/google.protobuf.Struct",
      "value": {
        "realm": 5
      }}}}}]}}"#;
    triggers(json, &[], "error[config]", "\"realm\"");
}
