//! Rule 7: the way out.

use super::*;

fn signed_in() -> World {
    let mut world = World::new();
    world.sign_in();
    world.leave_open();
    world
}

impl World {
    /// One more attempt, in another tab.
    fn leave_open(&mut self) {
        self.pass(5);
        let session = self.cookies.remove("__Host-session").unwrap();
        self.leave("/other");
        self.cookies.insert("__Host-session".into(), session);
    }
}

#[test]
fn who_signs_out_is_signed_out_here_and_at_the_provider() {
    for (method, more) in [
        ("POST", &[("origin", "https://app.example"), ("sec-fetch-site", "same-origin")][..]),
        ("POST", &[("origin", "null"), ("sec-fetch-site", "same-origin")]),
        ("POST", &[]),
        ("GET", &[("sec-fetch-site", "same-origin")]),
        ("GET", &[("sec-fetch-site", "none")]),
    ] {
        let mut world = signed_in();
        let mut outcome = world.ask(method, "/oauth2/logout", more);
        assert_eq!(outcome.reply().unwrap().status, 303);
        let location = outcome.header("location").unwrap();
        assert!(location.starts_with("https://idp.example/end?"), "{location}");
        let sent = query(location);
        assert_eq!(sent["post_logout_redirect_uri"], "https://app.example/bye");
        assert_eq!(sent["client_id"], "web");
        assert_eq!(sent["id_token_hint"].split('.').count(), 3);
        assert!(world.cookies.is_empty(), "{:?}", world.cookies);
        let calls = outcome.effects.take_calls();
        assert_eq!(calls[0].1.path, "/revoke");
        assert!(String::from_utf8_lossy(&calls[0].1.body).starts_with("token=refresh-1&"));
    }
}

#[test]
fn a_page_of_another_site_signs_nobody_out() {
    for more in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://app.example.evil.example")],
        &[("origin", "http://app.example")],
    ] {
        let mut world = signed_in();
        let outcome = world.ask("POST", "/oauth2/logout", more);
        assert_eq!(outcome.reply().unwrap().status, 403, "{more:?}");
        assert_eq!(world.cookies.len(), 2);
    }
    for more in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none"), ("sec-purpose", "prefetch")],
    ] {
        let mut world = signed_in();
        let outcome = world.ask("GET", "/oauth2/logout", more);
        page(&outcome, 200, "logout");
        let body = String::from_utf8_lossy(&outcome.reply().unwrap().body).into_owned();
        assert!(body.contains("<form method=\"post\" action=\"/oauth2/logout\">"), "{body}");
        let policy = outcome.header("content-security-policy").unwrap();
        assert!(policy.ends_with("form-action 'self' https://idp.example"), "{policy}");
        assert_eq!(world.cookies.len(), 2);
    }
    assert_eq!(signed_in().ask("PUT", "/oauth2/logout", &[]).reply().unwrap().status, 405);
}

#[test]
fn without_a_provider_or_a_session_the_cookies_end_all_the_same() {
    let mut world = World::of(&config(), &with(document(), &json!({"end_session_endpoint": null})));
    world.sign_in();
    let outcome = world.ask("POST", "/oauth2/logout", &[]);
    assert_eq!(outcome.header("location"), Some("https://app.example/bye"));
    assert!(world.cookies.is_empty());
    let mut world = World::offline(&config());
    world.cookies.insert("__Host-session".into(), "1.x".into());
    let outcome = world.ask("POST", "/oauth2/logout", &[]);
    assert_eq!(outcome.header("location"), Some("https://app.example/bye"));
    assert!(world.cookies.is_empty());
}
