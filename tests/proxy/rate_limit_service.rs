//! `rate-limit` with a rate-limit service in the real Envoy: one of our own that answers anything.
//!
//! The service that really counts is in `real`.

mod real;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::grpc::{Grpc, Reply, bytes, framed, head, number};
use tests::upstream::{Refusing, Silent, Upstream};

const OK: u64 = 1;
const OVER: u64 = 2;

/// A status of a descriptor: 10 a minute, so many remaining, so many seconds until it resets.
fn status(code: u64, remaining: u64, reset: u64) -> Vec<u8> {
    let limit = [number(1, 10), number(2, 2)].concat();
    let reset = bytes(4, &number(1, reset));
    [number(1, code), bytes(2, &limit), number(3, remaining), reset].concat()
}

fn response(code: u64, statuses: &[Vec<u8>]) -> Vec<u8> {
    let statuses = statuses.iter().map(|status| bytes(2, status)).collect::<Vec<_>>().concat();
    [number(1, code), statuses].concat()
}

fn header(field: u8, name: &str, value: &str) -> Vec<u8> {
    bytes(field, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat())
}

/// Two requests a minute here, and a limit that is counted there by the header `x-key`.
fn config(on_failure: &str) -> Value {
    let quota = json!({"requests": 2, "per": "1m"});
    json!({
        "limits": [
            {"name": "here", "key": [{"header": "x-here"}], "quota": quota},
            {"name": "there", "key": [{"header": "x-key"}], "counted": "global",
             "quota": {"requests": 1, "per": "1m"}, "cost": 1},
        ],
        "service": {"cluster": "limits", "domain": "test", "timeout": "500ms", "on_failure": on_failure},
    })
}

struct World {
    envoy: Envoy,
    upstream: Upstream,
}

impl World {
    fn new(service: &Grpc, on_failure: &str) -> Self {
        Self::with(config(on_failure), |setup| {
            setup.cluster_of_grpc("limits", Some(service.address()))
        })
    }

    fn with(config: Value, cluster: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start();
        let setup = Setup::new().filter("rate-limit", config).upstream(&upstream);
        Self { envoy: cluster(setup).start(), upstream }
    }

    fn get(&self, key: &str) -> tests::client::Response {
        let request = Request::get("/").header("x-key", key).header("x-here", key);
        request.send(self.envoy.address())
    }

    fn counted(&self, name: &str) -> u64 {
        self.envoy.counted(&format!("rate-limit.{name}"))
    }
}

#[test]
fn the_service_decides() {
    let service = Grpc::answering(|message| {
        let over = message.windows(3).any(|part| part == b"bad");
        let code = if over { OVER } else { OK };
        Reply::message(&response(code, &[status(code, if over { 0 } else { 7 }, 30)]))
    });
    let world = World::new(&service, "deny");
    let good = world.get("good");
    assert_eq!(good.status, 200);
    let stands = "\"here\";r=1;t=30, \"there\";r=7;t=30";
    assert_eq!(good.header("ratelimit").as_deref(), Some(stands));
    let bad = world.get("bad");
    assert_eq!((bad.status, bad.header("retry-after").as_deref()), (429, Some("30")));
    assert!(bad.text().contains("`there`"), "{}", bad.text());
    assert_eq!(world.upstream.count(), 1);
    assert_eq!((world.counted("service.result.ok"), world.counted("service.result.over")), (1, 1));
    // What was asked, as any service reads it.
    let asked = service.received();
    let entry = |key: &str, value: &str| {
        bytes(1, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
    };
    let entries = [entry("limit", "there"), entry("header.x-key", "good")].concat();
    let limit = bytes(2, &[number(1, 1), number(2, 2)].concat());
    let descriptor = [entries, limit, bytes(3, &number(1, 1))].concat();
    assert_eq!(asked[0], [bytes(1, b"test"), bytes(2, &descriptor), number(3, 1)].concat());
}

#[test]
fn a_key_that_is_over_is_answered_without_a_call_by_every_worker() {
    let service = Grpc::answering(|_| Reply::message(&response(OVER, &[status(OVER, 0, 60)])));
    let world = World::new(&service, "deny");
    for _ in 0..30 {
        // A new connection each time: both workers get some.
        let answer = world.get("alice");
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(service.count(), 1);
    assert_eq!(world.counted("service.result.known"), 29);
    assert_eq!(world.upstream.count(), 0);
    world.get("bob");
    assert_eq!(service.count(), 2);
}

#[test]
fn a_key_that_was_over_is_asked_about_when_it_has_reset() {
    let service = Grpc::answering(|_| Reply::message(&response(OVER, &[status(OVER, 0, 1)])));
    let world = World::new(&service, "deny");
    assert_eq!((world.get("alice").status, service.count()), (429, 1));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!((world.get("alice").status, service.count()), (429, 2));
}

#[test]
fn what_is_refused_here_is_not_charged_there() {
    let service = Grpc::answering(|_| Reply::message(&response(OK, &[status(OK, 7, 30)])));
    let world = World::new(&service, "deny");
    let statuses: Vec<_> = (0..10).map(|_| world.get("alice").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2);
    assert_eq!((service.count(), world.upstream.count()), (2, 2));
}

#[test]
fn what_is_refused_there_is_not_charged_here() {
    let asked = AtomicUsize::new(0);
    let service = Grpc::answering(move |_| {
        let over = asked.fetch_add(1, Ordering::SeqCst) < 5;
        // Something remains, so that each request is asked about.
        let code = if over { OVER } else { OK };
        Reply::message(&response(code, &[status(code, 3, 30)]))
    });
    let world = World::new(&service, "deny");
    let statuses: Vec<_> = (0..8).map(|_| world.get("alice").status).collect();
    assert_eq!(statuses, [429, 429, 429, 429, 429, 200, 200, 429]);
    assert_eq!(service.count(), 7);
}

/// Each way to be no answer, and what the request then comes to.
#[test]
fn what_is_no_answer_is_as_on_failure_says() {
    let good = || framed(&response(OK, &[status(OK, 7, 30)]));
    let trailers = |code: &str| vec![("grpc-status", code.to_owned())];
    let cases: Vec<(&str, Reply, &str)> = vec![
        ("garbage in HTTP/2", Reply::Garbage, "unavailable"),
        ("a reset", Reply::Reset, "unavailable"),
        ("an end", Reply::Close, "unavailable"),
        ("silence", Reply::Hang, "unavailable"),
        ("UNAVAILABLE", Reply::status("14"), "unavailable"),
        ("UNIMPLEMENTED", Reply::status("12"), "refused"),
        ("INTERNAL behind a message", Reply::Http(head(), good(), trailers("13")), "refused"),
        ("no grpc-status", Reply::Http(head(), good(), vec![("x", "y".into())]), "malformed"),
        ("a status that is none", Reply::status("ok"), "refused"),
        ("OK and no message", Reply::status("0"), "malformed"),
        (
            "no gRPC",
            Reply::Http(
                vec![(":status", "200".into()), ("content-type", "text/html".into())],
                b"<html>".to_vec(),
                trailers("0"),
            ),
            "malformed",
        ),
        (
            "another status of HTTP",
            Reply::TrailersOnly(vec![(":status", "404".into())]),
            "malformed",
        ),
        ("garbage in a frame", Reply::message(b"\xff\xff\xff"), "malformed"),
        ("half a frame", Reply::body(good()[..7].to_vec()), "malformed"),
        ("two frames", Reply::body([good(), good()].concat()), "malformed"),
        ("a compressed frame", Reply::body([&[1], &good()[1..]].concat()), "malformed"),
        ("too long", Reply::body(vec![0; 100_000]), "malformed"),
        (
            "too few statuses",
            Reply::message(&response(OK, &[status(OK, 1, 1), status(OK, 1, 1)])),
            "malformed",
        ),
        ("an unknown code", Reply::message(&response(0, &[])), "malformed"),
        ("an unknown code of one", Reply::message(&response(OK, &[status(9, 1, 1)])), "malformed"),
    ];
    let replies: Vec<_> = cases.iter().map(|(_, reply, _)| reply.clone()).collect();
    for (on_failure, first, second) in
        [("deny", 503, 503), ("allow", 200, 200), ("local", 200, 429)]
    {
        let replies = replies.clone();
        let service = Grpc::answering(move |message| {
            let at = message.windows(5).position(|part| part == b"case-").expect("a case");
            let digits = message[at + 5..].iter().take(2).map(|byte| usize::from(byte - b'0'));
            replies[digits.fold(0, |all, digit| all * 10 + digit)].clone()
        });
        let world = World::new(&service, on_failure);
        for (index, (name, _, result)) in cases.iter().enumerate() {
            let before = world.counted(&format!("service.result.{result}"));
            let key = format!("case-{index:02}");
            let got = [world.get(&key).status, world.get(&key).status];
            assert_eq!(got, [first, second], "{name}, {on_failure}");
            let after = world.counted(&format!("service.result.{result}"));
            assert_eq!(after - before, 2, "{name}: not {result}");
        }
    }
}

#[test]
fn who_cannot_be_asked_is_as_on_failure_says() {
    let (refusing, silent) = (Refusing::new(), Silent::new());
    let upstream = Upstream::start();
    // The plugins have a VM each, or they would count together.
    let setup = |on_failure: &str, cluster: &str| {
        let mut config = config(on_failure);
        config["service"]["cluster"] = json!(cluster);
        let setup = Setup::new().filter("rate-limit", config).upstream(&upstream);
        setup.with_plugin(|plugin| {
            plugin["vm_config"]["vm_id"] = json!(format!("{on_failure}-{cluster}"));
        })
    };
    let mut all = Setup::new()
        .cluster_of_grpc("refusing", Some(refusing.address()))
        .cluster_of_grpc("silent", Some(silent.address()))
        .cluster_of_grpc("empty", None);
    let cases = [("deny", 503, 503), ("allow", 200, 200), ("local", 200, 429)];
    let clusters = ["refusing", "silent", "empty", "missing"];
    for (on_failure, ..) in cases {
        for cluster in clusters {
            let name = format!("{on_failure}-{cluster}");
            all = all.beside(&name, &setup(on_failure, cluster));
        }
    }
    let envoy = all.start();
    for (on_failure, first, second) in cases {
        for cluster in clusters {
            let name = format!("{on_failure}-{cluster}");
            let get = || {
                let request = Request::get(&format!("/{name}")).header("x-key", "alice");
                request.header("x-here", "alice").send(envoy.listener(&name)).status
            };
            assert_eq!([get(), get()], [first, second], "{name}");
        }
    }
    let log = envoy.access_log(2 * cases.len() * clusters.len());
    let denied: Vec<_> =
        log.iter().filter(|line| line["path"].as_str().unwrap().starts_with("/deny-")).collect();
    assert_eq!(denied.len(), 2 * clusters.len());
    assert!(denied.iter().all(|line| line["details"] == "gatehouse.rate-limit.service_failed"));
}

#[test]
fn a_service_of_http_1_is_no_answer() {
    let page = Upstream::start();
    let world = World::with(config("deny"), |setup| setup.cluster("limits", Some(page.address())));
    assert_eq!(world.get("alice").status, 503);
    assert_eq!(page.last().header("content-type").as_deref(), Some("application/grpc"));
}

#[test]
fn it_waits_no_longer_than_it_may() {
    let service = Grpc::answering(|_| Reply::Hang);
    let world = World::new(&service, "allow");
    let start = Instant::now();
    assert_eq!(world.get("alice").status, 200);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn the_services_headers_are_added_as_far_as_they_are_harmless() {
    let service = Grpc::answering(|message| {
        let over = message.windows(3).any(|part| part == b"bad");
        let code = if over { OVER } else { OK };
        let to_client = ["x-quota-left", ":status", "set-cookie", "content-length", "Connection"];
        let to_upstream =
            ["x-quota-plan", ":path", "host", "x-auth-subject", "X_Auth_Subject", "te", "x-key"];
        let to_client = to_client.map(|name| header(3, name, "5")).concat();
        let to_upstream = to_upstream.map(|name| header(4, name, "/evil")).concat();
        Reply::message(&[response(code, &[status(code, 7, 30)]), to_client, to_upstream].concat())
    });
    let world = World::new(&service, "deny");
    for (key, status) in [("good", 200), ("bad", 429)] {
        let answer = world.get(key);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-quota-left").as_deref(), Some("5"));
        assert_eq!((answer.header("set-cookie"), answer.all("content-length").len()), (None, 1));
    }
    let got = world.upstream.last();
    assert_eq!((got.target.as_str(), got.header("x-quota-plan").as_deref()), ("/", Some("/evil")));
    assert_eq!(got.header("host").as_deref(), Some("test.example"));
    assert_eq!((got.all("x-key"), got.header("te")), (vec![&b"good"[..]], None));
    assert!(!got.headers.iter().any(|(name, _)| name.contains("auth")), "{:?}", got.headers);
}

#[test]
fn a_quota_is_used_up_without_a_call_by_all_workers_together() {
    let service = Grpc::answering(|_| {
        let until = std::time::SystemTime::now() + Duration::from_secs(60);
        let until = until.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let quota = [number(1, 4), bytes(2, &number(1, until))].concat();
        let status = [number(1, OK), number(3, 7), bytes(5, &quota)].concat();
        Reply::message(&response(OK, &[status]))
    });
    let mut config = config("deny");
    config["limits"].as_array_mut().unwrap().remove(0);
    let world =
        World::with(config, |setup| setup.cluster_of_grpc("limits", Some(service.address())));
    for _ in 0..20 {
        assert_eq!(world.get("alice").status, 200);
    }
    assert_eq!((service.count(), world.counted("service.result.granted")), (4, 16));
}

#[test]
fn a_limit_in_shadow_refuses_nobody() {
    let service = Grpc::answering(|message| match message.windows(3).any(|part| part == b"bad") {
        true => Reply::message(&response(OVER, &[status(OVER, 0, 60)])),
        false => Reply::status("13"),
    });
    let mut config = config("deny");
    config["limits"][1]["mode"] = json!("shadow");
    let world =
        World::with(config, |setup| setup.cluster_of_grpc("limits", Some(service.address())));
    assert_eq!(
        [world.get("bad").status, world.get("bad").status, world.get("down").status],
        [200; 3]
    );
    assert_eq!(service.count(), 2);
    assert_eq!(world.counted("shadow_limited.limit.there"), 2);
    assert_eq!(world.counted("shadow_unknown.limit.there"), 1);
}

#[test]
fn bodies_wait_and_many_are_asked_about_at_once() {
    let service = Grpc::answering(|_| {
        std::thread::sleep(Duration::from_millis(2));
        Reply::message(&response(OK, &[status(OK, 7, 30)]))
    });
    let mut config = config("deny");
    config["service"]["timeout"] = json!("10s");
    let world =
        World::with(config, |setup| setup.cluster_of_grpc("limits", Some(service.address())));
    let address = world.envoy.address();
    let clients = (0..32).map(|client| {
        std::thread::spawn(move || {
            let key = format!("client-{client}");
            let request = Request::new("POST", "/").header("x-here", &key).header("x-key", &key);
            (0..2).all(|_| request.clone().body(&[b'x'; 40_000]).send(address).status == 200)
        })
    });
    let clients: Vec<_> = clients.collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
    assert_eq!((service.count(), world.upstream.count()), (64, 64));
    assert!(world.upstream.received().iter().all(|request| request.body.len() == 40_000));
}
