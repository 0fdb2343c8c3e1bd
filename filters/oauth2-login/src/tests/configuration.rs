//! What a configuration cannot say.

use super::*;

#[track_caller]
fn wrong(others: &Value, message: &str) {
    let error = Bench::<OAuth2Login>::configure(&with(config(), others)).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_are_named() {
    for (others, message) in [
        (
            json!({"issuer": "idp.example"}),
            "issuer: `idp.example` is not an address: it begins with `https://` or `http://`",
        ),
        (
            json!({"issuer": "https://idp.example?x"}),
            "issuer: `https://idp.example?x` has a query, behind which there is no document",
        ),
        (json!({"client": {"id": ""}}), "client.id: is printable ASCII, and not empty"),
        (
            json!({"client": {"id": "web", "secret": ""}}),
            "client.secret: is empty; a public client has none at all",
        ),
        (
            json!({"client": {"id": "web", "authentication": "basic"}}),
            "client.authentication: needs a `secret`",
        ),
        (
            json!({"client": {"id": "web", "secret": "x", "authentication": "none"}}),
            "client.authentication: is `none`, and there is a secret",
        ),
        (
            json!({"scopes": ["profile"]}),
            "scopes: `openid` is not among them: there would be no ID token",
        ),
        (json!({"scopes": []}), "scopes: a list of at least one, and this one is empty"),
        (
            json!({"scopes": ["openid", "a b"]}),
            "scopes[1]: a scope is printable ASCII without space, quote and backslash",
        ),
        (
            json!({"redirect_path": "callback"}),
            "redirect_path: `callback` is not a path of plain characters without a query",
        ),
        (
            json!({"redirect_path": "/a?b"}),
            "redirect_path: `/a?b` is not a path of plain characters without a query",
        ),
        (
            json!({"redirect_path": "/%61"}),
            "redirect_path: `/%61` is not a path of plain characters without a query",
        ),
        (json!({"login_path": "/oauth2/callback"}), "login_path: is that of `redirect_path`"),
        (
            json!({"logout": {"path": "/oauth2/callback"}}),
            "logout.path: is that of `redirect_path`",
        ),
        (
            json!({"logout": {"path": "/out", "return_to": "//evil.example"}}),
            "logout.return_to: `//evil.example` is not a path on this origin",
        ),
        (
            json!({"external_url": "http://app.example"}),
            "external_url: `http://app.example` is not an origin: cookies with `Secure` need `https`, but on this very machine",
        ),
        (
            json!({"external_url": "https://app.example/app"}),
            "external_url: `https://app.example/app` is not an origin: it is a host in lower case, with a port or without, and nothing behind",
        ),
    ] {
        wrong(&others, message);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_of_sessions_and_of_what_is_sent_on_are_named() {
    for (others, message) in [
        (
            json!({"session": {"keys": []}}),
            "session.keys: a list of at least one, and this one is empty",
        ),
        (
            json!({"session": {"keys": ["short"]}}),
            "session.keys[0]: has 5 bytes, and 32 is the least; write 32 random bytes as hex or base64: `openssl rand -base64 32`",
        ),
        (
            json!({"session": {"keys": [KEY, "a".repeat(40)]}}),
            "session.keys[1]: repeats itself too much to be random; write 32 random bytes as hex or base64: `openssl rand -base64 32`",
        ),
        (json!({"session": {"keys": [KEY, KEY]}}), "session.keys[1]: comes twice"),
        (
            json!({"session": {"keys": [KEY], "name": "session"}}),
            "session.name: begins with `__Host-`, so that no other host can set it",
        ),
        (
            json!({"session": {"keys": [KEY], "name": "__Host-a b"}}),
            "session.name: `__Host-a b` is not the name of a cookie",
        ),
        (
            json!({"session": {"keys": [KEY], "idle": "9h"}}),
            "session.idle: is longer than `lifetime`",
        ),
        (
            json!({"session": {"keys": [KEY], "lifetime": "2y", "idle": "1h"}}),
            "session.lifetime: is more than the 400 days that browsers keep a cookie",
        ),
        (
            json!({"forward": {"access_token": "cookie"}}),
            "forward.access_token: is a header that means something else to proxies",
        ),
        (
            json!({"forward": {"claims": {"authorization": "sub"}}}),
            "forward.claims.authorization: is a header that claims may not be put in",
        ),
        (
            json!({"forward": {"access_token": "x-a", "claims": {"x-a": "sub"}}}),
            "forward.access_token: is the header of a claim, too",
        ),
        (
            json!({"forward": {"id_token": "host"}}),
            "forward.id_token: is a header that means something else to proxies",
        ),
        (
            json!({"forward": {"id_token": "x-a", "claims": {"x-a": "sub"}}}),
            "forward.id_token: is the header of a claim, too",
        ),
        (
            json!({"forward": {"access_token": "x-token", "id_token": "x_token"}}),
            "forward.id_token: is the header of the access token, too",
        ),
        (
            json!({"forward": {"id_token": "x-a"}, "verdict": "defer"}),
            "forward.id_token: says who somebody is, which is for a policy to find with `verdict: defer`",
        ),
        (
            json!({"forward": {"id_token": "x-a"}, "rules": [{"match": {"paths": ["/a"]}, "verdict": "defer"}]}),
            "forward.id_token: says who somebody is, which is for a policy to find with `verdict: defer`",
        ),
        (
            json!({"forward": {"access_token": "authorization", "id_token": "Authorization"}}),
            "forward.id_token: is the header of the access token, too",
        ),
        (
            json!({"authorization_parameters": {"state": "x"}}),
            "authorization_parameters.state: is for the filter to say",
        ),
        (
            json!({"algorithms": ["ES256", "HS256"]}),
            "algorithms[1]: a symmetric key is nothing that a provider publishes",
        ),
        (json!({"discovery": {"cluster": ""}}), "discovery.cluster: is empty"),
        (
            json!({"discovery": {"cluster": "a", "timeout": "2m"}}),
            "discovery.timeout: is more than a minute, and requests wait for it",
        ),
        (
            json!({"discovery": {"cluster": "a", "max_stale": "1m"}}),
            "discovery.max_stale: is shorter than `refresh`",
        ),
        (
            json!({"api_clients": {"paths": ["x"]}}),
            "api_clients.paths[0]: `x` is not a path pattern: it begins with `/`",
        ),
        (
            json!({"nonsense": 1}),
            "nonsense: unknown field; known are mode, errors, realm, verdict, api_clients, issuer, discovery, client, scopes, redirect_path, login_path, logout, external_url, session, forward, authorization_parameters, algorithms, leeway, claims, groups_claim, identity_headers, rules, route_overrides",
        ),
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
        wrong(&json!({ field: null }), &format!("missing field `{field}`"));
    }
}

#[test]
fn this_very_machine_may_be_plain() {
    let plain = json!({"external_url": "http://localhost:10000", "session": {"keys": [KEY], "name": "session"}});
    assert!(Bench::<OAuth2Login>::configure(&with(config(), &plain)).is_ok());
}
