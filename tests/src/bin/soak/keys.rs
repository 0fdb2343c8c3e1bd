//! The keys of the provider of tokens, as they rotate: a new one is published before it signs, and an old
//! one taken back when nobody signs with it any more.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tests::tokens::{Key, claims, jwks, with};

use crate::config::{AUDIENCE, ISSUER};

/// How long after a rotation everybody knows the new key, and nobody believes in the one that is gone:
/// twice `refresh`.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Keys by their generation; the provider publishes the newest and the one before.
pub(crate) struct Keys(Mutex<State>);

struct State {
    /// The newest that is published.
    published: u64,
    /// The one that signs.
    signs: u64,
    /// A token of that.
    known: String,
    /// A token of a generation that is gone, once everybody has to know.
    withdrawn: Option<String>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let known = sign(1, &json!({}));
        Self(Mutex::new(State { published: 1, signs: 1, known, withdrawn: None }))
    }

    /// What the provider publishes.
    pub(crate) fn set(&self) -> Value {
        let newest = self.lock().published;
        jwks(&[key(newest), key(newest - 1)])
    }

    /// Publishes the next generation, and the oldest no more.
    pub(crate) fn rotate(&self) {
        let mut state = self.lock();
        state.withdrawn = None;
        state.published += 1;
    }

    /// After [`GRACE`]: what was published signs, and what was taken back is no good.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        state.signs = state.published;
        state.known = sign(state.signs, &json!({}));
        state.withdrawn = state.published.checked_sub(2).map(|gone| sign(gone, &json!({})));
    }

    /// A token that is sent again and again.
    pub(crate) fn known(&self) -> String {
        self.lock().known.clone()
    }

    /// A token of a key that the provider has taken back.
    pub(crate) fn withdrawn(&self) -> Option<String> {
        self.lock().withdrawn.clone()
    }

    /// A token of its own, some of its claims others.
    pub(crate) fn fresh(&self, others: &Value) -> String {
        let signs = self.lock().signs;
        sign(signs, others)
    }

    /// A token of somebody who has another key, under the name of the one that signs.
    pub(crate) fn forged(&self, number: u64) -> String {
        let signs = self.lock().signs;
        let forger = key(signs + 1).called(&name(signs));
        forger.sign("ES256", &with(of_everybody(), &json!({"jti": number.to_string()})))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }
}

/// Two pairs are all that there are: they take turns, under new names.
fn key(generation: u64) -> Key {
    let pair = if generation.is_multiple_of(2) { "p256" } else { "p256-other" };
    Key::of(pair).called(&name(generation))
}

fn name(generation: u64) -> String {
    format!("generation-{generation}")
}

fn of_everybody() -> Value {
    with(claims(ISSUER, AUDIENCE), &json!({"scope": "api:read"}))
}

fn sign(generation: u64, others: &Value) -> String {
    key(generation).sign("ES256", &with(of_everybody(), others))
}
