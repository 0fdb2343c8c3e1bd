//! The process of an Envoy, and the files that it writes.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::parts::ACCESS_LOG;
use crate::modules::top;

/// The image that `ENVOY=docker` runs where `ENVOY_IMAGE` names no other.
const IMAGE: &str = "envoyproxy/envoy:v1.40.0";

pub(super) struct Process {
    child: Child,
    folder: TempDir,
    /// The container, where there is one.
    container: Option<String>,
}

/// A bootstrap, in one of the two languages that Envoy reads.
pub(super) enum Config<'a> {
    Json(&'a Value),
    Yaml(&'a str),
}

/// How Envoy is run here.
enum Program {
    Binary(PathBuf),
    Docker,
}

impl Process {
    pub(super) fn start(
        config: &Config<'_>,
        workers: u32,
        environment: &[(String, String)],
    ) -> Self {
        let (folder, bootstrap) = write(config);
        let path = folder.path().display().to_string();
        let container = container_of(&folder);
        let program = program();
        let mut command = program.command(&folder, &container, environment);
        command.args(["-c", &bootstrap, "--disable-hot-restart"]);
        command.args(["--concurrency", &workers.to_string()]);
        command.args(["--admin-address-path", &format!("{path}/admin")]);
        command.args(["-l", "warning", "--component-log-level", "wasm:debug"]);
        command.args(["--file-flush-interval-msec", "50"]);
        let log = File::create(folder.path().join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let container = matches!(program, Program::Docker).then_some(container);
        Self { child, folder, container }
    }

    pub(super) fn admin_address(&mut self, deadline: Instant) -> SocketAddr {
        loop {
            let text = fs::read_to_string(self.folder.path().join("admin")).unwrap_or_default();
            if let Ok(address) = text.trim().parse() {
                return address;
            }
            self.must_live(deadline);
        }
    }

    /// Waits a moment; fails where Envoy has ended or the deadline has passed.
    pub(super) fn must_live(&mut self, deadline: Instant) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("Envoy ended with {status}; {}", self.tail());
        }
        assert!(Instant::now() < deadline, "Envoy does not get ready; {}", self.tail());
        std::thread::sleep(Duration::from_millis(20));
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the log, for people.
    pub(super) fn tail(&self) -> String {
        let log = self.log();
        let mut last: Vec<_> = log.lines().rev().take(40).collect();
        last.push("the end of Envoy's log:");
        last.reverse();
        last.join("\n  ")
    }

    /// The bytes of the access log, as Envoy wrote them.
    pub(super) fn access_log_bytes(&self) -> Vec<u8> {
        fs::read(self.folder.path().join(ACCESS_LOG)).unwrap_or_default()
    }

    pub(super) fn access_log(&self) -> Vec<Value> {
        let text = String::from_utf8(self.access_log_bytes()).unwrap_or_default();
        let whole = text.lines().filter(|line| line.ends_with('}'));
        whole.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    pub(super) fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("tasks");
        let nanos = tasks.filter_map(|task| {
            let times = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    pub(super) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number")
            * 1024
    }

    pub(super) fn stop(&mut self) {
        if let Some(container) = &self.container {
            let _ = Command::new("docker").args(["kill", container]).output();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn id(&self) -> u32 {
        let Some(container) = &self.container else { return self.child.id() };
        let inspect = ["inspect", "-f", "{{.State.Pid}}", container];
        let output = Command::new("docker").args(inspect).output().expect("docker answers");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a process id")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What Envoy says of a bootstrap that it refuses (`--mode validate`); `None` where it accepts it.
pub(super) fn refusal(config: &Config<'_>) -> Option<String> {
    let (folder, bootstrap) = write(config);
    let mut command = program().command(&folder, &container_of(&folder), &[]);
    command.args(["-c", &bootstrap, "--mode", "validate", "-l", "info"]);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(log)
}

/// A folder of one Envoy, and the path of its bootstrap.
fn write(config: &Config<'_>) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (text, language) = match config {
        Config::Json(value) => (value.to_string(), "json"),
        Config::Yaml(text) => ((*text).to_owned(), "yaml"),
    };
    let path = folder.path().join(format!("bootstrap.{language}"));
    fs::write(&path, text.replace("{folder}", &folder.path().display().to_string()))
        .expect("written");
    (folder, path.display().to_string())
}

fn container_of(folder: &TempDir) -> String {
    format!("gatehouse-{}", folder.path().file_name().unwrap().to_string_lossy())
}

impl Program {
    fn command(
        &self,
        folder: &TempDir,
        container: &str,
        environment: &[(String, String)],
    ) -> Command {
        match self {
            Self::Binary(path) => {
                let mut command = Command::new(path);
                command.envs(environment.iter().map(|(name, value)| (name, value)));
                command
            }
            Self::Docker => docker(folder, container, environment),
        }
    }
}

/// As the user whose folder it is; the image's own entry point would become another one.
fn docker(folder: &TempDir, container: &str, environment: &[(String, String)]) -> Command {
    let owner = fs::metadata(folder.path()).expect("a folder");
    let user = format!("{}:{}", owner.uid(), owner.gid());
    let mount = |path: &Path| format!("{0}:{0}", path.display());
    let image = std::env::var("ENVOY_IMAGE").unwrap_or_else(|_| IMAGE.to_owned());
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "host", "--name", container]);
    command.args(["--user", &user, "--entrypoint", "envoy"]);
    for (name, value) in environment {
        command.args(["-e", &format!("{name}={value}")]);
    }
    command.args(["-v", &mount(folder.path()), "-v", &mount(top()), &image]);
    command
}

fn program() -> Program {
    match std::env::var("ENVOY") {
        Ok(word) if word == "docker" => Program::Docker,
        Ok(path) if !path.is_empty() => Program::Binary(path.into()),
        _ => Program::Binary(found()),
    }
}

fn found() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = path.split(':').map(|folder| Path::new(folder).join("envoy"));
    let brought = fs::read_dir(top().join(".tools")).into_iter().flatten().filter_map(|entry| {
        let folder = entry.ok()?.path();
        Some(folder.join("envoy/_bin/envoy"))
    });
    on_path
        .chain(brought)
        .find(|path| path.is_file())
        .expect("there is no Envoy; run `make setup`, or set ENVOY to a binary or to `docker`")
}
