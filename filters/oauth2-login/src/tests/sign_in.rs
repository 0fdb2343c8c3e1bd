//! Rules 2, 3, 5, 8 and 9: who is sent to the provider, and with what.

use super::*;

#[test]
fn a_browser_is_sent_to_the_provider() {
    let mut world = World::new();
    let outcome = world.get("/a?b=c");
    assert_eq!(outcome.reply().unwrap().status, 303);
    let location = outcome.header("location").unwrap();
    assert!(location.starts_with("https://idp.example/auth?response_type=code&"), "{location}");
    let sent = query(location);
    for (name, value) in [
        ("client_id", "web"),
        ("redirect_uri", "https://app.example/oauth2/callback"),
        ("scope", "openid profile offline_access"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent[name], value);
    }
    assert!(sent["state"].len() == 32 && sent["nonce"].len() == 32);
    assert_eq!(sent["code_challenge"].len(), 43);
    assert_eq!(world.cookies.len(), 1);
    let (name, value) = world.cookies.iter().next().unwrap();
    assert!(name.starts_with("__Host-session.login."), "{name}");
    for secret in [&sent["state"], &sent["nonce"], "/a?b=c"] {
        assert!(!value.contains(secret), "{value}");
    }
}

#[test]
fn the_address_of_a_provider_may_have_parameters_of_its_own() {
    let document =
        with(document(), &json!({"authorization_endpoint": "https://idp.example/auth?p=1"}));
    let config =
        with(config(), &json!({"authorization_parameters": {"prompt": "login", "x": "a&b"}}));
    let mut world = World::of(&config, &document);
    let sent = world.leave("/");
    assert_eq!([&sent["p"], &sent["prompt"], &sent["x"]], ["1", "login", "a&b"]);
}

#[test]
fn tabs_do_not_disturb_each_other_and_do_not_add_up() {
    let mut world = World::new();
    let (first, second) = (world.leave("/first"), world.leave("/second"));
    assert_ne!(first["state"], second["state"]);
    assert_eq!(world.cookies.len(), 2);
    for _ in 0..10 {
        world.pass(1);
        world.leave("/more");
        assert!(world.cookies.len() <= 5, "{:?}", world.cookies.keys());
    }
    // The oldest are gone, and cookies that are no attempts go first.
    let callback = world.callback(&first);
    page(&world.get(&callback), 400, "no_attempt");
    world.cookies.insert("__Host-session.login.forged".into(), "x".into());
    world.leave("/more");
    assert!(!world.cookies.contains_key("__Host-session.login.forged"));
    assert_eq!(world.cookies.len(), 5);
}

#[test]
fn a_form_is_not_lost_in_a_redirect() {
    let mut world = World::new();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let outcome = world.ask(method, "/form", &[("accept", "text/html")]);
        page(&outcome, 401, "no_session");
        assert_eq!(outcome.header("www-authenticate"), Some("Cookie realm=\"restricted\""));
        let body = String::from_utf8_lossy(&outcome.reply().unwrap().body).into_owned();
        assert!(body.contains("href=\"/form\""), "{body}");
    }
    assert!(world.cookies.is_empty());
    assert_eq!(world.ask("HEAD", "/", &[]).reply().unwrap().status, 303);
}

#[test]
fn at_login_path_what_shows_a_page_begins_a_sign_in() {
    let navigates = ("sec-fetch-mode", "navigate");
    for (method, more) in [("GET", &[][..]), ("HEAD", &[]), ("GET", &[navigates])] {
        let outcome = World::new().ask(method, "/oauth2/login?x", more);
        assert_eq!(outcome.reply().unwrap().status, 303, "{method} {more:?}");
    }
    for (method, mode) in [
        ("POST", "navigate"),
        ("DELETE", "navigate"),
        ("GET", "cors"),
        ("GET", "no-cors"),
        ("GET", "websocket"),
        ("GET", ""),
        ("POST", "no-cors"),
    ] {
        let mut world = World::new();
        let outcome = world.ask(method, "/oauth2/login", &[("sec-fetch-mode", mode)]);
        assert_eq!(outcome.reply().unwrap().status, 401, "{method} {mode}");
        assert!(world.cookies.is_empty());
    }
}

#[test]
fn without_random_numbers_no_attempt_is_made() {
    let mut world = World::new();
    world.random = u8::MAX; // and zero at the next request
    let outcome = world.get("/");
    assert_eq!(outcome.line(), "503 gatehouse.oauth2-login.no_key #refused[reason=no_key]");
    assert!(world.cookies.is_empty());
}

#[test]
fn programs_get_401() {
    let settings =
        json!({"paths": ["/api/**"], "accept": ["application/json", "text/event-stream"]});
    let mut world = World::of(&with(config(), &json!({"api_clients": settings})), &document());
    for (path, more) in [
        ("/api", &[][..]),
        ("/api/x", &[("accept", "text/html")]),
        ("/x/../api/x", &[]),
        ("/x", &[("accept", "application/json")]),
        ("/x", &[("accept", "application/json;q=0.9, */*")]),
        ("/x", &[("accept", "text/event-stream")]),
        ("/x", &[("sec-fetch-mode", "cors")]),
        ("/x", &[("sec-fetch-mode", "no-cors"), ("accept", "text/html")]),
        ("/x", &[("x-requested-with", "XMLHttpRequest")]),
        ("/x", &[("upgrade", "websocket")]),
        ("/x", &[("content-type", "application/grpc")]),
    ] {
        let outcome = world.ask("GET", path, more);
        assert_eq!(
            outcome.reply().map(|reply| (reply.status, reply.details.as_str())),
            Some((401, "gatehouse.oauth2-login.no_session")),
            "{path} {more:?}"
        );
        assert!(set_cookies(&outcome).is_empty());
    }
    for (path, more) in [
        ("/apis", &[][..]),
        ("/x", &[("accept", "*/*")]),
        ("/x", &[("accept", "text/html,application/json")]),
        ("/x", &[("accept", "application/jsonp")]),
        ("/x", &[("sec-fetch-mode", "navigate")]),
    ] {
        let outcome = world.ask("GET", path, more);
        assert_eq!(outcome.reply().unwrap().status, 303, "{path} {more:?}");
    }
}

#[test]
fn the_provider_is_waited_for_and_503_without_it() {
    let mut world = World::offline(&config());
    let (mut run, outcome) = world.begin("GET", "/", &[]);
    assert_eq!(outcome.line(), "hold call GET idp/.well-known/openid-configuration");
    let calls = world.answer(0, 200, &document().to_string());
    assert_eq!(world.news(&mut run).line(), "hold");
    world.answer(calls[0].0, 200, &key_set(&[1]));
    assert_eq!(world.news(&mut run).reply().unwrap().status, 303);

    let mut world = World::offline(&config());
    let (mut run, _) = world.begin("GET", "/", &[]);
    world.answer(0, 503, "");
    page(&world.news(&mut run), 503, "provider_unavailable");
}

#[test]
fn a_document_that_is_not_the_providers_is_none() {
    for others in [
        json!({"issuer": "https://other.example"}),
        json!({"authorization_endpoint": "http://idp.example/auth"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"end_session_endpoint": "http://idp.example/end"}),
        json!({"token_endpoint": null}),
        json!({"jwks_uri": null}),
    ] {
        let mut world = World::offline(&config());
        let (mut run, _) = world.begin("GET", "/", &[]);
        assert!(
            world.answer(0, 200, &with(document(), &others).to_string()).is_empty(),
            "{others}"
        );
        page(&world.news(&mut run), 503, "provider_unavailable");
    }
}

#[test]
fn who_defers_redirects_nobody_but_from_one_place() {
    let mut world = World::of(&with(config(), &json!({"verdict": "defer"})), &document());
    let outcome = world.get("/");
    assert_eq!(outcome.step, Next::Continue);
    assert!(
        outcome.line().contains("\"reason\":\"no_session\",\"status\":401"),
        "{}",
        outcome.line()
    );
    assert!(outcome.line().contains("\"missing\":true"), "{}", outcome.line());
    for bad in ["__Host-session=", "__Host-session=1.forged", "__Host-session.1=x"] {
        let line = world.ask("GET", "/", &[("cookie", bad)]).line();
        assert!(line.contains("\"refused\"") && !line.contains("\"missing\""), "{bad}: {line}");
    }
    let outcome = world.get("/oauth2/login?to=https://evil.example");
    assert_eq!(outcome.reply().unwrap().status, 303);
    let sent = query(outcome.header("location").unwrap());
    let (mut run, _) = world.begin("GET", &world.callback(&sent), &[]);
    let tokens = tokens_of(1, &sign(1, &world.claims(&sent))).to_string();
    assert_eq!(world.end(&mut run, 200, &tokens).header("location"), Some("https://app.example/"));
    let outcome = world.get("/");
    assert!(outcome.line().contains("\"subject\":\"alice\""), "{}", outcome.line());
    assert_eq!(told(&outcome, "x-auth-subject"), None);
}

#[test]
fn a_browser_comes_back_to_this_origin() {
    for (path, expected) in [
        ("/a?b=%2f%2fevil.example", "/a?b=%2f%2fevil.example"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https:evil.example", "/"),
        ("https://user:password@evil.example/", "/"),
        ("/a\r\nset-cookie: a=1", "/"),
        ("/%0d%0aset-cookie:a=1", "/%0d%0aset-cookie:a=1"),
        ("/.evil.example", "/.evil.example"),
        ("/@evil.example", "/@evil.example"),
    ] {
        let mut world = World::new();
        let outcome = world.sign_in_with(path, &json!({}), &json!({}));
        let location = format!("https://app.example{expected}");
        assert_eq!(outcome.header("location"), Some(location.as_str()), "{path}");
    }
}
