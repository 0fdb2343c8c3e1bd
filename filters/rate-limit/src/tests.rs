//! The rules, one by one.

use serde_json::{Value, json};
use shared::driver::Run;
use shared::testing::{Bench, Outcome};
use std::time::Duration;

use super::*;

mod configuration;
mod keys;
mod limits;
mod model;
mod models;
mod slots;

/// A filter with these limits.
fn bench(limits: Value) -> Bench<RateLimit> {
    with(json!({"limits": limits}))
}

fn with(config: Value) -> Bench<RateLimit> {
    Bench::configure(&config).map_err(|error| error.to_string()).unwrap()
}

/// One limit of this quota, with more fields.
fn limit(quota: Value, more: Value) -> Value {
    let mut limit = json!({"name": "a", "quota": quota});
    for (name, value) in more.as_object().unwrap() {
        limit[name] = value.clone();
    }
    limit
}

fn get(bench: &mut Bench<RateLimit>, headers: &[(&str, &str)]) -> Outcome {
    let mut all = vec![(":method", "GET"), (":path", "/"), (":authority", "shop")];
    all.retain(|(name, _)| headers.iter().all(|(other, _)| name != other));
    all.extend(headers);
    bench.send(&all)
}

fn passes(bench: &mut Bench<RateLimit>, headers: &[(&str, &str)]) -> bool {
    get(bench, headers).reply().is_none()
}

/// How many of so many requests pass.
fn passing(bench: &mut Bench<RateLimit>, requests: usize) -> usize {
    (0..requests).filter(|_| passes(bench, &[])).count()
}

fn pass_time(bench: &Bench<RateLimit>, millis: u64) {
    bench.proxy.pass(Duration::from_millis(millis));
}

/// The headers that a response is given.
fn fields(outcome: &Outcome) -> String {
    let line = format!(" {}", outcome.effects);
    line.split(" <").skip(1).collect::<Vec<_>>().join(" | ").replace('<', "")
}
