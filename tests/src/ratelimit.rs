//! A real rate-limit service (`tests/ratelimit`) with a real Redis behind it, each a process that can
//! be frozen, ended and started anew.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::modules::top;

/// How long a process may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis that keeps nothing when it ends.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Redis {
    /// One on a free port.
    ///
    /// # Panics
    /// Where there is no `redis-server`: `make setup` brings it.
    pub fn start() -> Self {
        let (address, folder) = (free(), tempfile::tempdir().expect("a temporary folder"));
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(folder.path());
        command.stdout(Stdio::null());
        let process = Process::start(&mut command, address);
        Self { process, address, _folder: folder }
    }

    /// Lets it answer nothing, as a machine does that hangs.
    pub fn freeze(&self) {
        self.process.signal("-STOP");
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        self.process.signal("-CONT");
    }
}

/// The service.
pub struct Service {
    process: Option<Process>,
    address: SocketAddr,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Service {
    /// One that counts in `redis`, each limit as `DOMAIN/NAME=MOST/SECONDS[:PART,PART]`.
    pub fn start(redis: &Redis, limits: &[&str]) -> Self {
        let address = free();
        let mut arguments = vec![address.to_string(), redis.address.to_string()];
        arguments.extend(limits.iter().map(|limit| (*limit).to_owned()));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut service = Self { process: None, address, arguments, folder };
        service.start_again();
        service
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it where it was, after [`Self::stop`].
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = Command::new(program());
        command.args(&self.arguments).stdout(log);
        self.process = Some(Process::start(&mut command, self.address));
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Lets it answer nothing; its connections stay.
    pub fn freeze(&self) {
        self.running().signal("-STOP");
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        self.running().signal("-CONT");
    }

    /// What it was asked, a line for each call that it answered.
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter(|line| line.contains("over: ")).map(str::to_owned).collect()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The program, built as it is now.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--message-format=json"]);
        cargo.args(["--manifest-path", "tests/ratelimit/Cargo.toml"]);
        // Its crates are many: beside those of the project, where they stay.
        cargo.args(["--target-dir", "target/ratelimit"]);
        let output = cargo.current_dir(top()).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).expect("text");
        let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut programs = messages.filter_map(|message: Value| {
            let is_ours = message["target"]["name"] == "ratelimit";
            message["executable"].as_str().filter(|_| is_ours).map(str::to_owned)
        });
        programs.next().expect("a program")
    })
}

/// An address that nobody listens at.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// A process; it ends when it is dropped.
struct Process(Child);

impl Process {
    /// Starts one and waits until it listens.
    fn start(command: &mut Command, address: SocketAddr) -> Self {
        command.stdin(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (mut process, deadline) = (Self(child), Instant::now() + PATIENCE);
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("{command:?} ended with {status}");
            }
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            sleep(Duration::from_millis(20));
        }
        process
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
