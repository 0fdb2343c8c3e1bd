//! What Envoy's log and its statistics say, and what they never do: also where all is logged.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::Upstream;

const ISSUER: &str = "https://issuer.example/";

fn setup(upstream: &Upstream) -> Setup {
    let users = json!({
        "users": [{"name": "carol", "password": "right-hunter2"}],
        "rules": [{"match": {"paths": ["/token/**"]}, "mode": "off"}],
    });
    let provider = json!({
        "name": "main",
        "issuer": ISSUER,
        "audiences": ["shop"],
        "algorithms": ["ES256"],
        "jwks": {"inline": jwks(&[Key::of("p256")])},
        "sources": [{"header": "authorization", "prefix": "Bearer"}, {"query": "t"}, {"cookie": "t"}],
    });
    let tokens = json!({
        "providers": [provider],
        "rules": [{"match": {"paths": ["/password/**"]}, "mode": "off"}],
    });
    Setup::new().filter("basic-auth", users).filter("jwt-auth", tokens).upstream(upstream)
}

/// What the filters write into Envoy's log, from a level upwards.
fn log_from(envoy: &Envoy, level: &str) {
    let all = envoy.post(&format!("/logging?wasm={level}"));
    assert!(all.contains(&format!("wasm: {level}")), "{all}");
}

/// Asks until there is a line.
#[track_caller]
fn until_logged(envoy: &Envoy, request: &Request, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !envoy.log().contains(line) {
        assert!(Instant::now() < deadline, "no `{line}`");
        assert_eq!(request.send(envoy.address()).status, 401);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn filters_follow_the_level_of_the_proxys_log() {
    let upstream = Upstream::start();
    let envoy = setup(&upstream).start();
    let (basic, jwt) = (Request::get("/password/x"), Request::get("/token/x"));
    log_from(&envoy, "warning");
    for _ in 0..20 {
        assert_eq!(basic.send(envoy.address()).status, 401);
        assert_eq!(jwt.send(envoy.address()).status, 401);
    }
    let log = envoy.log();
    assert!(!log.contains("refused: "), "{log}");
    log_from(&envoy, "debug");
    until_logged(&envoy, &basic, "basic-auth: refused: missing");
    until_logged(&envoy, &jwt, "jwt-auth: refused: missing");
}

/// All pieces of twelve characters: no log is to have even one.
fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    (0..secret.len().saturating_sub(11)).filter_map(|from| secret.get(from..from + 12))
}

#[test]
fn no_secret_is_in_the_log_or_in_the_statistics() {
    let upstream = Upstream::start();
    let envoy = setup(&upstream).start();
    log_from(&envoy, "trace");
    let (basic, jwt) = (Request::get("/password/x"), Request::get("/token/x"));
    until_logged(&envoy, &basic, "basic-auth: refused: missing");
    until_logged(&envoy, &jwt, "jwt-auth: refused: missing");
    let mut secrets = Vec::new();
    for (pair, status) in [
        ("carol:right-hunter2", 200),
        ("carol:wrong-hunter3", 401),
        ("nobody:lost-hunter4", 401),
        ("colonless-hunter5", 401),
    ] {
        for _ in 0..4 {
            let request = Request::get("/password/x").basic(pair);
            assert_eq!(request.send(envoy.address()).status, status, "{pair}");
        }
        let password = pair.split_once(':').map_or(pair, |(_, password)| password);
        secrets.push(password.to_owned());
        secrets.extend([STANDARD.encode(pair), URL_SAFE_NO_PAD.encode(pair)]);
    }
    let torn = Request::get("/password/x").header("authorization", "Basic aHVudGVyNg=x");
    assert_eq!(torn.send(envoy.address()).status, 401);
    secrets.push("aHVudGVyNg".to_owned());
    let signed = |key: &str, others: Value| {
        Key::of(key).sign("ES256", &with(claims(ISSUER, "shop"), &others))
    };
    let bad = signed("p256", json!({}));
    for (token, status) in [
        (signed("p256", json!({"sub": "alice"})), 200),
        (signed("p256", json!({"exp": now() - 100})), 401),
        (signed("p256", json!({"iss": "https://other.example/"})), 401),
        (signed("p256", json!({"aud": "other"})), 401),
        (signed("p256-other", json!({})), 401),
        (format!("{}.{}", bad.rsplit_once('.').unwrap().0, "A".repeat(86)), 401),
        (bad.replace('.', ";"), 401),
    ] {
        let (header, bearer) = ("authorization", format!("Bearer {token}"));
        for request in [
            Request::get("/token/x").header(header, bearer),
            Request::get(&format!("/token/x?t={token}")),
            Request::get("/token/x").header("cookie", format!("t=\"{token}\"")),
        ] {
            let answer = request.send(envoy.address());
            assert_eq!(answer.status, status, "{request:?}: {answer}");
        }
        // The last part, and the claims before it.
        secrets.extend(token.split(['.', ';']).skip(1).map(str::to_owned));
    }
    assert_eq!(upstream.count(), 7);
    let (log, stats) = (envoy.log(), envoy.page("/stats"));
    for line in ["basic-auth: refused: wrong_password", "jwt-auth: refused: signature"] {
        assert!(log.contains(line), "no `{line}`");
    }
    for secret in &secrets {
        for piece in pieces(secret).chain([&**secret]) {
            assert!(!log.contains(piece), "{piece} of {secret} is in the log");
            assert!(!stats.contains(piece), "{piece} of {secret} is in the statistics");
        }
    }
}
