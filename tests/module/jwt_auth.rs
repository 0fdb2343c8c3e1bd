//! `jwt-auth` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use serde_json::{Value, json};
use tests::host::{Action, Answer, Corruption, Host, Outcome, Shared, When};
use tests::tokens::{Key, jwks};

/// What the host's clock says, in seconds.
const NOW: u64 = 1_767_268_800;

/// Every host call that the filter makes at a request.
const CALLS: [&str; 9] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_property",
];

/// Those that it makes besides to have keys fetched.
const CALLS_FOR_KEYS: [&str; 8] = [
    "proxy_continue_stream",
    "proxy_get_buffer_bytes",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_log",
    "proxy_set_effective_context",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 3] = ["proxy_define_metric", "proxy_increment_metric", "proxy_set_property"];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn claims() -> Value {
    json!({"iss": "https://issuer", "aud": "shop", "sub": "alice", "exp": NOW + 3600, "scope": "read"})
}

fn config(algorithm: &str, jwks: &Value) -> Vec<u8> {
    let provider = json!({
        "name": "main",
        "issuer": "https://issuer",
        "audiences": ["shop"],
        "algorithms": [algorithm],
        "jwks": jwks,
    });
    json!({"providers": [provider]}).to_string().into_bytes()
}

fn secret(secret: u8) -> Key {
    Key::secret("hmac", "HS256", &[secret; 32])
}

/// The good token, and such as are not.
fn tokens() -> (String, [String; 3]) {
    let expired =
        json!({"iss": "https://issuer", "aud": "shop", "sub": "alice", "exp": NOW - 3600});
    let of_another = tests::tokens::with(claims(), &json!({"aud": "bank"}));
    let good = secret(b'x').sign("HS256", &claims());
    let wrong = [
        secret(b'y').sign("HS256", &claims()),
        secret(b'x').sign("HS256", &expired),
        secret(b'x').sign("HS256", &of_another),
    ];
    (good, wrong)
}

fn start() -> Host {
    let mut host = Host::load("jwt-auth").unwrap();
    host.configure(config("HS256", &json!({"inline": jwks(&[secret(b'x')])}))).unwrap();
    host
}

fn send(host: &mut Host, token: &str) -> Outcome {
    let authorization = format!("Bearer {token}");
    let headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop"),
        ("x-auth-subject", "root"),
        ("authorization", &authorization),
    ];
    host.request(&headers).expect("no trap")
}

/// The same from a client that says nothing of itself.
fn honest(host: &mut Host, token: &str) -> Outcome {
    let headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop"),
        ("authorization", &format!("Bearer {token}")),
    ];
    host.request(&headers).expect("no trap")
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

/// It went on: as whom, and without the token.
fn assert_is_alice(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.request_headers.get("x-auth-subject").as_deref(), Some("alice"), "{what}");
    assert_eq!(outcome.request_headers.get("authorization"), None, "{what}");
}

#[test]
fn a_good_token_goes_on_and_a_wrong_one_does_not() {
    let (mut host, (good, wrong)) = (start(), tokens());
    let outcome = send(&mut host, &good);
    assert_eq!((outcome.action, status(&outcome)), (Action::Continue, None));
    assert_is_alice(&outcome, "good");
    for token in wrong {
        let outcome = send(&mut host, &token);
        assert_eq!((outcome.action, status(&outcome)), (Action::Pause, Some(401)), "{token}");
    }
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_remembered_token_costs_these_host_calls() {
    let (mut host, (good, _)) = (start(), tokens());
    honest(&mut host, &good);
    honest(&mut host, &good);
    host.reset();
    honest(&mut host, &good);
    let calls: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 3),
        ("proxy_increment_metric", 1),
        ("proxy_remove_header_map_value", 1),
        ("proxy_replace_header_map_value", 3),
        ("proxy_set_property", 3),
    ];
    assert_eq!(calls, expected);
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn a_remembered_token_costs_this_much_fuel_whoever_signed_it() {
    let fuel = |host: &mut Host, token: &str| {
        for _ in 0..3 {
            host.reset();
            assert_eq!(honest(host, token).action, Action::Continue);
        }
        host.fuel_used()
    };
    let of_secret = fuel(&mut start(), &tokens().0);
    assert!(of_secret < 18_000, "{of_secret}");
    let rsa = Key::of("rsa");
    let mut host = Host::load("jwt-auth").unwrap();
    host.configure(config("RS256", &json!({"inline": jwks([&rsa])}))).unwrap();
    let of_rsa = fuel(&mut host, &rsa.sign("RS256", &claims()));
    // It is longer, and no more than that.
    assert!(of_rsa < 22_000, "{of_rsa}");
}

/// Reading, the claims and what becomes of them; of the signature only an HMAC.
#[test]
fn a_token_never_seen_costs_this_much_fuel() {
    let mut host = start();
    honest(&mut host, &tokens().0);
    let mut most = 0;
    for id in 0..5 {
        let token = secret(b'x')
            .sign("HS256", &tests::tokens::with(claims(), &json!({"jti": format!("id-{id}")})));
        host.reset();
        assert_eq!(honest(&mut host, &token).action, Action::Continue);
        most = most.max(host.fuel_used());
    }
    assert!(most < 125_000, "{most}");
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    let (good, wrong) = tokens();
    for call in CALLS {
        for failure in STATUSES {
            for token in wrong.iter().chain([&good]) {
                let (mut host, is_good) = (start(), *token == good);
                host.inject(call, When::Always, failure);
                let outcome = send(&mut host, token);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || is_good, "{call} {failure}");
                if passed {
                    assert_is_alice(&outcome, &format!("{call} {failure}"));
                }
                assert!(passed || !is_good || !HARMLESS.contains(&call), "{call} {failure}");
                host.heal();
                let after = send(&mut host, &good);
                assert_eq!(after.action, Action::Continue, "{call} {failure}, after it");
            }
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    let (good, wrong) = tokens();
    for call in ["proxy_get_header_map_pairs", "proxy_get_property"] {
        for lie in Corruption::LIES {
            for token in wrong.iter().chain([&good]) {
                let mut host = start();
                host.corrupt(call, When::Always, lie);
                let outcome = send(&mut host, token);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || *token == good, "{call} {lie:?}");
            }
        }
    }
}

// Keys that are fetched.

fn worker(shared: &Shared) -> Host {
    let mut host = Host::load("jwt-auth").unwrap().cluster("provider").shared(shared);
    let place = json!({"uri": "https://issuer/keys", "cluster": "provider", "timeout": "5s"});
    host.configure(config("ES256", &place)).unwrap();
    host
}

fn set(name: &str) -> Answer {
    Answer::new(200, &jwks(&[Key::of(name).called("1")]).to_string())
}

fn token_of(name: &str) -> String {
    Key::of(name).called("1").sign("ES256", &claims())
}

/// Answers every call that is under way.
fn answer_all(host: &mut Host, answer: &Answer) -> usize {
    let pending = host.pending();
    for call in &pending {
        host.answer(call.token, answer.clone()).expect("no trap");
    }
    pending.len()
}

fn at(host: &mut Host, seconds: u64) {
    host.set_time((NOW + seconds) * 1_000_000_000);
    host.tick().expect("no trap");
}

#[test]
fn one_worker_fetches_and_the_others_wait_for_it() {
    let shared = Shared::default();
    let (mut one, mut other) = (worker(&shared), worker(&shared));
    at(&mut one, 0);
    at(&mut other, 0);
    assert_eq!((one.pending().len(), other.pending().len()), (1, 0));
    let token = token_of("p256");
    let held = [send(&mut one, &token), send(&mut other, &token)];
    assert!(held.iter().all(|held| held.action == Action::Pause && status(held).is_none()));
    answer_all(&mut one, &set("p256"));
    let outcome = one.outcome(held[0].stream);
    assert_eq!(outcome.action, Action::Continue);
    assert_is_alice(&outcome, "at the one that fetched");
    assert_eq!(other.tick_period(), Some(50));
    other.tick().unwrap();
    let outcome = other.outcome(held[1].stream);
    assert_eq!(outcome.action, Action::Continue);
    assert_is_alice(&outcome, "at the other");
}

#[test]
fn a_worker_that_is_gone_before_its_fetch_ends_holds_the_others_up_for_as_long_as_one_takes() {
    let shared = Shared::default();
    let (mut gone, mut other) = (worker(&shared), worker(&shared));
    at(&mut gone, 0);
    drop(gone);
    at(&mut other, 0);
    let held = send(&mut other, &token_of("p256"));
    at(&mut other, 5);
    assert_eq!((other.pending().len(), status(&other.outcome(held.stream))), (0, None));
    at(&mut other, 6);
    assert_eq!(answer_all(&mut other, &set("p256")), 1);
    assert_eq!(other.outcome(held.stream).action, Action::Continue);
}

#[test]
fn a_set_that_comes_back_is_there_for_who_comes_later() {
    let shared = Shared::default();
    let mut one = worker(&shared);
    at(&mut one, 0);
    answer_all(&mut one, &set("p256"));
    // The next set is published, and its fetch not concluded: this is what is left then.
    let slots: Vec<_> = shared.keys().into_iter().filter(|key| key.ends_with("/set")).collect();
    let mut slot = shared.get(&slots[0]).unwrap();
    slot[0] ^= 1;
    shared.set(&slots[0], &slot);
    at(&mut one, 700);
    answer_all(&mut one, &set("p256"));
    let mut later = worker(&shared);
    at(&mut later, 701);
    assert_eq!(send(&mut later, &token_of("p256")).action, Action::Continue);
}

#[test]
fn whatever_status_a_call_has_while_keys_are_fetched_nothing_is_let_through() {
    let (good, wrong) = (token_of("p256"), token_of("p256-other"));
    for call in CALLS.into_iter().chain(CALLS_FOR_KEYS) {
        for failure in STATUSES {
            for token in [&good, &wrong] {
                let what = format!("{call} {failure}");
                let mut host = worker(&Shared::default());
                host.inject(call, When::Always, failure);
                let sent = send(&mut host, token);
                answer_all(&mut host, &set("p256"));
                at(&mut host, 0);
                let outcome = host.outcome(sent.stream);
                if outcome.action == Action::Continue {
                    assert_eq!(token, &good, "{what}");
                    assert_is_alice(&outcome, &what);
                }
                host.heal();
                at(&mut host, 40);
                answer_all(&mut host, &set("p256"));
                at(&mut host, 41);
                let after = send(&mut host, &good);
                assert_eq!(after.action, Action::Continue, "{what}, after it: {after:?}");
                if call == "proxy_set_effective_context" {
                    let is_good = *token == good;
                    let outcome = host.outcome(sent.stream);
                    assert_eq!(outcome.action == Action::Continue, is_good, "{what}");
                    assert_eq!(status(&outcome), (!is_good).then_some(401), "{what}");
                }
            }
        }
    }
}

#[test]
fn whatever_the_shared_slots_hold_nothing_traps_and_nothing_is_let_through() {
    let (good, wrong) = (token_of("p256"), token_of("p256-other"));
    for garbage in [vec![], vec![0], vec![0; 37], vec![255; 37], vec![255; 1 << 20]] {
        let shared = Shared::default();
        let mut host = worker(&shared);
        at(&mut host, 0);
        for slot in shared.keys() {
            shared.set(&slot, &garbage);
        }
        let outcome = send(&mut host, &wrong);
        assert_ne!(outcome.action, Action::Continue);
        for time in 0..40 {
            at(&mut host, time);
            answer_all(&mut host, &set("p256"));
        }
        assert_eq!(send(&mut host, &good).action, Action::Continue, "{}", garbage.len());
        assert_eq!(status(&send(&mut host, &wrong)), Some(401));
    }
}

// Signatures that the proxy checks.

/// Envoy's words for a good signature and for another.
const GOOD: &[u8] = &[8, 1];
const BAD: &[u8] = b"\x12\x07invalid";

/// The verdicts on the tokens of the start-up test, and on all others.
type Says = fn(&[u8]) -> Result<Vec<u8>, u32>;

fn is_test(arguments: &[u8]) -> Option<bool> {
    let ends = |text: &[u8]| arguments.ends_with(text);
    (ends(b"gatehouse") || ends(b"gatehousf")).then(|| ends(b"gatehouse"))
}

/// Right about what is asked at the start, and `later` of all else.
fn honest_at_first(arguments: &[u8], later: Result<&[u8], u32>) -> Result<Vec<u8>, u32> {
    match is_test(arguments) {
        Some(true) => Ok(GOOD.to_vec()),
        Some(false) => Ok(BAD.to_vec()),
        None => later.map(<[u8]>::to_vec),
    }
}

/// A proxy that finds every token's signature good.
pub(crate) fn all_good(arguments: &[u8]) -> Result<Vec<u8>, u32> {
    honest_at_first(arguments, Ok(GOOD))
}

/// Whether a good token and a forged one pass, and whom the log names.
fn with_host_that(says: Says) -> (bool, bool, &'static str) {
    let key = Key::of("p256");
    let mut host = Host::load("jwt-auth").unwrap().foreign("verify_signature", says);
    host.configure(config("ES256", &json!({"inline": jwks([&key])}))).unwrap();
    let forged = Key::of("p256-other").called("p256").sign("ES256", &claims());
    let mut passes = |token: &str| send(&mut host, token).action == Action::Continue;
    let (good, forged) = (passes(&key.sign("ES256", &claims())), passes(&forged));
    let said = |who: &str| {
        let line = format!("jwt-auth: signatures are checked by {who}");
        host.logs().iter().any(|log| log.text == line)
    };
    let who = ["the proxy", "this module"].into_iter().find(|who| said(who));
    (good, forged, who.unwrap_or_default())
}

#[test]
fn a_proxy_that_lies_about_signatures_is_found_out() {
    let liars: [Says; 8] = [
        |_| Ok(GOOD.to_vec()),
        |_| Ok(BAD.to_vec()),
        |_| Ok(vec![]),
        |_| Ok(vec![0xff; 100]),
        |_| Ok(vec![8]),
        |_| Err(2),
        |_| Err(u32::MAX),
        |arguments| Ok(if is_test(arguments) == Some(true) { BAD } else { GOOD }.to_vec()),
    ];
    for (index, liar) in liars.into_iter().enumerate() {
        assert_eq!(with_host_that(liar), (true, false, "this module"), "{index}");
    }
}

#[test]
fn a_proxy_that_has_no_verdict_later_is_not_believed() {
    let silent: [Says; 4] = [
        |arguments| honest_at_first(arguments, Err(2)),
        |arguments| honest_at_first(arguments, Err(u32::MAX)),
        |arguments| honest_at_first(arguments, Ok(&[0xff; 100])),
        |arguments| honest_at_first(arguments, Ok(&[8])),
    ];
    for (index, silent) in silent.into_iter().enumerate() {
        assert_eq!(with_host_that(silent), (true, false, "the proxy"), "{index}");
    }
    // What is not good comes without the field of the verdict.
    let refusing: Says = |arguments| honest_at_first(arguments, Ok(BAD));
    assert_eq!(with_host_that(refusing), (false, false, "the proxy"));
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    let config = config("HS256", &json!({"inline": jwks(&[secret(b'x')])}));
    for failure in STATUSES {
        let mut host = Host::load("jwt-auth").unwrap();
        host.inject("proxy_get_buffer_bytes", When::Always, failure);
        assert!(host.configure(&config).is_err(), "{failure}");
    }
    let mut host = Host::load("jwt-auth").unwrap();
    host.inject("random_get", When::Always, 28);
    assert!(host.configure(&config).is_err());
}
