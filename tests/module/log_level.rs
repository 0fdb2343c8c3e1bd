//! The proxy's log level, which modules follow at each configuration and at each tick.

use tests::host::{Host, When};

const TRACE: u32 = 0;
const DEBUG: u32 = 1;
const INFO: u32 = 2;
const WARN: u32 = 3;
const ERROR: u32 = 4;
const OFF: u32 = 6;

/// Its authenticator does not run: a refusal that has a line of each of three levels.
const CONFIG: &str = r#"{
    "schemes": {"basic": {"authenticator": "basic-auth"}},
    "security": [{"basic": []}],
    "services": [{"name": "users", "methods": [
        {"name": "list", "match": {"methods": ["GET"], "paths": ["/**"]}}
    ]}]
}"#;

const LINES: [(u32, &str); 3] = [
    (DEBUG, "access-policy: refused: authenticator_missing"),
    (INFO, "access-policy: users.list: "),
    (ERROR, "access-policy: basic-auth has not run on a request that needs it"),
];

fn start(level: u32) -> Host {
    let mut host = Host::load("access-policy").unwrap().log_level(level);
    host.configure(CONFIG).unwrap();
    host
}

/// Of which levels there is a line about a request that is refused.
#[track_caller]
fn said(host: &mut Host) -> Vec<u32> {
    let before = host.logs().len();
    let headers = [(":method", "GET"), (":path", "/"), (":authority", "shop")];
    let outcome = host.request(&headers).unwrap();
    assert_eq!(outcome.local_reply.map(|reply| reply.status), Some(503));
    let said = &host.logs()[before..];
    for (level, text) in LINES {
        let is_it = |line: &&tests::host::LogLine| line.text.starts_with(text);
        assert!(said.iter().filter(is_it).all(|line| line.level == level), "{said:?}");
    }
    let has = |text: &str| said.iter().any(|line| line.text.starts_with(text));
    LINES.iter().filter(|(_, text)| has(text)).map(|(level, _)| *level).collect()
}

#[test]
fn lines_below_the_level_of_the_proxy_are_not_written() {
    for (level, expected) in [
        (TRACE, &[DEBUG, INFO, ERROR][..]),
        (DEBUG, &[DEBUG, INFO, ERROR]),
        (INFO, &[INFO, ERROR]),
        (WARN, &[ERROR]),
        (ERROR, &[ERROR]),
        (OFF, &[]),
    ] {
        assert_eq!(said(&mut start(level)), expected, "level {level}");
    }
}

#[test]
fn a_level_that_changes_counts_from_the_next_tick_on() {
    let mut host = start(WARN);
    assert_eq!(said(&mut host), [ERROR]);
    host.set_log_level(DEBUG);
    assert_eq!(said(&mut host), [ERROR], "nobody asks at each request");
    host.tick().unwrap();
    assert_eq!(said(&mut host), [DEBUG, INFO, ERROR]);
    host.set_log_level(WARN);
    host.tick().unwrap();
    assert_eq!(said(&mut host), [ERROR]);
    // Without a tick it is the next configuration.
    host.set_log_level(INFO);
    host.configure(CONFIG).unwrap();
    assert_eq!(said(&mut host), [INFO, ERROR]);
}

/// Every module is called from time to time, whether or not it has anything to do then.
#[test]
fn a_module_that_has_nothing_to_do_asks_for_ticks_all_the_same() {
    let mut host = start(WARN);
    assert!(host.tick_period().is_some());
    host.tick().unwrap();
    assert!(host.tick_period().is_some_and(|period| period <= 5000), "{:?}", host.tick_period());
}

#[test]
fn a_proxy_that_does_not_tell_its_level_gets_info_and_above() {
    let mut host = Host::load("access-policy").unwrap().log_level(WARN);
    host.inject("proxy_get_log_level", When::Always, 12);
    host.configure(CONFIG).unwrap();
    assert_eq!(said(&mut host), [INFO, ERROR]);
    host.heal();
    host.tick().unwrap();
    assert_eq!(said(&mut host), [ERROR]);
}
