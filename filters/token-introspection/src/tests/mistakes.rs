//! Configurations with a mistake.

use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[track_caller]
fn refused(more: Value, message: &str) {
    let configured = Bench::<TokenIntrospection>::configure(&with(config(), more));
    let error = configured.err().expect("refused").to_string();
    assert_eq!(error, message);
}

fn endpoint(more: Value) -> Value {
    json!({"endpoint": with(config()["endpoint"].clone(), more)})
}

fn client(more: Value) -> Value {
    json!({"client": with(config()["client"].clone(), more)})
}

#[test]
fn a_mistake_is_said_with_its_place() {
    refused(json!({"endpoint": null}), "missing field `endpoint`");
    refused(json!({"client": null}), "missing field `client`");
    refused(endpoint(json!({"cluster": ""})), "endpoint.cluster: is empty");
    refused(
        endpoint(json!({"uri": "idp.example"})),
        "endpoint.uri: `idp.example` is not an address: it begins with `https://` or `http://`",
    );
    refused(
        endpoint(json!({"timeout": "61s"})),
        "endpoint.timeout: is more than a minute, and requests wait for it",
    );
    refused(endpoint(json!({"max_calls": 0})), "endpoint.max_calls: 0 is not from 1 to 1024");
    refused(endpoint(json!({"max_calls": 1025})), "endpoint.max_calls: 1025 is not from 1 to 1024");
    refused(endpoint(json!({"token_type_hint": ""})), "endpoint.token_type_hint: is empty");
    refused(client(json!({"id": ""})), "client.id: is empty");
    refused(client(json!({"secret": ""})), "client.secret: is empty");
    refused(json!({"audiences": null}), "has either `audiences` or `any_audience: true`");
    refused(json!({"any_audience": true}), "any_audience: contradicts `audiences`");
    refused(
        json!({"token_types": ["x"], "any_token_type": true}),
        "any_token_type: contradicts `token_types`",
    );
    refused(json!({"issuer": ""}), "issuer: is empty");
    refused(json!({"cache": {"entries": 65_537}}), "cache.entries: 65537 is not from 1 to 65536");
    refused(
        json!({"scopes": ["a b"]}),
        "scopes[0]: a scope is printable ASCII without space, quote and backslash",
    );
    refused(
        json!({"rules": [{"match": {"paths": ["/"]}, "scopes": [""]}]}),
        "rules[0].scopes[0]: a scope is printable ASCII without space, quote and backslash",
    );
    refused(
        json!({"claim_headers": {"authorization": "sub"}}),
        "claim_headers.authorization: is a header that claims may not be put in",
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let error = |more| {
        Bench::<TokenIntrospection>::configure(&with(config(), more)).err().unwrap().to_string()
    };
    for wrong in [
        json!({"client": "hunter2"}),
        client(json!({"secret": ["hunter2"]})),
        client(json!({"authentication": {"basic": "hunter2"}})),
    ] {
        let error = error(wrong);
        assert!(error.starts_with("client") && !error.contains("hunter2"), "{error}");
    }
}
