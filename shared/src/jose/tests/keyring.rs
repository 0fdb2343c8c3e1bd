//! Two workers over one store, and a provider that answers as a test says.

use std::time::Duration;

use super::jwk::p256;
use super::*;
use crate::filter::{Answer, Call, CallFailure};
use crate::headers::Headers;
use crate::store::{Change, Store};
use crate::testing::Proxy;
use crate::time::Timestamp;
use crate::view::Host as _;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const REFRESH: u64 = 600;
const TIMEOUT: u64 = 5;
const MAX_STALE: u64 = 3600;
const REFETCH: u64 = 10;

struct Workers {
    proxy: Proxy,
    rings: [Keyring; 2],
}

fn remote(place: Place) -> Remote {
    Remote {
        place,
        refresh: Duration::from_secs(REFRESH),
        timeout: Duration::from_secs(TIMEOUT),
        max_stale: Duration::from_secs(MAX_STALE),
        refetch: Duration::from_secs(REFETCH),
    }
}

fn at() -> Place {
    let url = Url::parse("https://idp.example/keys").unwrap();
    Place::At { url, cluster: "idp".into() }
}

fn discovered() -> Place {
    Place::Discovered(Discovery {
        issuer: "https://idp.example".into(),
        cluster: "idp".into(),
        keys_cluster: "keys".into(),
    })
}

fn workers(place: Place) -> Workers {
    let ring = || Keyring::remote("slots", remote(place.clone()));
    Workers { proxy: Proxy::default(), rings: [ring(), ring()] }
}

/// A set with a key of this id.
fn set(kid: &str) -> String {
    let mut jwk = p256();
    jwk["kid"] = json!(kid);
    json!({"keys": [jwk]}).to_string()
}

fn ids(keys: &KeySet) -> String {
    let known = ["a", "b", "c"].into_iter();
    known.filter(|id| keys.candidates(Algorithm::ES256, Some(*id)).next().is_some()).collect()
}

impl Workers {
    fn now(&self) -> Timestamp {
        self.proxy.now().unwrap()
    }

    fn pass(&self, secs: u64) {
        self.proxy.pass(Duration::from_secs(secs));
    }

    fn set_back(&self, secs: u64) {
        self.proxy.set_now(Timestamp::from_secs(self.now().secs() - secs));
    }

    /// A tick of a worker: the call that it has to make.
    fn tick(&mut self, worker: usize) -> Option<Call> {
        let (store, now) = (Store::new(&self.proxy), self.proxy.now().unwrap());
        self.rings[worker].poll(store);
        self.rings[worker].refresh(store, now)
    }

    fn refetch(&mut self, worker: usize) -> Option<Call> {
        let (store, now) = (Store::new(&self.proxy), self.proxy.now().unwrap());
        self.rings[worker].poll(store);
        self.rings[worker].refetch(store, now)
    }

    fn answer_step(
        &mut self,
        worker: usize,
        status: u16,
        body: &str,
        step: Step,
    ) -> Result<Fetch, String> {
        let (store, now) = (Store::new(&self.proxy), self.proxy.now().unwrap());
        let headers = Headers::default();
        let answer = Answer::Response {
            status,
            headers: &headers,
            body: body.as_bytes(),
            trailers: &headers,
        };
        self.rings[worker].answered(&answer, store, now, step)
    }

    fn answer(&mut self, worker: usize, status: u16, body: &str) -> Result<Fetch, String> {
        self.answer_step(worker, status, body, Step::First)
    }

    /// A worker fetches a set.
    #[track_caller]
    fn fetch(&mut self, worker: usize, kid: &str) {
        assert!(self.tick(worker).is_some(), "its turn");
        assert_eq!(self.answer(worker, 200, &set(kid)), Ok(Fetch::Done(vec![])));
    }

    fn keys(&self, worker: usize) -> String {
        match self.rings[worker].keys(self.now()) {
            Lookup::Keys(keys, _) => ids(&keys),
            Lookup::Wait => "wait".into(),
            Lookup::None => "none".into(),
        }
    }

    fn generation(&self, worker: usize) -> u64 {
        match self.rings[worker].keys(self.now()) {
            Lookup::Keys(_, generation) => generation,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn keys_of_the_configuration_are_there_and_never_fetched() {
    let (keys, _) = KeySet::of_provider(set("a").as_bytes()).unwrap();
    let mut ring = Keyring::inline(keys);
    let proxy = Proxy::default();
    let (store, now) = (Store::new(&proxy), Timestamp::from_secs(1));
    ring.poll(store);
    assert!(ring.refresh(store, now).is_none() && ring.refetch(store, now).is_none());
    assert!(!ring.is_remote() && !ring.is_under_way(now));
    assert!(matches!(ring.keys(now), Lookup::Keys(keys, 0) if ids(&keys) == "a"));
    assert!(ring.answered(&Answer::Failed(CallFailure::NoHost), store, now, Step::First).is_err());
    assert_eq!(proxy.shared_keys(), 0);
}

#[test]
fn one_worker_fetches_and_the_other_learns() {
    let mut workers = workers(at());
    assert_eq!(workers.keys(0), "none");
    let call = workers.tick(0).unwrap();
    assert_eq!((call.cluster.as_str(), call.path.as_str()), ("idp", "/keys"));
    assert!(workers.tick(1).is_none() && workers.tick(0).is_none());
    assert_eq!([workers.keys(0), workers.keys(1)], ["wait", "wait"]);
    assert_eq!(workers.answer(0, 200, &set("a")), Ok(Fetch::Done(vec![])));
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "wait"]);
    assert!(workers.tick(1).is_none());
    assert_eq!(workers.keys(1), "a");
    assert_eq!(workers.generation(0), workers.generation(1));
}

#[test]
fn keys_are_fetched_again_every_refresh_by_one() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    workers.pass(REFRESH - 1);
    assert!(workers.tick(0).is_none() && workers.tick(1).is_none());
    workers.pass(1);
    workers.fetch(1, "b");
    assert!(workers.tick(0).is_none());
    assert_eq!([workers.keys(0), workers.keys(1)], ["b", "b"]);
}

#[test]
fn the_old_keys_serve_while_new_ones_are_fetched() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    workers.pass(REFRESH);
    assert!(workers.tick(0).is_some());
    assert_eq!(workers.keys(0), "a");
    assert!(workers.rings[0].is_under_way(workers.now()));
}

#[test]
fn the_same_set_again_is_the_same_generation() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    let first = workers.generation(0);
    workers.pass(REFRESH);
    workers.fetch(0, "a");
    assert_eq!(workers.generation(0), first);
    workers.pass(REFRESH);
    workers.fetch(0, "b");
    assert_ne!(workers.generation(0), first);
}

#[test]
fn an_unknown_key_causes_a_fetch_once_in_refetch() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    // However lately they were fetched: the key may be newer.
    assert!(workers.refetch(1).is_some());
    assert!(workers.refetch(0).is_none() && workers.refetch(1).is_none());
    assert_eq!(workers.answer(1, 200, &set("b")), Ok(Fetch::Done(vec![])));
    workers.pass(REFETCH - 1);
    assert!(workers.refetch(0).is_none() && workers.refetch(1).is_none());
    workers.pass(1);
    assert!(workers.refetch(0).is_some());
}

#[test]
fn a_fetch_that_fails_is_tried_again_ever_later() {
    let mut workers = workers(at());
    for wait in [1, 2, 4, 8, 16, 30, 30, 30] {
        assert!(workers.tick(0).is_some());
        assert_eq!(workers.answer(0, 503, "").unwrap_err(), "the answer is 503");
        assert_eq!(workers.keys(0), "none");
        workers.pass(wait - 1);
        assert!(workers.tick(0).is_none() && workers.tick(1).is_none(), "{wait}");
        // Nobody can hurry it.
        assert!(workers.refetch(0).is_none() && workers.refetch(1).is_none(), "{wait}");
        workers.pass(1);
    }
    // One that goes well puts an end to that.
    workers.fetch(1, "a");
    workers.pass(REFRESH);
    assert!(workers.tick(0).is_some() && workers.answer(0, 500, "").is_err());
    workers.pass(1);
    assert!(workers.tick(0).is_some());
}

#[test]
fn the_last_good_set_serves_as_long_as_it_may() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    assert!(workers.tick(1).is_none());
    workers.pass(REFRESH);
    assert!(workers.tick(0).is_some() && workers.answer(0, 500, "").is_err());
    workers.pass(MAX_STALE - REFRESH);
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
    workers.pass(1);
    assert_eq!([workers.keys(0), workers.keys(1)], ["none", "none"]);
    assert!(workers.tick(1).is_some());
    assert_eq!(workers.keys(1), "wait");
}

#[test]
fn what_is_no_set_never_replaces_one() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    let bodies = ["", "null", "<html>", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"EC"}]}"#];
    for body in bodies {
        workers.pass(REFRESH);
        assert!(workers.tick(0).is_some());
        assert!(workers.answer(0, 200, body).is_err(), "{body}");
        assert!(workers.tick(1).is_none());
        assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
    }
}

#[test]
fn an_answer_is_a_200() {
    let mut workers = workers(at());
    for (status, why) in [
        (201, "the answer is 201"),
        (204, "the answer is 204"),
        (301, "the answer is 301; redirects are not followed"),
        (304, "the answer is 304; redirects are not followed"),
        (404, "the answer is 404"),
        (504, "the answer is 504"),
    ] {
        assert!(workers.tick(0).is_some());
        assert_eq!(workers.answer(0, status, &set("a")).unwrap_err(), why);
        workers.pass(30);
    }
    assert!(workers.tick(0).is_some());
    let (store, now) = (Store::new(&workers.proxy), workers.proxy.now().unwrap());
    let failed = Answer::Failed(CallFailure::TooLong);
    let outcome = workers.rings[0].answered(&failed, store, now, Step::First);
    assert_eq!(outcome.unwrap_err(), "there is no answer: TooLong");
    assert_eq!(workers.keys(0), "none");
}

#[test]
fn what_is_wrong_with_keys_that_are_left_out_is_said() {
    let mut workers = workers(at());
    assert!(workers.tick(0).is_some());
    let body = json!({"keys": [{"kty": "EC"}, p256()]}).to_string();
    let faults = vec!["keys[0]: has no `crv`".into()];
    assert_eq!(workers.answer(0, 200, &body), Ok(Fetch::Done(faults)));
}

#[test]
fn a_document_leads_to_the_keys() {
    let mut workers = workers(discovered());
    assert_eq!(workers.tick(0).unwrap().path, "/.well-known/openid-configuration");
    let document = r#"{"issuer":"https://idp.example","jwks_uri":"https://k.example/keys"}"#;
    let Ok(Fetch::Next(call)) = workers.answer(0, 200, document) else { panic!("a call") };
    assert_eq!(
        (call.cluster.as_str(), call.authority.as_str(), call.path.as_str()),
        ("keys", "k.example", "/keys")
    );
    workers.pass(TIMEOUT);
    assert!(workers.tick(1).is_none() && workers.keys(0) == "wait");
    let outcome = workers.answer_step(0, 200, &set("a"), Step::Second);
    assert_eq!(outcome, Ok(Fetch::Done(vec![])));
    assert!(workers.tick(1).is_none());
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
}

#[test]
fn a_document_of_another_issuer_is_a_failure() {
    let mut workers = workers(discovered());
    assert!(workers.tick(0).is_some());
    let document = r#"{"issuer":"https://evil.example","jwks_uri":"https://k.example/keys"}"#;
    let why = "the discovery document is of another issuer";
    assert_eq!(workers.answer(0, 200, document).unwrap_err(), why);
    assert_eq!(workers.keys(0), "none");
    assert!(workers.tick(1).is_none());
    workers.pass(1);
    assert!(workers.tick(1).is_some());
}

#[test]
fn a_worker_that_is_gone_holds_the_others_up_for_as_long_as_a_fetch() {
    let mut workers = workers(at());
    assert!(workers.tick(0).is_some());
    workers.pass(TIMEOUT);
    assert!(workers.tick(1).is_none());
    workers.pass(1);
    workers.fetch(1, "a");
    assert_eq!(workers.keys(1), "a");
}

#[test]
fn a_late_answer_is_still_an_answer() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    assert!(workers.tick(1).is_none());
    workers.pass(REFRESH);
    assert!(workers.tick(0).is_some());
    workers.pass(TIMEOUT + 1);
    workers.fetch(1, "b");
    // The first worker still has what it would publish.
    assert_eq!(workers.answer(0, 200, &set("a")), Ok(Fetch::Done(vec![])));
    workers.tick(1);
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
    assert_eq!(workers.generation(0), workers.generation(1));
}

#[test]
fn a_clock_that_jumps_ahead_holds_nobody_up() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    workers.pass(10 * 365 * 24 * 3600);
    assert_eq!(workers.keys(0), "none");
    workers.fetch(1, "b");
    workers.tick(0);
    assert_eq!([workers.keys(0), workers.keys(1)], ["b", "b"]);
}

#[test]
fn a_clock_that_jumps_back_holds_nobody_up() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    assert!(workers.tick(1).is_none());
    workers.set_back(1_000_000);
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
    workers.fetch(1, "b");
    workers.tick(0);
    assert_eq!([workers.keys(0), workers.keys(1)], ["b", "b"]);
    workers.pass(REFRESH - 1);
    assert!(workers.tick(0).is_none());
    workers.pass(1);
    assert!(workers.tick(0).is_some());
}

#[test]
fn a_claim_of_the_future_is_none() {
    let mut workers = workers(at());
    assert!(workers.tick(0).is_some());
    workers.set_back(1000);
    assert_eq!(workers.keys(0), "none");
    assert!(workers.tick(1).is_some());
}

#[test]
fn races_that_are_lost_are_run_again() {
    let mut workers = workers(at());
    workers.proxy.lose_races(3);
    assert!(workers.tick(0).is_some());
    workers.proxy.lose_races(3);
    assert_eq!(workers.answer(0, 200, &set("a")), Ok(Fetch::Done(vec![])));
    assert!(workers.tick(1).is_none());
    assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"]);
}

#[test]
fn nobody_fetches_where_the_store_fails() {
    let mut workers = workers(at());
    workers.proxy.lose_races(usize::MAX);
    assert!(workers.tick(0).is_none() && workers.refetch(0).is_none());
    assert_eq!(workers.keys(0), "none");
    workers.proxy.lose_races(0);
    workers.fetch(0, "a");
}

#[test]
fn keys_that_cannot_be_published_are_not_used() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    workers.pass(REFRESH);
    assert!(workers.tick(0).is_some());
    workers.proxy.lose_races(usize::MAX);
    let why = "the proxy does not keep the keys";
    assert_eq!(workers.answer(0, 200, &set("b")).unwrap_err(), why);
    workers.proxy.lose_races(0);
    assert_eq!(workers.keys(0), "a");
}

#[test]
fn a_store_that_fails_afterwards_leaves_the_keys() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    let now = workers.now();
    workers.proxy.fail();
    workers.rings[0].poll(Store::new(&workers.proxy));
    assert!(matches!(workers.rings[0].keys(now), Lookup::Keys(keys, _) if ids(&keys) == "a"));
}

#[test]
fn garbage_in_the_slots_is_as_good_as_nothing() {
    for garbage in [&b"x"[..], &[0; 37], &[255; 37], &[1; 36], &[255; 38], &[]] {
        let mut workers = workers(at());
        for slot in ["state", "set"] {
            let name = format!("slots/keys/{:016x}/{slot}", slot_hash());
            let write = |_: &[u8]| Change::Replace(garbage.to_vec(), ());
            Store::new(&workers.proxy).update(&name, write).unwrap();
        }
        workers.fetch(0, "a");
        assert!(workers.tick(1).is_none());
        assert_eq!([workers.keys(0), workers.keys(1)], ["a", "a"], "{garbage:?}");
    }
}

/// What is in the name of the slots.
fn slot_hash() -> u64 {
    crate::jose::keyring::hash(remote(at()).name().as_bytes())
}

#[test]
fn a_new_plugin_of_the_same_name_starts_with_the_keys_of_the_old_one() {
    let mut workers = workers(at());
    workers.fetch(0, "a");
    workers.rings[1] = Keyring::remote("slots", remote(at()));
    workers.rings[1].poll(Store::new(&workers.proxy));
    assert_eq!(workers.keys(1), "a");
    workers.rings[1] = Keyring::remote("other", remote(at()));
    workers.rings[1].poll(Store::new(&workers.proxy));
    assert_eq!(workers.keys(1), "none");
}
