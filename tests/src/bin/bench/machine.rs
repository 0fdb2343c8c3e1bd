//! The machine, and the versions of all that takes part.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tests::envoy::Setup;
use tests::modules::top;

/// Where it was measured, and what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// In UTC.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    /// As it says itself: version, state of its sources, build.
    pub(crate) envoy: String,
    /// The compiler of the modules.
    pub(crate) rustc: String,
    pub(crate) wasm_opt: String,
    pub(crate) h2load: String,
    pub(crate) load_average: f64,
    pub(crate) modules: Vec<Module>,
}

/// A built module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Self {
        let info = read("/proc/cpuinfo");
        let compiler = top().join(".tools/wasm/bin/rustc");
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            commit: commit(),
            cpu: field(&info, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_gb: memory(&read("/proc/meminfo")),
            kernel: said("uname", &["-sr"]),
            envoy: envoy(),
            rustc: said(&compiler.display().to_string(), &["--version"]),
            wasm_opt: said("wasm-opt", &["--version"]),
            h2load: said("h2load", &["--version"]),
            load_average: crate::watch::load_average(),
            modules: modules(),
        }
    }
}

/// The first line that a program prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(top()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| Some(text.lines().next()?.to_owned())).unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first value of a name in lines such as `model name : a CPU`.
fn field(text: &str, name: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.map(|(name, value)| (name.trim(), value.trim())).find(|pair| pair.0 == name);
    found.map(|(_, value)| value.to_owned())
}

/// `MemTotal` in GB, rounded.
fn memory(meminfo: &str) -> u64 {
    let total = field(meminfo, "MemTotal").unwrap_or_default();
    let kib: u64 = total.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
    (kib * 1024 + 500_000_000) / 1_000_000_000
}

/// The commit, and whether the files are still those of it.
fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let sources = ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"];
    if said("git", &sources) == unknown() { commit } else { commit + ", with changes" }
}

/// As a running one says, which may be in a container.
fn envoy() -> String {
    let info: Value = serde_json::from_str(&Setup::new().start().page("/server_info"))
        .expect("JSON of Envoy's administration");
    let words: Vec<_> = info["version"].as_str().unwrap_or_default().split('/').collect();
    match words[..] {
        [_, version, state, build, _] => format!("{version} ({state}, {build})"),
        _ => unknown(),
    }
}

/// The modules of the filters, as they are built.
fn modules() -> Vec<Module> {
    let mut names = tests::modules::filters();
    names.push(tests::modules::BUNDLE.to_owned());
    let built = names.into_iter().map(|name| {
        let bytes = fs::read(tests::modules::module(&name)).expect("a module can be read");
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Module { name, bytes: bytes.len() as u64, sha256 }
    });
    built.collect()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says() {
        let cpu = "processor\t: 0\nmodel name\t: A CPU @ 2.0GHz: fast\nmodel name\t: another\n";
        assert_eq!(field(cpu, "model name").as_deref(), Some("A CPU @ 2.0GHz: fast"));
        assert_eq!(field(cpu, "model"), None);
        assert_eq!(memory("MemTotal:       24576000 kB\nMemFree: 5 kB\n"), 25);
        assert_eq!(memory(""), 0);
    }

    #[test]
    fn a_program_that_is_not_there_is_unknown() {
        assert_eq!(said("no-such-program", &[]), "unknown");
        assert_eq!(said("true", &[]), "unknown");
    }
}
