//! `gatehouse check`, as it is run: every lint with a file that triggers it and one that does not, every
//! configuration that the project ships, and whatever else a file can be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod bundle;
mod envoy;
mod inputs;
mod lines;
mod manifests;
mod production;
mod readers;
mod shipped;
mod sign_in;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What the program said of a text.
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    line: u64,
    path: String,
    level: String,
    code: String,
    message: String,
}

/// Runs the program with a text as its standard input, in the folder of the project.
fn run(arguments: &[&str], text: &[u8], environment: &[(&str, &str)]) -> Said {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .arg("check")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(top)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Where arguments are wrong nobody reads it.
    drop(child.stdin.take().unwrap().write_all(text));
    let output = child.wait_with_output().unwrap();
    let said = Said {
        code: output.status.code().expect("not ended by a signal"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said
}

/// The exit code where nobody reads what the program says to its standard output.
fn run_unread(arguments: &[&str], text: &[u8]) -> i32 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .arg("check")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // It has nothing to say before it has read all.
    child.stdin.take().unwrap().write_all(text).unwrap();
    child.wait().unwrap().code().expect("not ended by a signal")
}

/// The findings in a text.
fn findings(text: &str, arguments: &[&str]) -> Vec<Finding> {
    let said = run(&[arguments, &["--json", "-"]].concat(), text.as_bytes(), &[]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let finding = |finding: &Value| Finding {
        line: finding["line"].as_u64().unwrap(),
        path: text(finding, "path"),
        level: text(finding, "level"),
        code: text(finding, "code"),
        message: text(finding, "message"),
    };
    json["findings"].as_array().unwrap().iter().map(finding).collect()
}

/// Whether a text has a finding `level[code]` on the line on which `word` first stands.
#[track_caller]
fn triggers(text: &str, arguments: &[&str], what: &str, word: &str) {
    let line = text.lines().position(|line| line.contains(word)).expect("the word is there") + 1;
    let found = findings(text, arguments);
    let is_it = |finding: &&Finding| {
        format!("{}[{}]", finding.level, finding.code) == what && finding.line == line as u64
    };
    assert!(found.iter().any(|finding| is_it(&finding)), "no {what} on line {line}: {found:#?}");
}

/// Whether a text has no finding of this code.
#[track_caller]
fn lacks(text: &str, arguments: &[&str], code: &str) {
    let found = findings(text, arguments);
    assert!(!found.iter().any(|finding| finding.code == code), "{found:#?}");
}

/// A text with a part replaced, which has to be there.
#[track_caller]
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not there");
    text.replacen(from, to, 1)
}
