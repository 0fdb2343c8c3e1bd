//! Faults under load in the real Envoy: what filters depend on breaks, configurations change, VMs trap,
//! the clock moves. Every request is counted by the class of its credential, at the client and at the
//! upstream ([`load`]).
//!
//! 1. A request of a class that is to be refused is let through never, whatever has happened.
//! 2. A class gets another answer than in good times only while what it needs is broken, and for no
//!    longer afterwards than the filter's README says.
//! 3. A fault of one thing is nobody's who does not need it.
//! 4. No VM is lost, but for those that are made to trap.
//!
//! What a single request gets of each fault is in the tests of each filter.

mod changed;
mod clock;
mod dependencies;
mod dependency;
mod load;
mod trapped;

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::Request;
use tests::tokens::{Key, claims, now, with};
use tests::upstream::{Answer, Received};

/// How long filters wait for what they need.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a machine that has more to do takes longer.
const BUSY: Duration = Duration::from_secs(2);

fn bearer(path: &str, token: &str) -> Request {
    Request::get(path).header("authorization", format!("Bearer {token}"))
}

/// A token for the audience `api`, of its own.
fn token(key: &Key, issuer: &str, number: u64) -> String {
    key.sign("ES256", &with(claims(issuer, "api"), &json!({"jti": number.to_string()})))
}

/// What is said of a token that is asked about: one that begins with `good` is good, for so many seconds
/// or without an end.
fn introspected(request: &Received, lives: Option<u64>) -> Answer {
    let is_good = request.body.starts_with(b"token=good");
    let good = json!({"active": true, "sub": "olga", "aud": "api", "token_type": "Bearer"});
    let ends = lives.map_or(json!({}), |lives| json!({"exp": now() + lives}));
    Answer::json(&if is_good { with(good, &ends) } else { json!({"active": false}) })
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
