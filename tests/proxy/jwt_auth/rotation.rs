//! A provider that changes its keys while clients go on.

use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::Connection;
use tests::tokens::Key;
use tests::upstream::Upstream;

use super::fetched::{Provider, setup, until};
use super::{bearer, but, good};

/// Where a rotation stands.
#[derive(Default)]
struct Stage {
    new_is_there: AtomicBool,
    old_is_removed: AtomicBool,
    old_has_to_be_gone: AtomicBool,
    over: AtomicBool,
    answers: AtomicUsize,
}

/// Ends it, for a test that fails too.
struct Ending<'a>(&'a Stage);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

fn is(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst)
}

/// Sends tokens of a key on one connection until it is over, known ones and ones never seen; what
/// answer is right, `right` says, when it was so before and after the request.
fn send(
    stage: &Stage,
    to: std::net::SocketAddr,
    key: &Key,
    right: impl Fn(u16) -> bool,
    begins: &AtomicBool,
) {
    let mut connection = Connection::open(to).unwrap();
    let known = key.sign("ES256", &good());
    let mut refused = false;
    for number in 0.. {
        if is(&stage.over) {
            return;
        }
        if !is(begins) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let fresh = || key.sign("ES256", &but(json!({"jti": number.to_string()})));
        let token = if number % 2 == 0 { known.clone() } else { fresh() };
        let has_to_be_gone = is(&stage.old_has_to_be_gone);
        let status = connection.send(&bearer(&token)).unwrap().status;
        assert!(right(status), "{status}");
        // Once a connection's worker has the new set, it does not go back.
        assert!(!refused || status == 401, "{status} after a refusal");
        refused |= status == 401;
        assert!(!has_to_be_gone || !right(401) || refused, "an old key is good for too long");
        stage.answers.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn keys_change_under_load_without_one_wrong_answer() {
    let (old, new) = (Key::of("p256").called("old"), Key::of("p256-other").called("new"));
    let (provider, upstream) = (Provider::of(from_ref(&old)), Upstream::start());
    let times = json!({"refresh": "2s", "refetch": "1s"});
    let envoy = setup(times, &provider, &upstream).start();
    let (stage, at_once) = (Stage::default(), AtomicBool::new(true));
    let of_old = |status| status == 200 || status == 401 && is(&stage.old_is_removed);
    let of_new = |status| status == 200;
    until("keys are fetched", || provider.server.count() == 1);
    thread::scope(|scope| {
        let _ending = Ending(&stage);
        for _ in 0..6 {
            scope.spawn(|| send(&stage, envoy.address(), &old, of_old, &at_once));
            scope.spawn(|| send(&stage, envoy.address(), &new, of_new, &stage.new_is_there));
        }
        // After `refetch` and before `refresh`: the new key is there because a token asked for it.
        let before = provider.server.count();
        until("a refresh", || provider.server.count() > before);
        thread::sleep(Duration::from_millis(1300));
        let (before, answers) = (provider.server.count(), stage.answers.load(Ordering::SeqCst));
        provider.publish(&[old.clone(), new.clone()]);
        stage.new_is_there.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(400));
        let fetched = provider.server.count() - before;
        assert!((1..=2).contains(&fetched), "{fetched} fetches for one new key");
        assert!(stage.answers.load(Ordering::SeqCst) > answers + 50);

        provider.publish(from_ref(&new));
        stage.old_is_removed.store(true, Ordering::SeqCst);
        let removed = Instant::now();
        thread::sleep(Duration::from_secs(4));
        stage.old_has_to_be_gone.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(300));
        assert!(removed.elapsed() < Duration::from_secs(5));
    });
}
