//! What a configuration cannot say.

use super::*;

#[track_caller]
fn wrong(others: &Value, message: &str) {
    let error = Bench::<OAuth2Login>::configure(&with(config(), others)).err().expect("refused");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn mistakes_are_named() {
    for (others, message) in [
        (json!({"issuer": "idp.example"}), "issuer: "),
        (json!({"issuer": "https://idp.example?x"}), "issuer: "),
        (json!({"client": {"id": ""}}), "client.id: "),
        (json!({"client": {"id": "web", "secret": ""}}), "client.secret: is empty"),
        (
            json!({"client": {"id": "web", "authentication": "basic"}}),
            "client.authentication: needs",
        ),
        (
            json!({"client": {"id": "web", "secret": "x", "authentication": "none"}}),
            "client.authentication: is `none`",
        ),
        (json!({"scopes": ["profile"]}), "scopes: `openid`"),
        (json!({"scopes": []}), "scopes: "),
        (json!({"scopes": ["openid", "a b"]}), "scopes[1]: "),
        (json!({"redirect_path": "callback"}), "redirect_path: "),
        (json!({"redirect_path": "/a?b"}), "redirect_path: "),
        (json!({"redirect_path": "/%61"}), "redirect_path: "),
        (json!({"login_path": "/oauth2/callback"}), "login_path: is that of `redirect_path`"),
        (
            json!({"logout": {"path": "/oauth2/callback"}}),
            "logout.path: is that of `redirect_path`",
        ),
        (json!({"logout": {"path": "/out", "return_to": "//evil.example"}}), "logout.return_to: "),
        (json!({"external_url": "http://app.example"}), "external_url: "),
        (json!({"external_url": "https://app.example/app"}), "external_url: "),
    ] {
        wrong(&others, message);
    }
}

#[test]
fn mistakes_of_sessions_and_of_what_is_sent_on_are_named() {
    for (others, message) in [
        (json!({"session": {"keys": []}}), "session.keys: "),
        (json!({"session": {"keys": ["short"]}}), "session.keys[0]: has 5 bytes"),
        (json!({"session": {"keys": [KEY, "a".repeat(40)]}}), "session.keys[1]: repeats itself"),
        (json!({"session": {"keys": [KEY, KEY]}}), "session.keys[1]: comes twice"),
        (
            json!({"session": {"keys": [KEY], "name": "session"}}),
            "session.name: begins with `__Host-`",
        ),
        (json!({"session": {"keys": [KEY], "name": "__Host-a b"}}), "session.name: "),
        (json!({"session": {"keys": [KEY], "idle": "9h"}}), "session.idle: is longer"),
        (json!({"session": {"keys": [KEY], "lifetime": "2y", "idle": "1h"}}), "session.lifetime: "),
        (json!({"forward": {"access_token": "cookie"}}), "forward.access_token: "),
        (
            json!({"forward": {"claims": {"authorization": "sub"}}}),
            "forward.claims.authorization: ",
        ),
        (
            json!({"forward": {"access_token": "x-a", "claims": {"x-a": "sub"}}}),
            "forward.access_token: ",
        ),
        (json!({"authorization_parameters": {"state": "x"}}), "authorization_parameters.state: "),
        (json!({"algorithms": ["ES256", "HS256"]}), "algorithms[1]: "),
        (json!({"discovery": {"cluster": ""}}), "discovery.cluster: "),
        (json!({"discovery": {"cluster": "a", "timeout": "2m"}}), "discovery.timeout: "),
        (json!({"discovery": {"cluster": "a", "max_stale": "1m"}}), "discovery.max_stale: "),
        (json!({"api_clients": {"paths": ["x"]}}), "api_clients.paths"),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        wrong(&others, message);
    }
    let error = Bench::<OAuth2Login>::configure(&with(
        config(),
        &json!({"session": {"keys": ["short-secret"]}}),
    ));
    assert!(!error.err().unwrap().to_string().contains("short-secret"));
}

#[test]
fn what_is_needed_is_named() {
    for field in ["issuer", "discovery", "client", "external_url", "session"] {
        wrong(&json!({ field: null }), field);
    }
}

#[test]
fn this_very_machine_may_be_plain() {
    let plain = json!({"external_url": "http://localhost:10000", "session": {"keys": [KEY], "name": "session"}});
    assert!(Bench::<OAuth2Login>::configure(&with(config(), &plain)).is_ok());
}
