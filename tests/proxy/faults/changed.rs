//! Configurations that change under load, by ECDS, while requests are held for answers: none gets another
//! answer than it would have had. `discovery` has a filter that waits for nothing, and what is refused.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Setup, Watched};
use tests::tokens::{Key, jwks};
use tests::upstream::{Answer, Received, Upstream};

use super::dependency::{Dependency, Fault};
use super::load::{Class, Load, class};
use super::{bearer, token, until};

/// How long the endpoint takes: longer than there is between two changes.
const LATE: Duration = Duration::from_millis(150);
const CHANGES: u64 = 20;

/// The configuration of a turn.
type Configure = fn(u64) -> Value;

/// Nothing is to be felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {}

fn tokens(turn: u64) -> Value {
    json!({
        "realm": format!("Turn {turn}"),
        "mode": "off",
        "rules": [{"match": {"paths": ["/jwt"]}, "mode": "enforce"}],
        "providers": [{
            "name": "main", "issuer": "main", "audiences": ["api"], "algorithms": ["ES256"],
            "jwks": {"uri": "https://idp.example/keys", "cluster": "provider", "timeout": "1s"},
        }],
    })
}

fn opaque(turn: u64) -> Value {
    json!({
        "realm": format!("Turn {turn}"),
        "mode": "off",
        "rules": [{"match": {"paths": ["/opaque"]}, "mode": "enforce"}],
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "endpoint", "timeout": "10s"},
        "client": {"id": "test", "secret": "secret"},
        "audiences": ["api"],
    })
}

fn late(request: &Received) -> Answer {
    Answer::After(LATE, Box::new(super::introspected(request, Some(600))))
}

fn classes() -> Vec<Class<Nothing>> {
    let key = || Key::of("p256");
    let known = token(&key(), "main", 0);
    vec![
        class("token, known", 200, move |_| bearer("/jwt", &known)),
        class("token, new", 200, move |n| bearer("/jwt", &token(&key(), "main", n))),
        class("token, forged", 401, |n| {
            bearer("/jwt", &token(&Key::of("p256-other").called("p256"), "main", n))
        }),
        class("no token", 401, |_| Request::get("/jwt")),
        class("opaque, new", 200, |n| bearer("/opaque", &format!("good-{n}"))),
        class("opaque, new, a body", 200, |n| {
            let authorization = format!("Bearer good-body-{n}");
            Request::new("POST", "/opaque")
                .header("authorization", authorization)
                .body(&[b'x'; 9000])
        }),
        // Of several requests, on several workers and of several configurations.
        class("opaque, asked for together", 200, |n| {
            bearer("/opaque", &format!("good-{}", n / 30))
        }),
        class("opaque, made up", 401, |n| bearer("/opaque", &format!("made-up-{n}"))),
    ]
}

fn changes(workers: u32) {
    let upstream = Upstream::start();
    let provider = Dependency::http(|_| Answer::ok(&jwks(&[Key::of("p256")]).to_string()));
    let endpoint = Dependency::http(late);
    let plugins: [(Watched, Configure); 2] = [
        (Watched::alone("jwt-auth", &tokens(0)), tokens),
        (Watched::alone("token-introspection", &opaque(0)), opaque),
    ];
    let setup =
        plugins.iter().fold(Setup::new(), |setup, (plugin, _)| setup.native(plugin.filter()));
    let envoy = setup
        .upstream(&upstream)
        .cluster("provider", Some(provider.address()))
        .cluster("endpoint", Some(endpoint.address()))
        .workers(workers)
        .start();
    let known = token(&Key::of("p256"), "main", 0);
    until("keys are there", || bearer("/jwt", &known).send(envoy.address()).status == 200);
    upstream.clear();
    // Whoever forgets the keys now does not get them again.
    provider.break_by(Fault::Frozen);
    let load = Load::new(classes());
    load.run(envoy.address(), || {
        for turn in 1..=CHANGES {
            for (plugin, config) in &plugins {
                plugin.replace(&config(turn));
            }
            sleep(Duration::from_millis(100));
        }
        until("the last change is there", || {
            let answer = Request::get("/opaque").header("x-class", "?").send(envoy.address());
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            challenge.contains(&format!("Turn {CHANGES}"))
        });
    });
    load.show(workers);
    load.check(&[], &upstream);
}

#[test]
fn one_worker() {
    changes(1);
}

#[test]
fn two_workers() {
    changes(2);
}

#[test]
fn eight_workers() {
    changes(8);
}
