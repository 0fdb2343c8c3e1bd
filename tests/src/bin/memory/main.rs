//! What the memory of an Envoy is with ten plugins: of the bundle with one `vm_id`, in one chain, and as
//! modules of their own, with one worker and with eight. All in one run, resident, after a request on
//! many connections; the median of three starts.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::Setup;

const STARTS: usize = 3;
const WORKERS: [u32; 2] = [1, 8];

/// All ten filters, each with something that it accepts and that lets every request pass.
fn filters() -> Vec<(&'static str, Value)> {
    let method =
        json!({"name": "all", "match": {"methods": ["GET"], "paths": ["/**"]}, "security": "none"});
    let provider = json!({"name": "a", "issuer": "https://a", "audiences": ["a"], "algorithms": ["ES256"],
        "jwks": {"inline": tests::tokens::jwks(&[tests::tokens::Key::of("p256")])}});
    vec![
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        ("trace-context", json!({})),
        ("telemetry", json!({})),
        ("basic-auth", json!({"verdict": "defer", "users": [{"name": "a", "password": "b"}]})),
        (
            "api-key-auth",
            json!({"verdict": "defer", "consumers": [{"name": "a", "keys": [{"id": "a", "value": "secret-key"}]}]}),
        ),
        ("jwt-auth", json!({"verdict": "defer", "providers": [provider]})),
        (
            "token-introspection",
            json!({"verdict": "defer", "endpoint": {"uri": "https://a/introspect", "cluster": "idp"},
                "client": {"id": "a", "secret": "b"}, "issuer": "https://a", "audiences": ["a"]}),
        ),
        (
            "oauth2-login",
            json!({"verdict": "defer", "issuer": "https://a", "discovery": {"cluster": "idp"},
                "external_url": "https://app.example", "client": {"id": "a", "secret": "b"},
                "session": {"keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]}}),
        ),
        ("access-policy", json!({"services": [{"name": "all", "methods": [method]}]})),
        (
            "rate-limit",
            json!({"limits": [{"name": "all", "key": ["route"], "quota": {"requests": 1000, "per": "1s"}}]}),
        ),
    ]
}

fn main() {
    let filters = filters();
    let none = || Setup::new().cluster("idp", None);
    let apart = filters.iter().fold(none(), |setup, (name, config)| setup.alone(name, config));
    let bundled =
        filters.iter().fold(none(), |setup, (name, config)| setup.bundled(name, name, config));
    let entries: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    let chain = none().bundled("chain", "chain", &json!({"chain": entries}));
    println!("resident memory in MB, a plugin of each of the {} filters", filters.len());
    println!("{:40} {:>10} {:>10}", "", "1 worker", "8 workers");
    for (name, setup) in [
        ("no filter", none()),
        ("modules of their own", apart),
        ("plugins of the bundle, one vm_id", bundled),
        ("one chain of every filter", chain),
    ] {
        let [one, eight] = WORKERS.map(|workers| memory(&setup, workers));
        println!("{name:40} {one:>10} {eight:>10}");
    }
}

/// The median of some starts, in MB.
fn memory(setup: &Setup, workers: u32) -> u64 {
    let mut all: Vec<_> = (0..STARTS).map(|_| once(setup, workers)).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

fn once(setup: &Setup, workers: u32) -> u64 {
    let envoy = setup.clone().workers(workers).start();
    // Connections spread over the workers.
    let mut connections: Vec<_> =
        (0..64).map(|_| Connection::open(envoy.address()).expect("Envoy listens")).collect();
    for connection in &mut connections {
        let answer = connection.send(&Request::get("/")).expect("an answer");
        assert_eq!(answer.status, 200, "{answer}");
    }
    envoy.memory() / 1_000_000
}
