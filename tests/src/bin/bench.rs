//! What a filter costs: CPU time of the Envoy process per request, in one run, variants in turns.
//!
//! One worker, answers from Envoy itself (no upstream), a kept HTTP/1.1 connection, the same headers
//! for every variant, and every round with new processes: where a process happens to lie in memory
//! is worth microseconds. The first variant has no filter: it is the twin that all are compared with,
//! round by round, and `empty` is a Wasm filter on the plain SDK that does nothing: the twin that
//! targets are above, alone or behind what else a variant has in front. Differences are medians over
//! the rounds with the quartiles beside them; on a shared machine a tenth of a microsecond is noise.
//!
//! `BENCH_ROUNDS` and `BENCH_REQUESTS` change the size of a run. The result is written to
//! `target/bench.json` too.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "its size is set by the environment")]

use std::process::Command;

use serde_json::{Value, json};
use tests::envoy::{Envoy, Setup};

/// What every request carries: what a client of a service sends, and the credentials.
const HEADERS: [&str; 9] = [
    "authorization: Basic Y2Fyb2w6cw==",
    "x-api-key: key-number-5000",
    "accept: application/json",
    "accept-encoding: gzip, br",
    "user-agent: bench/1.0",
    "x-request-start: 1800000000",
    "x-forwarded-for: 203.0.113.7",
    "cookie: session=0123456789abcdef0123456789abcdef",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
];

/// A way to set Envoy up.
struct Variant {
    name: &'static str,
    /// The most that it may cost above its twin, in microseconds.
    target: Option<f64>,
    /// What its target is above: `empty`, or `empty` behind what else the variant has in front.
    twin: &'static str,
    setup: Setup,
}

fn main() {
    let rounds = number("BENCH_ROUNDS", 9);
    let requests = number("BENCH_REQUESTS", 10_000);
    let variants = variants();
    let mut costs = vec![Vec::new(); variants.len()];
    for round in 1..=rounds {
        let envoys: Vec<_> = variants.iter().map(|variant| variant.setup.start()).collect();
        for envoy in &envoys {
            cost(envoy, requests / 2);
        }
        for (envoy, costs) in envoys.iter().zip(&mut costs) {
            costs.push(cost(envoy, requests));
        }
        println!("round {round} of {rounds}");
    }
    let report = report(&variants, &costs, rounds, requests);
    std::fs::write(tests::modules::top().join("target/bench.json"), format!("{report:#}\n"))
        .expect("target/ is there after a build");
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn variants() -> Vec<Variant> {
    let users = json!({"users": [{"name": "carol", "password": "s"}]});
    let probes = json!({"endpoints": [
        {"path": "/livez", "report": "liveness"},
        {"path": "/readyz", "report": "readiness"},
        {"path": "/healthz", "report": "dependencies"},
    ]});
    let native = json!({"name": "native", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
        // `htpasswd -nbs carol s`
        "users": {"inline_string": "carol:{SHA}oPFJCiDQIRyZe0S8NX4Zct6riuM="},
    }});
    let start =
        |name, target, setup: Setup| Variant { name, target, twin: "empty", setup: bare(setup) };
    let behind_keys = |name, target, setup: Setup| Variant {
        twin: "deferred key, empty",
        ..start(name, target, setup)
    };
    let keys = || Setup::new().filter("api-key-auth", with_verdict_defer(ten_thousand_keys()));
    vec![
        start("no filter", None, Setup::new()),
        start("native basic_auth", None, Setup::new().native(native)),
        start("empty", None, Setup::new().filter("empty", json!({}))),
        start(
            "health-shortcut, another path",
            Some(1.0),
            Setup::new().filter("health-shortcut", probes),
        ),
        start("basic-auth, cached credential", Some(3.0), Setup::new().filter("basic-auth", users)),
        start(
            "api-key-auth, 10,000 keys",
            Some(4.0),
            Setup::new().filter("api-key-auth", ten_thousand_keys()),
        ),
        start("deferred key, empty", None, keys().filter("empty", json!({}))),
        behind_keys(
            "access-policy, 20 operations",
            Some(3.0),
            keys().filter("access-policy", policy(20)),
        ),
        behind_keys(
            "access-policy, 2000 operations",
            Some(3.3),
            keys().filter("access-policy", policy(2000)),
        ),
    ]
}

fn with_verdict_defer(mut config: Value) -> Value {
    config["verdict"] = json!("defer");
    config
}

/// A policy of so many operations; the one of every request needs a key.
fn policy(operations: u32) -> Value {
    let method = |index: u32| {
        let path = if index == 0 { "/users/{id}".into() } else { format!("/s{index}/{{id}}") };
        json!({"name": index.to_string(), "match": {"methods": ["GET"], "paths": [path]}})
    };
    let methods: Vec<_> = (0..operations).map(method).collect();
    json!({
        "schemes": {"key": {"authenticator": "api-key-auth"}},
        "services": [{"name": "users", "security": [{"key": []}], "methods": methods}],
    })
}

fn ten_thousand_keys() -> Value {
    let key = |index: u32| json!({"id": index.to_string(), "value": format!("key-number-{index}")});
    let keys: Vec<_> = (0..10_000).map(key).collect();
    json!({"consumers": [{"name": "acme", "keys": keys}]})
}

/// One worker and no access log: what that reads of a filter's state is not the filter's cost.
fn bare(setup: Setup) -> Setup {
    setup.connection_manager(json!({"access_log": []})).workers(1)
}

/// Microseconds of CPU time per request.
fn cost(envoy: &Envoy, requests: u32) -> f64 {
    let before = envoy.cpu_time();
    let mut load = Command::new("h2load");
    load.args(["--h1", "-c", "16", "-t", "1", "-n", &requests.to_string()]);
    HEADERS.iter().for_each(|header| {
        load.args(["-H", header]);
    });
    load.arg(format!("http://{}/users/7?full=yes", envoy.address()));
    let output = load.output().unwrap_or_else(|error| panic!("h2load: {error}; run `make setup`"));
    let spent = envoy.cpu_time() - before;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("{requests} 2xx")), "{said}");
    spent.as_secs_f64() * 1e6 / f64::from(requests)
}

fn report(variants: &[Variant], costs: &[Vec<f64>], rounds: u32, requests: u32) -> Value {
    let place = |name| variants.iter().position(|variant| variant.name == name).expect("there");
    println!("\n{} rounds of {requests} requests; {}", rounds, machine());
    println!("microseconds of CPU time per request:\n");
    println!("{:32} {:>7} {:>22} {:>22}", "", "all", "above no filter", "above its twin");
    let mut rows = Vec::new();
    for (variant, costs_of) in variants.iter().zip(costs) {
        let above = |other: usize| {
            let differences = costs_of.iter().zip(&costs[other]).map(|(cost, other)| cost - other);
            quartiles(differences.collect())
        };
        let (all, above_none, above_twin) =
            (quartiles(costs_of.clone()), above(0), above(place(variant.twin)));
        let verdict = match variant.target {
            Some(target) if above_twin[1] <= target => format!("within its target of {target}"),
            Some(target) => format!("ABOVE its target of {target}"),
            None => String::new(),
        };
        println!(
            "{:32} {:7.2} {:>22} {:>22}  {verdict}",
            variant.name,
            all[1],
            text(above_none),
            text(above_twin)
        );
        rows.push(json!({
            "variant": variant.name, "cpu": all, "above_no_filter": above_none,
            "twin": variant.twin, "above_twin": above_twin, "target_above_twin": variant.target,
        }));
    }
    json!({"unit": "microseconds of CPU time per request: first quartile, median, third quartile",
        "machine": machine(), "rounds": rounds, "requests": requests, "variants": rows})
}

fn text([low, middle, high]: [f64; 3]) -> String {
    format!("{middle:.2} ({low:.2} to {high:.2})")
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values[(values.len() - 1) * part / 4];
    [at(1), at(2), at(3)]
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("an unknown CPU");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{model}, {cores} cores, Envoy {}", envoy_version())
}

fn envoy_version() -> String {
    let program = std::env::var("ENVOY").unwrap_or_else(|_| "envoy".to_owned());
    let output = Command::new(program).arg("--version").output();
    let said = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    said.split('/').rev().nth(3).unwrap_or("of an unknown version").to_owned()
}
