//! The pings, and what the workers know by them.

use shared::config::Environment;
use shared::driver::Instance;
use shared::filter::{Call, CallFailure};
use shared::testing::Proxy;

use super::*;

/// Another worker of the same proxy, with this configuration.
fn worker(config: &Value, secret: u8) -> Instance<HealthShortcut> {
    let now = shared::time::Timestamp::from_secs(1_800_000_100);
    let birth = Birth { name: "test", secret: [secret; 16], now, host: &Proxy::default() };
    Instance::configure(config.to_string().as_bytes(), &Environment::default(), &birth).unwrap()
}

#[test]
fn ok_is_a_status_of_200_to_299() {
    for (status, line) in [
        (199, NOT_READY),
        (200, READY),
        (204, READY),
        (299, READY),
        (300, NOT_READY),
        (404, NOT_READY),
    ] {
        let mut bench = bench(&config());
        ping(&mut bench, status, 200);
        assert_eq!(probe(&mut bench, "/readyz").line(), line, "{status}");
    }
}

#[test]
fn no_answer_is_not_ok() {
    for failure in
        [CallFailure::Rejected, CallFailure::NoHost, CallFailure::Broken, CallFailure::TooLong]
    {
        let mut bench = bench(&config());
        ping(&mut bench, 200, 200);
        after(&bench, 5_000);
        let calls = bench.tick();
        assert_eq!(probe(&mut bench, "/readyz").line(), READY, "the last answer counts");
        bench.answer(calls[0].0, &Answer::Failed(failure));
        assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY, "{failure:?}");
    }
}

#[test]
fn a_dependency_recovers_with_the_next_ping() {
    let mut bench = bench(&config());
    ping(&mut bench, 500, 200);
    after(&bench, 5_000);
    ping(&mut bench, 200, 200);
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
}

#[test]
fn an_old_answer_does_not_count() {
    let mut bench = bench(&config());
    ping(&mut bench, 200, 200);
    after(&bench, 17_000);
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
    after(&bench, 1);
    assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY);
}

#[test]
fn a_ping_is_what_is_configured() {
    let calls = bench(&config()).tick();
    let agent = vec![("user-agent", "gatehouse-health-shortcut".to_owned())];
    let expected = |cluster, host, path, secs| Call {
        headers: agent.clone(),
        ..Call::get(cluster, host, path, Duration::from_secs(secs))
    };
    let calls: Vec<_> = calls.into_iter().map(|(_, call)| call).collect();
    assert_eq!(
        calls,
        [expected("cache", "cache:81", "/livez", 1), expected("db", "db", "/up?deep=1", 2)]
    );
}

#[test]
fn pings_go_once_an_interval_and_one_at_a_time() {
    let mut bench = bench(&config());
    assert_eq!(ping(&mut bench, 200, 200), 2);
    after(&bench, 4_999);
    assert_eq!(ping(&mut bench, 200, 200), 0);
    after(&bench, 1);
    assert_eq!(bench.tick().len(), 1, "the database");
    after(&bench, 4_999);
    assert_eq!(bench.tick().len(), 0, "its ping is under way");
}

#[test]
fn ticks_are_a_tenth_of_the_shortest_interval() {
    for (interval, tick) in [("100ms", 100), ("2s", 200), ("5s", 500), ("1h", 500)] {
        let dependencies = json!([{"name": "a", "cluster": "a", "interval": interval}, {"name": "b", "cluster": "b"}]);
        let bench = bench(&with(json!({"dependencies": dependencies})));
        assert_eq!(bench.instance.plugin.tick(), Some(Duration::from_millis(tick)), "{interval}");
    }
}

#[test]
fn workers_share_pings_and_results() {
    let mut bench = bench(&config());
    let calls = bench.tick();
    let first = std::mem::replace(&mut bench.instance, worker(&config(), 8));
    assert_eq!(bench.tick().len(), 0, "the first worker pings");
    let second = std::mem::replace(&mut bench.instance, first);
    for (id, _) in &calls {
        bench.answer(*id, &status_of(200, &Headers::default()));
    }
    bench.instance = second;
    assert_eq!(probe(&mut bench, "/healthz").line(), WELL);
}

#[test]
fn a_worker_that_dies_is_replaced() {
    let mut bench = bench(&config());
    assert_eq!(bench.tick().len(), 2);
    bench.instance = worker(&config(), 8);
    after(&bench, 10_000);
    assert_eq!(ping(&mut bench, 200, 200), 2);
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
}

#[test]
fn uptime_is_the_same_on_all_workers_and_under_the_next_configuration() {
    let mut bench = bench(&config());
    bench.tick();
    after(&bench, 150_000);
    bench.instance = worker(&without("dependencies"), 8);
    assert_eq!(body(&probe(&mut bench, "/livez")), "{\"uptime\":150,\"version\":\"91bb64a\"}\n");
}

#[test]
fn what_is_pinged_otherwise_is_not_known_yet() {
    let mut before = config();
    before["dependencies"][0]["host"] = json!("db");
    let mut bench = bench(&before);
    ping(&mut bench, 200, 200);
    for (field, value) in [("name", "db"), ("cluster", "other"), ("path", "/"), ("host", "other")] {
        let mut next = before.clone();
        next["dependencies"][0][field] = json!(value);
        bench.instance = worker(&next, 8);
        assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY, "{field}");
    }
    before["version"] = json!("2");
    bench.instance = worker(&before, 8);
    assert_eq!(probe(&mut bench, "/readyz").line(), READY);
}

#[test]
fn an_answer_for_the_configuration_before_is_for_nobody() {
    let mut bench = bench(&config());
    let calls = bench.tick();
    bench.instance = worker(&config(), 8);
    after(&bench, 10_000);
    bench.tick();
    for (id, _) in &calls {
        bench.answer(*id, &status_of(200, &Headers::default()));
    }
    assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY);
}

#[test]
fn nothing_is_ok_and_nothing_breaks_where_the_store_fails() {
    let mut bench = bench(&config());
    bench.proxy.lose_races(usize::MAX);
    assert_eq!(bench.tick().len(), 0);
    assert_eq!(probe(&mut bench, "/readyz").line(), NOT_READY);
    assert_eq!(probe(&mut bench, "/livez").line(), LIVE);
}

#[test]
fn lost_races_are_tried_again() {
    let mut bench = bench(&config());
    bench.proxy.lose_races(3);
    assert_eq!(ping(&mut bench, 200, 200), 2);
    after(&bench, 5_000);
    bench.proxy.lose_races(3);
    assert_eq!(ping(&mut bench, 200, 200), 2, "what the winner wrote is garbage");
    assert_eq!(probe(&mut bench, "/healthz").line(), WELL);
}
