//! `access-policy` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use serde_json::{Value, json};
use tests::host::{Action, Corruption, Host, Outcome, When};

/// A path for each kind of requirement.
const CONFIG: &str = r#"{
    "schemes": {"api_key": {"authenticator": "api-key-auth"}, "jwt": {"authenticator": "jwt-auth"}},
    "services": [{"name": "users", "security": [{"api_key": []}], "methods": [
        {"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}},
        {"name": "write", "match": {"methods": ["GET"], "paths": ["/users/write"]},
         "security": [{"api_key": [], "jwt": ["api:write"]}]},
        {"name": "public", "match": {"methods": ["GET"], "paths": ["/users/public"]}, "security": "none"}
    ]}]
}"#;

/// What passes, and of whom the upstream is told.
const GOOD: [(&str, Option<&str>); 2] = [("/users", Some("acme")), ("/users/public", None)];

/// What does not, and with which status: a token that lacks a scope, and two that are not offered.
const BAD: [(&str, u32); 3] = [("/users/write", 403), ("/other", 404), ("/users//public", 400)];

/// Every host call that the filter makes at a request.
const CALLS: [&str; 10] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_property",
];

/// What may fail without an answer that is any the worse for it.
const HARMLESS: [&str; 5] = [
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_set_property",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_value",
];

const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, u32::MAX];

fn start() -> Host {
    configured(CONFIG)
}

/// A host in which the authenticators in front have found a key of acme's, and a token of alice's.
fn configured(config: &str) -> Host {
    let known = |subject: &str| {
        let headers = json!({"x-auth-subject": subject, "x-auth-scheme": "x"});
        json!({"scheme": "x", "subject": subject, "scopes": ["api:read"], "headers": headers})
            .to_string()
    };
    let mut host = Host::load("access-policy")
        .unwrap()
        .property(&["gatehouse.evidence.api-key-auth"], known("acme"))
        .property(&["gatehouse.evidence.jwt-auth"], known("alice"));
    host.configure(config).unwrap();
    host
}

fn send(host: &mut Host, path: &str) -> Outcome {
    let headers = [
        (":method", "GET"),
        (":path", path),
        (":authority", "shop"),
        ("x-auth-subject", "root"),
        ("x_auth_groups", "root"),
    ];
    host.request(&headers).expect("no trap")
}

/// The same, of a client that says nothing of itself.
fn send_plain(host: &mut Host, path: &str) -> Outcome {
    let headers = [(":method", "GET"), (":path", path), (":authority", "shop")];
    host.request(&headers).expect("no trap")
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

/// It went on: as whom, and without what the client has said.
fn assert_is(outcome: &Outcome, subject: Option<&str>, what: &str) {
    let header = |name| outcome.request_headers.get(name);
    assert_eq!(header("x-auth-subject").as_deref(), subject, "{what}");
    assert_eq!(header("x_auth_groups"), None, "{what}");
}

#[test]
fn what_is_permitted_goes_on_and_the_rest_does_not() {
    let mut host = start();
    for (path, subject) in GOOD {
        let outcome = send(&mut host, path);
        assert_eq!((outcome.action, status(&outcome)), (Action::Continue, None), "{path}");
        assert_is(&outcome, subject, path);
    }
    for (path, expected) in BAD {
        let outcome = send(&mut host, path);
        assert_eq!((outcome.action, status(&outcome)), (Action::Pause, Some(expected)), "{path}");
    }
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn what_passes_costs_these_host_calls() {
    let mut host = start();
    let mut calls = |send: fn(&mut Host, &str) -> Outcome, path: &str| {
        send(&mut host, path);
        host.reset();
        send(&mut host, path);
        let calls = host.calls().iter().map(|(name, count)| (*name, *count));
        calls.collect::<Vec<_>>()
    };
    let needs_one = [
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 4), // two of metadata, the evidence, and whether somebody in front has spoken
        ("proxy_increment_metric", 1),
        ("proxy_replace_header_map_value", 2),
        ("proxy_set_property", 4), // the service, the method, the subject, the scopes
    ];
    assert_eq!(calls(send_plain, "/users"), needs_one);
    let needs_none = [
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 2),
        ("proxy_increment_metric", 1),
        ("proxy_set_property", 2),
    ];
    assert_eq!(calls(send_plain, "/users/public"), needs_none);
    let forged = [
        ("proxy_get_header_map_pairs", 2), // and again, when what is forged has been taken off
        ("proxy_get_property", 7),         // and what each authenticator may have told
        ("proxy_increment_metric", 1),
        ("proxy_remove_header_map_value", 2),
        ("proxy_set_property", 2),
    ];
    assert_eq!(calls(send, "/users/public"), forged);
}

/// Instructions, more or less: a slowdown shows without a clock.
#[test]
fn what_passes_costs_this_much_fuel_however_much_is_offered() {
    let fuel = |operations: usize| {
        let mut host = configured(&of_many(operations).to_string());
        assert_eq!(send_plain(&mut host, "/s0/7/m3").action, Action::Continue);
        host.reset();
        send_plain(&mut host, "/s0/7/m3");
        host.fuel_used()
    };
    let (few, many) = (fuel(20), fuel(2000));
    assert!(few < 36_000, "{few}");
    assert!(many * 10 <= few * 11, "{few} for twenty operations, {many} for two thousand");
}

/// A policy of so many operations, twenty to a service.
fn of_many(operations: usize) -> Value {
    let method = |service: usize, number: usize| {
        let path = format!("/s{service}/{{id}}/m{number}");
        json!({"name": format!("m{number}"), "match": {"methods": ["GET"], "paths": [path]}})
    };
    let services: Vec<_> = (0..operations / 20)
        .map(|service| {
            let methods: Vec<_> = (0..20).map(|number| method(service, number)).collect();
            json!({"name": format!("s{service}"), "methods": methods})
        })
        .collect();
    json!({
        "schemes": {"api_key": {"authenticator": "api-key-auth"}},
        "security": [{"api_key": []}],
        "services": services,
    })
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            let what = format!("{call} {failure}");
            let mut host = start();
            host.inject(call, When::Always, failure);
            for (path, subject) in GOOD {
                let outcome = send(&mut host, path);
                let passed = outcome.action == Action::Continue;
                if passed {
                    assert_is(&outcome, subject, &what);
                }
                assert!(passed || !HARMLESS.contains(&call), "{what}: {path} is refused");
            }
            for (path, _) in BAD {
                assert_eq!(send(&mut host, path).action, Action::Pause, "{what}: {path}");
            }
            host.heal();
            assert_eq!(send(&mut host, "/users").action, Action::Continue, "{what}, after it");
        }
    }
}

#[test]
fn what_is_open_is_said_once_at_configuration() {
    let mut host = start();
    let open = "access-policy: open by `security: none`: users.public; to nobody too by `anonymous`: nothing";
    let said = |host: &Host| host.logs().iter().filter(|line| line.text == open).count();
    assert_eq!(said(&host), 1, "{:?}", host.logs());
    assert!(host.logs().iter().all(|line| line.text != open || line.level == 2));
    send(&mut host, "/users/public");
    assert_eq!(said(&host), 1);
}

#[test]
fn evidence_that_cannot_be_had_is_none() {
    for failure in STATUSES {
        // The third of the properties that are read is the evidence.
        let mut host = start();
        host.inject("proxy_get_property", When::Nth(3), failure);
        let outcome = send_plain(&mut host, "/users");
        assert_eq!((outcome.action, status(&outcome)), (Action::Pause, Some(503)), "{failure}");
    }
    for evidence in ["", "{", "[]", "null", r#"{"scopes": "all"}"#, r#"{"refused": 1}"#] {
        let mut host = start();
        host.set_property(&["gatehouse.evidence.api-key-auth"], Some(evidence.as_bytes()));
        assert_eq!(status(&send(&mut host, "/users")), Some(503), "{evidence}");
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property"] {
        for lie in Corruption::LIES {
            for (path, _) in BAD {
                let mut host = start();
                host.corrupt(call, When::Always, lie);
                assert_eq!(send(&mut host, path).action, Action::Pause, "{call} {lie:?} {path}");
            }
        }
    }
}

#[test]
fn a_policy_that_cannot_be_read_lets_nothing_through() {
    for failure in STATUSES {
        let mut host = Host::load("access-policy").unwrap();
        host.inject("proxy_get_buffer_bytes", When::Always, failure);
        // Status 1 is "there is none": without a policy nothing is offered.
        let refused = host.configure(CONFIG).is_err();
        assert!(refused || status(&send(&mut host, "/users/public")) == Some(404), "{failure}");
    }
}
