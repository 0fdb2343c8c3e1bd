//! `health-shortcut` in the real Envoy.

pub(crate) mod grpc;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request, Response};
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Upstream};

const INTERVAL: Duration = Duration::from_millis(500);

fn config() -> Value {
    json!({
        "version": "1.4.2",
        "endpoints": [
            {"path": "/livez", "report": "liveness"},
            {"path": "/readyz", "report": "readiness"},
            {"path": "/healthz", "report": "dependencies"},
        ],
        "dependencies": [{"name": "database", "cluster": "database", "interval": "500ms"}],
    })
}

/// Envoy in front of an upstream, with a database there or not.
fn start(database: SocketAddr) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    (setup(&upstream, database).start(), upstream)
}

fn setup(upstream: &Upstream, database: SocketAddr) -> Setup {
    let setup = Setup::new().filter("health-shortcut", config()).upstream(upstream);
    setup.cluster("database", Some(database)).workers(4)
}

/// An address at which nobody listens yet.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn get(envoy: &Envoy, path: &str) -> Response {
    Request::get(path).send(envoy.address())
}

/// How long it took until a path is answered with a status.
#[track_caller]
fn wait_for(envoy: &Envoy, path: &str, status: u16) -> Duration {
    let start = Instant::now();
    while get(envoy, path).status != status {
        assert!(start.elapsed() < Duration::from_secs(20), "{path} does not become {status}");
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// The body, but for the uptime, which is a number.
fn report(answer: &Response) -> Value {
    let mut report = answer.json();
    assert!(report.as_object_mut().unwrap().remove("uptime").unwrap().is_u64());
    report
}

#[test]
fn every_endpoint_is_answered_by_every_worker() {
    let database = Upstream::start();
    let (envoy, upstream) = start(database.address());
    wait_for(&envoy, "/readyz", 200);
    let status = json!({"database": "OK"});
    for (path, expected) in [
        ("/livez", json!({"version": "1.4.2"})),
        ("/readyz?verbose", json!({"version": "1.4.2", "status": status})),
        ("/healthz", json!({"version": "1.4.2", "status": status})),
    ] {
        // Each on a connection of its own, so that all workers get some.
        for _ in 0..20 {
            let answer = get(&envoy, path);
            assert_eq!(
                (answer.status, report(&answer)),
                (200, expected.clone()),
                "{path}: {answer}"
            );
            assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        }
    }
    assert_eq!(upstream.count(), 0, "nothing of a probe reaches the upstream");
}

#[test]
fn what_is_no_probe_goes_on() {
    let (envoy, upstream) = start(free());
    for path in ["/", "/livez/", "/livezz", "/x/livez", "/LIVEZ", "/live%7a", "/?/livez"] {
        upstream.clear();
        assert_eq!(get(&envoy, path).status, 200, "{path}");
        assert_eq!(upstream.last().target, path);
    }
}

#[test]
fn head_gets_the_headers_alone() {
    let (envoy, upstream) = start(free());
    let (get, head) =
        (get(&envoy, "/readyz"), Request::new("HEAD", "/readyz").send(envoy.address()));
    assert_eq!((get.status, head.status, head.text()), (503, 503, String::new()));
    for name in ["content-type", "content-length", "cache-control"] {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn other_methods_are_not_allowed() {
    let (envoy, upstream) = start(free());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = Request::new(method, "/livez").body(b"body").send(envoy.address());
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"));
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn xml_for_those_who_like_it_better() {
    let (envoy, _upstream) = start(free());
    let request = Request::get("/readyz").header("accept", "application/xml, */*;q=0.1");
    let answer = request.send(envoy.address());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/xml"));
    let text = answer.text();
    let rest = text.strip_prefix("<health><uptime>").unwrap().trim_start_matches(char::is_numeric);
    let expected =
        "</uptime><version>1.4.2</version><status><database>NOT OK</database></status></health>";
    assert_eq!(rest, expected);
}

#[test]
fn a_dependency_that_comes_and_goes_is_seen_within_an_interval() {
    let address = free();
    let (envoy, _upstream) = start(address);
    wait_for(&envoy, "/readyz", 503);
    assert_eq!(get(&envoy, "/livez").status, 200);
    assert_eq!(report(&get(&envoy, "/healthz"))["status"], json!({"database": "NOT OK"}));
    // Twice the interval and a second: the machine that runs the tests may be busy.
    let soon = INTERVAL * 2 + Duration::from_secs(1);
    let database = Upstream::on(TcpListener::bind(address).unwrap(), |_| Answer::ok(""));
    assert!(wait_for(&envoy, "/readyz", 200) < soon);
    assert_eq!(database.last().target, "/livez");
    assert_eq!(database.last().header("host").as_deref(), Some("database"));
    drop(database);
    assert!(wait_for(&envoy, "/readyz", 503) < soon);
    assert_eq!(get(&envoy, "/livez").status, 200);
}

/// It answers when it is told to: none has failed until then, and still nobody knows whether it is well.
#[test]
fn a_dependency_that_has_not_answered_yet_is_not_ok() {
    let (asked, may_answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, told) = (Arc::clone(&asked), Arc::clone(&may_answer));
    let database = Upstream::answering(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        while !told.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Answer::ok("")
    });
    let mut config = config();
    config["dependencies"][0]["interval"] = json!("30s");
    config["dependencies"][0]["timeout"] = json!("29s");
    let setup = Setup::new().filter("health-shortcut", config).workers(4);
    let envoy = setup.cluster("database", Some(database.address())).start();
    let not_ok = || {
        for path in ["/readyz", "/healthz"] {
            assert_eq!(get(&envoy, path).status, 503, "{path}");
        }
        assert_eq!(report(&get(&envoy, "/healthz"))["status"], json!({"database": "NOT OK"}));
        assert_eq!(get(&envoy, "/livez").status, 200);
    };
    not_ok();
    let start = Instant::now();
    while asked.load(Ordering::SeqCst) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody asks");
        std::thread::sleep(Duration::from_millis(20));
    }
    // On every worker, while the one answer is waited for.
    (0..20).for_each(|_| not_ok());
    assert_eq!(envoy.counted("health-shortcut.pinged.result.not_ok"), 0, "none has failed");
    may_answer.store(true, Ordering::SeqCst);
    wait_for(&envoy, "/readyz", 200);
    assert_eq!(report(&get(&envoy, "/healthz"))["status"], json!({"database": "OK"}));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_dependency_that_hangs_is_not_ok_and_delays_no_probe() {
    let database = Upstream::answering(|_| Answer::Hang);
    let (envoy, _upstream) = start(database.address());
    let start = Instant::now();
    while envoy.counted("health-shortcut.pinged.result.not_ok") < 2 {
        assert_eq!(get(&envoy, "/livez").status, 200);
        assert_eq!(get(&envoy, "/readyz").status, 503);
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    // A ping takes 500ms here, and one is nearly always under way.
    let mut times: Vec<_> = (0..100).map(|_| wait_for(&envoy, "/healthz", 503)).collect();
    times.sort();
    assert!(times[90] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn one_of_all_workers_pings() {
    let database = Upstream::start();
    let (envoy, _upstream) = start(database.address());
    wait_for(&envoy, "/readyz", 200);
    let (before, start) = (database.count(), Instant::now());
    std::thread::sleep(INTERVAL * 10);
    let count = u32::try_from(database.count() - before).unwrap();
    let most = u32::try_from(start.elapsed().as_millis() / INTERVAL.as_millis()).unwrap() + 1;
    assert!((most / 2..=most).contains(&count), "{count} pings in {:?}", start.elapsed());
    assert_eq!(database.counts().into_keys().collect::<Vec<_>>(), ["/livez"]);
}

#[test]
fn probes_need_no_credentials_where_the_filter_comes_first() {
    let (database, upstream) = (Upstream::start(), Upstream::start());
    let users = json!({"users": [{"name": "carol", "password": "secret"}]});
    let envoy = setup(&upstream, database.address()).filter("basic-auth", users).start();
    assert_eq!(get(&envoy, "/livez").status, 200);
    assert_eq!(get(&envoy, "/orders").status, 401);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_route_can_let_probes_go_on() {
    let upstream = Upstream::start();
    let metadata = json!({"filter_metadata": {"gatehouse": {"health-shortcut": {"mode": "off"}}}});
    let headers = json!([{"name": "x-direct", "present_match": true}]);
    let route = json!({
        "match": {"prefix": "/", "headers": headers},
        "route": {"cluster": "upstream"},
        "metadata": metadata,
    });
    let envoy = setup(&upstream, free()).route(route).start();
    Request::get("/livez").send(envoy.address());
    assert_eq!(upstream.count(), 0);
    Request::get("/livez").header("x-direct", "1").send(envoy.address());
    assert_eq!(upstream.last().target, "/livez");
}

#[test]
fn the_access_log_and_the_statistics_say_what_was_answered() {
    let (envoy, _upstream) = start(free());
    wait_for(&envoy, "/healthz", 503);
    get(&envoy, "/livez");
    Request::new("POST", "/livez").send(envoy.address());
    let log = envoy.access_log(3);
    let details: Vec<_> = log.iter().filter_map(|line| line["details"].as_str()).collect();
    let expected = ["dependencies", "liveness", "method_not_allowed"];
    assert_eq!(details, expected.map(|what| format!("gatehouse.health-shortcut.{what}")));
    for (name, count) in [
        ("answered_2xx.report.liveness", 1),
        ("answered_5xx.report.dependencies", 1),
        ("refused.reason.method_not_allowed", 1),
    ] {
        assert_eq!(envoy.counted(&format!("health-shortcut.{name}")), count, "{name}");
    }
}

#[test]
fn a_wrong_configuration_is_refused() {
    let setup = Setup::new()
        .filter("health-shortcut", json!({"endpoints": [{"path": "livez", "report": "liveness"}]}));
    assert_eq!(setup.configuration_error(), "endpoints[0].path: does not begin with `/`");
}
