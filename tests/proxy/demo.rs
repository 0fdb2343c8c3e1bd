//! `make demo`, as it runs where there is no terminal.

use std::fs;
use std::process::{Command, Output, Stdio};

use tests::modules::{filters, top};

/// What it shows: each step's title and the statuses of its answers.
const SHOWN: &[(&str, &[u16])] = &[
    ("Liveness", &[200]),
    ("Readiness and dependencies", &[200, 200]),
    ("The same in XML", &[200]),
    ("A health check of gRPC", &[200, 200]),
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
    ("A hashed key in a cookie", &[200]),
    ("Keys that are not good", &[401, 401, 401]),
    ("A token", &[200]),
    ("Tokens that are not good", &[401, 401, 401]),
    ("A token for something else", &[403]),
    ("An opaque token", &[200, 200, 401, 503]),
    ("The database goes down", &[200, 503, 503, 200, 200, 200]),
    ("The provider of the tokens has a new key", &[200, 200, 200]),
    ("A chain: all in one pass", &[200, 200]),
    ("A policy: the service asks for a key", &[401, 401, 200]),
    ("A method asks for a token", &[401, 200]),
    ("A key and a token together, or a password", &[401, 200, 200, 403]),
    ("A method is open", &[200, 200]),
    ("What is not offered", &[404, 404, 400, 400, 405]),
    ("A limit by consumer", &[200, 200, 429, 200]),
    ("A cost, and a limit in shadow", &[200, 429, 200]),
    ("A refusal in the chain", &[401]),
    ("Envoy drains", &[200, 503, 200, 200]),
    ("A browser signs in", &[401, 303, 303, 200, 303]),
    ("A session is refreshed and ended", &[200, 200, 403, 303]),
    ("Failed logins by address", &[401, 401, 429, 200]),
    ("Too many wrong passwords", &[401, 401, 401, 429, 429, 200]),
    ("A trace in another form", &[200]),
    ("A trace that is broken", &[200]),
    ("A line for a refusal", &[401]),
    ("The debug switch", &[404, 200, 404, 200, 200]),
    ("What was counted", &[]),
];

/// Of each filter in the table of README.md, for each part of what it does (between semicolons): the steps
/// that show it.
const CAPABILITIES: &[(&str, &[&[&str]])] = &[
    (
        "access-policy",
        &[
            &[
                "A policy: the service asks for a key",
                "A method asks for a token",
                "A key and a token together, or a password",
                "A method is open",
            ],
            &["What is not offered"],
        ],
    ),
    (
        "api-key-auth",
        &[
            &["An API key", "A key in the query", "A hashed key in a cookie"],
            &["An API key", "A hashed key in a cookie", "Keys that are not good"],
        ],
    ),
    (
        "basic-auth",
        &[&["The right password", "Every format of htpasswd", "Too many wrong passwords"]],
    ),
    (
        "health-shortcut",
        &[
            &["Liveness", "Readiness and dependencies", "The database goes down"],
            &["Envoy drains"],
            &["A health check of gRPC"],
            &["A line for a refusal"],
        ],
    ),
    (
        "jwt-auth",
        &[
            &[
                "A token",
                "Tokens that are not good",
                "The provider of the tokens has a new key",
                "A method asks for a token",
            ],
            &["A token", "A token for something else"],
        ],
    ),
    ("oauth2-login", &[&["A browser signs in", "A session is refreshed and ended"]]),
    (
        "rate-limit",
        &[
            &["A limit by consumer"],
            &["A limit by consumer", "A cost, and a limit in shadow", "Failed logins by address"],
        ],
    ),
    (
        "telemetry",
        &[
            &["A line for a refusal"],
            &["A refusal in the chain"],
            &["The debug switch"],
            &["The debug switch"],
        ],
    ),
    ("token-introspection", &[&["An opaque token"], &["An opaque token"]]),
    (
        "trace-context",
        &[
            &["A trace in another form", "A trace that is broken"],
            &["A trace in another form"],
            &["A refusal in the chain"],
        ],
    ),
];

/// The parts of what README.md says that a filter does.
fn parts_in_table(filter: &str) -> Vec<String> {
    let text = fs::read_to_string(top().join("README.md")).unwrap();
    let start = format!("| [`{filter}`](");
    let row = text.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("README.md has no row for {filter}"));
    let does = row.split(" | ").nth(1).unwrap_or_default().trim_end_matches(" |");
    does.split(';').map(|part| part.trim().to_owned()).collect()
}

#[test]
fn it_shows_each_capability_that_readme_promises() {
    for filter in filters() {
        let (parts, shown) =
            (parts_in_table(&filter), CAPABILITIES.iter().find(|(known, _)| *known == filter));
        let shown = shown.map_or([].as_slice(), |(_, shown)| shown);
        for (at, part) in parts.iter().enumerate() {
            let steps = shown.get(at).copied().unwrap_or_default();
            assert!(!steps.is_empty(), "{filter}: which step of the demo shows `{part}`?");
            for step in steps {
                let is_there = SHOWN.iter().any(|(title, _)| title == step);
                assert!(is_there, "the demo has no step `{step}`, for {filter}: {part}");
            }
        }
        assert_eq!(shown.len(), parts.len(), "{filter}: README.md has {parts:?}");
    }
}

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
    for filter in filters() {
        let counter = format!("wasmcustom.gatehouse.{filter}.");
        assert!(text.contains(&counter), "the demo shows nothing of {filter}:\n{said}");
    }
}
