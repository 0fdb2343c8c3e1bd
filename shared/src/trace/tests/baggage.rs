//! What is kept of baggage.

use super::super::baggage::{Limits, keep};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[track_caller]
fn check_within(limits: &Limits, values: &[&str], list: &str, dropped: bool) {
    let allows = |key: &[u8]| !key.starts_with(b"secret");
    let kept = keep(values.iter().map(|value| value.as_bytes()), limits, allows);
    assert_eq!((String::from_utf8(kept.list).unwrap().as_str(), kept.dropped), (list, dropped));
}

#[track_caller]
fn check(values: &[&str], list: &str, dropped: bool) {
    check_within(&Limits::default(), values, list, dropped);
}

#[test]
fn members_stay_as_they_are() {
    for list in [
        "a=1",
        "a=1,b=2;p;q = 3,c=%20%C3%A9",
        "key1=value1;property1;property2,key2 = value2,key3=value3; propertyKey=propertyValue",
        "a=",
        "a=b=c",
    ] {
        check(&[list], list, false);
    }
}

#[test]
fn several_headers_are_one_list() {
    check(&["a=1", " b=2 , ", "", "c=3"], "a=1,b=2,c=3", false);
}

#[test]
fn what_is_malformed_is_left_out() {
    for member in
        ["a", "=1", "a b=1", "a=\"1\"", "a=1 2", "a=\\", "a=é", "a=1;", "a=1;p=\u{7f}", "a;b=1"]
    {
        check(&["x=1", member, "y=2"], "x=1,y=2", true);
    }
}

#[test]
fn what_is_not_allowed_is_left_out() {
    check(&["secret=1,a=2,secrets=3"], "a=2", true);
}

#[test]
fn nothing_passes_a_limit_and_nothing_is_cut() {
    let limits = Limits { bytes: 11, members: 2 };
    check_within(&limits, &["a=1,b=2,c=3"], "a=1,b=2", true);
    check_within(&limits, &["a=12345,b=2"], "a=12345,b=2", false);
    check_within(&limits, &["a=12345,b=23,c=3"], "a=12345,c=3", true);
    let most: Vec<_> = (0..65).map(|number| format!("k{number}=v")).collect();
    check(&[&most.join(",")], &most[..64].join(","), true);
    let long = format!("a={}", "x".repeat(8190));
    check(&[&long], &long, false);
    check(&[&format!("{long}x")], "", true);
}
