//! A request that waits for a call, by the test filter `ask`: what Envoy makes of each kind of
//! failure, and that a request which was refused never reaches the upstream.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Received, Refusing, Silent, Upstream};

/// The clusters that `ask` can be told to ask, well and ill.
pub(crate) struct World {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
    pub(crate) asked: Upstream,
    _silent: Silent,
    _dead: Refusing,
}

fn answer(request: &Received) -> Answer {
    match request.target.as_str() {
        "/yes" => Answer::ok("yes"),
        "/no" => Answer::status(403, "no"),
        "/moved" => Answer::Http(302, vec![("location".into(), "/yes".into())], vec![]),
        "/again" => Answer::status(202, ""),
        "/slow" => Answer::After(Duration::from_millis(100), Box::new(Answer::ok("slow"))),
        "/hang" => Answer::Hang,
        "/reset" => Answer::Reset,
        "/garbage" => Answer::Garbage,
        "/long" => Answer::ok(&"x".repeat(100_000)),
        _ => Answer::status(404, ""),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|setup| setup)
    }

    /// With something else set up of the filter.
    fn with(setup: impl FnOnce(Setup) -> Setup) -> Self {
        let (upstream, asked) = (Upstream::start(), Upstream::answering(answer));
        let silent = Silent::new();
        let dead = Refusing::new();
        let envoy = setup(Setup::new().filter("ask", json!({"timeout": "300ms"})))
            .upstream(&upstream)
            .cluster("asked", Some(asked.address()))
            .cluster("dead", Some(dead.address()))
            .cluster("silent", Some(silent.address()))
            .cluster("empty", None)
            .connection_manager(json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}))
            .workers(4)
            .start();
        Self { envoy, upstream, asked, _silent: silent, _dead: dead }
    }

    fn ask(&self, whom: &str) -> (u16, String) {
        let answer = Request::get("/").header("x-ask", whom).send(self.envoy.address());
        let details = self.envoy.access_log(1).last().unwrap()["details"].to_string();
        (answer.status, details.trim_matches('"').to_owned())
    }
}

#[test]
fn each_kind_of_answer_gets_its_verdict() {
    let world = World::new();
    for (whom, status) in [
        ("asked/yes", 200),
        ("asked/no", 403),
        ("asked/moved", 403),
        ("asked/slow", 200),
        ("asked/again", 503),
        ("asked/hang", 503),
        ("asked/reset", 503),
        ("asked/garbage", 503),
        ("asked/long", 503),
        ("dead/yes", 503),
        ("silent/yes", 503),
        ("empty/yes", 503),
        ("unknown/yes", 503),
    ] {
        world.upstream.clear();
        assert_eq!(world.ask(whom).0, status, "{whom}");
        assert_eq!(world.upstream.count(), usize::from(status == 200), "{whom}");
    }
}

/// What the adapter believes of Envoy's answers to calls, one by one.
#[test]
fn the_reasons_are_those_that_the_adapter_documents() {
    for (whom, reason) in [
        ("asked/hang", "status_504"),
        ("asked/reset", "status_503"),
        ("dead/yes", "status_503"),
        ("asked/long", "too_long"),
        ("empty/yes", "no_host"),
        ("unknown/yes", "rejected"),
        ("asked/again", "too_many_calls"),
    ] {
        let world = World::new();
        let (_, details) = world.ask(whom);
        // The body of Envoy's own 503 is longer than this filter wants.
        let accepted = [format!("gatehouse.ask.{reason}"), "gatehouse.ask.too_long".to_owned()];
        assert!(accepted.contains(&details), "{whom}: {details}");
    }
}

#[test]
fn changes_made_while_waiting_are_applied_when_it_goes_on() {
    let world = World::new();
    let answer = Request::get("/").header("x-ask", "asked/yes").send(world.envoy.address());
    assert_eq!(answer.header("x-answered").as_deref(), Some("yes"));
    assert_eq!(answer.header("x-asked").as_deref(), Some("1"));
    let got = world.upstream.last();
    assert_eq!((got.header("x-answer").as_deref(), got.header("x-ask")), (Some("yes"), None));
}

#[test]
fn a_body_follows_a_request_that_waits_and_not_one_that_is_refused() {
    let world = World::new();
    let post = |whom: &str| {
        let request = Request::new("POST", "/").header("x-ask", whom).body(&[b'x'; 50_000]);
        request.send(world.envoy.address()).status
    };
    assert_eq!(post("asked/slow"), 200);
    assert_eq!(world.upstream.last().body.len(), 50_000);
    assert_eq!(post("asked/no"), 403);
    assert_eq!(world.upstream.count(), 1);
}

/// Three times what Envoy buffers of a connection by default.
static LARGE: [u8; 3 << 20] = [b'x'; 3 << 20];

#[test]
fn a_body_larger_than_what_envoy_buffers_waits_with_its_client() {
    let world = World::new();
    let request = Request::new("POST", "/").header("x-ask", "asked/slow").body(&LARGE);
    assert_eq!(request.send(world.envoy.address()).status, 200);
    assert!(world.upstream.last().body == LARGE);
}

/// Envoy takes it off the client then, and has no room for it.
#[test]
fn a_body_larger_than_what_envoy_buffers_is_refused_where_envoy_stops_at_heads_alone() {
    let world = World::with(|setup| {
        setup.with_plugin(|plugin| plugin["allow_on_headers_stop_iteration"] = json!(true))
    });
    for whom in ["asked/hang", "asked/no"] {
        let request = Request::new("POST", "/").header("x-ask", whom).body(&LARGE);
        // It may close the connection while the client still writes.
        let answer = request.try_send(world.envoy.address());
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 400), "{whom}");
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.ask("asked/yes").0, 200);
}

/// Envoy does not hold the body back by itself then.
#[test]
fn a_body_does_not_set_a_request_free_where_envoy_stops_at_heads_alone() {
    let world = World::with(|setup| {
        setup.with_plugin(|plugin| plugin["allow_on_headers_stop_iteration"] = json!(true))
    });
    let post = |whom: &str, body: &[u8]| {
        let request = Request::new("POST", "/").header("x-ask", whom).body(body);
        request.send(world.envoy.address()).status
    };
    for body in [&[b'x'; 50_000][..], b"x"] {
        world.upstream.clear();
        assert_eq!(post("asked/no", body), 403);
        assert_eq!(post("asked/hang", body), 503);
        assert_eq!(world.upstream.count(), 0);
        assert_eq!(post("asked/slow", body), 200);
        assert_eq!(world.upstream.last().body, body);
    }
    let mut connection = Connection::open(world.envoy.address()).unwrap();
    let head = b"POST /halves HTTP/1.1\r\nhost: x\r\nx-ask: asked/no\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.send_bytes(head).unwrap();
    connection.send_bytes(b"5\r\nhello\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let _ = connection.send_bytes(b"5\r\nworld\r\n0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!(connection.receive().unwrap().status, 403);
    assert!(!world.upstream.counts().contains_key("/halves"));
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let world = World::new();
    for _ in 0..50 {
        let request = Request::get("/").header("x-ask", "asked/slow");
        request.abandon(world.envoy.address(), Duration::from_millis(5));
    }
    // The answers come when nobody waits for them any more.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.ask("asked/yes").0, 200);
    assert!(world.asked.count() >= 50);
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_call_that_hangs_ends_at_its_time_limit() {
    let world = World::new();
    let start = Instant::now();
    assert_eq!(world.ask("asked/hang").0, 503);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn background_calls_come_from_one_worker_and_end() {
    let asked = Upstream::start();
    let envoy = Setup::new()
        .filter("ask", json!({"timeout": "1s", "background": "asked"}))
        .cluster("asked", Some(asked.address()))
        .workers(4)
        .start();
    let (start, before) = (Instant::now(), asked.count());
    std::thread::sleep(Duration::from_secs(2));
    // A tick each tenth of a second; four workers and the main thread would make it five times that.
    let (ticks, calls) = (start.elapsed().as_millis() / 100, asked.count() - before);
    assert!(calls >= 5 && calls as u128 <= ticks + 3, "{calls} calls in {ticks} ticks");
    assert!(envoy.counted("ask.background.end.answered") >= 5);
}

#[test]
fn background_calls_that_cannot_start_have_failed() {
    let envoy = Setup::new().filter("ask", json!({"timeout": "1s", "background": "none"})).start();
    let deadline = Instant::now() + Duration::from_secs(10);
    while envoy.counted("ask.background.end.failed") < 5 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}
