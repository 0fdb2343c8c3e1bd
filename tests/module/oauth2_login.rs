//! `oauth2-login` as it is built: what it asks of the proxy, and a proxy that fails or lies.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::host::{Action, Answer, Corruption, Host, Outcome, When};
use tests::tokens::{Key, jwks};

/// What the host's clock says, in seconds.
const NOW: u64 = 1_767_268_800;
const ISSUER: &str = "https://idp.example";

/// Every host call that the filter makes at a request with a session.
const CALLS: [&str; 8] = [
    "proxy_define_metric",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_set_property",
];

const STATUSES: [u32; 8] = [1, 2, 3, 7, 10, 13, 99, u32::MAX];

fn config() -> Value {
    json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "secret"},
        "external_url": "https://app.example",
        "session": {"keys": ["q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM="]},
        "forward": {"access_token": "authorization", "claims": {"x-email": "email"}},
    })
}

fn start() -> Host {
    let mut host = Host::load("oauth2-login").unwrap().cluster("idp");
    host.configure(config().to_string().into_bytes()).unwrap();
    host.set_time(NOW * 1_000_000_000);
    host.tick().expect("no trap");
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/auth",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/keys",
    });
    for body in [document, jwks([&Key::of("p256")])] {
        let call = host.pending().first().expect("a call").token;
        host.answer(call, Answer::new(200, &body.to_string())).expect("no trap");
    }
    host
}

fn send(host: &mut Host, path: &str, cookie: &str) -> Outcome {
    let headers = [
        (":method", "GET"),
        (":path", path),
        (":authority", "app.example"),
        ("x-auth-subject", "root"),
        ("cookie", cookie),
    ];
    host.request(&headers).expect("no trap")
}

fn status(outcome: &Outcome) -> Option<u32> {
    outcome.local_reply.as_ref().map(|reply| reply.status)
}

/// The cookies of an answer, as a browser sends them back.
fn kept(outcome: &Outcome) -> String {
    let reply = outcome.local_reply.as_ref().expect("an answer");
    let cookies = reply.headers.all("set-cookie");
    let cookies = cookies.into_iter().map(|cookie| String::from_utf8_lossy(cookie).into_owned());
    let ends = |cookie: &String| cookie.contains("Max-Age=0") || cookie.contains(".arrived=");
    let kept = cookies.filter(|cookie| !ends(cookie));
    let pairs = kept.filter_map(|cookie| Some(cookie.split_once(';')?.0.to_owned()));
    pairs.collect::<Vec<_>>().join("; ")
}

fn query(address: &str) -> BTreeMap<&str, &str> {
    let (_, query) = address.split_once('?').expect("a query");
    query.split('&').filter_map(|pair| pair.split_once('=')).collect()
}

/// Signs in: the cookie of the session.
fn session(host: &mut Host) -> String {
    let begun = send(host, "/", "");
    assert_eq!(status(&begun), Some(303));
    let location = begun.local_reply.as_ref().unwrap().headers.get("location").unwrap();
    let sent = query(&location);
    let callback = format!("/oauth2/callback?code=c&state={}", sent["state"]);
    let waiting = send(host, &callback, &kept(&begun));
    assert_eq!((waiting.action, status(&waiting)), (Action::Pause, None));
    let claims = json!({
        "iss": ISSUER, "aud": "web", "sub": "alice", "iat": NOW, "exp": NOW + 300,
        "nonce": sent["nonce"], "email": "alice@x",
    });
    let tokens = json!({
        "access_token": "access", "token_type": "Bearer", "expires_in": 3600,
        "id_token": Key::of("p256").sign("ES256", &claims),
    });
    let call = host.pending().first().expect("a call").token;
    host.answer(call, Answer::new(200, &tokens.to_string())).expect("no trap");
    kept(&host.outcome(waiting.stream))
}

#[test]
fn a_session_goes_on_and_a_forged_one_does_not() {
    let mut host = start();
    let cookie = session(&mut host);
    let outcome = send(&mut host, "/", &cookie);
    assert_eq!((outcome.action, status(&outcome)), (Action::Continue, None));
    for (name, value) in [
        ("x-auth-subject", Some("alice")),
        ("x-email", Some("alice@x")),
        ("authorization", Some("Bearer access")),
        ("cookie", None),
    ] {
        assert_eq!(outcome.request_headers.get(name).as_deref(), value, "{name}");
    }
    let forged = send(&mut host, "/", cookie.split_at(cookie.len() - 2).0);
    assert_eq!((forged.action, status(&forged)), (Action::Pause, Some(303)));
}

/// Each costs about half a microsecond in Envoy: whoever adds one sees it here.
#[test]
fn a_session_costs_these_host_calls_and_this_much_fuel() {
    let mut host = start();
    let cookie = session(&mut host);
    let honest = |host: &mut Host| {
        let headers =
            [(":method", "GET"), (":path", "/"), (":authority", "app"), ("cookie", &cookie)];
        assert_eq!(host.request(&headers).expect("no trap").action, Action::Continue);
    };
    honest(&mut host);
    honest(&mut host);
    host.reset();
    honest(&mut host);
    let calls: Vec<_> = host.calls().iter().map(|(name, count)| (*name, *count)).collect();
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_property", 3),
        ("proxy_increment_metric", 1),
        ("proxy_remove_header_map_value", 1),
        ("proxy_replace_header_map_value", 5),
        ("proxy_set_property", 3),
    ];
    assert_eq!(calls, expected);
    let fuel = host.fuel_used();
    assert!(fuel < 60_000, "{fuel}");
}

#[test]
fn whatever_status_a_call_has_nothing_traps_and_nothing_is_let_through() {
    for call in CALLS {
        for failure in STATUSES {
            let mut host = start();
            let cookie = session(&mut host);
            for cookie in [cookie.as_str(), "__Host-session=1.forged", ""] {
                host.inject(call, When::Always, failure);
                let outcome = send(&mut host, "/", cookie);
                let passed = outcome.action == Action::Continue;
                assert!(!passed || cookie.len() > 50, "{call} {failure}");
                if passed {
                    let subject = outcome.request_headers.get("x-auth-subject");
                    assert_eq!(subject.as_deref(), Some("alice"), "{call} {failure}");
                }
                host.heal();
            }
            assert_eq!(send(&mut host, "/", &cookie).action, Action::Continue, "{call} {failure}");
        }
    }
}

#[test]
fn whatever_bytes_a_call_gives_nothing_traps_and_nothing_is_let_through() {
    for call in ["proxy_get_header_map_pairs", "proxy_get_property"] {
        for lie in Corruption::LIES {
            let mut host = start();
            let cookie = session(&mut host);
            for (cookie, is_good) in [(cookie.as_str(), true), ("__Host-session=1.forged", false)] {
                host.corrupt(call, When::Always, lie);
                let outcome = send(&mut host, "/", cookie);
                assert!(outcome.action != Action::Continue || is_good, "{call} {lie:?}");
                host.heal();
            }
        }
    }
}
