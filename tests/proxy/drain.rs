//! `gatehouse drain` on the real Envoy: a request that is under way ends well, and Envoy ends after it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::modules::top;
use tests::upstream::{Answer, Upstream};

const SLOW: Duration = Duration::from_secs(3);

/// The program, built as it is now.
pub(crate) fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--message-format=json"]);
        // With these tests, of the whole workspace: alone it has other features, and cargo compiles the half of
        // what stands beside it anew.
        cargo.args(["--workspace", "--bin", "gatehouse", "--test", "proxy"]);
        let output = cargo.current_dir(top()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).unwrap();
        let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut programs = messages.filter_map(|message: Value| {
            let is_ours = message["target"]["name"] == "gatehouse";
            message["executable"].as_str().filter(|_| is_ours).map(str::to_owned)
        });
        programs.next().expect("a program")
    })
}

fn drain(admin: SocketAddr, arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.args(["drain", "--admin", &admin.to_string()]).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its exit code, and what it said.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn slow() -> Upstream {
    Upstream::answering(|_| {
        sleep(SLOW);
        Answer::ok("done")
    })
}

/// A request that is under way when this returns.
fn begin(envoy: &Envoy) -> Connection {
    program();
    let mut connection = Connection::open(envoy.address()).unwrap();
    connection.send_bytes(&Request::get("/slow").bytes()).unwrap();
    let deadline = Instant::now() + SLOW;
    while envoy.stat("http.main.downstream_rq_active") != Some(1) {
        assert!(Instant::now() < deadline, "it never came");
        sleep(Duration::from_millis(10));
    }
    connection
}

/// Whether it ends, and soon.
pub(crate) fn has_ended(envoy: &Envoy) -> bool {
    ends_within(envoy, Duration::from_secs(20))
}

fn ends_within(envoy: &Envoy, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while Connection::open(envoy.admin()).is_ok() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn what_is_under_way_ends_well_and_then_envoy_ends() {
    let upstream = slow();
    // It ends before it can be asked whether its VMs are well; it has none.
    let envoy = Setup::new().upstream(&upstream).vm_may_fail().start();
    let child = drain(envoy.admin(), &["--keep", "--quiet=0s", "--wait=1s"]);
    assert_eq!(end(child).0, Some(0), "nothing was under way");
    let mut connection = begin(&envoy);
    let child = drain(envoy.admin(), &["--quiet", "500ms"]);
    let answer = connection.receive().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    let (code, said) = end(child);
    assert!(code == Some(0) && said.starts_with("drained in"), "{code:?} {said}");
    assert!(has_ended(&envoy));
}

#[test]
fn without_statistics_nothing_is_begun() {
    let upstream = Upstream::start();
    let matcher = json!({"inclusion_list": {"patterns": [{"prefix": "server."}]}});
    let statistics = json!({"stats_config": {"stats_matcher": matcher}});
    let envoy = Setup::new().upstream(&upstream).bootstrap_fields(&statistics).start();
    let (code, said) = end(drain(envoy.admin(), &["--quiet", "0s"]));
    assert!(code == Some(2) && said.contains("stats_matcher"), "{code:?} {said}");
    assert_eq!(envoy.page("/ready").trim(), "LIVE");
    assert_eq!(Request::get("/").send(envoy.address()).status, 200);
}

#[test]
fn the_time_ends_the_wait_and_with_keep_nothing_else() {
    let upstream = slow();
    let envoy = Setup::new().upstream(&upstream).start();
    let mut connection = begin(&envoy);
    let (code, said) = end(drain(envoy.admin(), &["--wait", "300ms", "--keep"]));
    assert!(code == Some(1) && said.contains("1 requests"), "{code:?} {said}");
    assert_eq!(connection.receive().unwrap().status, 200);
    assert!(!ends_within(&envoy, Duration::from_secs(3)));
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let envoy = Setup::new().vm_may_fail().start();
    let mut connection = Connection::open(envoy.address()).unwrap();
    assert_eq!(connection.send(&Request::get("/")).unwrap().status, 200);
    // Built before the time runs.
    program();
    let begin = Instant::now();
    let (code, said) = end(drain(envoy.admin(), &["--quiet", "1s"]));
    assert!(code == Some(0) && said.contains("1 idle"), "{code:?} {said}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}
