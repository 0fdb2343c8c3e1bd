//! The rules, one by one. A browser that keeps cookies, and a provider that answers as it is told.
//! Tokens are signed by `jsonwebtoken`'s own cryptography.

#![allow(clippy::arithmetic_side_effects, clippy::string_slice, reason = "test code")]

mod attacks;
mod callback;
mod configuration;
mod forward;
mod renewal;
mod sessions;
mod sign_in;
mod sign_out;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Signing, EncodingKey};
use serde_json::{Value, json};
use shared::driver::{Run, Step as Next};
use shared::effects::{Effect, Effects};
use shared::filter::{Answer, Call};
use shared::headers::Headers;
use shared::testing::{Bench, Outcome};
use shared::view::Request;

use crate::OAuth2Login;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const KEY: &str = "b1946ac92492d2347c6235b4d2611184591a8b3c7d0e4f6a9c2b5d8e7f1a0c3e";
const OTHER_KEY: &str = "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=";

fn config() -> Value {
    json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "s3cr:t"},
        "scopes": ["openid", "profile", "offline_access"],
        "logout": {"path": "/oauth2/logout", "return_to": "/bye"},
        "login_path": "/oauth2/login",
        "external_url": "https://app.example",
        "session": {"keys": [KEY]},
        "forward": {
            "access_token": "authorization",
            "claims": {"x-email": "email"},
        },
        "claims": ["email"],
    })
}

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/auth",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/keys",
        "end_session_endpoint": "https://idp.example/end",
        "revocation_endpoint": "https://idp.example/revoke",
        "authorization_response_iss_parameter_supported": true,
    })
}

/// An object with other members; `null` takes one off.
fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().shift_remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// A key of P-256, the same for the same number (RFC 5915 within RFC 5208).
fn private(number: u8) -> Vec<u8> {
    let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    [&head[..], &[number; 32]].concat()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_set(numbers: &[u8]) -> String {
    let jwk = |number: &u8| {
        let public = DEFAULT_PROVIDER.key_utils.ec_pub_components_from_private_key;
        let (_, x, y) = public(&private(*number), Signing::ES256).unwrap();
        json!({"kty": "EC", "crv": "P-256", "kid": number.to_string(), "x": b64(x), "y": b64(y)})
    };
    json!({"keys": numbers.iter().map(jwk).collect::<Vec<_>>()}).to_string()
}

fn sign(number: u8, claims: &Value) -> String {
    let header = json!({"alg": "ES256", "kid": number.to_string()});
    let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let key = EncodingKey::from_ec_der(&private(number));
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Signing::ES256, &key).unwrap();
    format!("{text}.{}", b64(signer.sign(text.as_bytes())))
}

/// A browser before a worker of the proxy, and the provider behind it.
struct World {
    bench: Bench<OAuth2Login>,
    cookies: BTreeMap<String, String>,
    /// Until when the browser has the cookie of who has just signed in, which ends by itself.
    arrival: u64,
    random: u8,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self::of(&config(), &document())
    }

    fn of(config: &Value, document: &Value) -> Self {
        let mut world = Self::offline(config);
        let calls = world.bench.tick();
        assert_eq!(calls[0].1.path, "/.well-known/openid-configuration");
        let calls = world.answer(calls[0].0, 200, &document.to_string());
        assert_eq!(calls[0].1.path, "/keys");
        assert!(world.answer(calls[0].0, 200, &key_set(&[1])).is_empty());
        world
    }

    /// While the provider has not answered.
    fn offline(config: &Value) -> Self {
        let bench = Bench::configure(config).unwrap_or_else(|error| panic!("{error}"));
        Self { bench, cookies: BTreeMap::new(), arrival: 0, random: 7, now: NOW }
    }

    fn answer(&mut self, id: u32, status: u16, body: &str) -> Vec<(u32, Call)> {
        let headers = Headers::default();
        self.bench.answer(
            id,
            &Answer::Response {
                status,
                headers: &headers,
                body: body.as_bytes(),
                trailers: &Headers::default(),
            },
        )
    }

    fn pass(&mut self, secs: u64) {
        self.now += secs;
        self.bench.proxy.pass(std::time::Duration::from_secs(secs));
    }

    fn headers(&self, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut headers =
            vec![(":method".to_owned(), method.to_owned()), (":path".to_owned(), path.to_owned())];
        let mut pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if self.now < self.arrival {
            pairs.push("__Host-session.arrived=1".into());
        }
        if !pairs.is_empty() {
            headers.push(("cookie".into(), pairs.join("; ")));
        }
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        headers
    }

    fn begin(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
    ) -> (Run<OAuth2Login>, Outcome) {
        self.random = self.random.wrapping_add(1);
        self.bench.proxy.set_random(self.random);
        let headers = self.headers(method, path, more);
        let (run, outcome) = self.bench.begin(&headers);
        self.keep(&outcome);
        (run, outcome)
    }

    fn ask(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> Outcome {
        self.begin(method, path, more).1
    }

    fn get(&mut self, path: &str) -> Outcome {
        self.ask("GET", path, &[])
    }

    /// The end of the call that a request waits for.
    fn end(&mut self, run: &mut Run<OAuth2Login>, status: u16, body: &str) -> Outcome {
        let headers = Headers::default();
        let answer = Answer::Response {
            status,
            headers: &headers,
            body: body.as_bytes(),
            trailers: &Headers::default(),
        };
        let (request, mut effects) = (Request::new(&self.bench.proxy), Effects::default());
        let step = self.bench.instance.on_answer(run, &answer, &request, &mut effects);
        let outcome = Outcome { step, effects };
        self.keep(&outcome);
        outcome
    }

    fn news(&mut self, run: &mut Run<OAuth2Login>) -> Outcome {
        let outcome = self.bench.news(run);
        self.keep(&outcome);
        outcome
    }

    /// Keeps the cookies of an answer, as browsers do.
    fn keep(&mut self, outcome: &Outcome) {
        for cookie in set_cookies(outcome) {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(cookie.len() <= 4096 && name.starts_with("__Host-session"), "{cookie}");
            for flag in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
                assert!(attributes.split("; ").any(|known| known == flag), "{cookie}");
            }
            if name == "__Host-session.arrived" {
                let (_, seconds) = attributes.split_once("Max-Age=").unwrap();
                let seconds: u64 = seconds.split(';').next().unwrap().parse().unwrap();
                self.arrival = self.now + seconds;
            } else if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Goes to the provider from `path`: the parameters that it gets.
    fn leave(&mut self, path: &str) -> BTreeMap<String, String> {
        let outcome = self.get(path);
        let location = outcome.header("location").unwrap_or_else(|| panic!("{}", outcome.line()));
        query(location)
    }

    /// The path of a callback to these parameters.
    fn callback(&self, sent: &BTreeMap<String, String>) -> String {
        format!("/oauth2/callback?code=c0de&iss=https%3A%2F%2Fidp.example&state={}", sent["state"])
    }

    fn claims(&self, sent: &BTreeMap<String, String>) -> Value {
        json!({
            "iss": ISSUER, "aud": "web", "sub": "alice", "iat": self.now, "exp": self.now + 300,
            "nonce": sent.get("nonce").cloned().unwrap_or_default(), "email": "alice@example.com",
        })
    }

    /// Signs in from `path`, and says how that ended.
    fn sign_in_with(&mut self, path: &str, claims: &Value, tokens: &Value) -> Outcome {
        let sent = self.leave(path);
        let callback = self.callback(&sent);
        let (mut run, outcome) = self.begin("GET", &callback, &[]);
        assert_eq!(outcome.line(), "wait POST idp/token -cookie");
        let id_token = sign(1, &with(self.claims(&sent), claims));
        let tokens = with(tokens_of(1, &id_token), tokens).to_string();
        self.end(&mut run, 200, &tokens)
    }

    fn sign_in(&mut self) {
        let outcome = self.sign_in_with("/a?b=c", &json!({}), &json!({}));
        assert_eq!(outcome.header("location"), Some("https://app.example/a?b=c"));
    }
}

fn tokens_of(number: u32, id_token: &str) -> Value {
    json!({
        "access_token": format!("access-{number}"),
        "token_type": "Bearer",
        "expires_in": 300,
        "refresh_token": format!("refresh-{number}"),
        "id_token": id_token,
    })
}

fn set_cookies(outcome: &Outcome) -> Vec<String> {
    let reply = outcome.reply().into_iter().flat_map(|reply| &reply.headers);
    let mut cookies: Vec<_> =
        reply.filter(|(name, _)| *name == "set-cookie").map(|(_, value)| value.clone()).collect();
    for effect in outcome.effects.iter() {
        if let Effect::AddResponseHeader(name, value) = effect
            && &**name == "set-cookie"
        {
            cookies.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    cookies
}

/// The parameters of an address.
fn query(address: &str) -> BTreeMap<String, String> {
    let (_, query) = address.split_once('?').unwrap();
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// The value of a header that the upstream gets.
fn told(outcome: &Outcome, name: &str) -> Option<String> {
    assert_eq!(outcome.step, Next::Continue, "{}", outcome.line());
    let told = outcome.effects.iter().filter_map(|effect| match effect {
        Effect::SetRequestHeader(known, value) if **known == *name => {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    });
    told.last()
}

#[track_caller]
fn page(outcome: &Outcome, status: u16, reason: &str) {
    let reply = outcome.reply().unwrap_or_else(|| panic!("{}", outcome.line()));
    let details = format!("gatehouse.oauth2-login.{reason}");
    assert_eq!((reply.status, reply.details.as_str()), (status, details.as_str()));
    assert_eq!(outcome.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(outcome.header("cache-control"), Some("no-store"));
    assert_eq!(outcome.header("location"), None);
}
