//! What the memory of an Envoy is with ten plugins: of the bundle with one `vm_id`, in one chain, and as
//! modules of their own, with one worker and with eight. All in one run, resident, after a request on
//! many connections; the median of three starts.
//!
//! The filters are those that there are, each as often as it takes to make ten.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::Setup;

const PLUGINS: usize = 10;
const STARTS: usize = 3;
const WORKERS: [u32; 2] = [1, 8];

/// Something that each filter accepts, and that lets every request pass.
fn filters() -> Vec<(&'static str, Value)> {
    let method =
        json!({"name": "all", "match": {"methods": ["GET"], "paths": ["/**"]}, "security": "none"});
    let provider = json!({"name": "a", "issuer": "https://a", "audiences": ["a"], "algorithms": ["ES256"],
        "jwks": {"inline": tests::tokens::jwks(&[tests::tokens::Key::of("p256")])}});
    vec![
        ("health-shortcut", json!({"endpoints": [{"path": "/healthz", "report": "liveness"}]})),
        ("basic-auth", json!({"verdict": "defer", "users": [{"name": "a", "password": "b"}]})),
        (
            "api-key-auth",
            json!({"verdict": "defer", "consumers": [{"name": "a", "keys": [{"id": "a", "value": "secret-key"}]}]}),
        ),
        ("jwt-auth", json!({"verdict": "defer", "providers": [provider]})),
        ("access-policy", json!({"services": [{"name": "all", "methods": [method]}]})),
    ]
}

fn main() {
    let filters = filters();
    let plugins = || (0..PLUGINS).map(|number| (number, &filters[number % filters.len()]));
    // Each of a VM of its own, as modules that differ have.
    let apart = plugins().fold(Setup::new(), |setup, (number, (name, config))| {
        setup.alone(name, config).with_plugin(|plugin| {
            plugin["name"] = json!(format!("{name}-{number}"));
            plugin["vm_config"]["vm_id"] = json!(format!("{name}-{number}"));
        })
    });
    let bundled = plugins().fold(Setup::new(), |setup, (number, (name, config))| {
        setup.bundled(&format!("{name}-{number}"), name, config)
    });
    let entries: Vec<_> = filters.iter().map(|(name, config)| json!({*name: config})).collect();
    let chain = Setup::new().bundled("chain", "chain", &json!({"chain": entries}));
    println!("resident memory in MB, {PLUGINS} plugins of {} filters", filters.len());
    println!("{:40} {:>10} {:>10}", "", "1 worker", "8 workers");
    for (name, setup) in [
        ("no filter", Setup::new()),
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
