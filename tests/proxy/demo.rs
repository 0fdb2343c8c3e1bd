//! `make demo`, as it runs where there is no terminal.

use std::process::{Command, Output, Stdio};

/// What it shows: each step's title and the statuses of its answers.
const SHOWN: &[(&str, &[u16])] = &[
    ("Liveness", &[200]),
    ("Readiness and dependencies", &[200, 200]),
    ("The same in XML", &[200]),
    ("No credentials", &[401]),
    ("The right password", &[200]),
    ("Every format of htpasswd", &[200, 200, 200]),
    ("A wrong password", &[401]),
    ("Two Authorization headers", &[401]),
    ("A forged identity", &[200]),
    ("A path with two readings", &[400]),
    ("A header that is not UTF-8", &[200]),
    ("An API key", &[200]),
    ("A key in the query", &[200]),
    ("Keys that are not good", &[401, 401, 401]),
    ("A token", &[200]),
    ("Tokens that are not good", &[401, 401, 401]),
    ("A token for something else", &[403]),
    ("An opaque token", &[200, 200, 401]),
    ("The database goes down", &[200, 503, 503, 200, 200, 200]),
    ("The provider of the tokens has a new key", &[200, 200, 200]),
    ("A policy: the service asks for a key", &[401, 401, 200]),
    ("A method asks for a token", &[401, 200]),
    ("A method is open", &[200, 200]),
    ("What is not offered", &[404, 404, 400, 400]),
    ("A limit by consumer", &[200, 200, 429, 200]),
    ("A browser signs in", &[401, 303, 303, 200, 303]),
    ("Too many wrong passwords", &[401, 401, 401, 429, 429, 200]),
    ("A trace in another form", &[200]),
    ("A trace that is broken", &[200]),
    ("A line for a refusal", &[401]),
    ("What was counted", &[]),
];

fn run() -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).stdin(Stdio::null()).output().unwrap()
}

/// The titles, which begin with a number, and below them the statuses, which are one, indented.
fn steps(text: &str) -> Vec<(String, Vec<u16>)> {
    let mut steps: Vec<(String, Vec<u16>)> = Vec::new();
    for line in text.lines() {
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            steps.push((line.to_owned(), Vec::new()));
        } else if let (Some((_, statuses)), Ok(status)) = (steps.last_mut(), line.trim().parse()) {
            statuses.push(status);
        }
    }
    steps
}

#[test]
fn it_shows_every_step_and_ends_by_itself() {
    let output = run();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let numbered = |(number, (title, statuses)): (usize, &(&str, &[u16]))| {
        (format!("{number}. {title}"), statuses.to_vec())
    };
    let expected: Vec<_> = (1..).zip(SHOWN).map(numbered).collect();
    assert_eq!(steps(&text), expected, "{said}");
    assert!(output.status.success(), "{said}");
    assert!(text.starts_with("starting Envoy …\n") && !text.contains('\x1b'), "{said}");
    for filter in tests::modules::filters() {
        let counter = format!("wasmcustom.gatehouse.{filter}.");
        assert!(text.contains(&counter), "the demo shows nothing of {filter}:\n{said}");
    }
}
