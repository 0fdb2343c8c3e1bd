//! Whole filters, told of requests, answers and time in an order that the bytes say.
//!
//! No filter panics. Where its secrets are no bytes that a fuzzer comes upon, no authenticator lets
//! anybody through.

use access_policy::AccessPolicy;
use api_key_auth::ApiKeyAuth;
use arbitrary::{Result, Unstructured};
use basic_auth::BasicAuth;
use health_shortcut::HealthShortcut;
use jwt_auth::JwtAuth;
use serde_json::{Value, json};
use shared::driver::{Run, Step};
use shared::filter::{Answer, CallFailure, Plugin, WholeBody};
use shared::headers::Headers;
use shared::testing::Bench;

/// A hash that no password is known of.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// `basic-auth`.
pub fn basic_auth(bytes: &[u8]) {
    let config = json!({
        "realm": "Example",
        "users": [{"name": "alice", "hash": "{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="}],
        "throttle": {"failures": 3, "window": "1m"},
        "rules": [{"match": {"paths": ["/a/{id}"]}, "errors": "goa"}],
    });
    assert!(!play::<BasicAuth>(&config, bytes), "somebody was let in");
}

/// `api-key-auth`.
pub fn api_key_auth(bytes: &[u8]) {
    let config = json!({
        "sources": [
            {"header": "x-api-key"},
            {"header": "authorization", "prefix": "Bearer"},
            {"query": "api_key"},
            {"cookie": "session"},
        ],
        "consumers": [{"name": "acme", "keys": [{"id": "a", "sha256": NOBODY}]}],
    });
    assert!(!play::<ApiKeyAuth>(&config, bytes), "somebody was let in");
}

/// `jwt-auth`: with keys that are written down, and with such as are fetched from the fuzzer, which
/// may then well sign a token.
pub fn jwt_auth(bytes: &[u8]) {
    let key = json!({
        "kty": "EC", "crv": "P-256", "kid": "a",
        "x": "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis",
        "y": "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE",
    });
    let config = |jwks: Value| {
        json!({"providers": [{
            "name": "main",
            "issuer": "https://issuer",
            "audiences": ["api"],
            "algorithms": ["ES256", "EdDSA", "RS256"],
            "jwks": jwks,
            "sources": [
                {"header": "authorization", "prefix": "Bearer"},
                {"query": "access_token"},
                {"cookie": "session"},
            ],
        }]})
    };
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    if first % 2 == 0 {
        let mut inline = config(json!({"inline": {"keys": [key]}}));
        if let Some(algorithms) = inline.pointer_mut("/providers/0/algorithms") {
            *algorithms = json!(["ES256"]);
        }
        assert!(!play::<JwtAuth>(&inline, rest), "somebody was let in");
    } else {
        play::<JwtAuth>(&config(json!({"uri": "https://issuer/keys", "cluster": "issuer"})), rest);
    }
}

/// `access-policy`, with evidence of the fuzzer's: nothing is open where there is none.
pub fn access_policy(bytes: &[u8]) {
    let config = json!({
        "schemes": {"jwt": {"authenticator": "jwt-auth"}, "basic": {"authenticator": "basic-auth"}},
        "security": [{"jwt": ["read"]}, {"jwt": [], "basic": []}],
        "services": [{"name": "things", "methods": [
            {"name": "show", "match": {"methods": ["GET"], "paths": ["/a/{id}"]}},
            {"name": "rest", "match": {"methods": ["GET", "POST"], "paths": ["/a/b/**"]}, "allow": {"groups": ["ops"]}},
        ]}],
        "require_https": "off",
    });
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    if first % 2 == 0 {
        assert!(!Play { has_properties: false }.run::<AccessPolicy>(&config, rest), "it is open");
    } else {
        play::<AccessPolicy>(&config, rest);
    }
}

/// `health-shortcut`.
pub fn health_shortcut(bytes: &[u8]) {
    let config = json!({
        "version": "1",
        "endpoints": [
            {"path": "/livez", "report": "liveness"},
            {"path": "/readyz", "report": "readiness"},
        ],
        "dependencies": [{"name": "db", "cluster": "db", "path": "/a"}],
        "grpc": {"cluster": "grpc-health", "services": [{"name": "", "dependencies": ["db"]}]},
    });
    play::<HealthShortcut>(&config, bytes);
}

/// What a fuzzer would take long to find.
const NAMES: [&str; 14] = [
    ":path",
    ":method",
    ":authority",
    ":scheme",
    "authorization",
    "cookie",
    "x-api-key",
    "accept",
    "content-type",
    "x-auth-subject",
    "x_auth_groups",
    "x-forwarded-proto",
    "x-forwarded-for",
    "te",
];
const VALUES: [&str; 26] = [
    "GET",
    "POST",
    "/",
    "/a/1",
    "/a/b/c",
    "/livez",
    "/readyz",
    "/a/1?api_key=",
    "/a/1?access_token=",
    "session=",
    "Basic ",
    "Bearer ",
    "Basic YWxpY2U6c2VjcmV0",
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.",
    "eyJhbGciOiJub25lIn0.",
    "application/json",
    "application/xml",
    "application/grpc",
    "application/x-grpc-health",
    "/grpc.health.v1.Health/Check",
    "https",
    "..",
    "%2f",
    "%3f",
    ";",
    "\u{0}",
];
const PROPERTIES: [&[&str]; 6] = [
    &["xds", "route_metadata"],
    &["xds", "virtual_host_metadata"],
    &["source", "address"],
    &["gatehouse.evidence.jwt-auth"],
    &["gatehouse.evidence.basic-auth"],
    &["xds", "route_name"],
];

fn play<P: Plugin>(config: &Value, bytes: &[u8]) -> bool {
    Play { has_properties: true }.run::<P>(config, bytes)
}

struct Play {
    /// Whether the proxy's own words are the fuzzer's too. Settings are not among them then: they
    /// may well open.
    has_properties: bool,
}

impl Play {
    /// Plays what the bytes say; whether a request went on.
    fn run<P: Plugin>(&self, config: &Value, bytes: &[u8]) -> bool {
        let bench = Bench::<P>::configure(config).map_err(|error| error.to_string());
        let mut stage = Stage { bench: bench.unwrap(), held: Vec::new(), calls: Vec::new() };
        let mut input = Unstructured::new(bytes);
        let mut has_passed = false;
        while !input.is_empty() {
            match self.event(&mut stage, &mut input) {
                Ok(passed) => has_passed |= passed,
                Err(_) => break,
            }
        }
        has_passed
    }

    fn event<P: Plugin>(&self, stage: &mut Stage<P>, input: &mut Unstructured<'_>) -> Result<bool> {
        match input.int_in_range(0..=9_u8)? {
            0..=4 => return stage.request(input),
            5 => return stage.news(input),
            6 => {
                let calls = stage.bench.tick();
                stage.calls.extend(calls.into_iter().map(|(id, _)| id));
            }
            7 => stage.answer(input)?,
            8 => stage.bench.proxy.pass(std::time::Duration::from_millis(input.arbitrary()?)),
            _ => {
                let place = *input.choose(&PROPERTIES)?;
                let bytes = piece(input)?;
                if self.has_properties && place.first() != Some(&"xds") {
                    stage.bench.proxy.set_property(place, &bytes);
                }
            }
        }
        Ok(false)
    }
}

struct Stage<P: Plugin> {
    bench: Bench<P>,
    held: Vec<Run<P>>,
    calls: Vec<u32>,
}

impl<P: Plugin> Stage<P> {
    fn request(&mut self, input: &mut Unstructured<'_>) -> Result<bool> {
        let mut headers = Vec::new();
        for _ in 0..input.int_in_range(0..=8_u8)? {
            let name = if input.ratio(7, 8)? {
                (*input.choose(&NAMES)?).to_owned()
            } else {
                String::from_utf8_lossy(&piece(input)?).to_lowercase()
            };
            headers.push((name, value(input)?));
        }
        let (mut run, mut outcome) = self.bench.begin(&headers);
        self.calls.extend(outcome.effects.take_calls().into_iter().map(|(ticket, _)| ticket.id));
        if matches!(outcome.step, Step::Hold) && self.held.len() < 64 {
            self.held.push(run);
        } else if let Step::Read(most) = outcome.step {
            let bytes = piece(input)?;
            let is_whole = bytes.len() <= most;
            let body = if is_whole { WholeBody::Bytes(&bytes) } else { WholeBody::TooLong };
            return Ok(self.bench.body(&mut run, body).step == Step::Continue);
        }
        Ok(outcome.step == Step::Continue)
    }

    fn news(&mut self, input: &mut Unstructured<'_>) -> Result<bool> {
        if self.held.is_empty() {
            return Ok(false);
        }
        let index = input.choose_index(self.held.len())?;
        let mut run = self.held.swap_remove(index);
        let mut outcome = self.bench.news(&mut run);
        self.calls.extend(outcome.effects.take_calls().into_iter().map(|(ticket, _)| ticket.id));
        if matches!(outcome.step, Step::Hold) {
            self.held.push(run);
        }
        Ok(outcome.step == Step::Continue)
    }

    fn answer(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let id = match self.calls.pop() {
            Some(id) => id,
            None => input.arbitrary()?,
        };
        let headers = [(":status", "200")].into_iter().collect::<Headers>();
        let (body, trailers) = (value(input)?, Headers::default());
        let failures =
            [CallFailure::Rejected, CallFailure::NoHost, CallFailure::Broken, CallFailure::TooLong];
        let answer = match input.int_in_range(0..=7_u8)? {
            0 => Answer::Failed(*input.choose(&failures)?),
            1 => Answer::Response {
                status: input.arbitrary()?,
                headers: &headers,
                body: &body,
                trailers: &trailers,
            },
            _ => Answer::Response {
                status: 200,
                headers: &headers,
                body: &body,
                trailers: &trailers,
            },
        };
        let calls = self.bench.answer(id, &answer);
        self.calls.extend(calls.into_iter().map(|(id, _)| id));
        Ok(())
    }
}

/// Some known words and some bytes, one after the other.
fn value(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    for _ in 0..input.int_in_range(1..=3_u8)? {
        if input.ratio(2, 3)? {
            value.extend_from_slice(input.choose(&VALUES)?.as_bytes());
        } else {
            value.extend_from_slice(&piece(input)?);
        }
    }
    Ok(value)
}

/// Bytes: up to a line, or a document.
fn piece(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let most = if input.ratio(1, 8)? { 2048 } else { 64 };
    let length = input.int_in_range(0..=most)?;
    Ok(input.bytes(length.min(input.len()))?.to_vec())
}
