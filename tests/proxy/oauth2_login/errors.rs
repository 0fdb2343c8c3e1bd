//! What can go wrong with a sign-in ends in a page, on this origin, and not in a loop: the attacks of
//! RFC 9700, 4, and a provider that errs or is away.

use super::*;

/// A page, whose words are ours.
#[track_caller]
fn page(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response}");
    assert_eq!(response.header("location"), None, "{response}");
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(response.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let policy = response.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(
        !response.text().contains("evil") && !response.text().contains("<script"),
        "{response}"
    );
}

#[test]
fn a_callback_that_is_forged_replayed_or_of_another_provider_ends_in_a_page() {
    let (envoy, upstream, provider) = start(config());
    let to = envoy.address();
    let iss = "iss=https%3A%2F%2Fidp.example";
    for (query, status) in [
        ("", 400),
        ("code=c&state=evil", 400),
        ("code=c&state=STATE", 400),
        ("code=c&iss=https%3A%2F%2Fevil.example&state=STATE", 400),
        ("error=access_denied&state=STATE", 400),
        (&format!("error=access_denied&{iss}&state=STATE"), 403),
        (&format!("error=%3Cscript%3Eevil&error_description=evil&{iss}&state=STATE"), 502),
        (&format!("error=temporarily_unavailable&{iss}&state=STATE"), 503),
        (&format!("code=c&code=d&{iss}&state=STATE"), 400),
        (&format!("code=%E4%00&{iss}&state=STATE"), 400),
        (&format!("code=%zz&{iss}&state=STATE"), 400),
        (&format!("{iss}&state=STATE"), 400),
        // A code of somebody else: the provider does not take it, or its nonce is another's.
        (&format!("code=stolen&{iss}&state=STATE"), 400),
        (&format!("code=code.other&{iss}&state=STATE"), 502),
    ] {
        let mut browser = Browser::default();
        let sent = browser.leave(to, "/");
        let path = format!("{CALLBACK}?{}", query.replace("STATE", &sent["state"]));
        page(&browser.get(to, &path), status);
        assert!(!browser.cookies.contains_key("__Host-session"), "{query}");
    }
    // Another browser gets the callback of this one (login CSRF).
    let mut attacker = Browser::default();
    let sent = attacker.leave(to, "/");
    page(&Browser::default().get(to, &callback(&sent)), 400);
    let mut victim = Browser::default();
    victim.leave(to, "/");
    page(&victim.get(to, &callback(&sent)), 400);
    // The same callback twice.
    assert_eq!(attacker.get(to, &callback(&sent)).status, 303);
    let given = provider.state.lock().unwrap().given;
    let again = attacker.get(to, &callback(&sent));
    assert_eq!(again.header("location").as_deref(), Some("https://app.example/"));
    page(&Browser::default().get(to, &callback(&sent)), 400);
    assert_eq!(provider.state.lock().unwrap().given, given);
    assert_eq!(
        Browser::default().send(to, Request::new("POST", CALLBACK).body(b"code=c")).status,
        405
    );
    assert_eq!(upstream.count(), 0);
    assert!(envoy.counted("oauth2-login.failed.reason.no_attempt") >= 4);
}

#[test]
fn an_id_token_that_is_not_for_us_ends_in_a_page() {
    let (envoy, upstream, provider) = start(config());
    for (claims, tokens) in [
        (json!({"iss": "https://evil.example"}), json!({})),
        (json!({"aud": "other"}), json!({})),
        (json!({"azp": "other"}), json!({})),
        (json!({"nonce": "other"}), json!({})),
        (json!({"exp": 1}), json!({})),
        (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), json!({})),
        (json!({"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), json!({})),
        (json!({}), json!({"id_token": null})),
        (json!({}), json!({"id_token": "eyJhbGciOiJub25lIn0.e30."})),
        (json!({}), json!({"token_type": "mac"})),
        (json!({}), json!({"access_token": "a\nb"})),
        (json!({"email": "x".repeat(9000)}), json!({})),
    ] {
        provider.set(|state| (state.claims, state.tokens) = (claims, tokens));
        page(&Browser::default().sign_in(envoy.address(), "/"), 502);
    }
    // Signed by a key that is not the provider's, under the same id.
    provider.set(|state| {
        let other = Key::of("p256-other").called("p256");
        let claims = with(claims(ISSUER, "web"), &json!({"nonce": "n"}));
        (state.claims, state.tokens) =
            (json!({}), json!({"id_token": other.sign("ES256", &claims)}));
    });
    page(&Browser::default().sign_in(envoy.address(), "/"), 502);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_token_endpoint_that_errs_ends_in_a_page() {
    let (envoy, _upstream, provider) = start(config());
    let error =
        |status: u16, error: &str| Answer::status(status, &json!({ "error": error }).to_string());
    for (answer, status) in [
        (error(400, "invalid_grant"), 400),
        (error(401, "invalid_client"), 502),
        (error(503, "x"), 503),
        (Answer::ok("<script>evil"), 502),
        (Answer::ok(&"x".repeat(100_000)), 503),
        (Answer::status(302, ""), 502),
        (Answer::Reset, 503),
        (Answer::Torn, 503),
        (Answer::Garbage, 503),
    ] {
        provider.set(|state| state.answer = Some(answer.clone()));
        page(&Browser::default().sign_in(envoy.address(), "/"), status);
    }
    // Who goes away meanwhile harms nobody.
    provider.set(|state| {
        state.answer = Some(Answer::After(Duration::from_millis(300), Box::new(Answer::ok("{}"))));
    });
    let mut browser = Browser::default();
    let sent = browser.leave(envoy.address(), "/");
    let cookie = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<String>();
    let request = Request::get(&callback(&sent)).header("cookie", cookie);
    request.abandon(envoy.address(), Duration::from_millis(50));
    provider.set(|state| state.answer = None);
    assert_eq!(Browser::default().sign_in(envoy.address(), "/").status, 303);
}

#[test]
fn a_provider_that_is_away_is_503_and_sessions_go_on() {
    let upstream = Upstream::start();
    let nowhere = tests::upstream::Refusing::new();
    let away = envoy(config(), &upstream, nowhere.address(), 2);
    for path in ["/", "/a"] {
        page(&Request::get(path).send(away.address()), 503);
    }
    assert_eq!(Request::get("/api/x").send(away.address()).status, 401);
    assert_eq!(upstream.count(), 0);
    let (with_it, _, _provider) = start(config());
    let mut browser = Browser::default();
    browser.sign_in(with_it.address(), "/");
    assert_eq!(browser.get(away.address(), "/").status, 200);
}

#[test]
fn a_document_that_is_not_the_providers_is_none() {
    for document in [
        json!({"issuer": "https://evil.example"}),
        json!({"authorization_endpoint": "http://evil.example/auth"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
    ] {
        let (upstream, provider) = (Upstream::start(), Provider::start());
        provider.set(|state| state.document = document);
        let envoy = envoy(config(), &upstream, provider.server.address(), 1);
        page(&Request::get("/").send(envoy.address()), 503);
    }
}

#[test]
fn a_browser_comes_back_to_this_origin_whatever_it_asked_for() {
    let (envoy, _upstream, _provider) = start(config());
    let targets: [&[u8]; 14] = [
        b"//evil.example",
        b"///evil.example",
        b"/\\evil.example",
        b"/\\/evil.example",
        b"https:evil.example",
        b"https://evil.example/",
        b"http://user:password@evil.example/",
        b"/%2f%2fevil.example",
        b"/%5cevil.example",
        b"/%0d%0aset-cookie:%20a=1",
        b"/@evil.example",
        b"/.evil.example",
        b"/?rd=https://evil.example&redirect_uri=https://evil.example",
        b"/\xff\xfe",
    ];
    let mut refused = 0;
    for target in targets {
        let shown = String::from_utf8_lossy(target).into_owned();
        let mut browser = Browser::default();
        let request = Request::bare("GET", target).header("host", "evil.example");
        let begun =
            browser.send(envoy.address(), request.header("x-forwarded-host", "evil.example"));
        // Envoy refuses some by itself; one of several readings may be that of a program.
        if matches!(begun.status, 400 | 401) {
            refused += 1;
            continue;
        }
        assert_eq!(begun.status, 303, "{shown}: {begun}");
        let sent = query(&begun.header("location").unwrap());
        assert_eq!(sent["redirect_uri"], "https://app.example/oauth2/callback", "{shown}");
        let path = format!("{}&rd=//evil.example&return_to=https://evil.example", callback(&sent));
        let back = browser.get(envoy.address(), &path);
        let location = back.header("location").unwrap();
        let rest =
            location.strip_prefix("https://app.example/").unwrap_or_else(|| panic!("{location}"));
        assert!(
            !rest.starts_with(['/', '\\']) && !rest.contains(['\r', '\n']),
            "{shown}: {location}"
        );
        assert_eq!(back.header("a"), None);
    }
    assert!(refused <= 4, "{refused}");
}

#[test]
fn forms_and_programs_are_not_redirected() {
    let (envoy, upstream, _provider) = start(config());
    let form = Request::new("POST", "/form").header("accept", "text/html").body(b"a=b");
    page(&form.send(envoy.address()), 401);
    let fetch = Request::get("/").header("sec-fetch-mode", "cors").send(envoy.address());
    assert_eq!(fetch.status, 401);
    assert_eq!(fetch.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(fetch.header("www-authenticate").as_deref(), Some("Cookie realm=\"restricted\""));
    let grpc = Request::new("POST", "/s/M").header("content-type", "application/grpc").body(b"");
    assert_eq!(grpc.send(envoy.address()).header("grpc-status").as_deref(), Some("16"));
    assert_eq!(upstream.count(), 0);
}
