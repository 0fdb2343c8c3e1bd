//! `token-introspection` in the real Envoy, with a certified provider. [`joined`] counts its calls,
//! [`failing`] has endpoints that fail and lie.

mod failing;
mod hostile;
mod joined;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::provider::Provider;
use tests::tokens::with;
use tests::upstream::Upstream;

fn config() -> Value {
    let (id, secret) = Provider::BASIC_CLIENT;
    json!({
        "realm": "Example",
        "endpoint": {"uri": "https://idp.example/token/introspection", "cluster": "idp"},
        "client": {"id": id, "secret": secret},
        "issuer": Provider::ISSUER,
        "audiences": ["api"],
    })
}

fn setup(more: Value, to: std::net::SocketAddr, upstream: &Upstream) -> Setup {
    Setup::new()
        .filter("token-introspection", with(config(), &more))
        .cluster("idp", Some(to))
        .upstream(upstream)
        .workers(4)
}

fn start(more: Value) -> (Envoy, Upstream, Provider) {
    let (provider, upstream) = (Provider::start(), Upstream::start());
    (setup(more, provider.address(), &upstream).start(), upstream, provider)
}

fn bearer(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn status(envoy: &Envoy, token: &str) -> u16 {
    bearer(token).send(envoy.address()).status
}

#[test]
fn a_providers_token_lets_through_and_the_upstream_learns_who_it_is() {
    let headers = json!({"claim_headers": {"x-issuer": "iss"}});
    let (envoy, upstream, provider) = start(headers);
    let token = provider.access_token("scope=api:read+api:write");
    let forged = bearer(&token).header("x-auth-subject", "root").header("x_issuer", "me");
    assert_eq!(forged.send(envoy.address()).status, 200);
    let got = upstream.last();
    for (name, value) in [
        ("x-auth-subject", Some("alice")),
        ("x-auth-scheme", Some("oauth2")),
        ("x-auth-consumer", Some("app")),
        ("x-auth-scopes", Some("api:read api:write")),
        ("x-issuer", Some(Provider::ISSUER)),
        ("x_issuer", None),
        ("authorization", None),
    ] {
        assert_eq!(got.header(name).as_deref(), value, "{name}");
    }
    assert!(!String::from_utf8_lossy(&got.head).contains(&token));
}

#[test]
fn the_client_may_say_who_it_is_in_the_body() {
    let (id, secret) = Provider::POST_CLIENT;
    let client = json!({"id": id, "secret": secret, "authentication": "post"});
    let (envoy, _upstream, provider) = start(json!({"client": client}));
    assert_eq!(status(&envoy, &provider.access_token("")), 200);
    assert_eq!(status(&envoy, "made-up"), 401);
}

#[test]
fn what_is_no_good_access_token_is_refused() {
    const BAD: &str = r#"Bearer realm="Example", error="invalid_token", error_description="The token is not valid""#;
    const OVER: &str = r#"Bearer realm="Example", error="invalid_token", error_description="The token is not active""#;
    let (envoy, upstream, provider) = start(json!({"scopes": ["api:write"]}));
    let revoked = provider.access_token("");
    provider.revoke(&revoked);
    let scope = r#"Bearer realm="Example", error="insufficient_scope", scope="api:write""#;
    let missing = r#"Bearer realm="Example""#;
    for (request, expected, reason, challenge) in [
        (Request::get("/"), 401, "missing", missing),
        (bearer("made-up"), 401, "inactive", OVER),
        (bearer(&revoked), 401, "inactive", OVER),
        (bearer(&provider.refresh_token()), 401, "token_type", BAD),
        (bearer(&provider.access_token("jkt=thumbprint")), 401, "bound", BAD),
        (bearer(&provider.access_token("scope=api:read")), 403, "insufficient_scope", scope),
    ] {
        let answer = request.send(envoy.address());
        assert_eq!(answer.status, expected, "{reason}");
        assert_eq!(answer.header("www-authenticate").as_deref(), Some(challenge), "{reason}");
        let counter = format!("token-introspection.refused.reason.{reason}");
        assert!(envoy.counted(&counter) > 0, "{reason}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(status(&envoy, &provider.access_token("scope=api:read+api:write")), 200);
}

#[test]
fn a_token_of_another_audience_or_issuer_is_refused() {
    for (more, reason) in [
        (json!({"audiences": ["bank"]}), "audience"),
        (json!({"issuer": "https://idp.example/"}), "issuer"),
    ] {
        let (envoy, upstream, provider) = start(more);
        assert_eq!(status(&envoy, &provider.access_token("")), 401, "{reason}");
        assert_eq!(
            envoy.access_log(1)[0]["details"],
            format!("gatehouse.token-introspection.{reason}")
        );
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn a_wrong_secret_of_ours_is_503_and_in_no_log() {
    let client = json!({"id": "gate:house", "secret": "not-the-s3cret"});
    let (envoy, upstream, provider) = start(json!({"client": client}));
    let answer = bearer(&provider.access_token("")).send(envoy.address());
    assert_eq!((answer.status, answer.header("www-authenticate")), (503, None));
    assert_eq!(envoy.access_log(1)[0]["details"], "gatehouse.token-introspection.client_refused");
    assert_eq!(upstream.count(), 0);
    let log = envoy.log();
    assert!(log.contains("client_refused: the endpoint answers 401 to `client`"), "{log}");
    assert!(!log.contains("not-the-s3cret") && !log.contains("bm90LXRoZS1zM2NyZXQ"), "{log}");
}

#[test]
fn a_rule_asks_for_what_it_needs() {
    let rules = json!([
        {"match": {"paths": ["/public/**"]}, "mode": "off"},
        {"match": {"methods": ["POST"]}, "scopes": ["api:write"]},
    ]);
    let (envoy, upstream, provider) = start(json!({"scopes": ["api:read"], "rules": rules}));
    let token = provider.access_token("scope=api:read");
    let send = |method: &str, path: &str, token: &str| {
        let request = Request::new(method, path).header("authorization", format!("Bearer {token}"));
        request.send(envoy.address()).status
    };
    assert_eq!(send("GET", "/", &token), 200);
    assert_eq!(send("POST", "/", &token), 403);
    assert_eq!(send("GET", "/public/x", "made-up"), 200);
    assert_eq!((upstream.count(), provider.calls()), (2, 1));
}
