//! `gatehouse policy` and `gatehouse render`, as they are run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Runs the program on a text, which it reads from its standard input.
fn run(arguments: &[&str], text: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended at its arguments.
    drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
    child.wait_with_output().unwrap()
}

#[track_caller]
fn check(arguments: &[&str], text: &str, code: i32, said: &str) -> Output {
    let output = run(arguments, text);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(said), "{errors}");
    output
}

fn yaml(output: &Output) -> Value {
    serde_norway::from_slice(&output.stdout).unwrap()
}

/// The guide's example as Goa writes it, older or newer.
fn document(is_newer: bool) -> String {
    let mut document = json!({
        "openapi": "3.0.3",
        "security": [{"basic__": []}],
        "paths": {
            "/users": {"get": {"operationId": "users#list",
                "security": [{"api_key_header_Authorization": []}]}},
            "/users/public": {"get": {"operationId": "users#public"}},
        },
        "components": {"securitySchemes": {
            "api_key_header_Authorization": {"type": "apiKey", "in": "header", "name": "Authorization"},
        }},
    });
    if is_newer {
        document["paths"]["/users/public"]["get"]["security"] = json!([]);
    }
    document.to_string()
}

#[test]
fn a_policy_is_one_that_check_takes() {
    let output = check(&["policy", "-", "--dialect", "goa"], &document(true), 0, "note");
    let policy = yaml(&output);
    assert_eq!(policy["services"][0]["methods"][1]["security"], "none");
    let text = String::from_utf8(output.stdout).unwrap();
    let checked = run(&["check", "--strict", "-"], &text);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let json = check(&["policy", "-", "--dialect", "goa", "--json"], &document(true), 0, "");
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap(), policy);
}

#[test]
fn what_is_ambiguous_is_refused_by_name_and_can_be_said() {
    let old = document(false);
    let refused =
        check(&["policy", "-", "--dialect", "goa"], &old, 1, "say --public 'users#public'");
    assert!(refused.stdout.is_empty());
    let said = ["policy", "-", "--dialect", "goa", "--public", "users#public"];
    let policy = yaml(&check(&said, &old, 0, ""));
    assert_eq!(policy, yaml(&check(&["policy", "-", "--dialect", "goa"], &document(true), 0, "")));
    check(&["policy", "-", "--dialect", "openapi"], &old, 1, "requires `basic__`");
    check(&["policy", "-"], &old, 2, "--dialect");
}

#[test]
fn an_operation_is_named_by_its_id_or_its_place() {
    let old = document(false);
    let by_id = ["policy", "-", "--dialect", "goa", "--public", "users#public"];
    let by_place = ["policy", "-", "--dialect", "goa", "--public", "GET /users/public"];
    assert_eq!(yaml(&check(&by_place, &old, 0, "")), yaml(&check(&by_id, &old, 0, "")));
    let nobodys = ["policy", "-", "--dialect", "goa", "--public", "PUT /users/public"];
    check(&nobodys, &old.replace("basic__", "x"), 1, "say --public");
    check(&nobodys, &document(true), 1, "there is no operation `PUT /users/public`");
}

#[test]
fn a_policy_that_takes_nobody_too_is_one_that_check_takes() {
    let text = document(true).replace(
        r#"[{"api_key_header_Authorization":[]}]"#,
        r#"[{},{"api_key_header_Authorization":[]}]"#,
    );
    let output = check(&["policy", "-", "--dialect", "openapi"], &text, 0, "goes on as nobody");
    let alternatives = json!([{"api_key_header_Authorization": []}, "anonymous"]);
    assert_eq!(yaml(&output)["services"][0]["methods"][0]["security"], alternatives);
    let text_of_it = String::from_utf8(output.stdout).unwrap();
    let checked = run(&["check", "--strict", "-"], &text_of_it);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    check(&["policy", "-", "--dialect", "goa"], &text, 1, "opens it to all");
}

#[test]
fn what_the_filter_would_refuse_is_not_printed() {
    let odd = document(true).replace("/users/public", "/users/..");
    let refused = check(&["policy", "-", "--dialect", "goa"], &odd, 1, "is not a path pattern");
    assert!(refused.stdout.is_empty());
}

#[test]
fn an_error_has_the_line_of_its_operation() {
    let text = "openapi: 3.0.3
paths:
  /a:
    get:
      operationId: s#a
      security: []
  /b:
    put:
      operationId: s#b
";
    let arguments = ["policy", "-", "--dialect", "openapi"];
    check(&arguments, text, 1, "stdin:8: error: s#b: says nothing of security");
    let odd = format!("{}      security: []\n", text.replace("/b", "/.."));
    check(&arguments, &odd, 1, "stdin:8: error: s#b: match.paths[0]: ");
}

#[test]
fn what_is_no_yaml_is_the_same_exit_code_everywhere() {
    for arguments in [
        &["check", "-"][..],
        &["policy", "-", "--dialect", "openapi"],
        &["render", "-", "--for", "envoy"],
    ] {
        let output = run(arguments, "a: 1\nb: [1\nc: }\n");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8_lossy(&said).contains("stdin:3: "), "{arguments:?}");
    }
    check(&["render", "/nowhere", "--for", "istio"], "", 2, "/nowhere: No such file");
}

#[test]
fn what_is_no_document_is_an_error_and_no_panic() {
    for text in ["", "{", "[]", "openapi: 3.0.3", "\u{0}", "a: b: c", "--- 1\n--- 2\n"] {
        let output = run(&["policy", "-", "--dialect", "openapi"], text);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{text:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("error") && !said.contains("panicked"), "{text:?}: {said}");
    }
}

const FILE: &str = r#"
name: shop
images: oci://registry.example/gatehouse
listeners:
  - { name: public, address: "127.0.0.1:8443" }
upstreams:
  - { name: users, address: "127.0.0.1:8080", health: /livez }
filters:
  - basic-auth:
      users: [ { name: dave, password: "${DAVE_PASSWORD}" } ]
"#;

#[test]
fn what_is_rendered_passes_check() {
    for target in ["envoy", "istio", "envoy-gateway"] {
        let output = check(&["render", "-", "--for", target], FILE, 0, "");
        let text = String::from_utf8(output.stdout).unwrap();
        let checked = run(&["check", "--strict", "--allow-unset", "-"], &text);
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(checked.status.code(), Some(0), "{target}: {said}{text}");
        assert!(said.contains("1 configuration"), "{said}");
    }
}

#[test]
fn a_file_that_is_wrong_renders_nothing() {
    let unknown = FILE.replace("listeners:", "listener:");
    for (text, said) in [
        (unknown.as_str(), "stdin:4: error: listener: unknown field"),
        (
            &FILE.replace("name: dave", "name: dave, nam: x"),
            "stdin:10: error: filters[0].basic-auth.users[0].nam: unknown field `nam`",
        ),
        (&FILE.replace("127.0.0.1:8080", "127.0.0.1"), "stdin:7: error: upstreams[0].address: "),
        (&FILE.replace("name: shop", "name: [a]"), "stdin:2: error: name: invalid type"),
        ("[1]", "stdin:1: error: invalid type: a list, expected an object"),
    ] {
        let output = check(&["render", "-", "--for", "envoy"], text, 1, said);
        assert!(output.stdout.is_empty());
        assert!(output.stderr.starts_with(b"stdin:"), "{text}");
    }
}

#[test]
fn what_comes_twice_renders_nothing() {
    let filters = format!("{FILE}# more\nfilters: []\n");
    let users = FILE.replace(
        "      users:",
        "      users: [ { name: eve, password: \"${EVE}\" } ]\n      users:",
    );
    for (text, said) in [
        (filters, "stdin:12: error: filters: comes twice"),
        (users, "stdin:11: error: filters[0].basic-auth.users: comes twice"),
    ] {
        for target in ["envoy", "istio", "envoy-gateway"] {
            let output = check(&["render", "-", "--for", target], &text, 1, said);
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_proxy_without_a_filter_is_not_rendered() {
    let (head, _) = FILE.split_at(FILE.find("filters:").unwrap());
    for form in ["modules", "bundle", "chain"] {
        for target in ["envoy", "istio", "envoy-gateway"] {
            let text = format!("{head}filters: []\nas: {form}\n");
            let said = "stdin:8: error: filters: is empty";
            let output = check(&["render", "-", "--for", target], &text, 1, said);
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_filter_that_there_is_not_is_refused_by_name() {
    let misspelt = FILE.replace("basic-auth", "basic-aut");
    let said = "stdin:9: error: filters[0].basic-aut: there is no such filter; known are api-key-auth, basic-auth, ";
    for form in ["modules", "bundle", "chain"] {
        for target in ["envoy", "istio", "envoy-gateway"] {
            let text = format!("{misspelt}as: {form}\n");
            let output = check(&["render", "-", "--for", target], &text, 1, said);
            assert!(output.stdout.is_empty());
            check(&["render", "-", "--for", target], &text.replace("aut:", "auth:"), 0, "");
        }
    }
}

#[test]
fn a_secret_in_the_file_is_warned_of() {
    let plain = FILE.replace("${DAVE_PASSWORD}", "hunter2");
    let output = check(&["render", "-", "--for", "envoy"], &plain, 0, "note");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[test]
fn what_is_wrong_between_filters_has_its_place_in_the_file() {
    let policy = "  - access-policy:\n      schemes: { key: { authenticator: api-key-auth } }\n      security: [ { key: [] } ]\n      services: []\n";
    let text = format!("{FILE}{policy}");
    for form in ["modules", "bundle", "chain"] {
        let text = format!("{text}as: {form}\n");
        let said = "stdin:12: error: filters[1].access-policy.schemes.key.authenticator: [missing-authenticator] ";
        let output = check(&["render", "-", "--for", "envoy"], &text, 1, said);
        assert!(output.stdout.is_empty());
        let lines = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| line.contains(" error: "))
            .count();
        assert_eq!(lines, 1);
    }
    let twice =
        "  - rate-limit: { limits: [ { name: a, quota: { requests: 1, per: 1s } } ] }\n".repeat(2);
    let text = format!("{FILE}{twice}as: chain\n");
    for target in ["envoy", "istio", "envoy-gateway"] {
        let said = "stdin:12: error: filters[2].rate-limit: [config] is in the chain already";
        check(&["render", "-", "--for", target], &text, 1, said);
    }
    let second = FILE.replace(
        "filters:\n",
        "filters:\n  - health-shortcut: { endpoints: [ { path: /livez, report: liveness } ] }\n",
    );
    let plain = second.replace("${DAVE_PASSWORD}", "hunter2");
    for target in ["envoy", "istio", "envoy-gateway"] {
        let said = "stdin:11: note: filters[1].basic-auth.users[0].password: [plain-secret] ";
        check(&["render", "-", "--for", target], &plain, 0, said);
    }
}

#[test]
fn what_no_registry_has_is_refused() {
    for (field, said) in [
        ("version: \"a b: c\"", "stdin:3: error: version: "),
        ("version: \"\"", "stdin:3: error: version: "),
        ("version: .1", "stdin:3: error: version: "),
    ] {
        let text = FILE.replace("name: shop\n", &format!("name: shop\n{field}\n"));
        let output = check(&["render", "-", "--for", "istio"], &text, 1, said);
        assert!(output.stdout.is_empty());
    }
    let text = FILE.replace("oci://registry", "https://registry");
    let said =
        "stdin:3: error: images: begins with `oci://`, as `oci://registry.example/gatehouse` does";
    for target in ["istio", "envoy-gateway"] {
        check(&["render", "-", "--for", target], &text, 1, said);
    }
}
