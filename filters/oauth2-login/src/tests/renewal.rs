//! Rule 6: one refresh for all, and what becomes of a session when it fails.

use super::*;

fn refreshes(outcome: &mut Outcome) -> Vec<(u32, Call)> {
    let calls = outcome.effects.take_calls().into_iter();
    calls.map(|(ticket, call)| (ticket.id, call)).collect()
}

/// A session whose access token is about to end.
fn nearly_over() -> World {
    let mut world = World::new();
    world.sign_in();
    world.pass(239);
    assert_eq!(world.get("/").step, Next::Continue);
    world.pass(1);
    world
}

#[test]
fn a_session_is_refreshed_once_for_parallel_requests() {
    let mut world = nearly_over();
    let old = world.cookies.clone();
    let (mut first, mut outcome) = world.begin("GET", "/1", &[]);
    assert_eq!(outcome.step, Next::Hold);
    let calls = refreshes(&mut outcome);
    let form = query(&format!("?{}", String::from_utf8_lossy(&calls[0].1.body)));
    assert_eq!(
        (form["grant_type"].as_str(), form["refresh_token"].as_str()),
        ("refresh_token", "refresh-1")
    );
    let (mut second, mut outcome) = world.begin("GET", "/2", &[]);
    assert_eq!(outcome.step, Next::Hold);
    assert!(refreshes(&mut outcome).is_empty());

    let claims =
        with(world.claims(&BTreeMap::new()), &json!({"nonce": null, "email": "new@example.com"}));
    let tokens = tokens_of(2, &sign(1, &claims)).to_string();
    world.answer(calls[0].0, 200, &tokens);
    let outcome = world.news(&mut first);
    assert_eq!(told(&outcome, "authorization").as_deref(), Some("Bearer access-2"));
    assert_eq!(told(&outcome, "x-email").as_deref(), Some("new@example.com"));
    assert!(set_cookies(&outcome)[0].starts_with("__Host-session=1."));
    let outcome = world.news(&mut second);
    assert_eq!(told(&outcome, "authorization").as_deref(), Some("Bearer access-2"));
    // A request that was on its way with the old cookie gets the new session, too.
    world.cookies = old;
    world.pass(30);
    let (_, mut outcome) = world.begin("GET", "/3", &[]);
    assert_eq!(told(&outcome, "authorization").as_deref(), Some("Bearer access-2"));
    assert!(refreshes(&mut outcome).is_empty() && set_cookies(&outcome).len() == 1);
    // And the new cookie is good by itself.
    assert!(set_cookies(&world.get("/4")).is_empty());
}

#[test]
fn a_second_worker_and_a_second_proxy_go_on_with_it() {
    let mut world = nearly_over();
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let calls = refreshes(&mut outcome);
    world.answer(calls[0].0, 200, &json!({
        "access_token": "access-2", "token_type": "bearer", "expires_in": 300, "refresh_token": "refresh-2",
    }).to_string());
    assert_eq!(told(&world.news(&mut run), "x-email").as_deref(), Some("alice@example.com"));
    let mut second = World::new();
    second.pass(240);
    second.cookies.clone_from(&world.cookies);
    assert_eq!(told(&second.get("/"), "authorization").as_deref(), Some("Bearer access-2"));
}

#[test]
fn rotation_is_followed() {
    let mut world = nearly_over();
    for number in 2..5 {
        let (mut run, mut outcome) = world.begin("GET", "/", &[]);
        let calls = refreshes(&mut outcome);
        let form = query(&format!("?{}", String::from_utf8_lossy(&calls[0].1.body)));
        assert_eq!(form["refresh_token"], format!("refresh-{}", number - 1));
        let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
        world.answer(calls[0].0, 200, &tokens_of(number, &sign(1, &claims)).to_string());
        assert_eq!(world.news(&mut run).step, Next::Continue);
        world.pass(240);
    }
}

/// A refresh that ends so: what becomes of the request while the access token is good, and after.
#[track_caller]
fn fails(status: u16, body: &str, after: u16) {
    let mut world = nearly_over();
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let calls = refreshes(&mut outcome);
    world.answer(calls[0].0, status, body);
    let outcome = world.news(&mut run);
    assert_eq!(told(&outcome, "authorization").as_deref(), Some("Bearer access-1"));
    assert!(set_cookies(&outcome).is_empty());
    // Nobody asks again at once.
    assert!(refreshes(&mut world.begin("GET", "/", &[]).1).is_empty());
    world.pass(61);
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let calls = refreshes(&mut outcome);
    world.answer(calls[0].0, status, body);
    let outcome = world.news(&mut run);
    assert_eq!(outcome.reply().map(|reply| reply.status), Some(after), "{}", outcome.line());
    // The cookie may be another proxy's by now, so it is left alone.
    assert!(world.cookies.contains_key("__Host-session"));
}

#[test]
fn a_refresh_that_fails_ends_nothing_before_its_time() {
    fails(400, r#"{"error":"invalid_grant"}"#, 303);
    fails(503, "", 503);
    fails(200, "<html>", 503);
    fails(401, r#"{"error":"invalid_client"}"#, 503);
}

#[test]
fn a_refresh_is_of_the_same_user_and_sign_in() {
    for others in [
        json!({"sub": "bob"}),
        json!({"aud": "other"}),
        json!({"iss": "https://evil.example"}),
        json!({"nonce": "of-another-sign-in"}),
    ] {
        let mut world = nearly_over();
        let (mut run, mut outcome) = world.begin("GET", "/", &[]);
        let calls = refreshes(&mut outcome);
        let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
        let claims = with(claims, &others);
        world.answer(calls[0].0, 200, &tokens_of(2, &sign(1, &claims)).to_string());
        assert_eq!(
            told(&world.news(&mut run), "authorization").as_deref(),
            Some("Bearer access-1")
        );
        world.pass(60);
        assert_eq!(world.get("/").step, Next::Hold);
    }
}

#[test]
fn an_id_token_whose_key_is_not_known_yet_changes_nothing() {
    let mut world = nearly_over();
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let calls = refreshes(&mut outcome);
    let claims =
        with(world.claims(&BTreeMap::new()), &json!({"nonce": null, "email": "new@example.com"}));
    let next = world.answer(calls[0].0, 200, &tokens_of(2, &sign(2, &claims)).to_string());
    assert_eq!(next[0].1.path, "/.well-known/openid-configuration");
    let outcome = world.news(&mut run);
    assert_eq!(told(&outcome, "x-email").as_deref(), Some("alice@example.com"));
    assert_eq!(told(&outcome, "authorization").as_deref(), Some("Bearer access-2"));
}

#[test]
fn without_a_refresh_token_the_access_token_ends_the_session_where_it_is_needed() {
    let once = json!({"refresh_token": null});
    let mut world = World::new();
    world.sign_in_with("/", &json!({}), &once);
    world.pass(299);
    assert_eq!(world.get("/").step, Next::Continue);
    world.pass(1);
    assert_eq!(world.get("/").reply().unwrap().status, 303);
    let mut world = World::of(&with(config(), &json!({"forward": null})), &document());
    world.sign_in_with("/", &json!({}), &once);
    world.pass(301);
    assert_eq!(world.get("/").step, Next::Continue);
}

#[test]
fn a_refresh_that_is_never_answered_holds_nobody_up_for_long() {
    let mut world = nearly_over();
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    assert_eq!(refreshes(&mut outcome).len(), 1);
    world.pass(6);
    assert_eq!(world.news(&mut run).step, Next::Hold);
    world.pass(1);
    let mut outcome = world.news(&mut run);
    assert_eq!((outcome.step.clone(), refreshes(&mut outcome).len()), (Next::Hold, 1));
}
