//! `api-key-auth` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use tests::host::{Action, Corruption, Host, Outcome, When};

const CONFIG: &[u8] = br#"{
    "sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "api_key"}],
    "consumers": [{"name": "acme", "groups": ["gold"], "keys": [{"id": "a", "value": "acme-key"}]}]
}"#;

/// The good key in each of the sources.
const GOOD: [(&str, &str); 3] = [
    ("x-api-key", "acme-key"),
    (":path", "/x?api_key=acme-key&y"),
    ("cookie", "a; api_key=acme-key"),
];
const WRONG: (&str, &str) = ("x-api-key", "acme-kez");

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

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 3] = ["proxy_define_metric", "proxy_increment_metric", "proxy_set_property"];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn start() -> Host {
    let mut host = Host::load("api-key-auth").unwrap();
    host.configure(CONFIG).unwrap();
    host
}

fn send(host: &mut Host, (name, value): (&str, &str)) -> Outcome {
    let path = if name == ":path" { value } else { "/x" };
    let mut headers = vec![
        (":method", "GET"),
        (":path", path),
        (":authority", "shop"),
        ("x-auth-subject", "root"),
    ];
    if name != ":path" {
        headers.push((name, value));
    }
    host.request(&headers).expect("no trap")
}

/// The same from a client that says nothing of itself.
fn honest(host: &mut Host, key: (&str, &str)) -> Outcome {
    let headers = [(":method", "GET"), (":path", "/"), (":authority", "shop"), key];
    host.request(&headers).expect("no trap")
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

/// It went on: as whom, and without the key.
fn assert_is_acme(outcome: &Outcome, what: &str) {
    let header = |name| outcome.request_headers.get(name);
    assert_eq!(header("x-auth-subject").as_deref(), Some("acme"), "{what}");
    assert_eq!(header("x-api-key"), None, "{what}");
    for name in [":path", "cookie"] {
        assert!(!header(name).is_some_and(|value| value.contains("acme")), "{what}");
    }
}

#[test]
fn a_good_key_goes_on_and_a_wrong_one_does_not() {
    let mut host = start();
    for good in GOOD {
        let outcome = send(&mut host, good);
        assert_eq!((outcome.action, status(&outcome)), (Action::Continue, None), "{good:?}");
        assert_is_acme(&outcome, good.0);
    }
    let wrong = send(&mut host, WRONG);
    assert_eq!((wrong.action, status(&wrong)), (Action::Pause, Some(401)));
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_good_key_costs_these_host_calls() {
    let mut host = start();
    honest(&mut host, GOOD[0]);
    host.reset();
    honest(&mut host, GOOD[0]);
    let calls: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 3),
        ("proxy_increment_metric", 1),
        ("proxy_remove_header_map_value", 1),
        ("proxy_replace_header_map_value", 4),
        ("proxy_set_property", 4),
    ];
    assert_eq!(calls, expected);
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn a_good_key_costs_this_much_fuel_however_many_there_are() {
    let fuel = |keys: usize| {
        let keys: Vec<_> = (0..keys)
            .map(|index| format!(r#"{{"id": "{index}", "value": "key-number-{index}"}}"#))
            .collect();
        let config =
            format!(r#"{{"consumers": [{{"name": "acme", "keys": [{}]}}]}}"#, keys.join(","));
        let mut host = Host::load("api-key-auth").unwrap();
        host.configure(config).unwrap();
        let key = ("x-api-key", "key-number-0");
        assert_eq!(honest(&mut host, key).action, Action::Continue);
        host.reset();
        honest(&mut host, key);
        host.fuel_used()
    };
    let (one, many) = (fuel(1), fuel(10_000));
    assert!(one < 18_000, "{one}");
    assert!(many < one + 500, "{one} for one key, {many} for ten thousand");
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            for key in [GOOD[0], GOOD[1], GOOD[2], WRONG] {
                let mut host = start();
                host.inject(call, When::Always, failure);
                let outcome = send(&mut host, key);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || key != WRONG, "{call} {failure}");
                if passed {
                    assert_is_acme(&outcome, &format!("{call} {failure}"));
                }
                if key != WRONG && HARMLESS.contains(&call) {
                    assert!(passed, "{call} {failure}");
                }
                host.heal();
                let after = send(&mut host, GOOD[0]);
                assert_eq!(after.action, Action::Continue, "{call} {failure}, after it");
            }
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property"] {
        for lie in Corruption::LIES {
            for key in [GOOD[0], GOOD[1], GOOD[2], WRONG] {
                let mut host = start();
                host.corrupt(call, When::Always, lie);
                let outcome = send(&mut host, key);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || key != WRONG, "{call} {lie:?}");
            }
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    for failure in STATUSES {
        let mut host = Host::load("api-key-auth").unwrap();
        host.inject("proxy_get_buffer_bytes", When::Always, failure);
        assert!(host.configure(CONFIG).is_err(), "{failure}");
    }
    let mut host = Host::load("api-key-auth").unwrap();
    host.inject("random_get", When::Always, 28);
    assert!(host.configure(CONFIG).is_err());
}
