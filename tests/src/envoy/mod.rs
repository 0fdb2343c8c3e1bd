//! The real Envoy, in one call.
//!
//! ```no_run
//! use serde_json::json;
//! use tests::{client::Request, envoy::Setup, upstream::Upstream};
//!
//! let upstream = Upstream::start();
//! let users = json!({"users": [{"name": "carol", "password": "secret"}]});
//! let envoy = Setup::new().filter("basic-auth", users).upstream(&upstream).start();
//! assert_eq!(Request::get("/").send(envoy.address()).status, 401);
//! assert_eq!(Request::get("/").basic("carol:secret").send(envoy.address()).status, 200);
//! assert_eq!(upstream.count(), 1);
//! assert_eq!(envoy.access_log(2)[0]["details"], "gatehouse.basic-auth.missing");
//! ```
//!
//! When it is dropped, it is stopped, and the test fails if a VM trapped or was reloaded.
//!
//! `ENVOY` names the binary, or is `docker`. Without it, `envoy` on the `PATH` serves, or the one
//! that `make setup` brought.

mod bootstrap;
mod choice;
mod grpc_health;
mod parts;
mod process;
mod trial;
mod watched;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Request;

pub use bootstrap::Setup;
pub use parts::{wasm, wasm_of};
use process::{Config, Process};
pub use trial::Trial;
pub use watched::Watched;

/// What Envoy's log says when a VM has trapped.
const TRAPS: [&str; 6] = [
    "Uncaught RuntimeError",
    "panicked at",
    "[critical]",
    "wasm_fail_stream",
    "VM failed",
    "Failed to initialize",
];

/// A running Envoy.
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listeners: Vec<(String, SocketAddr)>,
    may_fail: bool,
}

impl Envoy {
    /// Starts one on a bootstrap, which names its listeners' ports as 0.
    ///
    /// # Panics
    /// Where it does not get ready, with the end of its log.
    pub fn start(bootstrap: &Value, workers: u32, may_fail: bool) -> Self {
        Self::of(&Config::Json(bootstrap), workers, may_fail, &[])
    }

    /// Starts one on the text of a bootstrap in YAML, as an example for people is written. In it,
    /// `{folder}` is a folder that Envoy may write to, and the ports are to be 0.
    pub fn of_yaml(text: &str, workers: u32) -> Self {
        Self::of(&Config::Yaml(text), workers, false, &[])
    }

    /// What Envoy's log says of a bootstrap in YAML; nothing where it accepts it.
    pub fn refusal_of_yaml(text: &str) -> Option<String> {
        process::refusal(&Config::Yaml(text))
    }

    fn of(
        config: &Config<'_>,
        workers: u32,
        may_fail: bool,
        environment: &[(String, String)],
    ) -> Self {
        let mut process = Process::start(config, workers, environment);
        let deadline = Instant::now() + Duration::from_secs(60);
        let admin = process.admin_address(deadline);
        let mut envoy = Self { process, admin, listeners: Vec::new(), may_fail };
        while envoy.ask("/ready").is_none_or(|ready| ready != "LIVE\n") {
            envoy.process.must_live(deadline);
        }
        envoy.listeners = envoy.read_listeners();
        envoy
    }

    /// A VM may fail: that is what the test is about.
    pub const fn vm_may_fail(&mut self) {
        self.may_fail = true;
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().expect("a listener").1
    }

    /// The address of a listener by name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no listener {name}")).1
    }

    /// The address of its administration.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A page of its administration.
    pub fn page(&self, path: &str) -> String {
        self.ask(path).unwrap_or_else(|| panic!("no {path}; {}", self.process.tail()))
    }

    /// Posts to its administration.
    pub fn post(&self, path: &str) -> String {
        Request::new("POST", path).send(self.admin).text()
    }

    /// The statistics whose names contain `part`.
    pub fn stats(&self, part: &str) -> Vec<(String, u64)> {
        let all = self.page("/stats");
        let numbers = all.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        numbers.filter(|(name, _)| name.contains(part)).collect()
    }

    /// A counter of ours: `basic-auth.refused.reason.missing`; zero where it was never counted.
    pub fn counted(&self, name: &str) -> u64 {
        self.stat(&format!("wasmcustom.gatehouse.{name}")).unwrap_or_default()
    }

    /// A statistic by its whole name.
    pub fn stat(&self, name: &str) -> Option<u64> {
        self.stats(name).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The lines of its access log, at least `least` of them.
    pub fn access_log(&self, least: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let lines = self.process.access_log();
            if lines.len() >= least {
                return lines;
            }
            assert!(Instant::now() < deadline, "{} of {least} lines of access log", lines.len());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its access log so far, as it was written.
    pub fn access_log_bytes(&self) -> Vec<u8> {
        self.process.access_log_bytes()
    }

    /// The CPU time that it has used.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// The memory that it has resident, in bytes.
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }

    fn ask(&self, path: &str) -> Option<String> {
        let answer = Request::get(path).try_send(self.admin).ok()?;
        Some(answer.text())
    }

    fn read_listeners(&self) -> Vec<(String, SocketAddr)> {
        let page: Value = serde_json::from_str(&self.page("/listeners?format=json")).expect("JSON");
        let statuses = page["listener_statuses"].as_array().cloned().unwrap_or_default();
        let listener = |status: &Value| {
            let address = &status["local_address"]["socket_address"];
            // One within the proxy has no port.
            let port = u16::try_from(address["port_value"].as_u64()?).expect("a port");
            let name = status["name"].as_str().unwrap_or_default().to_owned();
            Some((name, SocketAddr::from(([127, 0, 0, 1], port))))
        };
        statuses.iter().filter_map(listener).collect()
    }

    /// What shows that a VM did not survive.
    fn failures(&self) -> Vec<String> {
        let reloads = self.stats(".vm_reload").into_iter().filter(|(_, count)| *count > 0);
        let mut failures: Vec<_> =
            reloads.map(|(name, count)| format!("{name}: {count}")).collect();
        let log = self.log();
        let trapped = |line: &&str| TRAPS.iter().any(|trap| line.contains(trap));
        failures.extend(log.lines().filter(trapped).map(str::to_owned));
        failures
    }
}

impl Drop for Envoy {
    #[allow(clippy::print_stderr, reason = "a test's own output, shown where it fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.process.tail());
            return;
        }
        let failures = if self.may_fail { Vec::new() } else { self.failures() };
        self.process.stop();
        assert!(failures.is_empty(), "a VM did not survive: {failures:#?}");
    }
}
