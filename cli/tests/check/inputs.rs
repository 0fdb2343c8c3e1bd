//! Whatever a file can be, and how the program is called.

use std::fs;

use crate::{findings, lacks, run, run_unread, triggers};

#[track_caller]
fn says(arguments: &[&str], text: &[u8], code: i32, words: &str) {
    let said = run(arguments, text, &[]);
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
    assert!(format!("{}{}", said.out, said.err).contains(words), "{}{}", said.out, said.err);
}

#[test]
fn a_configuration_by_itself_names_its_filter() {
    let text =
        "# health-shortcut: for the inside\n\nendpoints: [ { path: /livez, report: liveness } ]\n";
    assert_eq!(findings(text, &[]), []);
    assert_eq!(findings(text, &["--filter", "health-shortcut"]), []);
    triggers(text, &["--filter", "basic-auth"], "error[config]", "endpoints");
    let unnamed = text.replace("# health-shortcut", "# other");
    triggers(&unnamed, &[], "error[unknown-document]", "endpoints");
    lacks(text, &[], "unknown-document");
}

#[test]
fn several_documents_are_several_configurations() {
    let text = "# health-shortcut\nendpoints: [ { path: /livez, report: liveness } ]\n---\n# basic-auth\nuser: []\n";
    triggers(text, &[], "error[config]", "user:");
    assert_eq!(findings(text, &[]).len(), 1);
}

#[test]
fn the_environment_is_asked_where_that_is_wanted() {
    let text = b"# basic-auth\nusers: [ { name: dave, password: \"${P}\" } ]\n";
    assert_eq!(run(&["--env", "-"], text, &[("P", "x")]).code, 0);
    assert_eq!(run(&["-"], text, &[("P", "x")]).code, 1);
    assert_eq!(run(&["--env", "-"], text, &[]).code, 1);
    assert_eq!(run(&["--env", "--allow-unset", "-"], text, &[]).code, 0);
}

#[test]
fn a_finding_is_one_line() {
    let text =
        b"# basic-auth\nrealm: x\nusers:\n- name: dave\n  password: hunter2\n  groups: ops\n";
    let said = run(&["-"], text, &[]);
    let mut lines = said.out.lines();
    let refused =
        "stdin:6: users[0].groups: error[config]: invalid type: a string, expected a list";
    let plain = "stdin:5: users[0].password: warning[plain-secret]: ";
    assert!(lines.next().unwrap().starts_with(plain), "{}", said.out);
    assert_eq!(lines.next().unwrap(), refused);
    assert_eq!(said.err, "1 configuration in 1 file: 1 error, 1 warning\n");
}

#[test]
fn who_reads_no_further_changes_no_verdict() {
    let wrong = b"# basic-auth\nuser: []\n";
    let right = b"# health-shortcut\nendpoints: [ { path: /livez, report: liveness } ]\n";
    for (arguments, text, code) in [
        (&["-"][..], &wrong[..], 1),
        (&["--json", "-"], wrong, 1),
        (&["--json", "-"], right, 0),
        (&["-", "/nowhere"], wrong, 2),
        (&["--json", "-", "/nowhere"], right, 2),
    ] {
        assert_eq!(run_unread(arguments, text), code, "{arguments:?}");
    }
}

#[test]
fn warnings_fail_where_that_is_wanted() {
    let text = b"# basic-auth\nusers: [ { name: dave, password: hunter2 } ]\n";
    assert_eq!(run(&["-"], text, &[]).code, 0);
    assert_eq!(run(&["--strict", "-"], text, &[]).code, 1);
}

#[test]
fn what_is_neither_yaml_nor_json_is_said_with_its_line() {
    triggers("a: 1\nb: [1\nc: }\n", &[], "error[syntax]", "c:");
    lacks("a: 1\n", &[], "syntax");
    says(&["--filter", "basic-auth", "-"], b"[1, 2]", 1, "not an object");
    says(&["--filter", "basic-auth", "-"], b"hello", 1, "not an object");
    says(&["--filter", "basic-auth", "-"], b"{\"users\": {\"a\": [tru]}}", 1, "error[");
}

#[test]
fn nothing_is_said_to_be_nothing() {
    for text in ["", "\n\n", "# basic-auth\n", "---\n...\n", "null"] {
        says(&["-"], text.as_bytes(), 1, "error[empty]");
    }
    lacks("a: 1", &[], "empty");
    says(&["-"], b"admin: {}", 0, "info[no-filter]");
    // To the module, no configuration is the empty object.
    says(&["--filter", "api-key-auth", "-"], b"", 1, "missing field `consumers`");
}

#[test]
fn what_cannot_be_read_is_another_exit_code() {
    says(&["/nowhere/x.yaml"], b"", 2, "/nowhere/x.yaml:1: error[unreadable]: No such file");
    says(&["/"], b"", 2, "error");
    says(&["-"], b"\x00\xff\xfe\x80", 2, "not text");
    says(&["--filter", "nonsense", "-"], b"", 2, "possible values");
    says(&[], b"", 2, "Usage");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![b' '; (32 << 20) + 1]).unwrap();
    says(&[file.path().to_str().unwrap()], b"", 2, "larger than 32 MiB");
}

#[test]
fn a_file_that_cannot_be_read_is_a_finding_beside_those_of_the_others() {
    let text = b"# basic-auth\nx: 1\n";
    let said = run(&["--json", "/nowhere/x.yaml", "-"], text, &[]);
    assert_eq!((said.code, said.err.as_str()), (2, ""));
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&json["ok"], &json["files"], &json["errors"]),
        (&false.into(), &2.into(), &2.into())
    );
    let of = |index: usize| (&json["findings"][index]["file"], &json["findings"][index]["code"]);
    assert_eq!(of(0), (&"/nowhere/x.yaml".into(), &"unreadable".into()));
    assert_eq!(of(1), (&"stdin".into(), &"config".into()));
    lacks("a: 1\n", &[], "unreadable");
}

#[test]
fn a_mistake_in_what_is_made_of_another_type_has_its_place() {
    let text = "# rate-limit
limits:
- name: a
  quota: { requests: 1, per: 1s }
- name: b
  algorithm: fixed-window
  quota:
    requests: 1
    per: 1s
    burst: 2
";
    triggers(text, &[], "error[config]", "burst");
    assert_eq!(findings(text, &[])[0].path, "limits[1].quota.burst");
}

#[test]
fn nothing_makes_it_panic() {
    let deep = "[".repeat(50_000);
    let wide =
        format!("# basic-auth\nusers:\n{}", "- { name: x, password: \"${P}\" }\n".repeat(2_000));
    for text in [
        "\0",
        "%YAML 9\n---\n",
        "*x",
        "&a [*a]",
        "? [a]\n: b",
        "!!binary x",
        "a: !x y",
        &deep,
        &wide,
    ] {
        for arguments in [&["-"][..], &["--filter", "jwt-auth", "--allow-unset", "--json", "-"]] {
            let code = run(arguments, text.as_bytes(), &[]).code;
            assert!((0..=2).contains(&code), "{code}");
        }
    }
}

#[test]
fn colour_is_for_terminals() {
    let said = run(&["-"], b"# basic-auth\nx: 1\n", &[]);
    assert!(!said.out.contains('\x1b') && !said.err.contains('\x1b'));
    let forced = run(&["-"], b"# basic-auth\nx: 1\n", &[("CLICOLOR_FORCE", "1")]);
    assert!(forced.out.contains('\x1b'));
}

/// `oauth2-login`, all of its secrets from the environment.
const LOGIN: &str = r#"# oauth2-login
issuer: https://idp.example
discovery: { cluster: idp }
client: { id: web, secret: "${CLIENT_SECRET}" }
external_url: https://app.example
session: { keys: ["${COOKIE_KEY}"] }
"#;

#[test]
fn a_sign_in_is_looked_at() {
    let check = |from: &str, to: &str, code: &str, word: &str| {
        triggers(&LOGIN.replace(from, to), &["--allow-unset"], code, word);
    };
    let of_others = |text: &str| -> Vec<_> {
        let found = findings(text, &["--allow-unset"]);
        found.into_iter().filter(|finding| finding.level != "info").collect()
    };
    assert_eq!(of_others(LOGIN), []);
    assert_eq!(of_others(&LOGIN.replace("https://idp.example", "http://localhost:9400")), []);
    let plain = "http://idp.example";
    check("https://idp.example", plain, "warning[plain-provider]", "issuer");
    check("https://app.example", "http://app.example", "error[config]", "external_url");
    check("${COOKIE_KEY}", "short", "error[config]", "session");
    let written = "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=";
    check("${COOKIE_KEY}", written, "warning[plain-secret]", "keys:");
}

#[test]
fn a_field_that_there_is_not_is_wrong_whatever_its_value() {
    let basic = "# basic-auth\nrealm: x\nusers: [ { name: dave, password: \"${P}\" } ]\n";
    let check = |text: &str, word: &str| {
        assert!(text.contains(word), "{text}");
        triggers(text, &["--allow-unset"], "error[config]", word);
        assert_eq!(run(&["--allow-unset", "-"], text.as_bytes(), &[]).code, 1);
    };
    assert_eq!(findings(basic, &["--allow-unset"]), []);
    check(&basic.replace("password", "pasword"), "pasword");
    check(&basic.replace("realm: x", "realms: \"${R}\""), "realms");
    check(&LOGIN.replace("secret:", "secrt:"), "secrt");
    check(&LOGIN.replace("keys:", "idel: \"${IDLE}\", keys:"), "idel");
    check("# basic-auth\nusers: \"${USERS}\"\n", "users");
}

#[test]
fn what_no_stand_in_fits_does_not_hide_what_comes_after() {
    let text = "# api-key-auth
consumers:
- name: odd
  keys: [ { id: a, sha256: \"${DIGEST}\", not_after: \"x${END}\" } ]
- name: acme
  keys: [ { id: b, value: \"${KEY}\" } ]
  group: x
";
    triggers(text, &["--allow-unset"], "warning[stand-in]", "not_after");
    triggers(text, &["--allow-unset"], "error[config]", "group: x");
    let found = findings(text, &["--allow-unset"]);
    assert_eq!(
        found.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(),
        ["consumers[0].keys[0].not_after", "consumers[1].group"]
    );
    let alone = text.replace("  group: x\n", "");
    let said = |arguments: &[&str]| run(arguments, alone.as_bytes(), &[]).code;
    assert_eq!((said(&["--allow-unset", "-"]), said(&["--allow-unset", "--strict", "-"])), (0, 1));
    lacks(&text.replace("x${END}", "${END}"), &["--allow-unset"], "stand-in");
    // What may be no mistake at all is left alone: who is allowed may be who is left out.
    let allowed = text
        .replace("name: odd", "name: odd${ODD}")
        .replace("  group: x\n", "allow: { consumers: [ x ] }\n");
    lacks(&allowed.replace("id: a", "id: \"\\n${ID}\""), &["--allow-unset"], "config");
    triggers(&allowed, &["--allow-unset"], "error[config]", "allow:");
}

#[test]
fn what_is_in_a_file_moves_no_cursor_and_makes_no_line() {
    let text = b"# basic-auth\n\"\\e[2Jx\\nstdin:1: error: y\\u202e\": 1\nusers: []\n";
    let said = run(&["-"], text, &[]);
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    let is_plain = |letter: char| letter == '\n' || !(letter.is_control() || letter == '\u{202e}');
    assert!(said.out.chars().all(is_plain), "{:?}", said.out);
    assert!(said.out.contains("\\u{1b}[2Jx\\nstdin:1: error: y\\u{202e}"), "{}", said.out);
    let render = std::process::Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(["render", "/nowhere\x1b[2J\n/x", "--for", "envoy"])
        .output()
        .unwrap();
    let said = String::from_utf8(render.stderr).unwrap();
    assert!(said.contains("/nowhere\\u{1b}[2J\\n/x: "), "{said:?}");
}

#[test]
fn no_message_holds_what_a_variable_holds() {
    let env = [("X", "hunter2-hunter2"), ("Y", "no\nt-a-time"), ("Z", "abc")];
    for value in [
        "mode: \"${X}\"",
        "mode: \"a-${X}\"",
        "mode: \"${Y}\"",
        "verified_cache: { ttl: \"${X}\" }",
        "mode: \"${Z}\"",
        "realm: \"${Y}\"",
    ] {
        let text = format!(
            "# basic-auth\nusers: [ {{ name: dave, password: \"${{P:-x}}\" }} ]\n{value}\n"
        );
        for arguments in [&["--env", "-"][..], &["--env", "--json", "-"]] {
            let said = run(arguments, text.as_bytes(), &env);
            assert_eq!(said.code, 1, "{}", said.out);
            for secret in ["hunter2", "t-a-time", "`abc`"] {
                assert!(!said.out.contains(secret), "{value}: {}", said.out);
            }
        }
        let said = run(&["--env", "-"], text.as_bytes(), &env).out;
        assert!(
            said.contains("${") || value.starts_with("realm") || said.contains("variables"),
            "{said}"
        );
    }
}

#[test]
fn a_schema_for_editors_may_stand_before_the_name() {
    let named = "# health-shortcut\nendpoints: [ { path: /livez, report: liveness } ]\n";
    let modeline = "# yaml-language-server: $schema=health-shortcut.schema.json\n";
    assert_eq!(findings(&format!("{modeline}{named}"), &[]), []);
    assert_eq!(findings(&format!("{modeline}\n{named}"), &[]), []);
    let later = format!("{modeline}# of ours\n{named}");
    triggers(&later, &[], "error[unknown-document]", "endpoints");
}

/// Runs `check` on a text with so much memory and 20 s of a processor; its exit code.
fn run_within(kilobytes: u32, text: &str) -> Option<i32> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let script = format!("ulimit -v {kilobytes}; ulimit -t 20; exec \"$0\" check \"$1\"");
    let program = env!("CARGO_BIN_EXE_gatehouse");
    let status = std::process::Command::new("sh")
        .args(["-c", &script, program, file.path().to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    status.code()
}

#[test]
fn no_file_takes_all_memory() {
    let long = "k".repeat(20_000);
    let list = vec!["x"; 200].join(", ");
    let aliases = vec!["*a"; 200].join(", ");
    let name = format!("a: &a [{list}]\n? {long}\n: [{aliases}]\n");
    let nested = format!("a: &a {{ ? {long} : [{list}] }}\nb: [{}]\n", vec!["*a"; 4000].join(", "));
    let texts = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 100_000].join(", "));
    let anchors = format!(
        "{}{}{}",
        (0..150).map(|level| format!("&a{level} [")).collect::<String>(),
        vec!["x"; 50_000].join(", "),
        "]".repeat(150)
    );
    let json = format!("{{\"{long}\": [{}]}}", vec!["1"; 100_000].join(", "));
    for text in [name, nested, texts, anchors, json] {
        assert_eq!(
            run_within(600_000, &text),
            Some(1),
            "{}",
            text.chars().take(60).collect::<String>()
        );
    }
}

#[test]
fn many_documents_take_no_time() {
    let text = "# health-shortcut\n---\n".repeat(20_000);
    assert_eq!(run_within(600_000, &text), Some(1));
}
