//! What a hostile browser, page or provider tries that the rules' own tests do not.

use super::*;

/// The headers of the response that the filter asks for.
fn response_headers(outcome: &Outcome, name: &str) -> Vec<String> {
    let ours = outcome.effects.iter().filter_map(|effect| match effect {
        Effect::SetResponseHeader(known, value) if **known == *name => {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    });
    ours.collect()
}

fn calls(outcome: &mut Outcome) -> Vec<(u32, Call)> {
    let calls = outcome.effects.take_calls().into_iter();
    calls.map(|(ticket, call)| (ticket.id, call)).collect()
}

fn body(call: &Call) -> BTreeMap<String, String> {
    query(&format!("?{}", String::from_utf8_lossy(&call.body)))
}

/// RFC 6749 has nothing against `expires_in: 0`, and a provider that knows the browser asks nothing.
#[test]
fn a_sign_in_that_is_of_no_use_is_no_loop() {
    let mut world = World::new();
    let over = json!({"expires_in": 0, "refresh_token": null});
    assert_eq!(world.sign_in_with("/a", &json!({}), &over).reply().unwrap().status, 303);
    let outcome = world.get("/a");
    page(&outcome, 401, "refresh_refused");
    assert!(outcome.line().contains("#in_vain"), "{}", outcome.line());
    let text = String::from_utf8_lossy(&outcome.reply().unwrap().body).into_owned();
    assert!(text.contains("href=\"/a\""), "{text}");
    // Who asks for it tries again; who does not comes back later.
    assert_eq!(world.get("/a").reply().unwrap().status, 303);
    let mut world = World::new();
    world.sign_in_with("/a", &json!({}), &over);
    world.pass(5);
    assert_eq!(world.get("/a").reply().unwrap().status, 303);
}

#[test]
fn a_browser_that_does_not_keep_the_session_is_in_no_loop() {
    let mut world = World::new();
    world.sign_in();
    world.cookies.clear();
    page(&world.get("/"), 401, "no_session");
    // Who signs out at once is somebody else.
    let mut world = World::new();
    world.sign_in();
    assert_eq!(world.ask("POST", "/oauth2/logout", &[]).reply().unwrap().status, 303);
    assert_eq!(world.get("/").reply().unwrap().status, 303);
    // Cookies that come twice, as one of another path would, come twice after a sign-in too.
    let mut world = World::new();
    world.sign_in();
    let good = world.cookies["__Host-session"].clone();
    let twice = format!("__Host-session={good}; __Host-session={good}; __Host-session.arrived=1");
    world.cookies.clear();
    page(&world.ask("GET", "/", &[("cookie", &twice)]), 401, "session_broken");
}

#[test]
fn no_cache_keeps_a_cookie_of_ours() {
    let mut world = World::new();
    world.sign_in_with("/", &json!({}), &json!({"expires_in": null}));
    let outcome = world.get("/");
    assert!(response_headers(&outcome, "cache-control").is_empty(), "{}", outcome.line());
    world.pass(1000);
    let outcome = world.get("/");
    assert_eq!(set_cookies(&outcome).len(), 1);
    assert_eq!(response_headers(&outcome, "cache-control"), ["no-store"]);

    let mut world = World::new();
    world.sign_in();
    world.pass(250);
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let refresh = calls(&mut outcome);
    let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
    world.answer(refresh[0].0, 200, &tokens_of(2, &sign(1, &claims)).to_string());
    let outcome = world.news(&mut run);
    assert_eq!(set_cookies(&outcome).len(), 1);
    assert_eq!(response_headers(&outcome, "cache-control"), ["no-store"]);
}

#[test]
fn a_scope_that_a_refresh_takes_away_is_gone() {
    for with_id_token in [true, false] {
        let mut world = World::new();
        world.sign_in();
        world.pass(250);
        let (mut run, mut outcome) = world.begin("GET", "/", &[]);
        let refresh = calls(&mut outcome);
        let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
        let mut tokens = with(tokens_of(2, &sign(1, &claims)), &json!({"scope": "openid"}));
        if !with_id_token {
            tokens = with(tokens, &json!({"id_token": null}));
        }
        world.answer(refresh[0].0, 200, &tokens.to_string());
        let outcome = world.news(&mut run);
        assert_eq!(told(&outcome, "x-auth-scopes").as_deref(), Some("openid"), "{with_id_token}");
        assert_eq!(told(&outcome, "x-email").as_deref(), Some("alice@example.com"));
    }
}

/// The browser takes the question to the provider, and may leave `max_age` out on the way.
#[test]
fn how_long_ago_people_proved_who_they_are_is_looked_at() {
    let config = with(config(), &json!({"authorization_parameters": {"max_age": "300"}}));
    for (time, is_good) in [
        (json!(NOW), true),
        (json!(NOW - 360), true),
        (json!((NOW - 10) as f64), true),
        (json!(NOW - 361), false),
        (json!(0), false),
        (json!(-1), false),
        (json!("now"), false),
        (json!(null), false),
    ] {
        let mut world = World::of(&config, &document());
        assert_eq!(world.leave("/")["max_age"], "300");
        world.cookies.clear();
        let outcome = world.sign_in_with("/", &json!({"auth_time": time}), &json!({}));
        if is_good {
            assert_eq!(outcome.reply().unwrap().status, 303, "{time}");
        } else {
            page(&outcome, 502, "id_token_auth_time");
        }
    }
}

#[test]
fn nothing_else_goes_by_the_name_of_the_access_token() {
    let without = with(config(), &json!({"forward": null}));
    let mut before = World::of(&without, &document());
    before.sign_in();
    let mut world = World::new();
    world.cookies.clone_from(&before.cookies);
    let outcome = world.ask("GET", "/", &[("authorization", "Bearer forged")]);
    assert_eq!(outcome.step, Next::Continue);
    assert_eq!(told(&outcome, "x-auth-subject").as_deref(), Some("alice"));
    assert!(outcome.line().contains("-authorization"), "{}", outcome.line());
    // Another authenticator's credential stays, where a policy is to choose between the two.
    let mut world = World::of(&with(config(), &json!({"verdict": "defer"})), &document());
    let mut signed_in = World::new();
    signed_in.sign_in();
    world.cookies.clone_from(&signed_in.cookies);
    let outcome = world.ask("GET", "/", &[("authorization", "Bearer another")]);
    assert_eq!(told(&outcome, "authorization"), None, "{}", outcome.line());
    assert_eq!(told(&world.get("/"), "authorization").as_deref(), Some("Bearer access-1"));
}

#[test]
fn who_signs_out_of_a_session_that_has_ended_is_signed_out_at_the_provider() {
    let mut world = World::new();
    world.sign_in();
    world.pass(4000);
    let mut outcome = world.ask("POST", "/oauth2/logout", &[]);
    assert!(outcome.header("location").unwrap().starts_with("https://idp.example/end?"));
    assert_eq!(body(&calls(&mut outcome)[0].1)["token"], "refresh-1");
    assert!(world.cookies.is_empty());
}

#[test]
fn who_signs_out_while_a_refresh_is_under_way_ends_the_tokens_that_it_brings() {
    let mut world = World::new();
    world.sign_in();
    world.pass(250);
    let (_, mut outcome) = world.begin("GET", "/", &[]);
    let refresh = calls(&mut outcome);
    let (mut leaving, outcome) = world.begin("POST", "/oauth2/logout", &[]);
    assert_eq!(outcome.step, Next::Hold, "{}", outcome.line());
    let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
    world.answer(refresh[0].0, 200, &tokens_of(2, &sign(1, &claims)).to_string());
    let mut outcome = world.news(&mut leaving);
    assert_eq!(outcome.reply().unwrap().status, 303);
    assert_eq!(body(&calls(&mut outcome)[0].1)["token"], "refresh-2");
    assert!(world.cookies.is_empty());
}

#[test]
fn a_hint_that_is_too_long_for_an_address_is_left_out() {
    let mut world = World::new();
    world.sign_in_with("/", &json!({"picture": "x".repeat(7_000)}), &json!({}));
    let outcome = world.ask("POST", "/oauth2/logout", &[]);
    let location = outcome.header("location").unwrap();
    assert!(
        location.starts_with("https://idp.example/end?") && location.len() < 1000,
        "{location}"
    );
    assert_eq!(query(location)["client_id"], "web");
}

#[test]
fn a_form_of_who_is_signed_in_no_more_is_not_lost_and_not_passed_on() {
    let mut world = World::new();
    world.sign_in();
    world.pass(3600);
    let outcome = world.ask("POST", "/form", &[("accept", "text/html")]);
    page(&outcome, 401, "session_idle");
    let fetched = world.ask("POST", "/form", &[("sec-fetch-mode", "cors")]);
    assert_eq!(fetched.header("content-type"), Some("application/problem+json"));
    assert_eq!(fetched.header("cache-control"), Some("no-store"));
}

/// Parts of two good sessions make none (RFC 6265 has browsers keep each cookie by itself).
#[test]
fn parts_of_two_sessions_make_none() {
    let long = json!({"access_token": "x".repeat(6_000)});
    let sessions = [10, 20].map(|random| {
        let mut world = World::new();
        world.random = random;
        world.sign_in_with("/", &json!({}), &long);
        world.cookies
    });
    assert!(sessions[0].len() >= 2 && sessions[0] != sessions[1]);
    for name in sessions[0].keys() {
        let mut world = World::new();
        world.cookies.clone_from(&sessions[0]);
        assert_eq!(world.get("/").step, Next::Continue);
        world.cookies.insert(name.clone(), sessions[1][name].clone());
        let outcome = world.ask("GET", "/", &[("accept", "application/json")]);
        let details = outcome.reply().unwrap().details.as_str();
        assert_eq!(details, "gatehouse.oauth2-login.session_invalid", "{name}");
    }
}

#[test]
fn what_another_site_of_the_same_client_has_sealed_is_nothing_here() {
    let test = with(config(), &json!({"external_url": "https://test.app.example"}));
    let mut other = World::of(&test, &document());
    let outcome = other.sign_in_with("/", &json!({}), &json!({}));
    assert_eq!(outcome.header("location"), Some("https://test.app.example/"));
    let mut world = World::new();
    world.cookies.clone_from(&other.cookies);
    let outcome = world.ask("GET", "/", &[("accept", "application/json")]);
    let details = outcome.reply().unwrap().details.as_str();
    assert_eq!(details, "gatehouse.oauth2-login.session_invalid");
    // Nor an attempt.
    let sent = other.leave("/oauth2/login");
    world.cookies.clone_from(&other.cookies);
    page(&world.get(&world.callback(&sent)), 400, "no_attempt");
}

/// RFC 6265bis, 5.6: to a browser, all but space and tab is part of the name; so a page may set it.
#[test]
fn a_cookie_with_a_name_like_ours_is_another() {
    let mut world = World::new();
    world.sign_in();
    let good = std::mem::take(&mut world.cookies).remove("__Host-session").unwrap();
    world.pass(5);
    for before in ["\x0c", "\x0b", "\u{a0}", "\u{2000}", "\u{85}", "$", "."] {
        let cookie = format!("{before}__Host-session={good}");
        let outcome = world.ask("GET", "/", &[("cookie", &cookie), ("accept", "application/json")]);
        let details = outcome.reply().map(|reply| reply.details.as_str());
        assert_eq!(details, Some("gatehouse.oauth2-login.no_session"), "{before:?}");
    }
    let spaced = format!(" \t__Host-session={good} ");
    assert_eq!(world.ask("GET", "/", &[("cookie", &spaced)]).step, Next::Continue);
}

/// Claims go into headers: none can end one, or begin another.
#[test]
fn a_claim_is_never_more_than_one_header() {
    for email in ["a\r\nx-auth-subject: root", "a\n", "a\0b", "\u{7f}", " a", "a\t"] {
        let mut world = World::new();
        page(
            &world.sign_in_with("/", &json!({"email": email}), &json!({})),
            502,
            "id_token_ambiguous",
        );
    }
    for email in ["jörg@example.com", "a, b; c=\"d\"", &"x".repeat(3_000)] {
        let mut world = World::new();
        world.sign_in_with("/", &json!({"email": email}), &json!({}));
        assert_eq!(told(&world.get("/"), "x-email").as_deref(), Some(email));
    }
    let mut world = World::new();
    let sub = json!({"sub": "a\r\nb"});
    page(&world.sign_in_with("/", &sub, &json!({})), 502, "id_token_ambiguous");
}
