//! A configuration that changes while the proxy runs: counts belong to their limits, not to a place in a
//! list.

use std::time::{Duration, Instant};

use tests::envoy::Watched;

use super::*;

#[test]
fn counts_are_kept_when_limits_change_their_order() {
    let named = |name: &str, requests: u32| json!({"name": name, "key": [{"header": format!("x-{name}")}], "quota": for_good(requests)});
    let (a, b) = (named("a", 2), named("b", 4));
    let watched = Watched::alone("rate-limit", &json!({"limits": [a, b]}));
    let upstream = Upstream::start();
    let envoy = Setup::new().native(watched.filter()).upstream(&upstream).workers(1).start();
    let send = || {
        let request = Request::get("/").header("x-a", "1").header("x-b", "1").header("x-c", "1");
        let answer = request.send(envoy.address());
        let left = answer.header("ratelimit").unwrap_or_default();
        let left = left.split(", ").map(|item| item.split(";t=").next().unwrap().to_owned());
        (answer.status, left.collect::<Vec<_>>())
    };
    assert_eq!(send(), (200, vec!["\"a\";r=1".into(), "\"b\";r=3".into()]));
    watched.replace(&json!({"limits": [b, named("c", 1000), a]}));
    // The worker takes it a moment later: what asks is counted apart, each time.
    let mut asked = 0;
    let mut is_new = || {
        asked += 1;
        let names = ["x-a", "x-b", "x-c"].into_iter();
        let request = names
            .fold(Request::get("/"), |request, name| request.header(name, format!("asks-{asked}")));
        let answer = request.send(envoy.address());
        answer.header("ratelimit").is_some_and(|left| left.contains("\"c\""))
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_new() {
        assert!(Instant::now() < deadline, "no change of the configuration is seen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = (200, vec!["\"b\";r=2".into(), "\"c\";r=999".into(), "\"a\";r=0".into()]);
    assert_eq!(send(), second);
    assert_eq!(send(), (429, vec!["\"a\";r=0".into()]));
}
