//! What a hostile provider, page or cache does beyond the errors of a sign-in.

use super::*;

/// What is written nowhere: neither in logs nor in metrics.
const SECRETS: [&str; 6] = ["s3cr:t", KEY, "access-", "refresh-", "eyJ", "code="];

/// Follows redirects within this origin and by way of the provider, as a browser does: the last
/// answer, and how often the provider was asked.
fn follow(browser: &mut Browser, to: SocketAddr, path: &str) -> (Response, usize) {
    let mut response = browser.get(to, path);
    let mut asked = 0;
    for _ in 0..20 {
        let Some(location) = response.header("location") else { break };
        let next = match location.strip_prefix("https://app.example") {
            Some(path) => path.to_owned(),
            None => {
                asked += 1;
                callback(&query(&location))
            }
        };
        response = browser.get(to, &next);
    }
    (response, asked)
}

#[test]
fn a_provider_whose_tokens_end_at_once_is_no_loop() {
    let (envoy, upstream, provider) = start(config());
    provider.set(|state| state.tokens = json!({"expires_in": 0, "refresh_token": null}));
    let mut browser = Browser::default();
    let (response, asked) = follow(&mut browser, envoy.address(), "/a");
    assert_eq!((response.status, asked), (401, 1), "{response}");
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!((upstream.count(), envoy.counted("oauth2-login.in_vain")), (0, 1));
}

#[test]
fn a_browser_that_keeps_no_session_is_in_no_loop() {
    let (envoy, _upstream, _provider) = start(config());
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    browser.cookies.clear();
    let (response, asked) = follow(&mut browser, envoy.address(), "/");
    assert_eq!((response.status, asked), (401, 0), "{response}");
    let (response, asked) = follow(&mut browser, envoy.address(), "/");
    assert_eq!((response.status, asked), (200, 1), "{response}");
}

#[test]
fn no_cache_keeps_a_cookie_of_ours() {
    let provider = Provider::start();
    let upstream = Upstream::answering(|_| {
        let cache = ("cache-control".to_owned(), "public, max-age=600".to_owned());
        Answer::Http(200, vec![cache], b"cached".to_vec())
    });
    let config = with(config(), &json!({"session": {"keys": [KEY], "idle": "8s"}}));
    let envoy = envoy(config, &upstream, provider.server.address(), 2);
    let mut browser = Browser::default();
    let response = browser.sign_in(envoy.address(), "/");
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    let response = browser.get(envoy.address(), "/");
    assert_eq!(response.all("cache-control"), [b"public, max-age=600"], "{response}");
    std::thread::sleep(Duration::from_millis(2100));
    let response = browser.get(envoy.address(), "/");
    assert_eq!(response.all("set-cookie").len(), 1, "{response}");
    assert_eq!(response.all("cache-control"), [b"no-store"], "{response}");
}

#[test]
fn what_a_token_endpoint_says_of_time_and_type_is_read_or_refused() {
    let (envoy, _upstream, provider) = start(config());
    let status = |tokens: Value| {
        provider.set(|state| state.tokens = tokens);
        let mut browser = Browser::default();
        let status = browser.sign_in(envoy.address(), "/").status;
        (status, browser.get(envoy.address(), "/").status)
    };
    for good in [
        json!({"expires_in": 3600.5}),
        json!({"expires_in": "3600"}),
        json!({"expires_in": u64::MAX}),
        json!({"expires_in": 1e300}),
        json!({"expires_in": null, "refresh_token": null}),
        json!({"token_type": "bEARER", "refresh_token": ""}),
    ] {
        assert_eq!(status(good.clone()), (303, 200), "{good}");
    }
    for bad in [
        json!({"expires_in": -1}),
        json!({"expires_in": "soon"}),
        json!({"expires_in": [3600]}),
        json!({"token_type": null}),
        json!({"token_type": "DPoP"}),
        json!({"refresh_token": "a\r\nb"}),
        json!({"access_token": ["a"]}),
        json!({"scope": "a\nb"}),
    ] {
        assert_eq!(status(bad.clone()), (502, 303), "{bad}");
    }
}

#[test]
fn a_provider_that_takes_its_time_or_says_too_much_is_503_in_time() {
    let discovery = json!({"cluster": "idp", "refetch": "1s", "timeout": "500ms"});
    let (envoy, upstream, provider) = start(with(config(), &json!({ "discovery": discovery })));
    let good = provider.state.lock().unwrap().tokens(b"grant_type=authorization_code&code=code.n");
    let slowly = Answer::Slowly(Duration::from_millis(50), Box::new(good));
    let deep = format!(
        r#"{{"access_token":"a","token_type":"Bearer","expires_in":{}"#,
        "[".repeat(60_000)
    );
    let page = ("content-type".to_owned(), "text/html".to_owned());
    for (answer, status) in [
        (slowly, 503),
        (Answer::Hang, 503),
        (Answer::ok(&deep), 502),
        (Answer::ok(&format!("{}{{}}", " ".repeat(70_000))), 503),
        (Answer::Http(307, vec![("location".to_owned(), "/evil".to_owned())], Vec::new()), 502),
        (Answer::Http(400, vec![page], b"<script>evil</script>".to_vec()), 502),
        (Answer::status(400, r#"{"error":"<script>evil","error_description":"evil"}"#), 502),
    ] {
        provider.set(|state| state.answer = Some(answer));
        let began = Instant::now();
        let response = Browser::default().sign_in(envoy.address(), "/");
        assert_eq!(response.status, status, "{response}");
        assert!(!response.text().contains("evil"), "{response}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    assert_eq!((upstream.count(), provider.server.counts().get("/evil")), (0, None));
}

#[test]
fn no_secret_is_in_a_log_or_a_metric() {
    let secret = json!({"client": {"id": "web", "secret": "s3cr:t"}});
    let (envoy, _upstream, provider) = start(with(config(), &secret));
    let to = envoy.address();
    let mut browser = Browser::default();
    browser.sign_in(to, "/");
    assert_eq!(browser.get(to, "/").status, 200);
    let mut other = Browser::default();
    let sent = other.leave(to, "/");
    other.get(to, &format!("{CALLBACK}?code=code.x&iss=evil&state={}", sent["state"]));
    provider.set(|state| state.claims = json!({"aud": "other"}));
    Browser::default().sign_in(to, "/");
    provider.set(|state| state.answer = Some(Answer::ok("access- refresh- eyJ")));
    Browser::default().sign_in(to, "/");
    browser.send(to, Request::new("POST", "/oauth2/logout").body(b""));
    let session = Request::get("/").header("cookie", "__Host-session=1.eyJ-forged").send(to);
    assert_eq!(session.status, 303);
    // The tests log whole paths, which the README advises against.
    let line = |line: &Value| with(line.clone(), &json!({"path": null})).to_string();
    let logged = envoy.access_log(9).iter().map(line).collect::<String>();
    assert!(logged.contains("oauth2-login.signed_in"), "{logged}");
    let written = [envoy.log(), logged, envoy.page("/stats?usedonly")].concat();
    for secret in SECRETS.into_iter().chain([sent["state"].as_str(), "__Host-session=1."]) {
        assert!(!written.contains(secret), "{secret}");
    }
}

/// RFC 9700, 4.5: the code is good, and was given for another browser's question.
#[test]
fn a_stolen_code_is_of_no_use_in_another_browser() {
    let (envoy, upstream, provider) = start(config());
    let to = envoy.address();
    let (mut victim, mut thief) = (Browser::default(), Browser::default());
    let (theirs, own) = (victim.leave(to, "/"), thief.leave(to, "/"));
    let stolen = callback(&theirs).replace(&theirs["state"], &own["state"]);
    let response = thief.get(to, &stolen);
    assert_eq!((response.status, response.header("location")), (400, None), "{response}");
    assert!(!thief.cookies.contains_key("__Host-session"));
    assert_eq!((upstream.count(), provider.state.lock().unwrap().given), (0, 0));
}

/// The callback is a place of this origin, byte for byte; another spelling is a page like any other.
#[test]
fn another_spelling_of_the_callback_is_not_the_callback() {
    let (envoy, upstream, provider) = start(config());
    let to = envoy.address();
    for place in
        ["/oauth2/callback/", "/oauth2//callback", "/OAuth2/callback", "/oauth2/callback;x"]
    {
        let mut browser = Browser::default();
        let sent = browser.leave(to, "/");
        let path = callback(&sent).replacen(CALLBACK, place, 1);
        let response = browser.get(to, &path);
        // Some have several readings, and are a program's.
        assert!(matches!(response.status, 303 | 401), "{place}: {response}");
        let location = response.header("location").unwrap_or_default();
        assert!(!location.starts_with("https://app.example"), "{place}: {location}");
        assert!(!browser.cookies.contains_key("__Host-session"), "{place}");
    }
    // At another host the browser has no attempt, whatever the place is called.
    let sent = Browser::default().leave(to, "/");
    let elsewhere = Request::bare("GET", callback(&sent).as_bytes()).header("host", "evil.example");
    assert_eq!(elsewhere.send(to).status, 400);
    assert_eq!((upstream.count(), provider.state.lock().unwrap().given), (0, 0));
}
