//! `token-introspection` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use serde_json::{Value, json};
use tests::host::{Action, Answer, Corruption, Headers, Host, Outcome, Shared, When};

/// What the host's clock says, in seconds.
const NOW: u64 = 1_767_268_800;

/// Every host call that the filter makes until a request with a token goes on or is refused.
const CALLS: [&str; 17] = [
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn config() -> Vec<u8> {
    json!({
        "endpoint": {"uri": "https://issuer/introspect", "cluster": "provider"},
        "client": {"id": "gatehouse", "secret": "hunter2"},
        "audiences": ["shop"],
    })
    .to_string()
    .into_bytes()
}

fn worker(shared: &Shared) -> Host {
    let mut host = Host::load("token-introspection").unwrap().cluster("provider").shared(shared);
    host.configure(config()).unwrap();
    host.set_time(NOW * 1_000_000_000);
    host
}

fn start() -> Host {
    worker(&Shared::default())
}

fn send(host: &mut Host, token: &str) -> Outcome {
    let headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop"),
        ("authorization", &format!("Bearer {token}")),
    ];
    host.request(&headers).expect("no trap")
}

fn json_answer(body: &Value) -> Answer {
    let headers = Headers::new(&[(":status", "200"), ("content-type", "application/json")]);
    Answer { headers, ..Answer::new(200, &body.to_string()) }
}

fn good() -> Answer {
    let claims = json!({"active": true, "sub": "alice", "aud": "shop", "scope": "read",
        "token_type": "Bearer", "exp": NOW + 3600});
    json_answer(&claims)
}

fn bad() -> Answer {
    json_answer(&json!({"active": false}))
}

/// Answers every call that is under way.
fn answer_all(host: &mut Host, answer: &Answer) -> usize {
    let pending = host.pending();
    for call in &pending {
        host.answer(call.token, answer.clone()).expect("no trap");
    }
    pending.len()
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

fn assert_is_alice(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.request_headers.get("x-auth-subject").as_deref(), Some("alice"), "{what}");
    assert_eq!(outcome.request_headers.get("authorization"), None, "{what}");
}

#[test]
fn a_good_token_goes_on_when_the_answer_is_there() {
    let mut host = start();
    let sent = send(&mut host, "t");
    assert_eq!((sent.action, status(&sent)), (Action::Pause, None));
    assert_eq!(answer_all(&mut host, &good()), 1);
    let outcome = host.outcome(sent.stream);
    assert_eq!(outcome.action, Action::Continue);
    assert_is_alice(&outcome, "good");
    let sent = send(&mut host, "other");
    answer_all(&mut host, &bad());
    assert_eq!(status(&host.outcome(sent.stream)), Some(401));
}

#[test]
fn one_worker_asks_and_the_others_wait_for_it() {
    let shared = Shared::default();
    let (mut one, mut other) = (worker(&shared), worker(&shared));
    let held = [send(&mut one, "t"), send(&mut other, "t"), send(&mut other, "t")];
    assert_eq!((one.pending().len(), other.pending().len()), (1, 0));
    answer_all(&mut one, &good());
    assert_eq!(one.outcome(held[0].stream).action, Action::Continue);
    assert_eq!(other.tick_period(), Some(50));
    other.tick().unwrap();
    for held in &held[1..] {
        let outcome = other.outcome(held.stream);
        assert_eq!(outcome.action, Action::Continue);
        assert_is_alice(&outcome, "at the other");
    }
    assert!(other.pending().is_empty());
}

#[test]
fn a_worker_that_is_gone_holds_the_others_up_for_as_long_as_an_answer_may_take() {
    let shared = Shared::default();
    let (mut gone, mut other) = (worker(&shared), worker(&shared));
    send(&mut gone, "t");
    drop(gone);
    let held = send(&mut other, "t");
    other.set_time((NOW + 2) * 1_000_000_000);
    other.tick().unwrap();
    assert!(other.pending().is_empty());
    other.set_time((NOW + 3) * 1_000_000_000);
    other.tick().unwrap();
    assert_eq!(answer_all(&mut other, &good()), 1);
    assert_eq!(other.outcome(held.stream).action, Action::Continue);
}

#[test]
fn what_is_shared_holds_neither_token_nor_secret() {
    let shared = Shared::default();
    let mut host = worker(&shared);
    send(&mut host, "a-token-of-some-length");
    answer_all(&mut host, &good());
    assert!(!shared.keys().is_empty());
    for key in shared.keys() {
        let text = String::from_utf8_lossy(&shared.get(&key).unwrap()).into_owned();
        assert!(!text.contains("a-token-of") && !text.contains("hunter2"), "{key}: {text}");
    }
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_remembered_token_costs_these_host_calls() {
    let mut host = start();
    send(&mut host, "t");
    answer_all(&mut host, &good());
    send(&mut host, "t");
    host.reset();
    send(&mut host, "t");
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
    assert!(host.fuel_used() < 18_000, "{}", host.fuel_used());
}

/// Asking, reading the answer, and going on.
#[test]
fn a_token_never_seen_costs_this_much_fuel() {
    let mut host = start();
    let mut most = 0;
    for number in 0..5 {
        host.reset();
        let sent = send(&mut host, &format!("token-{number}"));
        let asked = host.fuel_used();
        host.reset();
        answer_all(&mut host, &good());
        assert_eq!(host.outcome(sent.stream).action, Action::Continue);
        most = if number == 0 { 0 } else { most.max(asked + host.fuel_used()) };
    }
    assert!(most < 150_000, "{most}");
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            for (answer, is_good) in [(good(), true), (bad(), false)] {
                let what = format!("{call} {failure}");
                let mut host = start();
                host.inject(call, When::Always, failure);
                let sent = send(&mut host, "t");
                answer_all(&mut host, &answer);
                host.tick().expect("no trap");
                let outcome = host.outcome(sent.stream);
                if outcome.action == Action::Continue {
                    assert!(is_good, "{what}");
                    assert_is_alice(&outcome, &what);
                }
                host.heal();
                let after = send(&mut host, "another");
                answer_all(&mut host, &good());
                assert_eq!(host.outcome(after.stream).action, Action::Continue, "{what}, after it");
            }
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in [
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_shared_data",
        "proxy_get_buffer_bytes",
    ] {
        for lie in Corruption::LIES {
            let mut host = start();
            host.corrupt(call, When::Always, lie);
            let sent = send(&mut host, "t");
            answer_all(&mut host, &bad());
            let passed = host.outcome(sent.stream).action == Action::Continue;
            assert!(!passed, "{call} {lie:?}");
        }
    }
}
