//! `scripts/setup` and `scripts/env` where something is wrong: what is missing, and what to type. They run
//! in a copy of what they need, so that nothing of this clone is changed, and with commands that install
//! replaced by ones that only tell that they were called.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;
use tests::modules::top;

/// What could bring something here, or ask for it. Pythons fetch too, and none of these parts needs one.
const INSTALLERS: [&str; 9] =
    ["apt-get", "sudo", "rustup", "docker", "npm", "pip", "python3", "wget", "curl"];

/// A clone with nothing set up.
struct Clone {
    folder: TempDir,
}

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["scripts", "bin"] {
            fs::create_dir(folder.path().join(place)).unwrap();
        }
        for file in ["scripts/setup", "scripts/env", "scripts/lib", "Cargo.toml", "Cargo.lock"] {
            fs::copy(top().join(file), folder.path().join(file)).unwrap();
        }
        let clone = Self { folder };
        for name in INSTALLERS {
            let called = clone.path("called");
            clone.stub(name, &format!("echo {name} >>{}; exit 1", called.display()));
        }
        // As far as it is asked whether it is there.
        clone.stub("wasm-opt", "exit 1");
        clone
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stub(&self, name: &str, does: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.path("scripts").join(script));
        command.args(arguments).env("PATH", path);
        for known in ["CARGO", "ENVOY", "PYTHON", "WASM_TOOLCHAIN"] {
            command.env_remove(known);
        }
        command.envs(variables.iter().copied()).output().unwrap()
    }

    /// `scripts/setup` ends badly, with two lines at the end: what is missing, and what to type.
    #[track_caller]
    fn lacks(&self, part: &str, variable: (&str, &str), missing: &str, to_type: &str) {
        self.check(&self.run("setup", &[part], &[variable]), missing, to_type);
    }

    #[track_caller]
    fn check(&self, output: &Output, missing: &str, to_type: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let lines: Vec<_> = said.lines().collect();
        let [.., what, how] = &lines[..] else { panic!("{said}") };
        assert_eq!(what.strip_prefix("missing: "), Some(missing), "{said}");
        let how = how.strip_prefix("   type: ").unwrap_or_else(|| panic!("{said}"));
        assert!(how.starts_with(to_type), "{said}");
        let called = fs::read_to_string(self.path("called")).unwrap_or_default();
        assert_eq!(called, "", "it tried to install something");
        let chosen = fs::read_dir(self.path(".tools/env.d")).into_iter().flatten();
        let chosen: Vec<_> = chosen.map(|entry| entry.unwrap().file_name()).collect();
        assert!(chosen.iter().all(|name| name == "10-host"), "it chose {chosen:?}");
    }
}

const NOTHING: (&str, &str) = ("UNUSED", "");

#[test]
fn a_toolchain_that_means_nothing() {
    let missing = "a meaning for WASM_TOOLCHAIN=x";
    Clone::new().lacks("wasm", ("WASM_TOOLCHAIN", "x"), missing, "WASM_TOOLCHAIN=auto make setup");
}

#[test]
fn an_envoy_that_is_not_there() {
    let clone = Clone::new();
    let missing = "an Envoy that runs at ENVOY=/nowhere";
    clone.lacks("envoy", ("ENVOY", "/nowhere"), missing, "unset ENVOY");
    clone.stub("no-envoy", "exit 1");
    let missing = "an Envoy that runs at ENVOY=no-envoy";
    clone.lacks("envoy", ("ENVOY", "no-envoy"), missing, "unset ENVOY");
}

#[test]
fn a_compiler_that_is_not_there() {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    let missing =
        format!("a working Rust {} or newer at CARGO=/nowhere", oldest.trim_end_matches('"'));
    Clone::new().lacks("envoy", ("CARGO", "/nowhere"), &missing, "unset CARGO");
}

#[test]
fn a_part_that_there_is_not() {
    let clone = Clone::new();
    let to_type = "scripts/setup check wasm envoy node";
    clone.lacks("nonsense", NOTHING, "a part named nonsense", to_type);
    clone.lacks("", NOTHING, "a part named ", to_type);
}

#[test]
fn a_command_before_the_set_up() {
    let clone = Clone::new();
    for arguments in [&["cargo", "--version"][..], &[], &["--wasm", "cargo", "--version"]] {
        let output = clone.run("env", arguments, &[]);
        clone.check(&output, "the set-up of this clone", "make setup");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_command_ends_as_it_does_by_itself() {
    let clone = Clone::new();
    clone.lacks("nonsense", NOTHING, "a part named nonsense", "scripts/setup");
    let status = |arguments: &[&str]| clone.run("env", arguments, &[]).status.code();
    assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["no-such-command"]), Some(127));
    let output = clone.run("env", &["cargo", "--version"], &[]);
    assert!(output.status.success() && output.stdout.starts_with(b"cargo "));
}
