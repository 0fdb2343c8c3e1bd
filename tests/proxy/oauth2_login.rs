//! `oauth2-login` in the real Envoy, with a provider that says what it is told to. [`providers`] has
//! two that we did not write, and a real browser.

mod attacks;
mod cookies;
mod errors;
mod hostile;
mod id_token;
mod load;
mod providers;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::client::{Request, Response};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, with};
use tests::upstream::{Answer, Received, Upstream};

const ISSUER: &str = "https://idp.example";
const KEY: &str = "b1946ac92492d2347c6235b4d2611184591a8b3c7d0e4f6a9c2b5d8e7f1a0c3e";
const OTHER_KEY: &str = "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=";
const CALLBACK: &str = "/oauth2/callback";

fn config() -> Value {
    json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp", "refetch": "1s"},
        "client": {"id": "web", "secret": "secret"},
        "scopes": ["openid", "offline_access"],
        "logout": {"path": "/oauth2/logout", "return_to": "/bye"},
        "external_url": "https://app.example",
        "session": {"keys": [KEY]},
        "forward": {"access_token": "authorization", "claims": {"x-email": "email"}},
        "api_clients": {"paths": ["/api/**"]},
    })
}

/// A provider. Its codes are `code.NONCE.CHALLENGE`, and taken with the verifier of the challenge (RFC
/// 7636), if there is one; a refresh token is taken once.
struct Provider {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

struct State {
    key: Key,
    /// What the token endpoint says instead.
    answer: Option<Answer>,
    /// What is changed in the document, in tokens and in claims.
    document: Value,
    tokens: Value,
    claims: Value,
    given: u64,
    used: HashSet<String>,
    reused: u64,
}

impl Provider {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            key: Key::of("p256"),
            answer: None,
            document: json!({}),
            tokens: json!({}),
            claims: json!({}),
            given: 0,
            used: HashSet::new(),
            reused: 0,
        }));
        let told = Arc::clone(&state);
        let server = Upstream::answering(move |request| told.lock().unwrap().answer(request));
        Self { server, state }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }
}

impl State {
    fn answer(&mut self, request: &Received) -> Answer {
        match request.target.as_str() {
            "/.well-known/openid-configuration" => {
                let document = json!({
                    "issuer": ISSUER,
                    "authorization_endpoint": "https://idp.example/auth",
                    "token_endpoint": "https://idp.example/token",
                    "jwks_uri": "https://idp.example/keys",
                    "end_session_endpoint": "https://idp.example/end",
                    "authorization_response_iss_parameter_supported": true,
                });
                Answer::ok(&with(document, &self.document).to_string())
            }
            "/keys" => Answer::ok(&jwks([&self.key]).to_string()),
            "/token" => self.answer.clone().unwrap_or_else(|| self.tokens(&request.body)),
            _ => Answer::status(404, ""),
        }
    }

    fn tokens(&mut self, form: &[u8]) -> Answer {
        let form = pairs(&String::from_utf8_lossy(form));
        let invalid = || Answer::status(400, r#"{"error":"invalid_grant"}"#);
        let nonce = match form["grant_type"].as_str() {
            "authorization_code" => match form["code"].strip_prefix("code.") {
                Some(code) if self.used.insert(form["code"].clone()) => {
                    let (nonce, challenge) = code.split_once('.').unwrap_or((code, ""));
                    let verifier = form.get("code_verifier").map_or("", String::as_str);
                    let expected = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
                    if !challenge.is_empty() && challenge != expected {
                        return invalid();
                    }
                    json!(nonce)
                }
                _ => return invalid(),
            },
            _ if self.used.insert(form["refresh_token"].clone()) => Value::Null,
            _ => {
                self.reused += 1;
                return invalid();
            }
        };
        self.given += 1;
        let claims = with(claims(ISSUER, "web"), &json!({"nonce": nonce, "email": "alice@x"}));
        let claims = with(claims, &self.claims);
        let tokens = json!({
            "access_token": format!("access-{}", self.given),
            "refresh_token": format!("refresh-{}", self.given),
            "id_token": self.key.sign("ES256", &claims),
            "token_type": "Bearer",
            "expires_in": 3600,
        });
        Answer::ok(&with(tokens, &self.tokens).to_string())
    }
}

/// A browser, which keeps cookies.
#[derive(Clone, Debug, Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
    /// Until when it has the cookie of who has just signed in, which ends by itself.
    arrival: Option<Instant>,
    /// Every `Set-Cookie` that it got.
    got: Vec<String>,
}

impl Browser {
    fn send(&mut self, to: SocketAddr, request: Request) -> Response {
        let mut pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if self.arrival.is_some_and(|until| Instant::now() < until) {
            pairs.push("__Host-session.arrived=1".to_owned());
        }
        let request =
            if pairs.is_empty() { request } else { request.header("cookie", pairs.join("; ")) };
        let response = request.send(to);
        self.keep(&response);
        response
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.all("set-cookie") {
            let cookie = String::from_utf8_lossy(cookie).into_owned();
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
            if name == "__Host-session.arrived" {
                let (_, seconds) = attributes.split_once("Max-Age=").unwrap();
                let seconds = seconds.split(';').next().unwrap().parse().unwrap();
                self.arrival = Some(Instant::now() + Duration::from_secs(seconds));
            } else if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            self.got.push(cookie);
        }
    }

    fn get(&mut self, to: SocketAddr, path: &str) -> Response {
        self.send(to, Request::get(path))
    }

    /// Goes to the provider from `path`: what it is asked.
    fn leave(&mut self, to: SocketAddr, path: &str) -> BTreeMap<String, String> {
        let response = self.get(to, path);
        assert_eq!(response.status, 303, "{response}");
        query(&response.header("location").unwrap())
    }

    /// Signs in from `path`: the answer to the callback.
    fn sign_in(&mut self, to: SocketAddr, path: &str) -> Response {
        let sent = self.leave(to, path);
        self.get(to, &callback(&sent))
    }
}

/// The path of a callback to these parameters.
fn callback(sent: &BTreeMap<String, String>) -> String {
    let iss = "iss=https%3A%2F%2Fidp.example";
    let code = format!("code.{}.{}", sent["nonce"], sent["code_challenge"]);
    format!("{CALLBACK}?{iss}&code={code}&state={}", sent["state"])
}

fn query(address: &str) -> BTreeMap<String, String> {
    pairs(address.split_once('?').unwrap_or_else(|| panic!("{address}")).1)
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let digit = |byte: Option<u8>| char::from(byte.unwrap()).to_digit(16).unwrap() as u8;
            bytes.push(if byte == b'%' {
                digit(rest.next()) * 16 + digit(rest.next())
            } else {
                byte
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn start(config: Value) -> (Envoy, Upstream, Provider) {
    let (upstream, provider) = (Upstream::start(), Provider::start());
    let envoy = envoy(config, &upstream, provider.server.address(), 2);
    (envoy, upstream, provider)
}

fn envoy(config: Value, upstream: &Upstream, provider: SocketAddr, workers: u32) -> Envoy {
    Setup::new()
        .filter("oauth2-login", config)
        .upstream(upstream)
        .cluster("idp", Some(provider))
        .log_field("evidence", "%FILTER_STATE(wasm.gatehouse.evidence.oauth2-login:PLAIN)%")
        .workers(workers)
        .start()
}

#[test]
fn a_browser_signs_in_and_the_upstream_knows_who_it_is() {
    let (envoy, upstream, _provider) = start(config());
    let mut browser = Browser::default();
    let response = browser.sign_in(envoy.address(), "/a?b=c");
    assert_eq!(response.status, 303, "{response}");
    assert_eq!(response.header("location").as_deref(), Some("https://app.example/a?b=c"));
    assert_eq!(upstream.count(), 0);
    browser.cookies.insert("theirs".into(), "1".into());
    let request = Request::get("/a?b=c").header("x-auth-subject", "root").header("x_email", "root");
    assert_eq!(browser.send(envoy.address(), request).status, 200);
    let got = upstream.last();
    for (name, value) in [
        ("x-auth-subject", Some("alice")),
        ("x-auth-scheme", Some("oauth2")),
        ("x-auth-scopes", Some("openid offline_access")),
        ("x-email", Some("alice@x")),
        ("authorization", Some("Bearer access-1")),
        ("cookie", Some("theirs=1")),
        ("x_email", None),
    ] {
        assert_eq!(got.header(name).as_deref(), value, "{name}");
    }
    assert!(!String::from_utf8_lossy(&got.head).contains("__Host"), "{got:?}");
    let log = envoy.access_log(3);
    assert!(log[2]["evidence"].as_str().unwrap().contains("alice"), "{log:?}");
    assert_eq!(envoy.counted("oauth2-login.allowed"), 1);
}

#[test]
fn a_session_serves_at_a_second_proxy_of_the_same_keys() {
    let (first, upstream, provider) = start(config());
    let second = envoy(config(), &upstream, provider.server.address(), 1);
    let other = with(config(), &json!({"session": {"keys": [OTHER_KEY]}}));
    let other = envoy(other, &upstream, provider.server.address(), 1);
    let mut browser = Browser::default();
    browser.sign_in(first.address(), "/");
    assert_eq!(browser.get(second.address(), "/").status, 200);
    // The other is another application.
    browser.arrival = None;
    assert_eq!(browser.get(other.address(), "/").status, 303);
}

#[test]
fn a_sign_in_begun_at_one_proxy_ends_at_another() {
    let (first, upstream, provider) = start(config());
    let second = envoy(config(), &upstream, provider.server.address(), 1);
    let mut browser = Browser::default();
    let sent = browser.leave(first.address(), "/x");
    let response = browser.get(second.address(), &callback(&sent));
    assert_eq!(response.header("location").as_deref(), Some("https://app.example/x"));
}

#[test]
fn who_signs_out_is_signed_out() {
    let (envoy, upstream, _provider) = start(config());
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    let cross = Request::new("POST", "/oauth2/logout").header("origin", "https://evil.example");
    assert_eq!(browser.send(envoy.address(), cross.body(b"")).status, 403);
    assert_eq!(browser.get(envoy.address(), "/oauth2/logout").status, 200);
    assert_eq!(browser.get(envoy.address(), "/").status, 200);
    let ours = Request::new("POST", "/oauth2/logout").header("origin", "https://app.example");
    let response = browser.send(envoy.address(), ours.body(b""));
    assert_eq!(response.status, 303, "{response}");
    let location = response.header("location").unwrap();
    assert!(location.starts_with("https://idp.example/end?"), "{location}");
    assert_eq!(query(&location)["post_logout_redirect_uri"], "https://app.example/bye");
    assert!(browser.cookies.is_empty(), "{browser:?}");
    assert_eq!(browser.get(envoy.address(), "/").status, 303);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_cookies_of_the_upstream_stay() {
    let provider = Provider::start();
    let upstream = Upstream::answering(|_| {
        let cookie = |value: &str| ("set-cookie".to_owned(), value.to_owned());
        Answer::Http(200, vec![cookie("a=1"), cookie("b=2")], Vec::new())
    });
    let config = with(config(), &json!({"session": {"keys": [KEY], "idle": "8s"}}));
    let envoy = envoy(config, &upstream, provider.server.address(), 2);
    let mut browser = Browser::default();
    browser.sign_in(envoy.address(), "/");
    std::thread::sleep(Duration::from_millis(2100));
    let response = browser.get(envoy.address(), "/");
    let cookies: Vec<_> = response.all("set-cookie");
    assert_eq!(cookies.len(), 3, "{response}");
    assert_eq!((cookies[0], cookies[1]), (&b"a=1"[..], &b"b=2"[..]));
    assert!(cookies[2].starts_with(b"__Host-session.seen="), "{response}");
}
