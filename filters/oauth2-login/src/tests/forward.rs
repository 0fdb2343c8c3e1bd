//! What the upstream gets of tokens.

use super::*;

fn forwarding(header: &str) -> World {
    let forward = json!({"forward": {"access_token": "x-access-token", "id_token": header}});
    World::of(&with(config(), &forward), &document())
}

/// The claims of the ID token that the upstream gets in a header.
fn told_claims(outcome: &Outcome, header: &str) -> Value {
    let value = told(outcome, header).unwrap_or_else(|| panic!("{}", outcome.line()));
    let token = value.strip_prefix("Bearer ").unwrap_or(&value);
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Begins a refresh, and ends it with an ID token of these claims, or with none.
fn refresh(world: &mut World, claims: Option<Value>) -> Outcome {
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    assert_eq!(outcome.step, Next::Hold, "{}", outcome.line());
    let calls = outcome.effects.take_calls();
    let id_token = claims.map(|claims| {
        sign(1, &with(with(world.claims(&BTreeMap::new()), &json!({"nonce": null})), &claims))
    });
    let tokens = with(tokens_of(2, ""), &json!({"id_token": id_token}));
    world.answer(calls[0].0.id, 200, &tokens.to_string());
    world.news(&mut run)
}

#[test]
fn the_upstream_gets_the_id_token() {
    let mut world = forwarding("x-id-token");
    world.sign_in();
    let outcome = world.ask("GET", "/", &[("x-id-token", "forged"), ("X_Id_Token", "forged")]);
    assert_eq!(told_claims(&outcome, "x-id-token")["sub"], "alice");
    assert_eq!(told(&outcome, "x-access-token").as_deref(), Some("access-1"));
    assert!(outcome.line().contains("-X_Id_Token") && !outcome.line().contains("forged"));

    let mut world = forwarding("authorization");
    world.sign_in();
    let outcome = world.ask("GET", "/", &[("authorization", "Basic x")]);
    assert!(told(&outcome, "authorization").unwrap().starts_with("Bearer ey"));
    assert_eq!(told_claims(&outcome, "authorization")["sub"], "alice");
}

#[test]
fn nobody_gets_it_where_it_is_not_asked_for() {
    let mut world = World::new();
    world.sign_in();
    let line = world.get("/").line();
    assert!(!line.contains("ey") && line.contains("Bearer access-1"), "{line}");
}

#[test]
fn a_refresh_brings_the_next_one() {
    let mut world = forwarding("x-id-token");
    world.sign_in();
    world.pass(240);
    let outcome = refresh(&mut world, Some(json!({"email": "new@example.com"})));
    assert_eq!(told_claims(&outcome, "x-id-token")["email"], "new@example.com");
}

#[test]
fn a_session_is_refreshed_ahead_of_the_end_of_its_id_token() {
    let mut world = forwarding("x-id-token");
    world.sign_in_with("/", &json!({"exp": NOW + 120}), &json!({}));
    world.pass(89);
    assert_eq!(world.get("/").step, Next::Continue);
    world.pass(1);
    assert_eq!(world.get("/").step, Next::Hold);
    // For whom nobody waits, it may end.
    let mut world = World::new();
    world.sign_in_with("/", &json!({"exp": NOW + 120}), &json!({}));
    world.pass(239);
    assert_eq!(world.get("/").step, Next::Continue);
}

#[test]
fn an_old_one_serves_until_it_ends_and_no_longer() {
    let mut world = forwarding("x-id-token");
    world.sign_in();
    world.pass(240);
    let outcome = refresh(&mut world, None);
    assert_eq!(told_claims(&outcome, "x-id-token")["exp"], NOW + 300);
    assert_eq!(told(&outcome, "x-access-token").as_deref(), Some("access-2"));
    // What is left of it is short, so that it is tried again soon, until its end.
    world.pass(44);
    assert_eq!(world.get("/").step, Next::Continue);
    world.pass(14);
    let outcome = refresh(&mut world, None);
    assert_eq!(told_claims(&outcome, "x-id-token")["exp"], NOW + 300);
    world.pass(2);
    let outcome = refresh(&mut world, None);
    assert_eq!(outcome.reply().map(|reply| reply.status), Some(303), "{}", outcome.line());
}

#[test]
fn without_a_refresh_token_the_session_ends_with_it() {
    let mut world =
        World::of(&with(config(), &json!({"forward": {"id_token": "x-id-token"}})), &document());
    world.sign_in_with("/", &json!({"exp": NOW + 120}), &json!({"refresh_token": null}));
    world.pass(119);
    assert_eq!(told_claims(&world.get("/"), "x-id-token")["sub"], "alice");
    world.pass(1);
    assert_eq!(world.get("/").reply().map(|reply| reply.status), Some(303));
}

#[test]
fn one_that_has_ended_goes_to_nobody_whatever_the_session_was_made_for() {
    for (refresh_token, step) in [(json!("refresh-1"), "held"), (json!(null), "303")] {
        // It is kept for the provider.
        let mut before = World::new();
        let tokens = json!({"refresh_token": refresh_token, "expires_in": null});
        before.sign_in_with("/", &json!({"exp": NOW + 120}), &tokens);
        let mut world = forwarding("x-id-token");
        world.cookies.clone_from(&before.cookies);
        world.pass(60);
        assert_eq!(told_claims(&world.get("/"), "x-id-token")["sub"], "alice");
        world.pass(61);
        let outcome = world.get("/");
        let status =
            outcome.reply().map_or_else(|| "held".to_owned(), |reply| reply.status.to_string());
        assert!(outcome.step != Next::Continue && status == step, "{}", outcome.line());
    }
}

#[test]
fn a_session_without_one_is_refreshed_first() {
    let mut before = World::of(&with(config(), &json!({"logout": null})), &document());
    before.sign_in();
    let mut world = forwarding("x-id-token");
    world.cookies.clone_from(&before.cookies);
    world.pass(6);
    let outcome = refresh(&mut world, Some(json!({})));
    assert_eq!(told_claims(&outcome, "x-id-token")["sub"], "alice");
}

#[test]
fn one_whose_key_is_not_known_yet_is_not_sent_and_the_next_is_had_soon() {
    let mut world = forwarding("x-id-token");
    world.sign_in();
    world.pass(301);
    let (mut run, mut outcome) = world.begin("GET", "/", &[]);
    let calls = outcome.effects.take_calls();
    let claims = with(world.claims(&BTreeMap::new()), &json!({"nonce": null}));
    world.answer(calls[0].0.id, 200, &tokens_of(2, &sign(2, &claims)).to_string());
    let outcome = world.news(&mut run);
    assert_eq!(told(&outcome, "x-id-token"), None);
    assert_eq!(told(&outcome, "x-access-token").as_deref(), Some("access-2"));
    world.pass(3);
    assert_eq!(told(&world.get("/"), "x-id-token"), None);
    world.pass(1);
    let (_, mut outcome) = world.begin("GET", "/", &[]);
    let calls = outcome.effects.take_calls();
    let form = query(&format!("?{}", String::from_utf8_lossy(&calls[0].1.body)));
    assert_eq!(form["refresh_token"], "refresh-2");
}

#[test]
fn one_that_does_not_fit_is_not_left_out() {
    // Of what nothing can be made smaller.
    let noise: String =
        (0..6_000_u32).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
    let mut world = forwarding("x-id-token");
    let outcome = world.sign_in_with("/", &json!({"noise": &noise[..12_000]}), &json!({}));
    page(&outcome, 502, "session_too_large");
    let mut world = World::new();
    let outcome = world.sign_in_with("/", &json!({"noise": &noise[..12_000]}), &json!({}));
    assert_eq!(outcome.header("location"), Some("https://app.example/"));
}
