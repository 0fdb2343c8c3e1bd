//! What has one reading, several, and none; and what patterns match.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[track_caller]
fn matches(pattern: &str, path: &str) -> Result<bool, BadPath> {
    let pattern = Pattern::parse(pattern).expect("a pattern");
    Readings::of(path.as_bytes())?.agree(|path| pattern.matches(path))
}

#[track_caller]
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    for path in yes {
        assert_eq!(matches(pattern, path), Ok(true), "{pattern} {path}");
    }
    for path in no {
        assert_eq!(matches(pattern, path), Ok(false), "{pattern} {path}");
    }
}

#[test]
fn a_literal_is_compared_without_the_query() {
    check("/users", &["/users", "/users?x=/y", "/users?x#y"], &["/users/", "/Users", "/user", "/"]);
    check("/", &["/", "/?x"], &["/x"]);
    check("/users/", &["/users/"], &["/users"]);
}

#[test]
fn a_template_takes_one_segment_that_is_not_empty() {
    check("/users/{id}", &["/users/7", "/users/a%20b"], &["/users", "/users/", "/users/7/x"]);
    check("/*/x", &["/a/x"], &["/x", "/a/b/x"]);
}

#[test]
fn a_rest_takes_anything_below_and_the_stem() {
    check("/admin/**", &["/admin", "/admin/", "/admin/x/y"], &["/administrator", "/x/admin"]);
    check("/**", &["/", "/x", "/x/y"], &[]);
}

#[test]
fn escapes_that_change_nothing_are_decoded() {
    check("/admin", &["/%61dmin", "/%61%64min"], &["/%41dmin"]);
    check("/a b", &["/a%20b"], &[]);
    check("/caf\u{e9}", &["/caf%C3%A9", "/caf%c3%a9", "/caf\u{e9}"], &["/caf%E9"]);
}

#[test]
fn a_path_with_two_readings_is_refused_where_they_disagree() {
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/..\\admin",
        "/public/%252e%252e/admin",
        "/public/..;/admin",
        "//public/x",
        "/x/%2e%2e/public/x",
        "/public/..%2fadmin/%252e%252e/public/x",
        "/public/../admin//../public/x",
        "/public/../admin/..;/public/x",
    ] {
        assert_eq!(matches("/public/**", path), Err(BadPath), "{path}");
    }
    assert_eq!(matches("/admin", "/admin;x=1"), Err(BadPath));
    assert_eq!(matches("/admin", "/admin%2f"), Ok(false));
    assert_eq!(matches("/admin", "//admin"), Err(BadPath));
}

#[test]
fn a_path_with_two_readings_passes_where_they_agree() {
    check("/public/**", &["/public/a//b", "/public/group%2Fname", "/public/./x"], &["/x//y"]);
    check("/**", &["//x/y", "//x\\y", "/\\x\\y"], &[]);
}

#[test]
fn broken_escapes_and_control_characters_have_no_reading() {
    for path in [
        "/%",
        "/%4",
        "/%zz",
        "/a%00b",
        "/a%0d%0ab",
        "/\u{1}",
        "/a%2500b",
        "/100%25%2500",
        "/a#b",
        "/%c0%afx",
        "/%25c0%25afx",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "",
        "x",
        "http://x/",
    ] {
        assert_eq!(Readings::of(path.as_bytes()), Err(BadPath), "{path}");
    }
}

#[test]
fn bytes_that_are_no_text_are_compared_as_bytes() {
    let readings = Readings::of(b"/\xff\xfe").unwrap();
    assert_eq!(readings.agree(|path| Pattern::parse("/*").unwrap().matches(path)), Ok(true));
}

#[test]
fn the_server_as_a_whole_matches_no_pattern() {
    check("/**", &[], &["*"]);
}

#[test]
fn long_paths_with_many_readings_have_none() {
    let long = |tail: &str| format!("/x/{}{tail}", "a".repeat(7_000));
    let read = |path: String| Readings::of(path.as_bytes()).map(Readings::into_owned);
    assert!(read(long("")).is_ok() && read(long("%20")).is_ok() && read(long(";x")).is_ok());
    assert_eq!(read(long("%3b%255c%25253f%3f")), Err(BadPath));
    assert!(read(format!("/{}", "a".repeat(1_000_000))).is_ok(), "one way to read it");
    assert_eq!(read(format!("/%20{}", "a".repeat(1_000_000))), Err(BadPath));
}

#[test]
fn every_order_of_reading_is_judged() {
    for path in [
        "/admin;%2fx",
        "/admin%3bx",
        "/admin%3fx",
        "/admin%23x",
        "/admin%253fx",
        "/admin;%252fx",
        "/admin%3b%252fx",
        "/100%25/..%2f", // no reading at all
        "/%61dmin%3fx",
        "/admin;a;b",
        "/.//admin",
        "/\\admin",
        "/admin%3bx%3fy",
    ] {
        assert_eq!(matches("/admin", path), Err(BadPath), "{path}");
    }
    for path in ["/api;%2fx/admin", "/api%3bx/admin", "/api/./admin", "/api%2fadmin"] {
        assert_eq!(matches("/api/admin", path), Err(BadPath), "{path}");
    }
}

#[test]
fn a_host_in_front_of_a_path_is_no_part_of_it() {
    let admin = Pattern::parse("/admin").unwrap();
    for path in [
        "//x/admin",
        "//x:80/admin",
        "//user@x/admin?y",
        "///x/admin",
        "/\\x/admin",
        "\\\\x/admin",
        "/%2fx/admin",
        "/%5Cx/admin",
        "//x/a/../admin",
        "//x/%61dmin",
    ] {
        let readings = Readings::of(path.as_bytes());
        let judged = readings.and_then(|readings| readings.agree(|path| admin.matches(path)));
        assert_eq!(judged, Err(BadPath), "{path}");
    }
    check("/**", &["//x", "//x/", "///"], &[]);
}

#[test]
fn an_escape_after_a_broken_one_is_decoded_all_the_same() {
    let readings = Readings::of(b"/100%25/%2561dmin").unwrap();
    assert_eq!(*readings.others, [b"/100%/%61dmin".as_slice(), b"/100%/admin"]);
    assert_eq!(matches("/x/admin", "/x%2525%252fadmin"), Ok(false));
    let readings = Readings::of(b"/100%25%252fadmin").unwrap();
    assert!(readings.others.contains(&b"/100%/admin".to_vec()), "{readings:?}");
}

#[test]
fn a_path_of_endlessly_many_readings_has_none() {
    let path = "/%2525252525252525252525252525252525252525252525252525252541";
    assert_eq!(Readings::of(path.as_bytes()), Err(BadPath));
    let hostile = format!("/{}", "a;%252f//%253b%253f%5c.".repeat(3000));
    assert_eq!(Readings::of(hostile.as_bytes()), Err(BadPath));
}

#[test]
fn patterns_with_a_mistake_are_refused() {
    for text in [
        "", "users", "/a*", "/**/a", "/a**", "/{a", "/{}", "/.", "/a/../b", "/a?b", "/../a",
        "/a;b", "/%2f", "/%",
    ] {
        assert!(Pattern::parse(text).is_err(), "{text}");
    }
}
