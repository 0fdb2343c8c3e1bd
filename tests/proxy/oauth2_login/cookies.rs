//! The cookies, looked at from outside; and those that are none of ours.

use super::*;

#[test]
fn a_cookie_is_what_browsers_ask_of_it_and_tells_nothing() {
    let (envoy, upstream, provider) = start(config());
    let padding = "p".repeat(9_000);
    provider.set(|state| state.tokens = json!({"access_token": format!("access{padding}")}));
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/secret-path");
    let kept = browser.cookies.keys().cloned().collect::<Vec<_>>();
    assert_eq!(kept[..2], ["__Host-session", "__Host-session.1"]);
    assert!(kept.len() > 3 && browser.got.len() > 5, "{kept:?}");
    for cookie in &browser.got {
        assert!(cookie.len() <= 4096, "{}", cookie.len());
        assert!(cookie.starts_with("__Host-session"), "{cookie}");
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        for flag in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
            assert!(attributes.contains(&flag), "{cookie}");
        }
        assert!(!cookie.to_ascii_lowercase().contains("domain="), "{cookie}");
        let value =
            cookie.split(['=', ';']).nth(1).unwrap().trim_start_matches(|c| "12345.".contains(c));
        let decoded =
            URL_SAFE_NO_PAD.decode(&value.as_bytes()[..value.len() / 4 * 4]).unwrap_or_default();
        let texts = format!("{cookie} {}", String::from_utf8_lossy(&decoded));
        for secret in ["accessppp", "refresh-", "alice", "secret-path", "eyJ"] {
            assert!(!texts.contains(secret), "{secret}: {texts}");
        }
    }
    assert_eq!(browser.get(envoy.address(), "/").status, 200);
    assert_eq!(upstream.last().header("authorization").unwrap(), format!("Bearer access{padding}"));
}

#[test]
fn a_cookie_that_is_not_ours_is_no_session() {
    let (envoy, upstream, _provider) = start(config());
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    let good = browser.cookies["__Host-session"].clone();
    let to = envoy.address();
    let status = |cookie: &[u8]| Request::get("/").header("cookie", cookie).send(to).status;
    let named = |value: &str| format!("__Host-session={value}").into_bytes();
    for forged in [
        named(""),
        named("1."),
        named(good.strip_suffix(|_| true).unwrap()),
        named(good.split_at(good.len() / 2).0),
        named(&format!("{good}A")),
        named(&good.replacen('.', ".A", 1)),
        named(&good.replacen('1', "2", 1)),
        named(&"9.".repeat(20_000)),
        named("1.\u{e4}"),
        [&b"__Host-session=1."[..], &[0xff, 0x80, 0xfe]].concat(),
        format!("__Host-session={good}; __Host-session={good}").into_bytes(),
        format!("__Host-session.1={good}").into_bytes(),
        format!("session={good}").into_bytes(),
        b"__Host-session".to_vec(),
        b";;;=;__Host-session=;=".to_vec(),
    ] {
        assert_eq!(status(&forged), 303, "{}", String::from_utf8_lossy(&forged));
    }
    let many: Vec<_> = (0..300).map(|n| format!("__Host-session.login.{n}=x")).collect();
    assert_eq!(status(many.join("; ").as_bytes()), 303);
    assert_eq!(upstream.count(), 0);
    assert_eq!(status(&named(&good)), 200);
    assert!(!String::from_utf8_lossy(&upstream.last().head).contains("__Host"));
}

#[test]
fn a_session_ends() {
    let short = json!({"session": {"keys": [KEY], "lifetime": "4s", "idle": "3s"}});
    let (envoy, _upstream, _provider) = start(with(config(), &short));
    let mut idle = Browser::default();
    idle.sign_in(envoy.address(), "/");
    assert_eq!(idle.get(envoy.address(), "/").status, 200);
    std::thread::sleep(Duration::from_millis(5100));
    let api = idle.send(envoy.address(), Request::get("/api/x"));
    assert_eq!(api.status, 401);
    assert_eq!(idle.get(envoy.address(), "/").status, 303);
}
