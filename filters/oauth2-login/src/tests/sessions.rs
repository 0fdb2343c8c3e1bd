//! Rules 1, 2 and 6: what a session is, what the upstream sees of it, and when it has ended.

use super::*;

#[test]
fn the_upstream_learns_who_it_is() {
    let mut world = World::new();
    world.sign_in();
    world.cookies.insert("theirs".into(), "1".into());
    let outcome = world.ask(
        "POST",
        "/a",
        &[("x-auth-subject", "root"), ("x-email", "root@x"), ("authorization", "Basic x")],
    );
    for (name, value) in [
        ("x-auth-subject", "alice"),
        ("x-auth-scheme", "oauth2"),
        ("x-auth-scopes", "openid profile offline_access"),
        ("x-email", "alice@example.com"),
        ("authorization", "Bearer access-1"),
        ("cookie", "theirs=1"),
    ] {
        assert_eq!(told(&outcome, name).as_deref(), Some(value), "{name}");
    }
    assert!(
        outcome.line().contains("\"claims\":{\"email\":\"alice@example.com\"}"),
        "{}",
        outcome.line()
    );
    assert!(set_cookies(&outcome).is_empty());
}

#[test]
fn the_token_of_a_header_of_its_own_is_the_proxys_alone() {
    let config = with(config(), &json!({"forward": {"access_token": "x-access-token"}}));
    let mut world = World::of(&config, &document());
    world.sign_in();
    let outcome = world.ask("GET", "/", &[("x_access_token", "forged")]);
    assert_eq!(told(&outcome, "x-access-token").as_deref(), Some("access-1"));
    assert!(outcome.line().contains("-x_access_token"));
    let config = with(config, &json!({"forward": null}));
    let mut world = World::of(&config, &document());
    world.sign_in();
    assert_eq!(told(&world.get("/"), "authorization"), None);
}

#[test]
fn a_session_that_is_not_ours_is_none() {
    let mut world = World::new();
    world.sign_in();
    world.pass(5);
    let good = world.cookies["__Host-session"].clone();
    let attempt = {
        let mut other = World::new();
        other.leave("/");
        other.cookies.pop_first().unwrap().1
    };
    let half = good.len() / 2;
    let mut flipped = good.clone().into_bytes();
    flipped[half] = if flipped[half] == b'A' { b'B' } else { b'A' };
    for forged in [
        String::new(),
        "1.".into(),
        "1.x".into(),
        "9.x".into(),
        good[..half].to_owned(),
        String::from_utf8(flipped).unwrap(),
        format!("{good}A"),
        format!("1.{attempt}"),
        "1.".to_owned() + &"x".repeat(60_000),
        good.to_lowercase(),
    ] {
        world.cookies.insert("__Host-session".into(), forged.clone());
        let outcome = world.get("/");
        let status = outcome.reply().map(|reply| reply.status);
        assert_eq!(status, Some(303), "{forged}");
        assert!(outcome.header("location").unwrap().starts_with("https://idp.example/auth"));
    }
    world.cookies.insert("__Host-session".into(), good);
    assert_eq!(world.get("/").step, Next::Continue);
}

#[test]
fn a_session_of_another_application_is_none() {
    let mut world = World::new();
    world.sign_in();
    for others in [
        json!({"client": {"id": "other", "secret": "x"}}),
        json!({"session": {"keys": [OTHER_KEY]}}),
        json!({"session": {"keys": [KEY], "name": "__Host-other"}}),
    ] {
        let mut other = World::of(&with(config(), &others), &document());
        other.cookies.clone_from(&world.cookies);
        let value = other.cookies["__Host-session"].clone();
        other.cookies.insert("__Host-other".into(), value);
        // The browser of these tests only keeps one name, so the answer is looked at alone.
        let headers = other.headers("GET", "/", &[("accept", "application/json")]);
        let outcome = other.bench.send(&headers);
        assert_eq!(outcome.reply().unwrap().details, "gatehouse.oauth2-login.session_invalid");
    }
}

#[test]
fn keys_are_changed_without_a_session_lost() {
    let mut world = World::new();
    world.sign_in();
    let both = json!({"session": {"keys": [OTHER_KEY, KEY]}});
    let mut second = World::of(&with(config(), &both), &document());
    second.cookies.clone_from(&world.cookies);
    assert_eq!(told(&second.get("/"), "x-auth-subject").as_deref(), Some("alice"));
}

#[test]
fn a_session_ends_used_or_not() {
    let long = json!({"expires_in": null, "refresh_token": null});
    let mut world = World::new();
    world.sign_in_with("/", &json!({}), &long);
    world.pass(3599);
    assert_eq!(world.get("/").step, Next::Continue);
    // That was a use, which was noted.
    assert!(world.cookies.contains_key("__Host-session.seen"));
    world.pass(3599);
    assert_eq!(world.get("/").step, Next::Continue);
    let forged = std::mem::take(&mut world.cookies);
    world.cookies = forged.clone();
    world.cookies.insert("__Host-session.seen".into(), "forged".into());
    assert_eq!(world.get("/").reply().unwrap().status, 303);
    world.cookies = forged;
    world.pass(3600);
    assert_eq!(world.get("/").reply().unwrap().status, 303);

    let mut world = World::new();
    world.sign_in_with("/", &json!({}), &long);
    for _ in 0..15 {
        world.pass(1900);
        assert_eq!(world.get("/").step, Next::Continue);
    }
    world.pass(300);
    let outcome = world.ask("GET", "/", &[("accept", "application/json")]);
    assert_eq!(outcome.reply().unwrap().details, "gatehouse.oauth2-login.session_ended");
}

#[test]
fn a_use_is_noted_now_and_then() {
    let mut world = World::new();
    world.sign_in_with("/", &json!({}), &json!({"expires_in": null}));
    let mut noted = 0;
    for _ in 0..100 {
        world.pass(10);
        noted += set_cookies(&world.get("/")).len();
    }
    assert_eq!(noted, 2);
}

#[test]
fn shadow_lets_pass_and_off_keeps_our_cookies_back() {
    for mode in ["shadow", "off"] {
        let mut world = World::of(&with(config(), &json!({"mode": mode})), &document());
        world.cookies.insert("__Host-session".into(), "1.x".into());
        let outcome = world.ask("GET", "/", &[("x-auth-subject", "root")]);
        assert_eq!(outcome.step, Next::Continue);
        assert!(outcome.line().contains("-x-auth-subject -cookie"), "{}", outcome.line());
    }
}

#[test]
fn a_proxy_that_fails_lets_nobody_in() {
    let mut world = World::new();
    world.sign_in();
    world.bench.proxy.fail();
    let outcome = world.get("/");
    assert_eq!(outcome.reply().unwrap().details, "gatehouse.oauth2-login.host_failure");
}
