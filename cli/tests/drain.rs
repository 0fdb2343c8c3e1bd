//! `gatehouse drain`, against an administration that does what it should not.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The statistics of an Envoy that has nothing to do.
const QUIET: &str = "http.admin.downstream_cx_active: 1\nhttp.admin.downstream_rq_active: 1\n\
    http.admin.downstream_rq_total: 7\nhttp.main.downstream_cx_active: 0\n\
    http.main.downstream_rq_active: 0\nhttp.main.downstream_rq_total: 3\n";

/// What is answered: a status, headers, a body, and how long it takes.
struct Answer(u16, &'static str, String, Duration);

fn ok(body: &str) -> Answer {
    Answer(200, "", body.to_owned(), Duration::ZERO)
}

fn failed() -> Answer {
    Answer(500, "", String::new(), Duration::ZERO)
}

/// Something that is asked as Envoy's administration is.
struct Admin {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Admin {
    /// One that answers by the path, and by how often statistics were asked for before.
    fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::<String>::new()));
        let (answer, known) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, known) = (Arc::clone(&answer), Arc::clone(&known));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(path) = request(&stream) else { return };
                    let before = {
                        let mut known = known.lock().unwrap();
                        known.push(path.clone());
                        known.iter().filter(|path| *path == "/stats").count().saturating_sub(1)
                    };
                    let Answer(status, headers, body, time) = answer(&path, before);
                    thread::sleep(time);
                    let length = body.len();
                    // Who asked may have gone.
                    drop(
                        stream.write_all(
                            format!(
                                "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\
                             connection: close\r\n\r\n{body}"
                            )
                            .as_bytes(),
                        ),
                    );
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn drain(&self, arguments: &[&str]) -> (Option<i32>, String) {
        drain(&self.address.to_string(), arguments)
    }
}

/// The path of a request, without its query unless it is that of an order.
fn request(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let _last = lines.find(String::is_empty);
    Some(if path.starts_with("/stats?") { "/stats".to_owned() } else { path })
}

/// The exit code, and what it said.
fn drain(admin: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(["drain", "--admin", admin])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

#[test]
fn it_is_drained_where_nothing_is_under_way() {
    let admin = Admin::start(|_, _| ok(QUIET));
    let (code, said) = admin.drain(&[]);
    assert!(code == Some(0) && said.starts_with("drained in"), "{code:?} {said}");
    let orders: Vec<_> = admin.asked().into_iter().filter(|path| path != "/stats").collect();
    assert_eq!(orders, ["/healthcheck/fail", "/drain_listeners?graceful", "/quitquitquit"]);
}

#[test]
fn what_has_no_statistics_is_asked_for_nothing_else() {
    for page in [
        "<html><body>It works!</body></html>",
        "",
        "server.live: 1\nhttp.main.downstream_rq_2xx: 1\n",
        // Half of them is no base to say that nothing is under way.
        "http.main.downstream_rq_active: 0\n",
        "http.main.downstream_rq_active: 0\nhttp.main.downstream_cx_active: 0\n",
        "http.a.downstream_rq_active: x\nhttp.a.downstream_cx_active: 0\nhttp.a.downstream_rq_total: 0\n",
    ] {
        let admin = Admin::start(move |_, _| ok(page));
        let (code, said) = admin.drain(&["--wait", "2s"]);
        assert_eq!(code, Some(2), "{page}: {said}");
        assert!(said.contains("/stats: "), "{said}");
        assert_eq!(admin.asked(), ["/stats"], "{page}");
    }
    // An Envoy without a listener has its own administration's, and no more.
    let (admin_alone, _) = QUIET.split_at(QUIET.find("http.main").unwrap());
    let admin = Admin::start(move |_, _| ok(admin_alone));
    assert_eq!(admin.drain(&[]).0, Some(0));
}

#[test]
fn once_begun_a_failed_call_is_made_again() {
    let admin = Admin::start(|path, before| match (path, before) {
        ("/stats", 1) => failed(),
        ("/stats", 2) => ok("<html>"),
        _ => ok(QUIET),
    });
    assert_eq!(admin.drain(&[]).0, Some(0));
    assert_eq!(admin.asked().last().unwrap(), "/quitquitquit");
    // So is that to its listeners.
    let tried = Mutex::new(0);
    let admin = Admin::start(move |path, _| {
        let mut tried = tried.lock().unwrap();
        if path == "/drain_listeners?graceful" {
            *tried += 1;
            return if *tried == 1 { failed() } else { ok("OK\n") };
        }
        ok(QUIET)
    });
    assert_eq!(admin.drain(&[]).0, Some(0));
    let orders = admin.asked().into_iter().filter(|path| path.starts_with("/drain")).count();
    assert_eq!(orders, 2);
}

#[test]
fn what_cannot_be_shown_does_not_keep_envoy_from_ending() {
    // Before it begins, and once after.
    let admin = Admin::start(|path, before| match path {
        "/stats" if before > 1 => failed(),
        _ => ok(QUIET),
    });
    let (code, said) = admin.drain(&["--wait", "3s"]);
    assert!(code == Some(0) && said.starts_with("drained in"), "{code:?} {said}");
    assert_eq!(admin.asked().last().unwrap(), "/quitquitquit");
}

#[test]
fn at_the_end_of_the_time_envoy_ends_whatever_it_answers() {
    let admin = Admin::start(|path, before| match path {
        "/stats" if before > 0 => failed(),
        _ => ok(QUIET),
    });
    let begin = Instant::now();
    let (code, said) = admin.drain(&["--wait", "1s"]);
    assert!(code == Some(1) && said.starts_with("not drained in"), "{code:?} {said}");
    assert!(said.contains("/stats: 500"), "{said}");
    assert_eq!(admin.asked().last().unwrap(), "/quitquitquit");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn the_wait_bounds_answers_that_do_not_come() {
    let slow = |body: &str| Answer(200, "", body.to_owned(), Duration::from_millis(4500));
    let admin = Admin::start(move |path, before| match path {
        "/stats" if before > 0 => slow(QUIET),
        _ => ok(QUIET),
    });
    let begin = Instant::now();
    assert_eq!(admin.drain(&["--wait", "2s"]).0, Some(1));
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(admin.asked().last().unwrap(), "/quitquitquit");
    let admin = Admin::start(move |_, _| slow(QUIET));
    let begin = Instant::now();
    assert_eq!(admin.drain(&["--wait", "2s"]).0, Some(2));
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(admin.asked(), ["/stats"]);
}

#[test]
fn nobody_else_is_asked_than_who_is_named() {
    let other = Admin::start(|_, _| ok(QUIET));
    let location: &'static str =
        Box::leak(format!("location: http://{}/stats\r\n", other.address).into_boxed_str());
    let admin = Admin::start(move |_, _| Answer(302, location, String::new(), Duration::ZERO));
    let (code, said) = admin.drain(&["--wait", "2s"]);
    assert!(code == Some(2) && said.contains("302"), "{code:?} {said}");
    assert!(other.asked().is_empty());
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for (address, why) in [
        ("127.0.0.1", "no port"),
        ("127.0.0.1:", "no port"),
        ("127.0.0.1:http", "no port"),
        ("127.0.0.1:0", "no port"),
        (":9901", "no host"),
        ("::1", "no host"),
        ("https://127.0.0.1:9901", "`http` alone"),
        ("ftp://127.0.0.1:9901", "`http` alone"),
        ("http://user:hunter2@127.0.0.1:9901", "name and password"),
        ("user:hunter2@127.0.0.1:9901", "name and password"),
        ("127.0.0.1:9901/admin", "no path"),
        ("127.0.0.1:9901?x", "no path"),
        ("", "no port"),
    ] {
        let (code, said) = drain(address, &["--wait", "1s"]);
        assert_eq!(code, Some(2), "{address}: {said}");
        assert!(said.contains("--admin") && said.contains(why), "{address}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let admin = Admin::start(|_, _| ok(QUIET));
    let (code, said) = drain(&format!("http://{}/", admin.address), &[]);
    assert_eq!(code, Some(0), "{said}");
}
