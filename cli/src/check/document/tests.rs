//! Lines and words.

use serde_json::json;

use super::*;

#[track_caller]
fn one(text: &str) -> Node {
    read(text, false).unwrap().remove(0).root
}

#[test]
fn every_path_has_its_line() {
    let yaml = "# x\na:\n  b:\n    - c: 1\n    - c: 2\n      d.e: 3\nt: |\n  {\"x\":\n   1}\n";
    let json = "{\n\"a\": {\"b\": [\n{\"c\": 1},\n{\"c\": 2,\n\"d.e\": 3}]}}";
    for (text, first) in [(yaml, 2), (json, 2)] {
        let node = one(text);
        assert_eq!(node.locate("a"), first);
        assert_eq!(node.locate("a.b[1].d.e"), if text == yaml { 6 } else { 5 });
        assert_eq!(node.locate("a.b[1].missing"), if text == yaml { 5 } else { 4 });
        assert_eq!(node.locate("a.b[7]"), if text == yaml { 3 } else { 2 });
    }
    let node = one(yaml);
    let text = At::top(&node).get("t").unwrap();
    let inner = Node::read_within(text.node.line, text.as_text().unwrap()).unwrap();
    assert_eq!(inner.locate("x"), 8);
    let node = one("t: |-\n\n\n  [\n  {}]\n");
    let text = At::top(&node).get("t").unwrap();
    let inner = Node::read_within(text.node.line, text.as_text().unwrap()).unwrap();
    assert_eq!(inner.locate("[0]"), 5);
}

#[test]
fn words_are_what_a_proxy_takes_them_for() {
    let text =
        "[off, Yes, oFF, ~, 1, -2, 0x10, 010, 08, 1.5, 1e3, 1.2.3, 10s, '1', \"on\", !!str 5]";
    let values = one(text).value();
    let expected = json!([
        false, true, "oFF", null, 1, -2, 16, 8, 8, 1.5, 1000.0, "1.2.3", "10s", "1", "on", "5"
    ]);
    assert_eq!(values, expected);
}

#[test]
fn numbers_and_tags_are_what_envoy_makes_of_them() {
    let text = "{a: [1, -2147483648, 2147483648, 0x10, 0x1ffffffff, 010, 08, 1.5, 1e3, 1.50], !ignore b: 1}";
    let mut node = one(text);
    node.read_as_envoy();
    let expected = json!([
        1,
        -2_147_483_648_i64,
        "2147483648",
        16,
        "8589934591",
        8,
        "08",
        "1.5",
        "1e3",
        "1.50"
    ]);
    assert_eq!(node.value(), json!({"a": expected}));
    // JSON is read as it is.
    let mut node = one("{\"a\": [1.5, 2147483648]}");
    node.read_as_envoy();
    assert_eq!(node.value(), json!({"a": [1.5, 2_147_483_648_i64]}));
}

#[test]
fn names_are_texts() {
    assert_eq!(one("{y: 1, on: 2, 5: 3}").value(), json!({"y": 1, "on": 2, "5": 3}));
}

#[test]
fn the_comment_that_names_the_filter_is_found() {
    let documents = read("# jwt-auth\n# more\na: 1\n---\n\n# basic-auth\na: 1\n", false).unwrap();
    let comments: Vec<_> = documents.iter().map(|one| one.comment.as_deref()).collect();
    assert_eq!(comments, [Some("jwt-auth"), Some("basic-auth")]);
}

#[test]
fn aliases_are_followed_within_bounds() {
    assert_eq!(one("a: &x {b: 1}\nc: *x\n").value(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(read(&bomb, false).err().unwrap().message.contains("more than"));
}

#[test]
fn merge_keys_are_refused_by_name() {
    let error = read("a: &a {b: 1}\nc:\n  <<: *a\n  d: 2\n", false).err().unwrap();
    assert_eq!(error.line, 3);
    assert!(error.message.starts_with("`<<`: a merge key"), "{}", error.message);
    // One in quotes is a name like any other, and so is the word as a value.
    assert_eq!(one("{'<<': 1, a: <<}").value(), json!({"<<": 1, "a": "<<"}));
}

#[test]
fn what_is_too_deep_is_refused() {
    for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "- ".repeat(100_000)] {
        assert!(read(&text, false).is_err());
        assert!(read(&text, true).is_err());
    }
}

#[test]
fn a_mistake_has_its_line() {
    assert_eq!(read("a: 1\nb: [1\n", false).err().unwrap().line, 3);
    assert_eq!(read("{\n\"a\" 1}", true).err().unwrap().line, 2);
}
