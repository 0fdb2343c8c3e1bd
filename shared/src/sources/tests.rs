//! The rules, one test each, and the errors.

use serde_json::{Value, json};

use super::*;
use crate::config::interpret;
use crate::testing::Proxy;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn sources(config: Value) -> Sources {
    interpret(config).map_err(|error| error.to_string()).unwrap()
}

fn every_kind() -> Sources {
    sources(json!([
        {"header": "x-api-key"},
        {"header": "authorization", "prefix": "Bearer"},
        {"query": "api_key"},
        {"cookie": "api_key"},
    ]))
}

/// What is found, and what is done to take it off.
fn look<V: AsRef<[u8]>>(sources: &Sources, headers: &[(&str, V)]) -> (String, String) {
    let proxy = Proxy::with_request(headers);
    let request = Request::new(&proxy);
    let found = match sources.find(&request) {
        Found::One(credential) => format!("one {}", credential.escape_ascii()),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut effects = Effects::default();
    sources.strip(&request, &mut effects);
    (found, effects.to_string())
}

#[track_caller]
fn check<V: AsRef<[u8]>>(headers: &[(&str, V)], found: &str, stripped: &str) {
    assert_eq!(look(&every_kind(), headers), (found.to_owned(), stripped.to_owned()));
}

#[test]
fn nothing_is_found_where_nothing_stands() {
    check(&[(":path", "/"), ("accept", "*/*")], "nothing", "");
    check::<&str>(&[], "nothing", "");
}

#[test]
fn a_header_is_the_credential_but_for_white_space_around_it() {
    check(&[("x-api-key", "abc")], "one abc", "-x-api-key");
    check(&[("x-api-key", " \tabc d\t ")], "one abc d", "-x-api-key");
    check(&[("x-api-key", "Bearer abc")], "one Bearer abc", "-x-api-key");
    check(&[("x-api-key", b"\xff\x00\xfe")], r"one \xff\x00\xfe", "-x-api-key");
    check(&[("x-api-keys", "abc"), ("x_api_key", "abc")], "nothing", "");
}

#[test]
fn a_scheme_is_written_in_any_case_with_spaces_or_tabs_behind_it() {
    for value in ["Bearer abc", "bearer abc", "BEARER   abc", "Bearer\tabc ", "  bEARER \t abc"] {
        check(&[("authorization", value)], "one abc", "-authorization");
    }
    check(&[("authorization", b"Bearer \xff\xfe")], r"one \xff\xfe", "-authorization");
}

#[test]
fn a_header_with_another_scheme_is_not_this_source_and_stays() {
    for value in ["Basic abc", "Bearerabc", "Beare", "Bearer,abc", "Bearer\u{a0}abc", "abc", ""] {
        check(&[("authorization", value)], "nothing", "");
    }
    check(&[("authorization", "Basic a"), ("authorization", "Basic b")], "nothing", "");
}

#[test]
fn an_empty_credential_is_one() {
    check(&[("x-api-key", "")], "one ", "-x-api-key");
    check(&[("x-api-key", " \t")], "one ", "-x-api-key");
    check(&[("authorization", "Bearer")], "one ", "-authorization");
    check(&[("authorization", "Bearer  ")], "one ", "-authorization");
    check(&[(":path", "/?api_key=")], "one ", "+:path: /");
    check(&[(":path", "/?api_key")], "one ", "+:path: /");
    check(&[("cookie", "api_key=")], "one ", "-cookie");
    check(&[("cookie", "api_key=\"\"")], "one ", "-cookie");
}

#[test]
fn a_header_that_comes_twice_is_repeated_if_one_is_ours() {
    check(&[("x-api-key", "a"), ("x-api-key", "a")], "repeated", "-x-api-key");
    check(
        &[("authorization", "Basic a"), ("authorization", "Bearer b")],
        "repeated",
        "-authorization",
    );
}

#[test]
fn a_credential_in_two_sources_is_repeated_and_taken_off_both() {
    check(
        &[(":path", "/?api_key=a&x"), ("x-api-key", "a"), ("cookie", "api_key=a")],
        "repeated",
        "-x-api-key +:path: /?x -cookie",
    );
    check(&[("x-api-key", "a"), ("authorization", "Basic b")], "one a", "-x-api-key");
    check(&[(":path", "/?api_key=%"), ("x-api-key", "")], "repeated", "-x-api-key +:path: /");
}

#[test]
fn a_parameter_is_cut_and_the_rest_of_the_query_stays_as_it_is() {
    for (path, stripped) in [
        ("/a?api_key=k", "/a"),
        ("/a?api_key=k&", "/a"),
        ("/a?&api_key=k&", "/a?&"),
        ("/a?api_key=k&b=1", "/a?b=1"),
        ("/a?b=1&api_key=k", "/a?b=1"),
        ("/a?b=%zz+%20&api_key=k&&c;d=?/", "/a?b=%zz+%20&&c;d=?/"),
        ("/%61//..;/?x=api_key=1&api_key=k", "/%61//..;/?x=api_key=1"),
        ("/a?api_key=k#api_key=x", "/a#api_key=x"),
        ("/a?b&api_key=k#?", "/a?b#?"),
        ("?api_key=k", ""),
    ] {
        check(&[(":path", path)], "one k", &format!("+:path: {stripped}"));
    }
}

#[test]
fn what_is_not_in_the_query_is_not_a_parameter() {
    for path in [
        "/api_key=k",
        "/a?Api_key=k",
        "/a?api_key2=k",
        "/a?xapi_key=k",
        "/a?x=api_key=k",
        "/a#?api_key=k",
        "/a?#&api_key=k",
        "/a?",
        "",
    ] {
        check(&[(":path", path)], "nothing", "");
    }
}

#[test]
fn names_and_values_of_parameters_are_decoded() {
    check(&[(":path", "/?api%5Fkey=a%20b+c%2B=%26&x")], "one a b c+=&", "+:path: /?x");
    check(&[(":path", "/?%61pi%5fkey=%ff%00")], r"one \xff\x00", "+:path: /");
    check(&[(":path", b"/?\xff&api_key=\xfe")], r"one \xfe", "+:path: /?\u{fffd}");
    let spaced = sources(json!([{"query": "api key"}]));
    for path in ["/?api+key=k", "/?api%20key=k", "/?api key=k"] {
        assert_eq!(look(&spaced, &[(":path", path)]).0, "one k", "{path}");
    }
}

#[test]
fn a_broken_escape_matters_in_our_value_only() {
    for value in ["%", "a%", "%4", "%zz", "%4g", "%%41", "%+1", "% 1"] {
        let path = format!("/?x=%&%=1&api_key={value}");
        check(&[(":path", path)], "malformed", "+:path: /?x=%&%=1");
    }
    check(&[(":path", "/?api_key%=k")], "nothing", "");
    let odd = sources(json!([{"query": "api%"}]));
    for path in ["/?api%=k", "/?api%25=k"] {
        assert_eq!(look(&odd, &[(":path", path)]), ("one k".into(), "+:path: /".into()), "{path}");
    }
}

#[test]
fn a_parameter_behind_a_semicolon_is_one_to_some_and_goes_on_to_nobody() {
    check(&[(":path", "/?x;api_key=k&y")], "malformed", "+:path: /?y");
    check(&[(":path", "/?api_key=k&x=1;api_key=forged&y")], "repeated", "+:path: /?y");
    check(&[(":path", "/?api_key=k;%61pi_key=forged")], "repeated", "+:path: /");
    check(&[(":path", "/?x=1;y=api_key=k;api_keys")], "nothing", "");
}

#[test]
fn a_parameter_that_comes_twice_is_repeated_and_cut_each_time() {
    for path in ["/?api_key=k&x&api_key=k", "/?api_key&x&%61pi_key=k", "/?api_key=%&x&api_key=k"] {
        check(&[(":path", path)], "repeated", "+:path: /?x");
    }
}

#[test]
fn a_connect_has_no_query() {
    check(
        &[(":method", "CONNECT"), (":authority", "a:1?api_key=k"), ("x-api-key", "k")],
        "one k",
        "-x-api-key",
    );
}

#[test]
fn a_cookie_is_cut_and_the_others_stay_as_they_are() {
    for (cookie, stripped) in [
        ("api_key=k", "-cookie"),
        (" api_key=k ; ", "-cookie"),
        ("api_key=k; a=1", "+cookie: a=1"),
        ("a=1; api_key=k", "+cookie: a=1"),
        ("a=1;api_key=k;  b=\"x y\";c", "+cookie: a=1;  b=\"x y\";c"),
        ("a=1; api_key=\"k\"; b", "+cookie: a=1; b"),
        ("a=api_key=z; api_key= k", "+cookie: a=api_key=z"),
        ("api_key=k; api_keys=1; xapi_key=2", "+cookie: api_keys=1; xapi_key=2"),
    ] {
        check(&[("cookie", cookie)], "one k", stripped);
    }
    check(&[("cookie", b"\xff=\xfe; api_key=\xfd")], r"one \xfd", "+cookie: \u{fffd}=\u{fffd}");
    check(&[("cookie", "api_key=a=b%20c")], "one a=b%20c", "-cookie");
    check(&[("cookie", "api_key=\"k")], r#"one \"k"#, "-cookie");
    check(&[("cookie", "api_key=\"")], r#"one \""#, "-cookie");
}

#[test]
fn a_cookie_of_another_name_is_another_cookie() {
    for cookie in ["API_KEY=k", "api_key2=k", "xapi_key=k", "api_key", "a=api_key=k"] {
        check(&[("cookie", cookie)], "nothing", "");
    }
}

/// To a browser, space and tab alone are no part of a name (RFC 6265, 5.2).
#[test]
fn white_space_that_browsers_do_not_know_is_part_of_a_name() {
    check(&[("cookie", " \tapi_key=abc\t ")], "one abc", "-cookie");
    for other in ["\x0capi_key=abc", "\x0bapi_key=abc", "\u{a0}api_key=abc", "\u{2000}api_key=abc"]
    {
        check(&[("cookie", other)], "nothing", "");
    }
    // And stays so when the one beside it is cut.
    check(&[("cookie", "\x0capi_key=z; api_key=k")], "one k", "+cookie: \x0capi_key=z");
}

#[test]
fn white_space_is_no_part_of_a_cookies_name() {
    check(&[("cookie", "api_key =k")], "one k", "-cookie");
    check(&[("cookie", "api_key=k; api_key\t=forged; a=1")], "repeated", "+cookie: a=1");
}

#[test]
fn all_cookie_headers_are_read_and_what_is_left_goes_on_as_one() {
    check(
        &[("cookie", "a=1"), ("cookie", "api_key=k; b=2"), ("cookie", "c=3")],
        "one k",
        "-cookie +cookie: a=1; b=2; c=3",
    );
    check(&[("cookie", "api_key=k"), ("cookie", " ")], "one k", "-cookie");
    check(&[("cookie", "api_key=k"), ("cookie", "api_key=k")], "repeated", "-cookie");
    check(&[("cookie", "api_key=k; a; api_key=k")], "repeated", "+cookie: a");
}

#[test]
fn several_sources_of_a_kind_are_stripped_together() {
    let both = sources(json!([
        {"query": "k"}, {"query": "key"}, {"cookie": "k"}, {"cookie": "key"},
        {"header": "authorization", "prefix": "Bearer"}, {"header": "authorization", "prefix": "Key"},
    ]));
    let headers = [(":path", "/?k=1&key=2&x"), ("cookie", "k=1; key=2; x=3")];
    let stripped = "+:path: /?x +cookie: x=3";
    assert_eq!(look(&both, &headers), ("repeated".into(), stripped.into()));
    let headers = [("authorization", "Key abc")];
    assert_eq!(look(&both, &headers), ("one abc".into(), "-authorization".into()));
}

#[test]
fn a_credential_that_is_too_long_is_malformed() {
    let (most, more) = ("k".repeat(MAX_CREDENTIAL), "k".repeat(MAX_CREDENTIAL + 1));
    let headers = |key: &str| {
        [
            ("x-api-key", key.to_owned()),
            ("authorization", format!("Bearer {key}")),
            (":path", format!("/?api_key={key}")),
            ("cookie", format!("api_key=\"{key}\"")),
        ]
    };
    for (name, value) in headers(&most) {
        assert_eq!(look(&every_kind(), &[(name, value)]).0, format!("one {most}"), "{name}");
    }
    for (name, value) in headers(&more) {
        let (found, stripped) = look(&every_kind(), &[(name, value)]);
        assert_eq!(found, "malformed", "{name}");
        assert!(!stripped.is_empty() && !stripped.contains("kkk"), "{name}");
    }
    let encoded = format!("/?api_key={}", "%6b".repeat(MAX_CREDENTIAL));
    assert_eq!(look(&every_kind(), &[(":path", encoded)]).0, format!("one {most}"));
}

#[test]
fn the_schemes_of_authorization_are_challenged_with() {
    let schemes = |config| sources(config).schemes().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(every_kind().schemes().collect::<Vec<_>>(), ["Bearer"]);
    assert_eq!(
        schemes(json!([
            {"header": "Authorization", "prefix": "Bearer"},
            {"header": "authorization", "prefix": "ApiKey"},
            {"header": "x-token", "prefix": "Token"},
        ])),
        ["Bearer", "ApiKey"]
    );
    assert!(schemes(json!([{"header": "authorization"}, {"query": "q"}])).is_empty());
}

#[test]
fn sources_made_by_hand_are_those_that_are_written() {
    let by_hand = Sources::new(vec![Source::header("x-api-key"), Source::authorization("Bearer")]);
    let written = json!([
        {"header": "X-API-Key"}, {"header": "authorization", "prefix": "Bearer"},
    ]);
    assert_eq!(by_hand, sources(written));
}

#[track_caller]
fn refuse(config: Value, message: &str) {
    let error = interpret::<Sources>(config).expect_err("refused");
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_source_is_a_header_a_parameter_or_a_cookie() {
    refuse(json!([]), "a list of at least one, and this one is empty");
    for config in [json!([{}]), json!([{"header": "a", "query": "b"}])] {
        refuse(config, "[0]: has one of `header`, `query` and `cookie`");
    }
    refuse(json!([{"header": null}]), "[0].header: is null; leave the field out instead");
    refuse(
        json!([{"query": "a"}, {"query": "b", "prefix": "P"}]),
        "[1]: `prefix` goes with `header`",
    );
    refuse(json!([{"prefix": "P"}]), "[0]: `prefix` goes with `header`");
    refuse(
        json!([{"headers": "a"}]),
        "[0].headers: unknown field `headers`, expected one of `header`, `prefix`, `query`, `cookie`",
    );
    refuse(
        json!(["x-api-key"]),
        "[0]: invalid type: a string, expected an object such as `{ header: x-api-key }`",
    );
}

#[test]
fn names_are_names() {
    refuse(json!([{"header": "a b"}]), "[0].header: `a b` is not the name of a header");
    refuse(json!([{"header": ":path"}]), "[0].header: `:path` is not the name of a header");
    refuse(json!([{"header": "Cookie"}]), "[0]: write `cookie: NAME` for a cookie");
    refuse(json!([{"header": "a", "prefix": ""}]), "[0]: `` is not a scheme");
    refuse(json!([{"header": "a", "prefix": "Bearer "}]), "[0]: `Bearer ` is not a scheme");
    refuse(json!([{"cookie": "a=b"}]), "[0]: `a=b` is not the name of a cookie");
    refuse(json!([{"cookie": ""}]), "[0]: `` is not the name of a cookie");
    for name in ["", "a\nb"] {
        let message = "[0]: a query parameter has a name, without control characters";
        refuse(json!([{"query": name}]), message);
    }
}

#[test]
fn no_two_sources_overlap() {
    refuse(json!([{"header": "a"}, {"header": "A"}]), "the header `a` comes twice");
    refuse(json!([{"header": "a"}, {"header": "a", "prefix": "P"}]), "the header `a` comes twice");
    refuse(
        json!([{"header": "a", "prefix": "P"}, {"header": "b"}, {"header": "a", "prefix": "p"}]),
        "the header `a` comes twice",
    );
    refuse(json!([{"query": "a"}, {"query": "a"}]), "the query parameter `a` comes twice");
    refuse(json!([{"cookie": "a"}, {"cookie": "a"}]), "the cookie `a` comes twice");
    sources(json!([{"header": "a"}, {"query": "a"}, {"cookie": "a"}, {"cookie": "A"}]));
}
