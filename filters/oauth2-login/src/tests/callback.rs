//! Rule 4: the way back, and all that can be wrong with it (RFC 9700, 2 and 4).

use super::*;

#[test]
fn a_code_becomes_a_session() {
    let mut world = World::new();
    let sent = world.leave("/a?b=c");
    let (mut run, outcome) = world.begin("GET", &world.callback(&sent), &[]);
    let Next::Wait(call) = &outcome.step else { panic!("{}", outcome.line()) };
    assert_eq!((call.cluster.as_str(), call.authority.as_str()), ("idp", "idp.example"));
    let basic =
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("web:s3cr%3At"));
    assert!(call.headers.contains(&("authorization", basic)), "{:?}", call.headers);
    let form = query(&format!("?{}", String::from_utf8_lossy(&call.body)));
    assert_eq!(
        (form["grant_type"].as_str(), form["code"].as_str()),
        ("authorization_code", "c0de")
    );
    assert_eq!(form["redirect_uri"], "https://app.example/oauth2/callback");
    let challenge = b64(<sha2::Sha256 as sha2::Digest>::digest(&form["code_verifier"]));
    assert_eq!(challenge, sent["code_challenge"]);

    let tokens = tokens_of(1, &sign(1, &world.claims(&sent))).to_string();
    let outcome = world.end(&mut run, 200, &tokens);
    assert_eq!(outcome.reply().unwrap().status, 303);
    assert_eq!(outcome.header("location"), Some("https://app.example/a?b=c"));
    assert_eq!(outcome.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(world.cookies.keys().collect::<Vec<_>>(), ["__Host-session"]);
    let text = format!("{:?}", world.cookies);
    for secret in ["access-1", "refresh-1", "alice"] {
        assert!(!text.contains(secret) && !text.contains(&b64(secret)), "{text}");
    }
}

#[test]
fn a_client_says_who_it_is_as_it_is_told() {
    let post = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    for (client, others, expected) in [
        (json!({"id": "web"}), json!({}), "&client_id=web"),
        (
            json!({"id": "web", "secret": "x", "authentication": "post"}),
            json!({}),
            "&client_id=web&client_secret=x",
        ),
        (json!({"id": "web", "secret": "x"}), post, "&client_id=web&client_secret=x"),
    ] {
        let config = with(config(), &json!({ "client": client }));
        let mut world = World::of(&config, &with(document(), &others));
        let sent = world.leave("/");
        let outcome = world.get(&world.callback(&sent));
        let Next::Wait(call) = &outcome.step else { panic!("{}", outcome.line()) };
        assert!(String::from_utf8_lossy(&call.body).ends_with(expected), "{:?}", call.body);
        assert!(call.headers.iter().all(|(name, _)| *name != "authorization"));
    }
}

/// A callback whose query is made of the state; the page that it ends in.
#[track_caller]
fn ends(query: &str, status: u16, reason: &str) {
    let mut world = World::new();
    let sent = world.leave("/a");
    let path = format!("/oauth2/callback?{}", query.replace("STATE", &sent["state"]));
    let outcome = world.get(&path);
    page(&outcome, status, reason);
    let body = String::from_utf8_lossy(&outcome.reply().unwrap().body).into_owned();
    assert!(!body.contains("evil") && !body.contains("<script"), "{body}");
}

const ISS: &str = "iss=https%3A%2F%2Fidp.example";

#[test]
fn a_callback_that_is_not_of_this_browser_and_provider_ends_in_a_page() {
    ends("", 400, "no_attempt");
    ends(&format!("code=c&{ISS}"), 400, "no_attempt");
    ends(&format!("code=c&{ISS}&state=evil"), 400, "no_attempt");
    ends(&format!("code=c&{ISS}&state=STATEevil"), 400, "no_attempt");
    ends(&format!("code=c&{ISS}&state=STATE&state=STATE"), 400, "callback");
    ends(&format!("code=c&code=d&{ISS}&state=STATE"), 400, "callback");
    ends(&format!("code=%zz&{ISS}&state=STATE"), 400, "callback");
    ends(&format!("{ISS}&state=STATE"), 400, "callback");
    ends(&format!("code=&{ISS}&state=STATE"), 400, "callback");
    ends(&format!("code=c&error=evil&{ISS}&state=STATE"), 400, "callback");
    ends(&format!("code={}&{ISS}&state=STATE", "c".repeat(5000)), 400, "callback");
    // Mix-up (RFC 9207): another provider, or nobody.
    ends("code=c&iss=https://evil.example&state=STATE", 400, "issuer");
    ends("code=c&state=STATE", 400, "issuer");
    ends("error=access_denied&state=STATE", 400, "issuer");
}

#[test]
fn an_error_of_the_provider_ends_in_a_page() {
    ends(&format!("error=access_denied&{ISS}&state=STATE"), 403, "access_denied");
    ends(&format!("error=login_required&{ISS}&state=STATE"), 403, "interaction_required");
    ends(&format!("error=temporarily_unavailable&{ISS}&state=STATE"), 503, "provider_unavailable");
    ends(
        &format!("error=<script>evil&error_description=<script>evil&{ISS}&state=STATE"),
        502,
        "provider_error",
    );
}

#[test]
fn a_browser_without_its_cookie_is_another_browser() {
    let mut world = World::new();
    let sent = world.leave("/");
    let callback = world.callback(&sent);
    let kept = std::mem::take(&mut world.cookies);
    page(&world.get(&callback), 400, "no_attempt");
    // One of another attempt, and one under another's name.
    let other = world.leave("/");
    page(&world.get(&callback), 400, "no_attempt");
    let (name, _) = kept.into_iter().next().unwrap();
    let (_, value) = world.cookies.pop_first().unwrap();
    world.cookies.insert(name, value);
    page(&world.get(&callback), 400, "no_attempt");
    page(&world.get(&world.callback(&other)), 400, "no_attempt");
}

#[test]
fn an_attempt_takes_ten_minutes_at_most() {
    let mut world = World::new();
    let sent = world.leave("/");
    world.pass(600);
    page(&world.get(&world.callback(&sent)), 400, "no_attempt");
}

#[test]
fn a_callback_is_taken_once() {
    let mut world = World::new();
    let sent = world.leave("/a");
    let callback = world.callback(&sent);
    let (mut run, _) = world.begin("GET", &callback, &[]);
    let tokens = tokens_of(1, &sign(1, &world.claims(&sent))).to_string();
    world.end(&mut run, 200, &tokens);
    let again = world.get(&callback);
    assert_eq!(again.header("location"), Some("https://app.example/"));
    world.cookies.clear();
    page(&world.get(&callback), 400, "no_attempt");
    let outcome = world.ask("POST", &callback, &[]);
    assert_eq!(outcome.reply().unwrap().status, 405);
}

#[test]
fn the_token_endpoint_may_say_no() {
    for (status, body, page_status, reason) in [
        (400, r#"{"error":"invalid_grant"}"#, 400, "code"),
        (401, r#"{"error":"invalid_client"}"#, 502, "client"),
        (200, "{}", 502, "provider_answer"),
        (200, "<html>", 502, "provider_answer"),
        (302, "", 502, "provider_answer"),
        (503, "", 503, "provider_unavailable"),
        (504, "upstream request timeout", 503, "provider_unavailable"),
    ] {
        let mut world = World::new();
        let sent = world.leave("/");
        let (mut run, _) = world.begin("GET", &world.callback(&sent), &[]);
        page(&world.end(&mut run, status, body), page_status, reason);
        assert!(!world.cookies.contains_key("__Host-session"));
        // The attempt is over, unless the provider only was away.
        assert_eq!(world.cookies.len(), usize::from(page_status == 503), "{reason}");
    }
}

#[test]
fn an_id_token_that_is_not_of_this_sign_in_is_none() {
    let hash = b64([0; 16]);
    for (claims, tokens, reason) in [
        (json!({"nonce": "other"}), json!({}), "id_token_nonce"),
        (json!({"nonce": null}), json!({}), "id_token_nonce"),
        (json!({"iss": "https://evil.example"}), json!({}), "id_token_issuer"),
        (json!({"aud": "other"}), json!({}), "id_token_audience"),
        (json!({"aud": ["web", "other"]}), json!({}), "id_token_client"),
        (json!({"azp": "other"}), json!({}), "id_token_client"),
        (json!({"exp": NOW - 100}), json!({}), "id_token_expired"),
        (json!({"iat": NOW + 100}), json!({}), "id_token_not_yet_valid"),
        (json!({"exp": null}), json!({}), "id_token_claim"),
        (json!({"sub": null}), json!({}), "id_token_claim"),
        (json!({"at_hash": hash}), json!({}), "id_token_hash"),
        (json!({"c_hash": hash}), json!({}), "id_token_hash"),
        (json!({}), json!({"id_token": null}), "id_token_missing"),
        (json!({}), json!({"id_token": "a.b.c"}), "id_token_malformed"),
        (json!({"email": "a\nb"}), json!({}), "id_token_ambiguous"),
    ] {
        let mut world = World::new();
        page(&world.sign_in_with("/", &claims, &tokens), 502, reason);
        assert!(world.cookies.is_empty(), "{reason}");
    }
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64("{}"));
    let mut world = World::new();
    page(
        &world.sign_in_with("/", &json!({}), &json!({"id_token": unsigned})),
        502,
        "id_token_malformed",
    );
}

#[test]
fn a_key_that_is_not_known_is_fetched() {
    for (keys, status) in [(&[1, 2][..], 303), (&[1], 502)] {
        let mut world = World::new();
        world.pass(10);
        let sent = world.leave("/");
        let (mut run, _) = world.begin("GET", &world.callback(&sent), &[]);
        let tokens = tokens_of(1, &sign(2, &world.claims(&sent))).to_string();
        let mut outcome = world.end(&mut run, 200, &tokens);
        assert_eq!(outcome.step, Next::Hold, "{}", outcome.line());
        let calls = outcome.effects.take_calls();
        assert_eq!(world.news(&mut run).step, Next::Hold);
        let next = world.answer(calls[0].0.id, 200, &document().to_string());
        world.answer(next[0].0, 200, &key_set(keys));
        assert_eq!(world.news(&mut run).reply().unwrap().status, status);
    }
}

#[test]
fn what_does_not_fit_into_cookies_is_no_session() {
    let large = "x".repeat(5_000);
    let mut world = World::new();
    page(&world.sign_in_with("/", &json!({"email": large}), &json!({})), 502, "session_too_large");
    // Without the hint for the sign-out, more fits.
    let mut world = World::new();
    let tokens = json!({"access_token": "x".repeat(13_500)});
    let outcome = world.sign_in_with("/", &json!({"picture": large}), &tokens);
    assert_eq!(outcome.reply().unwrap().status, 303);
    let location = world.ask("POST", "/oauth2/logout", &[]);
    assert!(!location.header("location").unwrap().contains("id_token_hint"));
    let mut world = World::new();
    let tokens = json!({"access_token": "x".repeat(16_000)});
    page(&world.sign_in_with("/", &json!({}), &tokens), 502, "session_too_large");
}
