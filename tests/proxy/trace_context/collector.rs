//! The proxy's own spans, received by a collector that is not ours: Rotel, an OpenTelemetry collector,
//! which prints what it gets.

use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::jwt_differential::python;

const PATIENCE: Duration = Duration::from_secs(30);

/// A collector. It ends when it is dropped.
pub(super) struct Collector {
    process: Child,
    pub(super) address: SocketAddr,
    folder: TempDir,
}

impl Collector {
    pub(super) fn start() -> Self {
        Self::at(free())
    }

    fn at(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let mut command = Command::new(program());
        command.args(["start", "--exporter", "blackhole", "--disable-batching"]);
        command.args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &address.to_string()]);
        command.args(["--otlp-grpc-endpoint", &free().to_string()]);
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        let process = command.spawn().expect("a collector that runs; run `make setup`");
        let collector = Self { process, address, folder };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < PATIENCE,
                "the collector does not listen: {}",
                collector.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        collector
    }

    pub(super) fn output(&self) -> String {
        let mut text = String::new();
        File::open(self.folder.path().join("output")).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// What it has printed, once `part` is in it so many times.
    #[track_caller]
    pub(super) fn wait_for(&self, part: &str, times: usize) -> String {
        let start = Instant::now();
        loop {
            let output = self.output();
            if output.matches(part).count() >= times {
                return output;
            }
            assert!(start.elapsed() < PATIENCE, "no {part}, {times} times, in:\n{output}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The last span of a path, once there are so many, whose name is to be this.
    #[track_caller]
    pub(super) fn is_called(&self, path: &str, times: usize, name: &str) -> String {
        let holds = format!("-> url.path: Str({path})");
        let output = self.wait_for(&holds, times);
        let spans = output.split("\nSpan #").filter(|span| span.contains(&holds));
        let span = spans.last().unwrap();
        let named = span.lines().find_map(|line| line.trim().strip_prefix("Name           : "));
        assert_eq!(named, Some(name), "{span}");
        span.to_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program that `make setup` has brought with the oracle's libraries.
fn program() -> PathBuf {
    let find =
        "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let output = Command::new(python()).args(["-c", find]).output().unwrap();
    assert!(output.status.success(), "there is no Rotel; run `make setup`");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn exporting(collector: SocketAddr) -> World {
    let config = json!({
        "sampling": {"root": "always"},
        "export": {"cluster": "collector", "interval": "100ms", "service": "edge", "max_queue": 100},
    });
    World::with(config, |setup| setup.cluster("collector", Some(collector)))
}

#[test]
fn a_collector_receives_the_span() {
    let collector = Collector::start();
    let world = exporting(collector.address);
    let (received, _) =
        world.send(&[("traceparent", PARENT), ("tracestate", "foo=1"), ("user-agent", "tester/1")]);
    let (_, span, _) = parent(&received);
    let output = collector.wait_for("SPAN_KIND_SERVER", 1);
    for part in [
        TRACE,
        SPAN,
        &span,
        "edge",
        "GET",
        "/users/7",
        "tester/1",
        "foo=1",
        "http.response.status_code",
        "200",
        "127.0.0.1",
    ] {
        assert!(output.contains(part), "no {part} in:\n{output}");
    }
    assert!(!output.contains("full=yes"), "the query stays here:\n{output}");
    assert_eq!(world.envoy.counted("trace-context.spans"), 1);
}

#[test]
fn every_recorded_trace_is_received_once() {
    let collector = Collector::start();
    let world = exporting(collector.address);
    let mut spans = Vec::new();
    for _ in 0..50 {
        spans.push(parent(&world.send(&[]).0).1);
        let not = PARENT.replace("-01", "-00");
        world.send(&[("traceparent", &not)]);
    }
    let last = spans.last().unwrap();
    collector.wait_for(last, 1);
    // The workers send each for itself.
    let outputs: Vec<_> = spans.iter().map(|span| collector.wait_for(span, 1)).collect();
    let output = outputs.last().unwrap();
    assert_eq!(spans.iter().map(|span| output.matches(&**span).count()).max(), Some(1));
    assert_eq!(world.envoy.counted("trace-context.spans"), 50);
    assert!(!output.contains(TRACE), "what is not recorded is not sent");
}

#[test]
fn bytes_that_are_no_text_do_not_spoil_a_batch() {
    let collector = Collector::start();
    let world = exporting(collector.address);
    let request = Request::get("/bytes").header("user-agent", [0xff, 0xc3, 0x28]);
    assert_eq!(request.send(world.envoy.address()).status, 200);
    collector.wait_for("/bytes", 1);
}

#[test]
fn a_collector_that_is_down_costs_no_request_anything() {
    let address = free();
    let world = exporting(address);
    let mut connection = Connection::open(world.envoy.address()).unwrap();
    for _ in 0..600 {
        assert_eq!(connection.send(&Request::get("/")).unwrap().status, 200);
    }
    let reason =
        |reason: &str| world.envoy.counted(&format!("trace-context.spans_dropped.reason.{reason}"));
    // One connection is one worker: a queue of a hundred, and a batch that waits.
    let (full, kept) = (reason("queue_full"), world.envoy.counted("trace-context.spans"));
    assert_eq!(full + kept, 600);
    assert!((100..=200).contains(&kept), "{kept}");
    // It comes back, and what still waits is sent.
    let collector = Collector::at(address);
    collector.wait_for("SPAN_KIND_SERVER", 100);
    let start = Instant::now();
    while world.envoy.counted("trace-context.batches.result.taken") == 0 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_unknown_cluster_costs_no_request_anything() {
    let config = json!({"export": {"cluster": "nowhere"}, "sampling": {"root": "always"}});
    let world = World::new(config);
    for _ in 0..20 {
        world.send(&[]);
    }
    assert_eq!(world.envoy.counted("trace-context.spans"), 20);
}

#[test]
fn how_an_exchange_ended_is_in_the_span() {
    let collector = Collector::start();
    let upstream = Upstream::answering(|_| Answer::Reset);
    let config = json!({
        "sampling": {"root": "always"},
        "export": {"cluster": "collector", "interval": "100ms"},
    });
    let envoy = Setup::new()
        .filter("trace-context", config)
        .upstream(&upstream)
        .cluster("collector", Some(collector.address))
        .start();
    assert_eq!(Request::get("/broken").send(envoy.address()).status, 503);
    let output = collector.wait_for("/broken", 1);
    assert!(output.contains("error.type") && output.contains("503"), "{output}");
    assert!(output.contains("upstream_reset"), "{output}");
}
