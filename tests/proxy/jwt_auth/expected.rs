//! What a provider may say of its tokens besides who they are from, and what is wrong to say.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Setup, Trial};
use tests::tokens::{Key, now};

use super::{bearer, but, config, start};

/// A provider that has an opinion of everything.
fn strict() -> Value {
    let mut config = config();
    for (name, value) in json!({
        "revoked": ["stolen-1", "stolen-2"],
        "max_lifetime": "2h",
        "required_claims": {"tenant.plan": ["gold", "silver"], "email_verified": ["true"]},
        "scopes": ["api:read"],
        "scopes_claims": ["permissions", "realm_access.roles"],
        "require_expiration": false,
        "token_types": ["session+jwt"],
    })
    .as_object()
    .unwrap()
    {
        config["providers"][0][name] = value.clone();
    }
    config
}

/// A token that is good there, but for these claims.
fn token(kind: &Value, others: Value) -> String {
    let mut claims = but(json!({
        "tenant": {"plan": "gold"},
        "email_verified": "true",
        "permissions": ["api:read"],
        "jti": "mine",
    }));
    claims = tests::tokens::with(claims, &others);
    let mut header = json!({"alg": "ES256", "kid": "p256"});
    if !kind.is_null() {
        header["typ"] = kind.clone();
    }
    Key::of("p256").sign_with(&header, &claims)
}

#[test]
fn each_expectation_lets_through_what_meets_it_and_refuses_what_does_not() {
    let (envoy, upstream) = start(strict());
    let own = json!("session+jwt");
    let cases = [
        (&own, json!({}), 200, ""),
        (&own, json!({"jti": null}), 200, ""),
        (&own, json!({"jti": "stolen-1"}), 401, "revoked"),
        (&own, json!({"jti": "stolen-2"}), 401, "revoked"),
        (
            &own,
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
            401,
            "bound",
        ),
        (
            &own,
            json!({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}),
            401,
            "bound",
        ),
        (&own, json!({"exp": now() + 7000}), 200, ""),
        (&own, json!({"exp": now() + 7500}), 401, "lifetime"),
        (&own, json!({"iat": null, "exp": now() + 7500}), 401, "lifetime"),
        (&own, json!({"iat": now() - 7000, "exp": now() + 500}), 401, "lifetime"),
        (&own, json!({"tenant": {"plan": ["tin", "silver"]}}), 200, ""),
        (&own, json!({"tenant": {"plan": "tin"}}), 401, "claim"),
        (&own, json!({"tenant": null}), 401, "claim"),
        (&own, json!({"email_verified": "false"}), 401, "claim"),
        (&own, json!({"permissions": null, "realm_access": {"roles": ["api:read"]}}), 200, ""),
        (&own, json!({"permissions": "api:write api:read"}), 200, ""),
        (&own, json!({"permissions": null, "scope": "api:read"}), 403, "insufficient_scope"),
        (&own, json!({"permissions": ["api:reader"]}), 403, "insufficient_scope"),
        (&json!("application/Session+JWT"), json!({}), 200, ""),
        (&json!("JWT"), json!({}), 401, "type"),
        (&Value::Null, json!({}), 401, "type"),
    ];
    for (index, (kind, others, status, reason)) in cases.iter().enumerate() {
        let answer = bearer(&token(kind, others.clone())).send(envoy.address());
        assert_eq!(answer.status, *status, "{kind} {others}: {answer}");
        let line = envoy.access_log(index + 1).remove(index);
        let details = match *reason {
            "" => "via_upstream".to_owned(),
            reason => format!("gatehouse.jwt-auth.{reason}"),
        };
        assert_eq!(line["details"], details, "{kind} {others}");
    }
    assert_eq!(upstream.count(), cases.iter().filter(|(_, _, status, _)| *status == 200).count());
}

#[test]
fn a_token_without_an_end_is_good_where_none_is_asked_for() {
    let mut config = strict();
    let provider = config["providers"][0].as_object_mut().unwrap();
    provider.remove("max_lifetime");
    let own = json!("session+jwt");
    let endless = token(&own, json!({"exp": null, "iat": now() - 1_000_000}));
    let ended = token(&own, json!({"exp": now() - 100}));
    let (envoy, _upstream) = start(config.clone());
    assert_eq!(bearer(&endless).send(envoy.address()).status, 200);
    assert_eq!(bearer(&ended).send(envoy.address()).status, 401);
    config["providers"][0]["require_expiration"] = json!(true);
    let (envoy, _upstream) = start(config);
    assert_eq!(bearer(&endless).send(envoy.address()).status, 401);
    assert_eq!(envoy.counted("jwt-auth.refused.reason.no_expiration"), 1);
}

#[test]
fn a_bound_token_is_taken_where_somebody_else_looks_at_the_proof() {
    let mut config = strict();
    config["providers"][0]["bound_tokens"] = json!("accept");
    let bound = token(&json!("session+jwt"), json!({"cnf": {"jkt": "x"}}));
    let (envoy, _upstream) = start(config);
    assert_eq!(bearer(&bound).send(envoy.address()).status, 200);
}

#[test]
fn a_client_learns_where_the_resource_is_described() {
    let mut config = config();
    let url = "https://api.example/.well-known/oauth-protected-resource";
    config["resource_metadata"] = json!(url);
    config["rules"] = json!([{"match": {"paths": ["/jobs"]}, "scopes": ["jobs:run"],
        "resource_metadata": format!("{url}/jobs")}]);
    let (envoy, _upstream) = start(config);
    let realm = r#"Bearer realm="Example", resource_metadata="#;
    let challenge = |request: Request| {
        let answer = request.send(envoy.address());
        (answer.status, answer.header("www-authenticate").unwrap())
    };
    let bare = Request::get("/");
    assert_eq!(challenge(bare), (401, format!(r#"{realm}"{url}""#)));
    let (status, said) = challenge(bearer("made.up.token"));
    assert_eq!(status, 401);
    assert!(said.starts_with(&format!(r#"{realm}"{url}", error="invalid_token""#)), "{said}");
    let token = Key::of("p256").sign("ES256", &but(json!({})));
    let poor = Request::get("/jobs").header("authorization", format!("Bearer {token}"));
    let needs = r#"error="insufficient_scope", scope="jobs:run""#;
    assert_eq!(challenge(poor), (403, format!(r#"{realm}"{url}/jobs", {needs}"#)));
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let setup = |config| Setup::new().filter("jwt-auth", config);
    let trial = Trial::beside(&setup(config()));
    let error = |config| trial.error(&setup(config));
    let but = |name: &str, value: Value| {
        let mut config = config();
        config["providers"][0][name] = value;
        config
    };
    assert_eq!(error(json!({})), "missing field `providers`");
    assert_eq!(
        error(but("any_audience", json!(true))),
        "providers[0].any_audience: contradicts `audiences`"
    );
    assert_eq!(
        error(but("leeway", json!("11m"))),
        "providers[0].leeway: `11m` is more than ten minutes"
    );
    let mut told = config();
    told["resource_metadata"] = json!("api.example");
    assert_eq!(
        error(told),
        "resource_metadata: `api.example` is not an address: it begins with `https://` or `http://`"
    );
    let mut twice = config();
    let same = twice["providers"][0].clone();
    twice["providers"].as_array_mut().unwrap().push(same);
    assert_eq!(error(twice), "providers[1].name: another provider has it");
    let inline = |keys: Value| but("jwks", json!({"inline": {"keys": keys}}));
    let (good, short) = (Key::of("p256").jwk(), Key::of("rsa-1024").jwk());
    assert_eq!(
        error(inline(json!([good, short]))),
        "providers[0].jwks.inline.keys[1]: has 1024 bits; an RSA key has 2048 to 4096"
    );
    assert_eq!(
        error(inline(json!([good, good]))),
        "providers[0].jwks.inline.keys[1]: has a `kid` that another key has"
    );
    let secret = json!({"kty": "oct", "alg": "HS256", "k": "${JWT_KEY}"});
    assert_eq!(
        error(inline(json!([good, secret]))),
        "providers[0].jwks.inline.keys[1].k: the environment variable JWT_KEY is not set"
    );
    let none = but("algorithms", json!(["none"]));
    assert_eq!(
        trial.error(&Setup::new().filter_of_struct("jwt-auth", none)),
        "providers[0].algorithms[0]: unknown variant `none`, expected one of `HS256`, `HS384`, \
         `HS512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, \
         `EdDSA`"
    );
}
