//! What lines show of bodies while the switch is on.

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Envoy;

use super::start;

fn on(payloads: Value) -> (Envoy, tests::upstream::Upstream) {
    let (envoy, upstream) =
        start(json!({"debug": {"allow": [{"addresses": ["127.0.0.1"]}]}, "payloads": payloads}));
    for _ in 0..2 {
        Request::get("/debug?debug-logs=on").send(envoy.address());
        // All workers look once a second.
        std::thread::sleep(std::time::Duration::from_millis(1300));
    }
    (envoy, upstream)
}

fn post(envoy: &Envoy, path: &str, kind: &str, body: impl AsRef<[u8]>) -> Value {
    let request = Request::new("POST", path).header("content-type", kind).body(body.as_ref());
    assert_eq!(request.send(envoy.address()).status, 200);
    let find = || {
        envoy
            .access_log(1)
            .into_iter()
            .find(|line| line["http.url"] == path && line["http.method"] == "POST")
    };
    for _ in 0..100 {
        if let Some(line) = find() {
            return line;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no line of {path}");
}

#[test]
fn bodies_are_shown_without_secrets_and_cut() {
    let (envoy, upstream) = on(json!({"max_bytes": "64B", "redact": ["ssn"]}));
    let body = r#"{"name": "alice", "pass\u0077ord": "hunter2", "SSN": 17}"#;
    let line = post(&envoy, "/open/a", "application/json; charset=utf-8", body);
    assert_eq!(line["payload"], r#"{"name":"alice","pass\u0077ord":"***","SSN":"***"}"#, "{line}");
    assert_eq!(line["result"], r#"{"result":1,"access_token":"***"}"#);
    assert_eq!(upstream.last().body, body.as_bytes(), "it goes on as it came");
    let long = format!(r#"{{"a": "{}", "token": "hunter2"}}"#, "x".repeat(100_000));
    let line = post(&envoy, "/open/b", "application/json", &long);
    let shown = line["payload"].as_str().unwrap();
    assert!(shown.starts_with(r#"{"a":"xxx"#) && shown.ends_with(" ... <clue/log.truncated>"));
    assert!(shown.len() < 100, "{shown}");
    assert_eq!(upstream.last().body.len(), long.len());
    let line = post(&envoy, "/open/c", "application/x-www-form-urlencoded", "password=hunter2");
    assert_eq!(line.get("payload"), None);
}

#[test]
fn nothing_is_shown_while_it_is_off() {
    let (envoy, _upstream) = on(json!({}));
    Request::get("/debug?debug-logs=off").send(envoy.address());
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let request = Request::new("POST", "/open/broken").header("content-type", "application/json");
    request.body(br#"{"a": 1}"#).send(envoy.address());
    let begin = std::time::Instant::now();
    loop {
        let lines = envoy.access_log(1);
        if let Some(line) = lines.iter().find(|line| line["http.url"] == "/open/broken") {
            assert_eq!((line.get("payload"), line.get("result")), (None, None));
            return;
        }
        assert!(begin.elapsed().as_secs() < 15);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Whoever reads the log in a terminal, or line by line, reads nothing that a client made up.
#[test]
fn hostile_bodies_are_lines_that_parse_and_show_no_secret() {
    let (envoy, upstream) = on(json!({"redact": ["ssn"]}));
    let bodies: [(&str, &[u8]); 9] = [
        // As JSON writes them, which is well.
        (
            "/open/escaped",
            br#"{"a\u0000\u001b[2J\"": "\u0000\u001b[2J\"\n\u2028\ud800", "password": "hunter2\u0000"}"#,
        ),
        ("/open/escaped-name", br#"{"\u0070assw\u006frd": "hunter2", "s\u0073n": "\u001bhunter2"}"#),
        // As they are, which is no JSON.
        ("/open/raw", b"{\"a\": \"\x00\x1b[2J\r\n\x7f\", \"password\": \"hunter2\"}"),
        ("/open/raw-name", b"{\"\x1b[2Ja\": 1, \"pass\x00word\": \"hunter2\"}"),
        ("/open/bytes", b"{\"a\": \"\x80\xff\xed\xa0\x80\xc0\xaf\", \"token\": \"hunter2\"}"),
        ("/open/bytes-name", b"{\"\xff\xfe\": 1, \"token\xff\": \"hunter2\"}"),
        ("/open/bidi", "{\"a\": \"\u{202e}\u{2028}\u{85}\u{9b}2J\", \"token\": \"hunter2\"}".as_bytes()),
        ("/open/lines", b"{\n\"secret\"\r\n:\n\"hunter2\"\n,\"a\":\"b\"}\n{\"msg\": \"forged\"}"),
        ("/open/open", b"{\"a\": \"b\\\", \"jwt\": \"hunter2"),
    ];
    for (path, body) in bodies {
        let line = post(&envoy, path, "application/json", body);
        if path == "/open/raw" {
            let shown = "{\"a\":\"\0\u{1b}[2J\r\n\u{7f}\",\"password\":\"***\"}";
            assert_eq!(line["payload"], shown, "shown, as it is behind escapes");
        }
        assert_eq!(upstream.last().body, body, "it goes on as it came");
    }
    let line = post(&envoy, "/open/again", "application/json", bodies[0].1);
    let shown = line["payload"].as_str().unwrap();
    let expected = r#"{"a\u0000\u001b[2J\"":"\u0000\u001b[2J\"\n\u2028\ud800","password":"***"}"#;
    assert_eq!(shown, expected, "an escape stays an escape");
    let log = envoy.access_log_bytes();
    let (lines, rest) = log.split_at(log.iter().rposition(|byte| *byte == b'\n').unwrap());
    assert_eq!(rest, b"\n", "nothing is half written");
    let lines: Vec<_> = lines.split(|byte| *byte == b'\n').collect();
    for line in &lines {
        let text = String::from_utf8_lossy(line);
        assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
        let value: Value = serde_json::from_slice(line).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(value["msg"], "end", "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let of = |path: &str| {
        let mut found = lines.iter().filter(|line| {
            serde_json::from_slice::<Value>(line).is_ok_and(|line| line["http.url"] == path)
        });
        (found.next().is_some(), found.next().is_none())
    };
    assert!(bodies.iter().all(|(path, _)| of(path) == (true, true)), "one line of each");
}
