//! A browser and a provider around `oauth2-login`: whole sign-ins, of which the fuzzer says what goes
//! wrong.
//!
//! 1. Wherever a sign-in ends, it is on the application's origin.
//! 2. An ID token in which anything of issuer, audience, nonce, end or signature is wrong begins no
//!    session; nor does a callback with another `state` or `iss`, or in another browser.
//! 3. A session cookie opens as it was sealed, and in no other way.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, EncodingKey};
use oauth2_login::OAuth2Login;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use shared::driver::{Run, Step};
use shared::effects::{Effect, Effects};
use shared::filter::Answer;
use shared::headers::Headers;
use shared::testing::{Bench, Outcome};
use shared::view::Request;

use crate::filters::{APPLICATION, ISSUER, goes_home, login};
use crate::stage::is_legal;
use crate::words::value;

const NOW: u64 = 1_800_000_000;

/// Sign-ins, each from a path of the fuzzer's.
pub fn sign_in(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut world = World::new();
    while !input.is_empty() && world.sign_in(&mut input).is_ok() {}
}

/// A session cookie, changed: it opens only as it was.
pub fn session_cookie(bytes: &[u8]) {
    thread_local! {
        static SIGNED_IN: Rc<(String, Vec<u8>)> = Rc::new(World::new().session());
    }
    let signed_in = SIGNED_IN.with(Rc::clone);
    let (name, good) = &*signed_in;
    let mut input = Unstructured::new(bytes);
    let mut world = World::new();
    let mut cookie = |cookie: &[u8]| {
        let fields = [(":method", &b"GET"[..]), (":path", b"/"), ("cookie", cookie)];
        world.bench.send(&fields).step == Step::Continue
    };
    assert!(cookie(&[name.as_bytes(), b"=", good].concat()), "the session is good");
    while let Ok(changed) = change(&mut input, good) {
        let line = [name.as_bytes(), b"=", &changed].concat();
        let bare = changed.trim_ascii();
        let bare =
            bare.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(bare);
        let is_same = bare.split(|byte| *byte == b';').next() == Some(good.as_slice());
        assert!(!cookie(&line) || is_same, "{}", String::from_utf8_lossy(&line));
        if input.is_empty() {
            break;
        }
    }
}

/// The same bytes but for some.
fn change(input: &mut Unstructured<'_>, good: &[u8]) -> Result<Vec<u8>> {
    let mut changed = good.to_vec();
    for _ in 0..input.int_in_range(1..=3_u8)? {
        let at = input.choose_index(changed.len().max(1))?;
        match input.int_in_range(0..=4_u8)? {
            0 => changed.truncate(at),
            1 => {
                let mask = input.int_in_range(1..=255_u8)?;
                changed.get_mut(at).into_iter().for_each(|byte| *byte ^= mask);
            }
            2 => {
                let more = value(input)?;
                changed.splice(at..at, more).for_each(drop);
            }
            3 if at < changed.len() => drop(changed.remove(at)),
            _ => changed.rotate_left(at),
        }
    }
    Ok(changed)
}

/// How a sign-in has to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Well,
    Badly,
    /// As it may be.
    Somehow,
}

struct World {
    bench: Bench<OAuth2Login>,
    cookies: BTreeMap<String, Vec<u8>>,
    random: u8,
}

/// A key of P-256 (RFC 5915 within RFC 5208).
fn private() -> Vec<u8> {
    let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    [&head[..], &[1; 32]].concat()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

static KEYS: LazyLock<String> = LazyLock::new(|| {
    let public = DEFAULT_PROVIDER.key_utils.ec_pub_components_from_private_key;
    let (_, x, y) = public(&private(), Algorithm::ES256).expect("a key");
    json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "x": b64(x), "y": b64(y)}]})
        .to_string()
});

fn sign(claims: &Value) -> String {
    let text = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"1"}"#), b64(claims.to_string()));
    let key = EncodingKey::from_ec_der(&private());
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::ES256, &key).expect("a signer");
    format!("{text}.{}", b64(signer.sign(text.as_bytes())))
}

fn claims(nonce: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": "web", "sub": "alice", "iat": NOW, "exp": NOW + 300,
        "nonce": nonce, "email": "alice@example.com",
    })
}

fn ok<'a>(body: &'a [u8], headers: &'a Headers) -> Answer<'a> {
    Answer::Response { status: 200, headers, body, trailers: headers }
}

impl World {
    fn new() -> Self {
        let bench = Bench::configure(&login()).map_err(|error| error.to_string());
        let bench = bench.expect("the configuration is good");
        let mut world = Self { bench, cookies: BTreeMap::new(), random: 7 };
        let document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/keys",
            "authorization_response_iss_parameter_supported": true,
        });
        let none = Headers::default();
        let calls = world.bench.tick();
        let calls = world.bench.answer(calls[0].0, &ok(document.to_string().as_bytes(), &none));
        assert!(world.bench.answer(calls[0].0, &ok(KEYS.as_bytes(), &none)).is_empty());
        world
    }

    /// A browser goes away from a path, and comes back.
    fn sign_in(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let path = [b"/", &value(input)?[..]].concat();
        let Some(sent) = self.leave(&path) else { return Ok(()) };
        // Most sign-ins have one thing wrong, or none.
        let wrong = input.int_in_range(0..=7_u8)?;
        let mut ends = if wrong < 5 { Ends::Badly } else { Ends::Well };
        let state = if wrong == 0 { other(input, &sent["state"])? } else { sent["state"].clone() };
        let issuer = if wrong == 1 { other(input, ISSUER)? } else { ISSUER.to_owned() };
        let query = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let callback =
            format!("/oauth2/callback?code=c&iss={}&state={}", query(&issuer), query(&state));
        if wrong == 2 {
            self.cookies.clear();
        }
        let mut claims = claims(&sent["nonce"]);
        if wrong == 3 {
            let name = *input.choose(&["iss", "aud", "nonce", "exp", "sub"])?;
            claims[name] = match name {
                "exp" => (NOW - 61).into(),
                "sub" => 5.into(),
                name => other(input, claims[name].as_str().unwrap_or_default())?.into(),
            };
        }
        let mut access_token = "access".to_owned();
        if wrong == 7 {
            // What the upstream would be told of; some of it cannot be told.
            claims["email"] = text(input)?.into();
            access_token = text(input)?;
            ends = Ends::Somehow;
        }
        let mut id_token = sign(&claims);
        if wrong == 4 {
            id_token = other(input, &id_token)?;
        }
        let tokens = json!({
            "access_token": access_token, "token_type": "Bearer", "expires_in": 300,
            "refresh_token": "refresh", "id_token": id_token,
        });
        self.come_back(&callback, &tokens.to_string(), ends, &path);
        // Whoever is signed in now is told of in legal headers.
        let (_, outcome) = self.begin(b"/");
        assert!(outcome.step != Step::Continue || ends != Ends::Badly);
        for effect in outcome.effects.iter() {
            if let Effect::SetRequestHeader(name, value) = effect {
                assert!(is_legal(value), "{name}: {:?}", String::from_utf8_lossy(value));
            }
        }
        Ok(())
    }

    /// Where the provider is told to send the browser, and what else it is told.
    fn leave(&mut self, path: &[u8]) -> Option<BTreeMap<String, String>> {
        self.cookies.clear();
        let (_, outcome) = self.begin(path);
        let location = outcome.header("location")?;
        let url = url::Url::parse(location).expect("an address");
        if url.path() != "/auth" {
            return None;
        }
        let sent: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(sent["redirect_uri"], "https://app.example/oauth2/callback");
        Some(sent)
    }

    fn come_back(&mut self, callback: &str, tokens: &str, ends: Ends, path: &[u8]) {
        let (mut run, mut outcome) = self.begin(callback.as_bytes());
        if let Step::Wait(call) = &outcome.step {
            assert_eq!((call.cluster.as_str(), call.path.as_str()), ("idp", "/token"));
            let (request, mut effects) = (Request::new(&self.bench.proxy), Effects::default());
            let none = Headers::default();
            let answer = ok(tokens.as_bytes(), &none);
            let step = self.bench.instance.on_answer(&mut run, &answer, &request, &mut effects);
            outcome = Outcome { step, effects };
            self.keep(&outcome);
        }
        if outcome.step == Step::Hold {
            outcome = self.bench.news(&mut run);
        }
        match (outcome.header("location"), ends) {
            (None, Ends::Badly | Ends::Somehow) => {}
            (Some(location), Ends::Well | Ends::Somehow) => {
                let asked = [APPLICATION.as_bytes(), path].concat();
                let home = format!("{APPLICATION}/");
                assert!(location.as_bytes() == asked || location == home, "{location}");
            }
            (None, Ends::Well) | (Some(_), Ends::Badly) => panic!("{}", outcome.line()),
        }
    }

    fn begin(&mut self, path: &[u8]) -> (Run<OAuth2Login>, Outcome) {
        self.random = self.random.wrapping_add(1);
        self.bench.proxy.set_random(self.random);
        let mut fields = vec![(":method", b"GET".to_vec()), (":path", path.to_vec())];
        let pairs =
            self.cookies.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat());
        let pairs: Vec<_> = pairs.collect();
        if !pairs.is_empty() {
            fields.push(("cookie", pairs.join(&b"; "[..])));
        }
        let (run, outcome) = self.bench.begin(&fields);
        self.keep(&outcome);
        (run, outcome)
    }

    /// Keeps the cookies of an answer, as browsers do.
    fn keep(&mut self, outcome: &Outcome) {
        let reply = outcome.reply();
        reply.into_iter().for_each(goes_home);
        let headers = reply.into_iter().flat_map(|reply| &reply.headers);
        let mut cookies: Vec<Vec<u8>> = Vec::new();
        for (name, value) in headers {
            assert!(is_legal(value.as_bytes()), "{name}: {value}");
            if *name == "set-cookie" {
                cookies.push(value.clone().into_bytes());
            }
        }
        for effect in outcome.effects.iter() {
            if let Effect::AddResponseHeader(name, value) = effect
                && &**name == "set-cookie"
            {
                cookies.push(value.to_vec());
            }
        }
        for cookie in cookies {
            let cookie = String::from_utf8(cookie).expect("a text");
            let (pair, attributes) = cookie.split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a name");
            assert!(cookie.len() <= 4096 && name.starts_with("__Host-session"), "{cookie}");
            assert!(attributes.contains("HttpOnly") && attributes.contains("Secure"), "{cookie}");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.into());
            }
        }
    }

    /// Signs in, and says what the session's cookie is.
    fn session(mut self) -> (String, Vec<u8>) {
        let sent = self.leave(b"/").expect("a redirect");
        let id_token = sign(&claims(&sent["nonce"]));
        let tokens = json!({
            "access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
        });
        let callback = format!("/oauth2/callback?code=c&iss={ISSUER}&state={}", sent["state"]);
        self.come_back(&callback, &tokens.to_string(), Ends::Well, b"/");
        self.cookies.into_iter().find(|(name, _)| name == "__Host-session").expect("a session")
    }
}

/// A text that is not this one.
fn other(input: &mut Unstructured<'_>, text: &str) -> Result<String> {
    let other = String::from_utf8_lossy(&change(input, text.as_bytes())?).into_owned();
    Ok(if other == text { "other".to_owned() } else { other })
}

fn text(input: &mut Unstructured<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(&value(input)?).into_owned())
}
