//! Keys that are fetched from a provider: once for all workers, before they are needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks};
use tests::upstream::{Answer, Upstream};

use super::{AUDIENCE, ISSUER, bearer, es256, good};

/// A provider that publishes what it is told to, once it may.
pub(super) struct Provider {
    pub(super) server: Upstream,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    answer: Answer,
    is_open: bool,
}

impl Provider {
    /// One that publishes these keys.
    pub(super) fn of(keys: &[Key]) -> Self {
        Self::answering(set(keys))
    }

    pub(super) fn answering(answer: Answer) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, answer)
    }

    pub(super) fn on(listener: std::net::TcpListener, answer: Answer) -> Self {
        let state = Arc::new((Mutex::new(State { answer, is_open: true }), Condvar::new()));
        let told = Arc::clone(&state);
        let server = Upstream::on(listener, move |_| {
            let (state, opened) = &*told;
            let state = opened.wait_while(state.lock().unwrap(), |state| !state.is_open);
            state.unwrap().answer.clone()
        });
        Self { server, state }
    }

    /// What it answers from now on.
    pub(super) fn answer(&self, answer: Answer) {
        self.state.0.lock().unwrap().answer = answer;
    }

    pub(super) fn publish(&self, keys: &[Key]) {
        self.answer(set(keys));
    }

    /// Lets nobody have an answer until it is opened.
    fn close(&self) {
        self.state.0.lock().unwrap().is_open = false;
    }

    fn open(&self) {
        self.state.0.lock().unwrap().is_open = true;
        self.state.1.notify_all();
    }
}

/// The answer that is a set of keys.
pub(super) fn set(keys: &[Key]) -> Answer {
    Answer::ok(&jwks(keys).to_string())
}

/// A configuration with keys at the cluster `provider`, and what is set of `jwks` besides.
pub(super) fn config(more: Value) -> Value {
    let jwks = json!({"uri": "https://issuer.example/keys", "cluster": "provider"});
    json!({
        "realm": "Example",
        "providers": [{
            "name": "main",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["ES256"],
            "jwks": tests::tokens::with(jwks, &more),
        }],
    })
}

pub(super) fn setup(more: Value, provider: &Provider, upstream: &Upstream) -> Setup {
    Setup::new()
        .filter("jwt-auth", config(more))
        .cluster("provider", Some(provider.server.address()))
        .upstream(upstream)
        .workers(4)
}

/// Waits until something is so.
#[track_caller]
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn status(envoy: &Envoy, token: &str) -> u16 {
    bearer(token).send(envoy.address()).status
}

#[test]
fn keys_are_fetched_once_and_before_the_first_request() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let envoy = setup(json!({}), &provider, &upstream).start();
    until("keys are fetched", || provider.server.count() == 1);
    let got = provider.server.last();
    assert_eq!((got.method.as_str(), got.target.as_str()), ("GET", "/keys"));
    assert_eq!(got.header("host").as_deref(), Some("issuer.example"));
    assert_eq!(got.header("accept").as_deref(), Some("application/json"));
    for _ in 0..20 {
        assert_eq!(status(&envoy, &es256(&good())), 200);
    }
    assert_eq!(provider.server.count(), 1);
    assert_eq!(envoy.counted("jwt-auth.keys.fetch.ok"), 1);
}

#[test]
fn requests_that_come_before_the_keys_wait_for_them() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    provider.close();
    let envoy = setup(json!({}), &provider, &upstream).start();
    let (good, expired) = (es256(&good()), es256(&super::but(json!({"exp": 1}))));
    assert_eq!(status(&envoy, &expired), 401, "this one needs no key");
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..16).map(|_| scope.spawn(|| status(&envoy, &good))).collect();
        thread::sleep(Duration::from_millis(300));
        assert!(waiting.iter().all(|thread| !thread.is_finished()));
        assert_eq!(upstream.count(), 0);
        provider.open();
        let opened = Instant::now();
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap() == 200));
        assert!(opened.elapsed() < Duration::from_millis(900), "{:?}", opened.elapsed());
    });
    assert_eq!((upstream.count(), provider.server.count()), (16, 1));
}

#[test]
fn all_workers_fetch_once_in_a_refresh() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let envoy = setup(json!({"refresh": "1s"}), &provider, &upstream).start();
    until("keys are fetched", || provider.server.count() > 0);
    let (start, before) = (Instant::now(), provider.server.count());
    while start.elapsed() < Duration::from_secs(4) {
        assert_eq!(status(&envoy, &es256(&good())), 200);
    }
    let fetched = provider.server.count() - before;
    assert!((2..=5).contains(&fetched), "{fetched} fetches in four seconds");
}

/// One with a body, whole or in pieces, its answer and what the upstream got of it.
fn a_body_follows_its_request(setup: &Setup, provider: &Provider, upstream: &Upstream) {
    provider.close();
    let envoy = setup.start();
    let token = es256(&good());
    let post = |path: &str, body: &[u8]| {
        let request = Request::new("POST", path).header("authorization", format!("Bearer {token}"));
        request.body(body).send(envoy.address()).status
    };
    let large: Vec<u8> = (0..200_000_u32).map(|byte| byte as u8).collect();
    thread::scope(|scope| {
        let whole = scope.spawn(|| post("/large", &large));
        let small = scope.spawn(|| post("/small", b"x"));
        let pieces = scope.spawn(|| {
            let mut connection = Connection::open(envoy.address()).unwrap();
            let head = format!(
                "POST /pieces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                 transfer-encoding: chunked\r\n\r\n"
            );
            connection.send_bytes(head.as_bytes()).unwrap();
            for _ in 0..20 {
                connection.send_bytes(b"5\r\nhello\r\n").unwrap();
                thread::sleep(Duration::from_millis(30));
            }
            connection.send_bytes(b"0\r\nx-trailer: 1\r\n\r\n").unwrap();
            connection.receive().unwrap().status
        });
        thread::sleep(Duration::from_millis(300));
        assert_eq!(upstream.count(), 0);
        provider.open();
        for sent in [whole, small, pieces] {
            assert_eq!(sent.join().unwrap(), 200);
        }
    });
    let got = |path: &str| {
        let received = upstream.received();
        received.into_iter().find(|got| got.target == path).expect("it came").body
    };
    assert!(got("/large") == large, "{} bytes", got("/large").len());
    assert_eq!((got("/small"), got("/pieces")), (b"x".to_vec(), b"hello".repeat(20)));
    assert_eq!(upstream.count(), 3);
}

#[test]
fn a_body_follows_a_request_that_was_held() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let setup = setup(json!({}), &provider, &upstream);
    a_body_follows_its_request(&setup, &provider, &upstream);
}

/// Envoy does not hold the body back by itself then.
#[test]
fn a_body_follows_a_request_that_was_held_where_envoy_stops_at_heads_alone() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let setup = setup(json!({}), &provider, &upstream)
        .with_plugin(|plugin| plugin["allow_on_headers_stop_iteration"] = json!(true));
    a_body_follows_its_request(&setup, &provider, &upstream);
}

#[test]
fn clients_that_go_away_while_they_are_held_leave_nothing_behind() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    provider.close();
    let envoy = setup(json!({"timeout": "20s"}), &provider, &upstream).workers(1).start();
    let request = bearer(&es256(&good()));
    // More than may be held at a time.
    for _ in 0..12 {
        let mut clients: Vec<_> =
            (0..100).map(|_| Connection::open(envoy.address()).unwrap()).collect();
        for client in &mut clients {
            client.send_bytes(&request.bytes()).unwrap();
        }
        let held = || envoy.stat("http.main.downstream_rq_active").unwrap_or_default();
        until("all are held", || held() >= 100);
        drop(clients);
        until("all are gone", || held() == 0);
    }
    thread::scope(|scope| {
        let last = scope.spawn(|| request.send(envoy.address()).status);
        thread::sleep(Duration::from_millis(200));
        provider.open();
        assert_eq!(last.join().unwrap(), 200);
    });
    thread::sleep(Duration::from_millis(200));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_worker_holds_no_more_requests_than_it_has_room_for() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    provider.close();
    let envoy = setup(json!({"timeout": "20s"}), &provider, &upstream).workers(1).start();
    let request = bearer(&es256(&good()));
    let mut held: Vec<_> = (0..1024).map(|_| Connection::open(envoy.address()).unwrap()).collect();
    for client in &mut held {
        client.send_bytes(&request.bytes()).unwrap();
    }
    let active = || envoy.stat("http.main.downstream_rq_active").unwrap_or_default();
    until("all are held", || active() >= 1024);
    for _ in 0..10 {
        assert_eq!(request.send(envoy.address()).status, 503);
    }
    assert_eq!(envoy.counted("jwt-auth.refused.reason.too_many_waiting"), 10);
    assert_eq!(upstream.count(), 0);
    provider.open();
    assert!(held.iter_mut().all(|client| client.receive().unwrap().status == 200));
    assert_eq!(upstream.count(), 1024);
}

#[test]
fn a_key_that_nobody_knows_is_fetched_once_in_a_while_however_many_ask() {
    let (provider, upstream) = (Provider::of(&[Key::of("p256")]), Upstream::start());
    let envoy = setup(json!({"refetch": "2s"}), &provider, &upstream).start();
    until("keys are fetched", || provider.server.count() == 1);
    let good = es256(&good());
    let (start, most) = (Instant::now(), Duration::from_secs(5));
    let flood = |client: usize| {
        let mut connection = Connection::open(envoy.address()).unwrap();
        let mut sent = 0;
        while start.elapsed() < most {
            let unknown = Key::of("p256-other").called(&format!("{client}-{sent}"));
            let unknown = bearer(&unknown.sign("ES256", &super::good()));
            assert_eq!(connection.send(&unknown).unwrap().status, 401);
            assert_eq!(connection.send(&bearer(&good)).unwrap().status, 200);
            sent += 1;
        }
        sent
    };
    let sent: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(move || flood(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(sent > 200, "{sent}");
    let fetched = provider.server.count();
    assert!((2..=5).contains(&fetched), "{fetched} fetches in five seconds");
    assert_eq!(upstream.count(), sent);
}

/// Providers that say elsewhere where their keys are, each with its document, and who has the keys.
fn discovered(documents: Vec<(&str, Answer)>) -> (Envoy, Upstream, Provider) {
    let provider = |(index, (issuer, _)): (usize, &(&str, Answer))| {
        json!({
            "name": index.to_string(),
            "issuer": issuer,
            "any_audience": true,
            "algorithms": ["ES256"],
            "discovery": {"cluster": "document", "jwks_cluster": "keys"},
        })
    };
    let providers: Vec<Value> = documents.iter().enumerate().map(provider).collect();
    let answers: BTreeMap<String, Answer> = documents
        .into_iter()
        .map(|(issuer, answer)| {
            let path = issuer.trim_end_matches('/').trim_start_matches("https://issuer.example");
            (format!("{path}/.well-known/openid-configuration"), answer)
        })
        .collect();
    let keys = Provider::of(&[Key::of("p256")]);
    let document = Upstream::answering(move |request| answers[&request.target].clone());
    let envoy = Setup::new()
        .filter("jwt-auth", json!({"providers": providers}))
        .cluster("document", Some(document.address()))
        .cluster("keys", Some(keys.server.address()))
        .workers(4)
        .start();
    (envoy, document, keys)
}

fn document(issuer: &str, keys: &str) -> Answer {
    Answer::ok(&json!({"issuer": issuer, "jwks_uri": keys}).to_string())
}

#[test]
fn a_discovery_document_leads_to_the_keys() {
    let issuers = ["https://issuer.example", "https://issuer.example/a/b/"];
    let keys_of = |issuer| document(issuer, "https://keys.example:8443/else/keys.json?v=1");
    let documents = issuers.map(|issuer| (issuer, keys_of(issuer)));
    let (envoy, asked, keys) = discovered(documents.to_vec());
    until("keys are fetched", || keys.server.count() == 2);
    let got = keys.server.last();
    assert_eq!(got.target, "/else/keys.json?v=1");
    assert_eq!(got.header("host").as_deref(), Some("keys.example:8443"));
    for issuer in issuers.repeat(8) {
        assert_eq!(status(&envoy, &es256(&claims(issuer, ""))), 200);
    }
    assert_eq!((asked.count(), keys.server.count()), (2, 2));
}

#[test]
fn a_discovery_document_that_is_wrong_leads_to_no_keys() {
    const GOOD: &str = "https://keys.example/keys";
    let documents = vec![
        ("https://issuer.example/0", document("https://issuer.example/0/", GOOD)),
        ("https://issuer.example/1", document("https://issuer.example/1", "keys.json")),
        ("https://issuer.example/2", document("https://issuer.example/2", "https://a@b/keys")),
        ("https://issuer.example/3", Answer::ok(r#"{"issuer": "https://issuer.example/3"}"#)),
        ("https://issuer.example/4", Answer::status(404, "{}")),
    ];
    let issuers: Vec<_> = documents.iter().map(|(issuer, _)| *issuer).collect();
    let (envoy, asked, keys) = discovered(documents);
    until("each is asked", || asked.counts().len() == issuers.len());
    for issuer in issuers {
        let answer = bearer(&es256(&claims(issuer, ""))).send(envoy.address());
        assert_eq!(answer.status, 503, "{issuer}: {answer}");
    }
    assert_eq!(keys.server.count(), 0);
}
