//! `basic-auth` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use tests::host::{Action, Corruption, Host, Outcome, When};

const CONFIG: &[u8] = br#"{
    "users": [{"name": "carol", "password": "s", "groups": ["ops"]}],
    "throttle": {"failures": 100, "window": "1m"}
}"#;

/// `carol:s`
const GOOD: (&str, &str) = ("authorization", "Basic Y2Fyb2w6cw==");
const WRONG: (&str, &str) = ("authorization", "Basic Y2Fyb2w6eA==");

/// Every host call that the filter makes at a request.
const CALLS: [&str; 11] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_property",
    "proxy_set_shared_data",
];

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 3] = ["proxy_define_metric", "proxy_increment_metric", "proxy_set_property"];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn start() -> Host {
    let mut host = Host::load("basic-auth").unwrap().property(&["source", "address"], "10.0.0.1:1");
    host.configure(CONFIG).unwrap();
    host
}

fn send(host: &mut Host, authorization: (&str, &str)) -> Outcome {
    let headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop"),
        ("x-auth-subject", "root"),
        authorization,
    ];
    host.request(&headers).expect("no trap")
}

/// The same from a client that says nothing of itself.
fn honest(host: &mut Host, authorization: (&str, &str)) -> Outcome {
    let headers = [(":method", "GET"), (":path", "/"), (":authority", "shop"), authorization];
    host.request(&headers).expect("no trap")
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

#[test]
fn a_good_password_goes_on_and_a_wrong_one_does_not() {
    let mut host = start();
    let good = send(&mut host, GOOD);
    assert_eq!((good.action, status(&good)), (Action::Continue, None));
    assert_eq!(good.request_headers.get("x-auth-subject").as_deref(), Some("carol"));
    assert_eq!(good.request_headers.get("authorization"), None);
    let wrong = send(&mut host, WRONG);
    assert_eq!((wrong.action, status(&wrong)), (Action::Pause, Some(401)));
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_remembered_credential_costs_these_host_calls() {
    let mut host = start();
    honest(&mut host, GOOD);
    honest(&mut host, GOOD);
    host.reset();
    honest(&mut host, GOOD);
    let calls: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 4), // metadata twice, the address, and whether somebody in front has spoken
        ("proxy_increment_metric", 1),
        ("proxy_remove_header_map_value", 1),
        ("proxy_replace_header_map_value", 3),
        ("proxy_set_property", 3),
    ];
    assert_eq!(calls, expected);
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn a_remembered_credential_costs_this_much_fuel() {
    let mut host = start();
    honest(&mut host, GOOD);
    honest(&mut host, GOOD);
    host.reset();
    honest(&mut host, GOOD);
    let fuel = host.fuel_used();
    assert!(fuel < 14_000, "{fuel}");
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            for authorization in [GOOD, WRONG] {
                let mut host = start();
                host.inject(call, When::Always, failure);
                let outcome = send(&mut host, authorization);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || authorization == GOOD, "{call} {failure}");
                if passed {
                    let subject = outcome.request_headers.get("x-auth-subject");
                    assert_eq!(subject.as_deref(), Some("carol"), "{call} {failure}");
                }
                if authorization == GOOD && HARMLESS.contains(&call) {
                    assert!(passed, "{call} {failure}");
                }
                host.heal();
                assert_eq!(
                    send(&mut host, GOOD).action,
                    Action::Continue,
                    "{call} {failure}, after it"
                );
            }
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property", "proxy_get_shared_data"] {
        for lie in Corruption::LIES {
            for authorization in [GOOD, WRONG] {
                let mut host = start();
                host.corrupt(call, When::Always, lie);
                let outcome = send(&mut host, authorization);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || authorization == GOOD, "{call} {lie:?}");
            }
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    for failure in STATUSES {
        let mut host = Host::load("basic-auth").unwrap();
        host.inject("proxy_get_buffer_bytes", When::Always, failure);
        assert!(host.configure(CONFIG).is_err(), "{failure}");
    }
    let mut host = Host::load("basic-auth").unwrap();
    host.inject("random_get", When::Always, 28);
    assert!(host.configure(CONFIG).is_err());
}
