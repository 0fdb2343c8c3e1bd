//! Windows that end while requests come, over several workers and connections.
//!
//! When a request was decided is not seen from outside, but that it was between the moment before it
//! was sent and the one at which its answer was there. What is counted to a stretch of time is what was
//! surely decided in it: however slow a machine is, that is never more than what was let through.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::client::Connection;

use super::*;

const QUOTA: usize = 200;

const CONNECTIONS: usize = 8;

const LASTS: Duration = Duration::from_millis(3500);

const SECOND: Duration = Duration::from_secs(1);

/// A request that was let through: before it was sent, and when it was answered.
type Admitted = (Duration, Duration);

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// All that is let through, of as much as comes through for a while. It begins late in a second, so
/// that the first window ends soon.
fn admitted(algorithm: &str) -> Vec<Admitted> {
    let quota = json!({"requests": QUOTA, "per": "1s"});
    let (envoy, upstream) = start(4, limit(quota, json!({"algorithm": algorithm})));
    while now().subsec_millis() / 100 != 6 {
        thread::sleep(Duration::from_millis(5));
    }
    let ends = now() + LASTS;
    let client = || {
        let mut connection = Connection::open(envoy.address()).unwrap();
        let mut all = Vec::new();
        while now() < ends {
            let sent = now();
            match connection.send(&Request::get("/")).unwrap().status {
                200 => all.push((sent, now())),
                status => assert_eq!(status, 429),
            }
        }
        all
    };
    let all: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(upstream.count(), all.len());
    assert!(all.len() >= 2 * QUOTA, "{} were let through: no window rolled over", all.len());
    all
}

/// The most that was let through in any second, wherever it begins.
fn most_in_a_second(all: &[Admitted]) -> usize {
    let within = |begin: Duration| {
        all.iter().filter(|(sent, answered)| *sent >= begin && *answered < begin + SECOND).count()
    };
    all.iter().map(|(sent, _)| within(*sent)).max().unwrap()
}

#[test]
fn a_sliding_window_never_has_more_than_its_quota() {
    let all = admitted("sliding-window");
    assert!(most_in_a_second(&all) <= QUOTA, "{} in a second", most_in_a_second(&all));
}

#[test]
fn a_fixed_window_has_its_quota_and_two_that_meet_have_two() {
    let all = admitted("fixed-window");
    assert!(most_in_a_second(&all) <= 2 * QUOTA, "{} in a second", most_in_a_second(&all));
    let mut windows = std::collections::BTreeMap::<u64, usize>::new();
    for (sent, answered) in &all {
        if sent.as_secs() == answered.as_secs() {
            *windows.entry(sent.as_secs()).or_default() += 1;
        }
    }
    assert!(windows.len() >= 3, "{windows:?}");
    assert!(windows.values().all(|count| *count <= QUOTA), "{windows:?}");
}
