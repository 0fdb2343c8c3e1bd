//! `jwt-auth` in the real Envoy. Here with keys that stand in the configuration; [`fetched`] and
//! [`rotation`] fetch them, [`crypto`] compares who checks signatures.

mod crypto;
mod expected;
mod failing;
mod fetched;
mod rotation;

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::Upstream;

const ISSUER: &str = "https://issuer.example/";
const AUDIENCE: &str = "shop";

/// Claims that are good everywhere here.
fn good() -> Value {
    claims(ISSUER, AUDIENCE)
}

fn but(others: Value) -> Value {
    with(good(), &others)
}

fn bearer(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn secret() -> Key {
    Key::secret("hmac", "HS256", b"a secret of at least 32 bytes, no less")
}

fn keys() -> [Key; 4] {
    [Key::of("rsa"), Key::of("p256"), Key::of("ed25519"), secret()]
}

fn config() -> Value {
    json!({
        "realm": "Example",
        "providers": [{
            "name": "main",
            "issuer": ISSUER,
            "audiences": ["other", AUDIENCE],
            "algorithms": ["RS256", "ES256", "EdDSA", "HS256"],
            "jwks": {"inline": jwks(&keys())},
            "sources": [
                {"header": "authorization", "prefix": "Bearer"},
                {"header": "x-token"},
                {"query": "access_token"},
                {"cookie": "session"},
            ],
            "claims": ["tenant"],
            "claim_headers": {"x-tenant": "tenant.id", "x-level": "level"},
        }],
    })
}

fn start(config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("jwt-auth", config)
        .upstream(&upstream)
        .log_field("evidence", "%FILTER_STATE(wasm.gatehouse.evidence.jwt-auth:PLAIN)%")
        .workers(2)
        .start();
    (envoy, upstream)
}

fn es256(claims: &Value) -> String {
    Key::of("p256").sign("ES256", claims)
}

#[test]
fn every_kind_of_key_lets_its_tokens_through() {
    let (envoy, upstream) = start(config());
    for (key, algorithm) in keys().iter().zip(["RS256", "ES256", "EdDSA", "HS256"]) {
        let token = key.sign(algorithm, &good());
        assert_eq!(bearer(&token).send(envoy.address()).status, 200, "{algorithm}");
        assert_eq!(upstream.last().header("x-auth-subject").as_deref(), Some("alice"));
        let others = key.sign(algorithm, &but(json!({"sub": "bob"})));
        let (_, signature) = others.rsplit_once('.').unwrap();
        let (text, _) = token.rsplit_once('.').unwrap();
        let forged = bearer(&format!("{text}.{signature}")).send(envoy.address());
        assert_eq!(forged.status, 401, "{algorithm}");
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn the_upstream_learns_who_it_is_and_not_the_token() {
    let (envoy, upstream) = start(config());
    let token = es256(&but(json!({
        "scope": "read write",
        "scp": ["admin"],
        "groups": ["a", "b"],
        "client_id": "app",
        "tenant": {"id": 7},
        "level": ["x", "y"],
    })));
    let mut request = bearer(&token);
    for forged in ["x-auth-subject", "X_Auth_Scopes", "x-auth-consumer", "x-tenant", "x.level"] {
        request = request.header(forged, "forged");
    }
    assert_eq!(request.send(envoy.address()).status, 200);
    let got = upstream.last();
    for (name, value) in [
        ("x-auth-subject", Some("alice")),
        ("x-auth-scheme", Some("jwt")),
        ("x-auth-scopes", Some("read write admin")),
        ("x-auth-groups", Some("a,b")),
        ("x-auth-consumer", Some("app")),
        ("x-tenant", Some("7")),
        ("x-level", Some("x,y")),
        ("x_auth_scopes", None),
        ("x.level", None),
        ("authorization", None),
    ] {
        assert!(got.all(name).len() <= 1, "{got:?}");
        assert_eq!(got.header(name).as_deref(), value, "{name}");
    }
    let plain = bearer(&es256(&good())).header("x-tenant", "forged").header("x-level", "9");
    assert_eq!(plain.send(envoy.address()).status, 200);
    let got = upstream.last();
    for absent in ["x-tenant", "x-level", "x-auth-scopes", "x-auth-groups", "x-auth-consumer"] {
        assert_eq!(got.header(absent), None, "{absent}");
    }
}

#[test]
fn a_token_is_taken_off_wherever_it_stands() {
    let (envoy, upstream) = start(config());
    let token = es256(&good());
    let cookies = format!("a=1; session={token}; b=2");
    for (request, target, cookie) in [
        (bearer(&token), "/", None),
        (Request::get("/?x").header("x-token", &token), "/?x", None),
        (Request::get(&format!("/q?a=%zz&access_token={token}&b")), "/q?a=%zz&b", None),
        (Request::get("/c").header("cookie", &cookies), "/c", Some("a=1; b=2")),
    ] {
        assert_eq!(request.send(envoy.address()).status, 200, "{request:?}");
        let got = upstream.last();
        assert_eq!((got.target.as_str(), got.header("cookie").as_deref()), (target, cookie));
        assert!(!String::from_utf8_lossy(&got.head).contains(&token), "{got:?}");
    }
}

/// Who asks, the status, what stands behind the realm in the challenge, and the reason in the log.
fn refused() -> Vec<(Request, u16, &'static str, &'static str)> {
    const BAD: &str = r#", error="invalid_token", error_description="The token is not valid""#;
    const EXPIRED: &str = r#", error="invalid_token", error_description="The token has expired""#;
    const REPEATED: &str = r#", error="invalid_request""#;
    let of = |others: Value| bearer(&es256(&but(others)));
    let token = es256(&good());
    let unsigned = |alg: &str| {
        let part = es256(&good());
        let payload = part.split('.').nth(1).unwrap().to_owned();
        let header = base64_of(&json!({"typ": "JWT", "alg": alg, "kid": "p256"}));
        bearer(&format!("{header}.{payload}."))
    };
    let headed = |header: Value| bearer(&Key::of("p256").sign_with(&header, &good()));
    // The public key, which everybody knows, as a secret.
    let modulus = Key::of("rsa").jwk()["n"].to_string();
    let confused = Key::secret("rsa", "HS256", modulus.as_bytes()).sign("HS256", &good());
    let stranger = Key::of("p256-other");
    vec![
        (Request::get("/"), 401, "", "missing"),
        (Request::get("/").basic("alice:secret"), 401, "", "missing"),
        (bearer(&token).header("x-token", &token), 400, REPEATED, "repeated"),
        (bearer("a.b"), 401, BAD, "malformed"),
        (bearer(&format!("{token}=")), 401, BAD, "malformed"),
        (of(json!({"exp": now() - 61})), 401, EXPIRED, "expired"),
        (of(json!({"exp": null})), 401, BAD, "no_expiration"),
        (of(json!({"exp": "never"})), 401, BAD, "claim"),
        (of(json!({"nbf": now() + 120})), 401, BAD, "not_yet_valid"),
        (of(json!({"aud": "shops"})), 401, BAD, "audience"),
        (of(json!({"aud": null})), 401, BAD, "audience"),
        (of(json!({"iss": "https://issuer.example"})), 401, BAD, "issuer"),
        (of(json!({"iss": null})), 401, BAD, "issuer"),
        (of(json!({"groups": ["a,b"]})), 401, BAD, "claim"),
        (unsigned("none"), 401, BAD, "algorithm"),
        (unsigned("ES256"), 401, BAD, "signature"),
        (bearer(&confused), 401, BAD, "unknown_key"),
        (bearer(&Key::of("rsa").sign("RS384", &good())), 401, BAD, "algorithm"),
        (bearer(&stranger.sign("ES256", &good())), 401, BAD, "unknown_key"),
        (bearer(&stranger.clone().called("p256").sign("ES256", &good())), 401, BAD, "signature"),
        (headed(json!({"alg": "ES256", "kid": "p256", "typ": "logout+jwt"})), 401, BAD, "type"),
        (headed(json!({"alg": "ES256", "crit": ["x"], "x": 1})), 401, BAD, "critical"),
        (
            bearer(&stranger.sign_with(
                &json!({"alg": "ES256", "jwk": stranger.jwk(), "jku": "https://x/"}),
                &good(),
            )),
            401,
            BAD,
            "signature",
        ),
    ]
}

fn base64_of(value: &Value) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn a_refusal_says_no_more_than_rfc_6750_has_it_say() {
    let (envoy, upstream) = start(config());
    for (request, status, error, reason) in refused() {
        let answer = request.send(envoy.address());
        assert_eq!(answer.status, status, "{reason}: {answer}");
        let challenge = format!(r#"Bearer realm="Example"{error}"#);
        assert_eq!(answer.all("www-authenticate"), [challenge.as_bytes()], "{reason}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        assert!(!answer.text().contains("expired"), "{answer}");
        assert!(envoy.counted(&format!("jwt-auth.refused.reason.{reason}")) > 0, "{reason}");
    }
    assert_eq!(upstream.count(), 0);
    let log = envoy.access_log(refused().len());
    for (_, status, _, reason) in refused() {
        let details = format!("gatehouse.jwt-auth.{reason}");
        assert!(log.iter().any(|line| line["details"] == details && line["status"] == status));
    }
}

#[test]
fn scopes_and_claims_that_rules_ask_for_get_403() {
    let mut config = config();
    config["providers"][0]["scopes"] = json!(["base"]);
    config["rules"] = json!([
        {"match": {"paths": ["/write"]}, "scopes": ["write"]},
        {"match": {"paths": ["/gold"]}, "required_claims": {"plan": ["gold"]}},
    ]);
    let (envoy, upstream) = start(config);
    let send = |path: &str, more: Value| {
        let token = es256(&but(more));
        Request::get(path).header("authorization", format!("Bearer {token}")).send(envoy.address())
    };
    let scoped = |scope: &str| json!({"scope": scope});
    for (path, claims, status, scopes) in [
        ("/", scoped("base"), 200, None),
        ("/", scoped("base2"), 403, Some("base")),
        ("/", json!({}), 403, Some("base")),
        ("/write", scoped("base"), 403, Some("base write")),
        ("/write", json!({"scope": "write", "scp": "base"}), 200, None),
        ("/gold", json!({"scope": "base", "plan": "gold"}), 200, None),
        ("/gold", json!({"scope": "base", "plan": ["tin", "gold"]}), 200, None),
        ("/gold", json!({"scope": "base", "plan": "golden"}), 403, None),
        ("/gold", scoped("base"), 403, None),
    ] {
        let answer = send(path, claims);
        assert_eq!(answer.status, status, "{path}: {answer}");
        let challenge = scopes.map(|scopes| {
            format!(r#"Bearer realm="Example", error="insufficient_scope", scope="{scopes}""#)
        });
        assert_eq!(answer.header("www-authenticate"), challenge, "{path}");
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn each_provider_speaks_for_its_own_tokens_alone() {
    let provider = |name: &str, key: &Key, header: &str| {
        json!({
            "name": name,
            "issuer": format!("https://{name}.example"),
            "any_audience": true,
            "algorithms": ["ES256"],
            "jwks": {"inline": jwks([key])},
            "sources": [{"header": header}],
        })
    };
    // The same `kid` at both, as happens.
    let (one, two) = (Key::of("p256").called("1"), Key::of("p256-other").called("1"));
    let (envoy, upstream) = start(json!({
        "providers": [provider("one", &one, "x-one"), provider("two", &two, "x-two")],
        "rules": [{"match": {"paths": ["/two"]}, "providers": ["two"]}],
    }));
    let of = |key: &Key, issuer: &str| key.sign("ES256", &claims(issuer, ""));
    let (of_one, of_two) = (of(&one, "https://one.example"), of(&two, "https://two.example"));
    let send = |path: &str, header: &str, token: &str| {
        Request::get(path).header(header, token).send(envoy.address()).status
    };
    for _ in 0..8 {
        assert_eq!(send("/", "x-one", &of_one), 200);
        assert_eq!(send("/two", "x-two", &of_two), 200);
        assert_eq!(send("/", "x-two", &of_one), 401, "in the other's place");
        assert_eq!(send("/two", "x-one", &of_one), 401, "not of that rule's provider");
        assert_eq!(send("/", "x-one", &of(&one, "https://two.example")), 401, "another's key");
        let both = Request::get("/").header("x-one", &of_one).header("x-two", &of_two);
        assert_eq!(both.send(envoy.address()).status, 400);
    }
    assert_eq!(upstream.count(), 16);
}

#[test]
fn a_signature_is_paid_once_on_each_worker_and_no_longer_than_the_token_lives() {
    let mut config = config();
    config["providers"][0]["leeway"] = json!("0s");
    let (envoy, _upstream) = start(config);
    let ends = now() + 3;
    let token = es256(&but(json!({"exp": ends})));
    for _ in 0..40 {
        assert_eq!(bearer(&token).send(envoy.address()).status, 200);
    }
    let mut connection = Connection::open(envoy.address()).unwrap();
    let requests = [Request::get("/"), bearer(&token), bearer("a.b.c"), bearer(&token)];
    let statuses = requests.map(|request| connection.send(&request).unwrap().status);
    assert_eq!(statuses, [401, 200, 401, 200], "on one connection");
    let by = |by: &str| envoy.counted(&format!("jwt-auth.allowed.by.{by}"));
    assert!((1..=2).contains(&by("signature")) && by("signature") + by("cache") == 42);
    while now() < ends {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for _ in 0..8 {
        assert_eq!(bearer(&token).send(envoy.address()).status, 401);
    }
}

#[test]
fn a_deferred_verdict_leaves_evidence_of_either_outcome() {
    let mut config = config();
    config["verdict"] = json!("defer");
    let (envoy, upstream) = start(config);
    let token = es256(&but(json!({"tenant": {"id": 7}, "scope": "read"})));
    assert_eq!(bearer(&token).send(envoy.address()).status, 200);
    assert_eq!(upstream.last().header("authorization"), None);
    assert_eq!(upstream.last().header("x-auth-subject"), None);
    assert_eq!(bearer("a.b.c").send(envoy.address()).status, 200);
    let log = envoy.access_log(2);
    let evidence = |line: &Value| -> Value {
        serde_json::from_str(line["evidence"].as_str().expect("evidence")).expect("JSON")
    };
    let all: Vec<Value> = log.iter().map(evidence).collect();
    let known = all.iter().find(|evidence| evidence["refused"].is_null()).expect("one is known");
    assert!(known.to_string().contains(r#""claims":{"tenant":{"id":7}}"#), "{known}");
    assert!(all.iter().any(|evidence| evidence["refused"]["reason"] == "malformed"), "{all:?}");
}

#[test]
fn tokens_are_forwarded_where_asked_and_in_shadow_mode() {
    let mut config = config();
    config["rules"] = json!([
        {"match": {"paths": ["/forward"]}, "forward_credentials": true},
        {"match": {"paths": ["/shadow"]}, "mode": "shadow"},
    ]);
    let (envoy, upstream) = start(config);
    let token = es256(&good());
    for (path, token, kept) in
        [("/forward", &*token, true), ("/shadow", "a.b.c", true), ("/", &token, false)]
    {
        let value = format!("Bearer {token}");
        let request = Request::get(path).header("authorization", &value);
        assert_eq!(request.send(envoy.address()).status, 200, "{path}");
        assert_eq!(upstream.last().header("authorization"), kept.then_some(value), "{path}");
    }
    assert_eq!(envoy.counted("jwt-auth.shadow_refused.reason.malformed"), 1);
}
