//! `gatehouse hash` and `gatehouse keygen`, as they are run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use basic_auth::password::{PasswordHash, Scheme};

/// What the program prints, and its exit code.
fn run(arguments: &[&str], text: &str) -> (String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    let code = output.status.code().unwrap();
    let out = if code == 0 { String::from_utf8(output.stdout).unwrap() } else { err };
    (out.trim_end().to_owned(), code)
}

#[track_caller]
fn hash(arguments: &[&str], password: &str) -> String {
    let (out, code) = run(&[&["hash"], arguments].concat(), password);
    assert_eq!(code, 0, "{out}");
    out
}

#[track_caller]
fn refuses(arguments: &[&str], text: &str, words: &str) {
    let (err, code) = run(arguments, text);
    assert!(code == 2 && err.contains(words), "{code}: {err}");
}

#[test]
fn basic_auth_takes_the_hash_for_the_passwords() {
    for (arguments, scheme) in [
        (&["--cost", "5"][..], Scheme::Bcrypt { cost: 5 }),
        (&["--bcrypt", "--cost=4"], Scheme::Bcrypt { cost: 4 }),
        (&[], Scheme::Bcrypt { cost: 10 }),
        (&["--sha512"], Scheme::Sha512Crypt { rounds: 100_000 }),
    ] {
        let (one, other) = (hash(arguments, "pässword\n"), hash(arguments, "pässword\r\nmore"));
        assert_ne!(one, other, "two salts");
        for text in [one, other] {
            let hash = PasswordHash::parse(&text).unwrap();
            assert_eq!(hash.scheme(), scheme);
            assert!(hash.verify("pässword".as_bytes()) && !hash.verify(b"password"));
        }
    }
}

/// Apache's program reads it as we do; `make setup` brings it.
#[test]
fn htpasswd_takes_the_line() {
    for arguments in [&["--user", "alice", "--cost=5"][..], &["--user", "alice", "--sha512"]] {
        let line = hash(arguments, "secret");
        assert!(line.starts_with("alice:$"), "{line}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{line}\n")).unwrap();
        let verify = |password: &str| {
            let path = file.path().to_str().unwrap();
            let output = Command::new("htpasswd").args(["-vb", path, "alice", password]).output();
            output.expect("there is no htpasswd; run `scripts/setup load`").status.success()
        };
        assert!(verify("secret") && !verify("Secret"), "{line}");
    }
}

#[test]
fn what_no_client_could_send_is_refused() {
    refuses(&["hash"], "", "empty");
    refuses(&["hash"], "\nx", "empty");
    refuses(&["hash"], "a\tb", "control character");
    refuses(&["hash"], &"x".repeat(73), "longer than 72");
    refuses(&["hash", "--sha512"], &"x".repeat(257), "longer than 256");
    hash(&["--cost=4"], &"x".repeat(72));
    refuses(&["hash", "--user", "a:b"], "x", "without `:`");
    refuses(&["hash", "--user", ""], "x", "a user has a name");
    refuses(&["hash", "--cost", "20"], "x", "20");
    refuses(&["hash", "--cost", "5", "--sha512"], "x", "cannot be used with");
    refuses(&["hash", "--key", "--user", "x"], "x", "cannot be used with");
}

#[test]
fn a_key_is_kept_as_its_sha256() {
    let expected = "4cae7c167f17abd457e8fd423ff0a2eae4147643158bb9476c88a22c27eefe6f";
    assert_eq!(hash(&["--key"], "zenith demo key\n"), expected);
    refuses(&["hash", "--key"], "short", "less than 8 bytes");
    refuses(&["hash", "--key"], " spaces around ", "no space");
}

#[test]
fn keys_are_random_and_as_long_as_they_are_asked_to_be() {
    let keys: Vec<_> = (0..3).map(|_| run(&["keygen"], "").0).collect();
    assert!(keys.iter().all(|key| key.len() == 43));
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    assert_eq!(run(&["keygen", "--bytes", "64"], "").0.len(), 86);
    refuses(&["keygen", "--bytes", "8"], "", "can be guessed");
    refuses(&["keygen", "--bytes", "256"], "", "16 to 255");
}

#[test]
fn an_api_key_comes_with_what_to_configure() {
    let (out, _) = run(&["keygen", "--api-key", "--prefix", "acme"], "");
    let (key, sha256) = out.split_once('\n').unwrap();
    let key = key.strip_prefix("key:    ").unwrap();
    assert!(key.starts_with("acme_") && key.len() == 48, "{key}");
    assert_eq!(sha256.strip_prefix("sha256: ").unwrap(), hash(&["--key"], key));
    let config = format!("consumers: [ {{ name: a, keys: [ {{ id: b, {sha256} }} ] }} ]");
    let (_, code) = run(&["check", "--strict", "--filter", "api-key-auth", "-"], &config);
    assert_eq!(code, 0);
    refuses(&["keygen", "--api-key", "--prefix", "A b"], "", "lower-case");
    refuses(&["keygen", "--prefix", "a"], "", "--api-key");
}

/// The commands that the program lists, but for `help`.
fn commands(help: &str) -> Vec<&str> {
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    let names = list.lines().take_while(|line| line.starts_with("  "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[test]
fn every_command_explains_itself() {
    let (all, _) = run(&["--help"], "");
    let commands = commands(&all);
    assert!(commands.len() >= 10, "{all}");
    for command in commands {
        let (out, code) = run(&[command, "--help"], "");
        let (_, examples) = out.split_once("Example").unwrap_or_else(|| panic!("{out}"));
        assert!(code == 0 && examples.contains(&format!("  gatehouse {command} ")), "{out}");
        assert!(all.contains(&format!("  gatehouse {command} ")), "no example of {command}: {all}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, code) = run(&["completions", shell], "");
        assert!(code == 0 && out.contains("allow-unset"), "{shell}");
    }
    refuses(&["nonsense"], "", "unrecognized subcommand");
    refuses(&["drain", "--admin", "127.0.0.1:1", "--wait", "1s"], "", "127.0.0.1:1");
    refuses(&["drain", "--wait", "soon"], "", "`500ms`");
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_a_password() {
    let hash = hash(&["--cost", "5"], "\u{feff}correct horse\n");
    let hash = PasswordHash::parse(&hash).unwrap();
    assert!(hash.verify(b"correct horse"));
}
