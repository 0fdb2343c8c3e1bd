//! Providers that are down, slow or wrong: never does a request pass unchecked, and never does a
//! good set of keys go for it.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Connection;
use tests::envoy::Setup;
use tests::tokens::{Key, claims, jwks};
use tests::upstream::{Answer, Refusing, Silent, Upstream};

use super::fetched::{Provider, config, set, setup, status, until};
use super::{bearer, es256, good};

#[test]
fn a_provider_that_is_down_at_the_start_is_found_when_it_comes_up() {
    let (refusing, upstream) = (Refusing::new(), Upstream::start());
    let envoy = Setup::new()
        .filter("jwt-auth", config(json!({})))
        .cluster("provider", Some(refusing.address()))
        .upstream(&upstream)
        .workers(4)
        .start();
    let token = es256(&good());
    for _ in 0..8 {
        let answer = bearer(&token).send(envoy.address());
        assert_eq!((answer.status, answer.header("www-authenticate")), (503, None), "{answer}");
    }
    let log = envoy.access_log(8);
    assert!(log.iter().all(|line| line["details"] == "gatehouse.jwt-auth.no_keys"), "{log:?}");
    assert_eq!(upstream.count(), 0);
    let provider = Provider::on(refusing.listen(), set(&[Key::of("p256")]));
    let start = Instant::now();
    // Nobody asks for it meanwhile: it recovers by itself.
    until("keys are fetched", || provider.server.count() > 0);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    until("they are there", || envoy.counted("jwt-auth.keys.fetch.ok") == 1);
    assert!((0..8).all(|_| status(&envoy, &token) == 200));
    assert!(envoy.log().contains("jwt-auth: main: no keys were fetched: the answer is 503"));
}

#[test]
fn old_keys_serve_while_a_provider_is_down_but_not_for_ever() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let times = json!({"refresh": "1s", "max_stale": "4s"});
    let envoy = setup(times, &provider, &upstream).start();
    until("keys are fetched", || provider.server.count() > 0);
    let fetched = Instant::now();
    provider.answer(Answer::Reset);
    let token = es256(&good());
    while fetched.elapsed() < Duration::from_millis(3500) {
        assert_eq!(status(&envoy, &token), 200);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(provider.server.count() >= 3, "it was asked again and again");
    until("they are too old", || status(&envoy, &token) == 503);
    let passed = upstream.count();
    assert!((0..20).all(|_| status(&envoy, &token) == 503), "on every worker");
    assert_eq!(upstream.count(), passed);
    provider.publish(&[Key::of("p256")]);
    until("it recovers", || status(&envoy, &token) == 200);
}

#[test]
fn a_provider_that_hangs_holds_requests_up_for_the_time_limit() {
    let (provider, upstream) = (Provider::answering(Answer::Hang), Upstream::start());
    let envoy = setup(json!({"timeout": "700ms"}), &provider, &upstream).start();
    let token = es256(&good());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(status(&envoy, &token), 503));
        }
    });
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(upstream.count(), 0);
    provider.publish(&[Key::of("p256")]);
    until("it recovers", || status(&envoy, &token) == 200);
}

#[test]
fn a_provider_that_never_accepts_holds_requests_up_for_the_time_limit() {
    let (silent, upstream) = (Silent::new(), Upstream::start());
    let envoy = Setup::new()
        .filter("jwt-auth", config(json!({"timeout": "500ms"})))
        .cluster("provider", Some(silent.address()))
        .upstream(&upstream)
        .start();
    let start = Instant::now();
    assert_eq!(status(&envoy, &es256(&good())), 503);
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(upstream.count(), 0);
}

#[test]
fn keys_that_are_known_serve_while_the_provider_hangs() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let times = json!({"refresh": "1s", "refetch": "1s", "timeout": "2s"});
    let envoy = setup(times, &provider, &upstream).start();
    until("keys are fetched", || provider.server.count() > 0);
    provider.answer(Answer::Hang);
    let unknown = bearer(&Key::of("p256-other").sign("ES256", &good()));
    thread::scope(|scope| {
        let asked = provider.server.count();
        until("it hangs", || provider.server.count() > asked);
        let held = scope.spawn(|| unknown.send(envoy.address()).status);
        let (start, token) = (Instant::now(), es256(&good()));
        let mut connection = Connection::open(envoy.address()).unwrap();
        for _ in 0..50 {
            assert_eq!(connection.send(&bearer(&token)).unwrap().status, 200);
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(!held.is_finished());
        assert_eq!(held.join().unwrap(), 401);
    });
}

/// What a provider should never answer.
fn wrong() -> Vec<Answer> {
    let good = jwks(&[Key::of("p256-other")]).to_string();
    let moved = vec![("location".to_owned(), "/keys".to_owned())];
    let secret = Key::secret("p256", "HS256", &[b'x'; 32]);
    vec![
        Answer::status(500, &good),
        Answer::status(201, &good),
        Answer::Http(302, moved, good.clone().into_bytes()),
        Answer::ok("<!doctype html><title>Sign in</title>"),
        Answer::ok(good.strip_suffix("]}").unwrap()),
        Answer::ok(""),
        Answer::ok("[]"),
        Answer::ok(r#"{"keys": []}"#),
        Answer::ok(&jwks(&[secret]).to_string()),
        Answer::ok(&format!("{}{good}", " ".repeat(1 << 20))),
        Answer::Http(200, vec![], [b"\xff", good.as_bytes()].concat()),
        Answer::Reset,
        Answer::Torn,
        Answer::Garbage,
    ]
}

fn issuer(index: usize) -> String {
    format!("https://{index}.example")
}

/// A provider for each wrong answer, all of them at one server.
fn start_all(server: &Upstream, upstream: &Upstream) -> tests::envoy::Envoy {
    let provider = |index: usize| {
        json!({
            "name": index.to_string(),
            "issuer": issuer(index),
            "any_audience": true,
            "algorithms": ["ES256"],
            "jwks": {
                "uri": format!("https://issuer.example/{index}"),
                "cluster": "provider",
                "refresh": "1s",
            },
        })
    };
    let providers: Vec<Value> = (0..wrong().len()).map(provider).collect();
    Setup::new()
        .filter("jwt-auth", json!({"providers": providers}))
        .cluster("provider", Some(server.address()))
        .upstream(upstream)
        .workers(4)
        .start()
}

fn index_of(target: &str) -> usize {
    target.trim_start_matches('/').parse().unwrap()
}

#[test]
fn a_wrong_answer_never_replaces_good_keys() {
    let seen = Mutex::new(vec![0; wrong().len()]);
    let server = Upstream::answering(move |request| {
        let index = index_of(&request.target);
        let mut seen = seen.lock().unwrap();
        seen[index] += 1;
        if seen[index] == 1 { set(&[Key::of("p256")]) } else { wrong().swap_remove(index) }
    });
    let upstream = Upstream::start();
    let envoy = start_all(&server, &upstream);
    until("each was wrong twice", || {
        let counts = server.counts();
        counts.len() == wrong().len() && counts.values().all(|count| *count >= 3)
    });
    for index in 0..wrong().len() {
        let of = |key: &str| Key::of(key).called("p256").sign("ES256", &claims(&issuer(index), ""));
        for _ in 0..4 {
            assert_eq!(status(&envoy, &of("p256")), 200, "{index}");
            assert_eq!(status(&envoy, &of("p256-other")), 401, "{index}");
        }
    }
}

#[test]
fn a_wrong_answer_is_no_keys() {
    let server = Upstream::answering(|request| wrong().swap_remove(index_of(&request.target)));
    let upstream = Upstream::start();
    let envoy = start_all(&server, &upstream);
    until("each was asked", || server.counts().len() == wrong().len());
    for index in 0..wrong().len() {
        let forged = Key::of("p256-other").sign("ES256", &claims(&issuer(index), ""));
        assert_eq!(status(&envoy, &forged), 503, "{index}");
    }
    assert_eq!(upstream.count(), 0);
}

/// A key that has this too.
fn with_field(key: &Key, field: Value) -> Value {
    tests::tokens::with(key.jwk(), &field)
}

#[test]
fn of_a_set_that_is_fetched_what_is_no_good_is_left_out_and_the_rest_serves() {
    let algorithms = json!(["ES256", "ES384", "ES512", "EdDSA", "RS256"]);
    let start = |keys: Value| {
        let provider = Provider::answering(Answer::ok(&json!({"keys": keys}).to_string()));
        let (upstream, mut config) = (Upstream::start(), config(json!({})));
        config["providers"][0]["algorithms"] = algorithms.clone();
        let setup = Setup::new().filter("jwt-auth", config).workers(4);
        let setup = setup.cluster("provider", Some(provider.server.address()));
        (setup.upstream(&upstream).start(), provider, upstream)
    };
    let of = |name: &str, algorithm: &str| (Key::of(name), algorithm.to_owned());
    let bad = [of("rsa-1024", "RS256"), of("p384", "ES384"), of("ed25519", "EdDSA")];
    let twin = Key::of("p256-other").called("p256");
    let keys = json!([
        Key::of("p256").jwk(),
        bad[0].0.jwk(),
        with_field(&bad[1].0, json!({"use": "enc"})),
        with_field(&bad[2].0, json!({"key_ops": ["encrypt", "sign"]})),
        twin.jwk(),
    ]);
    let (envoy, _provider, upstream) = start(keys);
    for (key, algorithm) in bad.iter().chain([&(twin, "ES256".to_owned())]) {
        assert_eq!(status(&envoy, &key.sign(algorithm, &good())), 401, "{algorithm}");
        assert_eq!(status(&envoy, &es256(&good())), 200);
    }
    assert_eq!(upstream.count(), 4);
    let log = envoy.log();
    for why in [
        "keys[1]: has 1024 bits; an RSA key has 2048 to 4096",
        "keys[2]: is not for signatures: its `use` is another",
        "keys[3]: is not for signatures: its `key_ops` have no `verify`",
        "keys[4]: has a `kid` that another key has",
    ] {
        assert!(log.contains(&format!("jwt-auth: main: a key is left out: {why}")), "{why}");
    }
    // It is what stands beside the keys that counts: without it, they are good.
    let plain = json!([bad[1].0.jwk(), bad[2].0.jwk()]);
    let (envoy, _provider, _upstream) = start(plain);
    for (key, algorithm) in &bad[1..] {
        assert_eq!(status(&envoy, &key.sign(algorithm, &good())), 200, "{algorithm}");
    }
}
