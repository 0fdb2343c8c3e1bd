//! `gatehouse schema`: the schema of every filter is one, and says what `gatehouse check` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jsonschema::Validator;
use serde_json::{Value, json};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn filters() -> Vec<String> {
    let entries = fs::read_dir(top().join("filters")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "bundle").collect()
}

fn schema(filter: &str) -> Value {
    let output = run(&["schema", filter], b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{filter}: {said} (cli/src/check/known.rs: `described`)");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn validators() -> BTreeMap<String, Validator> {
    let names = filters().into_iter();
    names
        .map(|name| (name.clone(), jsonschema::draft202012::new(&schema(&name)).unwrap()))
        .collect()
}

/// What `gatehouse check` says of a filter's configuration, its variables left open.
fn checked(filter: &str, config: &Value) -> Result<(), String> {
    let arguments = ["check", "--allow-unset", "--filter", filter, "-"];
    let output = run(&arguments, config.to_string().as_bytes());
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(String::from_utf8(output.stdout).unwrap()),
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Every configuration in a README, with its filter.
fn of_readmes() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for filter in filters() {
        let Ok(text) = fs::read_to_string(top().join(format!("filters/{filter}/README.md"))) else {
            continue;
        };
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            if let Some(name) = block.lines().next().and_then(|line| line.strip_prefix("# ")) {
                found.push((name.to_owned(), serde_norway::from_str(block).unwrap()));
            }
        }
    }
    found
}

/// Every configuration in a bootstrap or manifest, with its filter.
fn of_files() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for folder in ["envoy", "envoy/istio"] {
        let entries = fs::read_dir(top().join(folder)).unwrap();
        let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
            let text = fs::read_to_string(file).unwrap();
            for document in serde_norway::Deserializer::from_str(&text) {
                let document: Value = serde::Deserialize::deserialize(document).unwrap();
                collect(&document, &mut found);
            }
        }
    }
    found
}

fn collect(value: &Value, found: &mut Vec<(String, Value)>) {
    let code = &value["vm_config"]["code"]["local"]["filename"];
    let module = code.as_str().or_else(|| value["url"].as_str()).unwrap_or_default();
    let name = module.rsplit('/').next().unwrap_or_default();
    let name = name.split([':', '.']).next().unwrap_or_default();
    for config in [&value["configuration"]["value"], &value["pluginConfig"]] {
        if name.is_empty() || !config.is_object() {
            continue;
        }
        // The bundle: the root id says which filter it is, or that it is a chain of some.
        let root_id = value["root_id"].as_str().unwrap_or("chain");
        match (name, config["chain"].as_array()) {
            ("gatehouse", Some(chain)) => {
                let members = chain.iter().filter_map(Value::as_object).flatten();
                found.extend(members.map(|(name, config)| (name.clone(), config.clone())));
            }
            ("gatehouse", None) => found.push((root_id.to_owned(), config.clone())),
            _ => found.push((name.to_owned(), config.clone())),
        }
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| collect(value, found)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn every_filter_has_a_schema_that_is_one() {
    for filter in filters() {
        let schema = schema(&filter);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{filter}");
        assert_eq!(schema["title"], filter.as_str());
        let wrong = jsonschema::meta::validate(&schema).err().map(|error| error.to_string());
        assert_eq!(wrong, None, "{filter}");
        assert!(!schema.to_string().contains("\"null\""), "{filter} has a field that may be null");
    }
}

#[test]
fn every_field_is_described() {
    for filter in filters() {
        let schema = schema(&filter);
        for (name, field) in schema["properties"].as_object().unwrap() {
            let described = field.get("description").is_some() || field.get("$ref").is_some();
            assert!(described, "{filter}: {name}: {field}");
        }
    }
    // Where the field is an object of a type of its own, the fields of that are described too.
    let export = &schema("trace-context")["$defs"]["RawExport"]["properties"];
    assert_eq!(export.as_object().map(serde_json::Map::len), Some(11));
    for (name, field) in export.as_object().unwrap() {
        assert!(field.get("description").is_some(), "export.{name}: {field}");
    }
}

#[test]
fn every_configuration_that_is_shown_fits() {
    let (validators, all) = (validators(), [of_readmes(), of_files()].concat());
    for filter in filters() {
        let shown = all.iter().filter(|(name, _)| *name == filter).count();
        assert!(shown >= 3, "{filter}: {shown} are too few to be all");
    }
    for (filter, config) in all {
        let validator = validators.get(&filter).unwrap_or_else(|| panic!("{filter} is not known"));
        let wrong: Vec<_> = validator
            .iter_errors(&config)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(wrong.is_empty(), "{filter}: {wrong:#?}\n{config:#}");
        assert_eq!(checked(&filter, &config), Ok(()), "{filter}");
    }
}

/// A configuration that is good, as small as it may be.
fn good(filter: &str) -> Value {
    match filter {
        "access-policy" => json!({
            "schemes": {"basic": {"authenticator": "basic-auth"}},
            "security": [{"basic": []}],
            "services": [{"name": "users", "methods": [
                {"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}},
            ]}],
        }),
        "api-key-auth" => json!({"consumers": [
            {"name": "acme", "keys": [{"id": "1", "value": "${ACME_KEY}"}]},
        ]}),
        "basic-auth" => json!({"users": [{"name": "carol", "password": "${CAROL}"}]}),
        "health-shortcut" => json!({"endpoints": [{"path": "/livez", "report": "liveness"}]}),
        "jwt-auth" => json!({"providers": [{
            "name": "main", "issuer": "https://idp.example", "audiences": ["api"],
            "algorithms": ["ES256"], "jwks": {"uri": "https://idp.example/keys", "cluster": "idp"},
        }]}),
        "oauth2-login" => json!({
            "issuer": "https://idp.example",
            "discovery": {"cluster": "idp"},
            "client": {"id": "web", "secret": "${CLIENT_SECRET}"},
            "external_url": "https://app.example",
            "session": {"keys": ["${COOKIE_KEY}"]},
        }),
        "rate-limit" => json!({
            "service": {"cluster": "limits", "domain": "shop"},
            "limits": [{"name": "all", "quota": {"requests": 10, "per": "1s"}}],
        }),
        "telemetry" => json!({
            "debug": {"allow": [{"groups": ["ops"]}]},
            "metrics": {"tiers": [{"name": "gold", "consumers": ["acme"]}]},
        }),
        "token-introspection" => json!({
            "endpoint": {"uri": "https://idp.example/introspect", "cluster": "idp"},
            "client": {"id": "gatehouse", "secret": "${CLIENT_SECRET}"},
            "any_audience": true,
        }),
        "trace-context" => json!({"sampling": {}, "export": {"cluster": "collector"}}),
        _ => panic!("no example of {filter}"),
    }
}

/// The good one, something in it changed; `null` takes it off.
fn changed(filter: &str, pointer: &str, value: &Value) -> Value {
    let mut config = good(filter);
    let (place, name) = pointer.rsplit_once('/').unwrap();
    let members = config.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value.clone()),
    };
    config
}

/// A filter, the place of a field, and what is wrong there.
type Mistake = (&'static str, &'static str, Value);

/// Mistakes in what authenticators have of their own.
fn wrong_of_authenticators() -> Vec<Mistake> {
    vec![
        ("api-key-auth", "/consumers", json!([])),
        ("api-key-auth", "/consumers", Value::Null),
        ("api-key-auth", "/consumers/0/keys/0/not_after", json!("tomorrow")),
        ("api-key-auth", "/consumers/0/keys/0/sha265", json!("x")),
        ("api-key-auth", "/sources", json!([{"header": "x-api-key", "query": "key"}])),
        ("api-key-auth", "/sources", json!([{"prefix": "Bearer"}])),
        ("api-key-auth", "/sources", json!([])),
        ("api-key-auth", "/allow", json!("everybody")),
        ("basic-auth", "/users/0/name", Value::Null),
        ("basic-auth", "/throttle", json!({"failures": 0, "window": "1m"})),
        ("basic-auth", "/throttle", json!({"failures": 5, "window": "soon"})),
        ("basic-auth", "/throttle", json!({"failures": 5, "window": 60})),
        ("basic-auth", "/throttle", json!({"failures": 5, "window": "1m", "by": "nobody"})),
        ("basic-auth", "/verified_cache", json!({"entries": 0})),
        ("basic-auth", "/verified_cache", json!({"entries": 70_000})),
        ("basic-auth", "/realm", json!("")),
        ("jwt-auth", "/providers", json!([])),
        ("jwt-auth", "/providers/0/algorithms", json!(["none"])),
        ("jwt-auth", "/providers/0/algorithms", json!([])),
        ("jwt-auth", "/providers/0/audiences", json!("api")),
        ("jwt-auth", "/providers/0/jwks/uri", json!("idp.example/keys")),
        ("jwt-auth", "/providers/0/jwks/refresh", json!("often")),
        ("jwt-auth", "/providers/0/require_expiration", json!("no")),
        ("jwt-auth", "/crypto", json!("openssl")),
        ("jwt-auth", "/verdict", json!("allow")),
        ("oauth2-login", "/issuer", Value::Null),
        ("oauth2-login", "/discovery/cluster", Value::Null),
        ("oauth2-login", "/discovery/timeout", json!(5)),
        ("oauth2-login", "/client/id", Value::Null),
        ("oauth2-login", "/client/authentication", json!("jwt")),
        ("oauth2-login", "/scopes", json!([])),
        ("oauth2-login", "/external_url", json!("https://app.example/app")),
        ("oauth2-login", "/external_url", json!("app.example")),
        ("oauth2-login", "/session", Value::Null),
        ("oauth2-login", "/session/keys", json!([])),
        ("oauth2-login", "/session/idle", json!("an hour")),
        ("oauth2-login", "/logout", json!({})),
        ("oauth2-login", "/forward", json!({"access_token": "a b"})),
        ("oauth2-login", "/authorization_parameters", json!({"max_age": 60})),
        ("oauth2-login", "/algorithms", json!(["none"])),
        ("oauth2-login", "/leeway", json!("a bit")),
        ("oauth2-login", "/api_clients", json!({"paths": ["x"]})),
        ("token-introspection", "/endpoint", Value::Null),
        ("token-introspection", "/endpoint/max_calls", json!(0)),
        ("token-introspection", "/endpoint/max_calls", json!(1025)),
        ("token-introspection", "/endpoint/timeout", json!(2)),
        ("token-introspection", "/client/authentication", json!("jwt")),
        ("token-introspection", "/client/secret", Value::Null),
        ("token-introspection", "/cache", json!({"entries": 0})),
        ("token-introspection", "/leeway", json!("a bit")),
        ("token-introspection", "/identity_headers", json!({"subject": "x auth"})),
    ]
}

/// Mistakes in what others that decide have of their own.
fn wrong_of_what_decides() -> Vec<Mistake> {
    vec![
        ("access-policy", "/security", json!([])),
        ("access-policy", "/security", json!([{}])),
        ("access-policy", "/security", json!("nobody")),
        ("access-policy", "/allow", json!({})),
        ("access-policy", "/require_https", json!("yes")),
        ("access-policy", "/services/0/methods", json!([])),
        ("access-policy", "/services/0/methods/0/match", json!({"methods": ["GET"]})),
        ("health-shortcut", "/endpoints", json!([])),
        ("health-shortcut", "/endpoints/0/report", json!("weather")),
        ("health-shortcut", "/endpoints/0/path", json!("livez")),
        ("health-shortcut", "/endpoints/0/path", json!("/livez?x")),
        ("health-shortcut", "/version", json!("")),
        ("rate-limit", "/memory", json!(4_194_304)),
        ("rate-limit", "/headers", json!("yes")),
        ("rate-limit", "/service/domain", json!("")),
        ("rate-limit", "/service/timeout", json!(20)),
        ("rate-limit", "/service/on_failure", json!("refuse")),
        ("rate-limit", "/limits/0/name", json!("a b")),
        ("rate-limit", "/limits/0/match", json!({})),
        ("rate-limit", "/limits/0/key", json!([])),
        ("rate-limit", "/limits/0/key", json!(["consumers"])),
        ("rate-limit", "/limits/0/key", json!([{}])),
        ("rate-limit", "/limits/0/key", json!([{"header": "a", "claim": "b"}])),
        ("rate-limit", "/limits/0/key", json!([{"path": "x"}])),
        ("rate-limit", "/limits/0/key", json!([{"client_address": {"ipv4_prefix": 33}}])),
        ("rate-limit", "/limits/0/key", json!([{"client_address": {"trusted_hops": 17}}])),
        ("rate-limit", "/limits/0/quota", Value::Null),
        ("rate-limit", "/limits/0/quota/requests", json!(0)),
        ("rate-limit", "/limits/0/tiers", json!({"gold": {"requests": 1}})),
        ("rate-limit", "/limits/0/cost", json!(0)),
        ("rate-limit", "/limits/0/cost", json!({"header": "x-cost"})),
        ("rate-limit", "/limits/0/algorithm", json!("leaky")),
        ("rate-limit", "/limits/0/counted", json!("everywhere")),
    ]
}

/// Mistakes in what filters that observe have of their own.
fn wrong_of_what_observes() -> Vec<Mistake> {
    vec![
        ("telemetry", "/lines", json!("some")),
        ("telemetry", "/output", json!("stdout")),
        ("telemetry", "/query", json!(["page"])),
        ("telemetry", "/headers", json!({"allow": ["a b"]})),
        ("telemetry", "/skip", json!({"paths": ["assets"]})),
        ("telemetry", "/metrics/max_series", json!(0)),
        ("telemetry", "/metrics/max_series", json!(4097)),
        ("telemetry", "/metrics/tiers/0/name", json!("Gold")),
        ("telemetry", "/debug/allow", Value::Null),
        ("telemetry", "/debug/allow", json!([])),
        ("telemetry", "/debug/allow", json!([{}])),
        ("telemetry", "/debug/allow", json!([{"groups": [""]}])),
        ("telemetry", "/debug/allow", json!([{"addresses": ["everywhere"]}])),
        ("telemetry", "/debug/path", json!("/")),
        ("telemetry", "/debug/for", json!(900)),
        ("telemetry", "/payloads", json!({"max_bytes": 1024})),
        ("telemetry", "/pprof", json!({"allow": "all"})),
        ("telemetry", "/server_timing", json!({})),
        ("trace-context", "/extract", json!([])),
        ("trace-context", "/extract", json!(["w3c", "w3c"])),
        ("trace-context", "/extract", json!(["zipkin"])),
        ("trace-context", "/inject", json!("w3c")),
        ("trace-context", "/clear", json!("no")),
        ("trace-context", "/trust", json!("sometimes")),
        ("trace-context", "/trust", json!({"addresses": []})),
        ("trace-context", "/trust", json!({"addresses": ["inside"]})),
        ("trace-context", "/sampling/root", json!("often")),
        ("trace-context", "/sampling/root", json!({"ratio": 0})),
        ("trace-context", "/sampling/root", json!({"ratio": 1.5})),
        ("trace-context", "/sampling/root", json!({"ratio": 1, "per_second": 1})),
        ("trace-context", "/baggage", json!({"max_bytes": 0})),
        ("trace-context", "/baggage", json!({"max_bytes": 65_537})),
        ("trace-context", "/baggage", json!({"allow": ["a*b"]})),
        ("trace-context", "/request_id", json!({"max_bytes": 7})),
        ("trace-context", "/request_id", json!({"header": "a b"})),
        ("trace-context", "/response", json!({"traceparent": true})),
        ("trace-context", "/export/cluster", Value::Null),
        ("trace-context", "/export/protocol", json!("zipkin")),
        ("trace-context", "/export/interval", json!(1)),
        ("trace-context", "/export/max_queue", json!(0)),
    ]
}

#[test]
fn what_is_wrong_is_wrong_for_both() {
    let validators = validators();
    let rule = |more: Value| json!([more]);
    let everywhere = [
        ("/unknown", json!(1)),
        ("/mode", json!("loud")),
        ("/mode", json!(true)),
        ("/errors", json!("html")),
        ("/rules", json!([])),
        ("/rules", json!({})),
        ("/rules", rule(json!({"mode": "shadow"}))),
        ("/rules", rule(json!({"match": {}}))),
        ("/rules", rule(json!({"match": {"paths": []}}))),
        ("/rules", rule(json!({"match": {"paths": ["x"]}}))),
        ("/rules", rule(json!({"match": {"methods": ["get"]}}))),
        ("/rules", rule(json!({"match": {"hosts": ["a/b"]}}))),
        ("/rules", rule(json!({"match": {"headers": {"x-auth-subject": "me"}}}))),
        ("/rules", rule(json!({"match": {"nobody": ["/"]}}))),
        ("/rules", rule(json!({"match": {"paths": ["/"]}, "unknown": 1}))),
        ("/route_overrides", json!("yes")),
    ];
    let all = validators.keys().flat_map(|filter| {
        everywhere.iter().map(move |(pointer, value)| (filter.as_str(), *pointer, value.clone()))
    });
    let own =
        [wrong_of_authenticators(), wrong_of_what_decides(), wrong_of_what_observes()].concat();
    for (filter, pointer, value) in all.chain(own) {
        let config = changed(filter, pointer, &value);
        let what = format!("{filter} {pointer} {value}");
        assert!(!validators[filter].is_valid(&config), "the schema takes {what}");
        assert!(checked(filter, &config).is_err(), "check takes {what}");
    }
}

#[test]
fn what_is_right_is_right_for_both() {
    let validators = validators();
    let rule = json!([{
        "match": {
            "hosts": ["*.example.com"], "paths": ["/a/{b}/**"], "methods": ["GET"],
            "headers": {"x-a": true, "x-b": "c"}, "routes": ["r"], "clusters": ["c"],
        },
        "mode": "shadow",
        "errors": "goa",
    }]);
    let everywhere = [
        ("/mode", json!("off")),
        ("/mode", json!("${MODE:-shadow}")),
        ("/errors", json!("text")),
        ("/rules", rule),
        ("/route_overrides", json!(false)),
    ];
    let own = [
        ("access-policy", "/security", json!("none")),
        ("access-policy", "/allow", json!({"groups": ["ops"]})),
        ("access-policy", "/allow", json!("all")),
        ("api-key-auth", "/allow", json!("all")),
        (
            "api-key-auth",
            "/sources",
            json!([{"header": "x-key", "prefix": "Key"}, {"cookie": "k"}]),
        ),
        (
            "basic-auth",
            "/throttle",
            json!({"failures": 5, "window": "${WINDOW:-1m 30s}", "by": "user"}),
        ),
        ("basic-auth", "/verified_cache", json!({"entries": 1, "ttl": "250ms"})),
        ("jwt-auth", "/providers/0/leeway", json!("0s")),
        ("jwt-auth", "/providers/0/required_claims", json!({"a": [1, "b", true]})),
        ("oauth2-login", "/external_url", json!("http://localhost:10000/")),
        ("oauth2-login", "/external_url", json!("${URL:-https://app.example:8443}")),
        ("oauth2-login", "/logout", json!({"path": "/out", "return_to": "/bye"})),
        ("oauth2-login", "/forward", json!({"claims": {"x-email": "email"}})),
        ("oauth2-login", "/authorization_parameters", json!({"prompt": "login"})),
        ("oauth2-login", "/api_clients", json!({"paths": ["/api/**"], "accept": []})),
        (
            "rate-limit",
            "/limits/0/key",
            json!(["consumer", "${PART:-host}", {"client_address": {"ipv6_prefix": 56}},
                {"header": "x-plan"}, {"claim": "tenant"}, {"path": "/a/{b}"}]),
        ),
        ("rate-limit", "/limits/0/cost", json!({"header": "x-cost", "greatest": 5})),
        ("rate-limit", "/limits/0/tiers", json!({"gold": {"requests": 9, "per": "1m"}})),
        ("rate-limit", "/limits/0/counted", json!("global")),
        ("rate-limit", "/limits", json!([])),
        (
            "telemetry",
            "/debug/allow",
            json!([{"addresses": ["10.0.0.0/8", "::1", "${NETWORK:-fd00::/8}"], "groups": ["a"]}]),
        ),
        ("telemetry", "/pprof", json!({})),
        ("telemetry", "/payloads", json!({"max_bytes": "2KiB", "redact": ["iban"]})),
        ("token-introspection", "/endpoint/uri", json!("${URI:-https://idp.example/x}")),
        ("token-introspection", "/cache", json!({"negative_ttl": "1m"})),
        ("token-introspection", "/verdict", json!("defer")),
        ("trace-context", "/extract", json!(["w3c", "${FORM:-b3}"])),
        ("trace-context", "/trust", json!("never")),
        ("trace-context", "/trust", json!("${TRUST:-always}")),
        ("trace-context", "/trust", json!({"addresses": ["10.0.0.0/8"]})),
        ("trace-context", "/sampling/root", json!("${ROOT:-always}")),
        ("trace-context", "/sampling/root", json!({"ratio": 1})),
        ("trace-context", "/sampling/root", json!({"per_second": 0.5})),
        ("trace-context", "/baggage", json!({"allow": ["*", "user.*"], "max_bytes": "8KiB"})),
        ("trace-context", "/baggage", json!({"max_bytes": 8192, "max_members": 5})),
        ("trace-context", "/export/interval", json!("${INTERVAL:-2s}")),
    ];
    let all = validators.keys().flat_map(|filter| {
        everywhere.iter().map(move |(pointer, value)| (filter.as_str(), *pointer, value.clone()))
    });
    for (filter, pointer, value) in all.chain(own) {
        let config = changed(filter, pointer, &value);
        let what = format!("{filter} {pointer} {value}");
        let wrong: Vec<_> =
            validators[filter].iter_errors(&config).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}");
        assert_eq!(checked(filter, &config), Ok(()), "{what}");
    }
}

#[test]
fn a_filter_that_is_not_known_is_said() {
    let output = run(&["schema", "no-auth"], b"");
    assert_eq!(output.status.code(), Some(2));
}
