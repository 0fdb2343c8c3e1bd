//! Every built module under a host in which anything may happen: callbacks in any order, for
//! contexts that are gone too; headers, bodies and answers of any bytes; calls that fail with any
//! status or answer with nonsense. Every filter in a module of its own, each of them as the module that
//! has all, and all of them there in a chain. No module traps, none resumes what it refused, and no
//! authenticator lets anybody through.
//!
//! `GATEHOUSE_STEPS` says how many steps are taken from each seed; 1000, if nothing does.

use serde_json::{Value, json};
use tests::host::{Action, Answer, Corruption, Headers, Host, Outcome, Trap, When};
use tests::modules::{BUNDLE, filters, top};

const SEEDS: [u64; 2] = [1, 0x9e37_79b9];

/// What is worth failing, if the module calls it.
const CALLS: [&str; 15] = [
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_set_property",
    "proxy_set_shared_data",
];

const STRAYS: [(&str, usize); 9] = [
    ("proxy_on_request_headers", 3),
    ("proxy_on_request_body", 3),
    ("proxy_on_request_trailers", 2),
    ("proxy_on_response_headers", 3),
    ("proxy_on_log", 1),
    ("proxy_on_done", 1),
    ("proxy_on_delete", 1),
    ("proxy_on_tick", 1),
    ("proxy_on_http_call_response", 5),
];

const NAMES: [&str; 16] = [
    "authorization",
    "cookie",
    "x-api-key",
    "accept",
    "content-type",
    "x-auth-subject",
    "x_auth_groups",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "te",
    "x-cost",
];

const WORDS: [&str; 22] = [
    "/",
    "/orders",
    "/livez",
    "/readyz",
    "/healthz",
    "/oauth2/callback?code=a&state=b",
    "/a/%2e%2e/b",
    "?api_key=",
    "session=",
    "Basic ",
    "Basic YWxpY2U6c2VjcmV0",
    "Bearer ",
    "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AA",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "{\"keys\":[]}",
    "{\"active\":true}",
    "{\"issuer\":\"https://issuer.example\",\"jwks_uri\":\"https://issuer.example/keys\"}",
    "application/grpc",
    "https",
    "10.0.0.1",
    ",",
    "\u{0}\r\n",
];

/// The order of a chain. What answers probes comes last, or it would let them pass the others.
const ORDER: [&str; 10] = [
    "telemetry",
    "trace-context",
    "rate-limit",
    "oauth2-login",
    "basic-auth",
    "api-key-auth",
    "jwt-auth",
    "token-introspection",
    "access-policy",
    "health-shortcut",
];

/// Those of which nobody is known to the others of these words, bytes and answers.
const CLOSED: [&str; 5] = ["basic-auth", "api-key-auth", "jwt-auth", "oauth2-login", "chain"];

#[test]
fn nothing_traps_and_nobody_is_let_through() {
    let filters = filters();
    let mut ordered = ORDER.map(str::to_owned);
    ordered.sort();
    assert_eq!(filters, ordered, "every filter is played");
    for filter in &filters {
        let config = config_of(filter);
        play(filter, filter, "", &config, &SEEDS);
        play(BUNDLE, filter, filter, &config, &SEEDS[..1]);
    }
    let chain: Vec<_> = ORDER.iter().map(|name| json!({*name: config_of(name)})).collect();
    play(BUNDLE, "chain", "chain", &json!({"chain": chain}), &SEEDS);
}

fn play(module: &str, filter: &str, root_id: &str, config: &Value, seeds: &[u64]) {
    let steps = std::env::var("GATEHOUSE_STEPS").ok().and_then(|steps| steps.parse().ok());
    for seed in seeds {
        let mut play = Play::new(module, filter, root_id, config, *seed);
        for step in 0..steps.unwrap_or(1000) {
            if let Err(trap) = play.step() {
                panic!("{filter} of {module}, seed {seed}, step {step}: {}", trap.0);
            }
        }
    }
}

/// What its manifest for Istio says.
fn config_of(filter: &str) -> Value {
    let text = std::fs::read_to_string(top().join(format!("envoy/istio/{filter}.yaml"))).unwrap();
    let documents = serde_norway::Deserializer::from_str(&text);
    let mut documents = documents.map(|one| serde::Deserialize::deserialize(one).unwrap());
    let is_its = |one: &Value| one.pointer("/spec/pluginName").is_some_and(|name| name == filter);
    let one = documents.find(is_its).unwrap_or_else(|| panic!("{filter} is not there"));
    one["spec"]["pluginConfig"].clone()
}

struct Play<'a> {
    host: Host,
    config: &'a Value,
    random: Random,
    streams: Vec<u32>,
    /// Whether nobody is ever known to it.
    is_closed: bool,
}

impl<'a> Play<'a> {
    fn new(module: &str, filter: &str, root_id: &str, config: &'a Value, seed: u64) -> Self {
        let mut host = Host::load(module).unwrap().root_id(root_id).seed(seed);
        for cluster in clusters(config) {
            host = host.cluster(&cluster);
        }
        let variables = [
            ("ACME_KEY", "xKbcO6dI0Hcv"),
            ("DAVE_PASSWORD", "Hd8sjJgqXl2s"),
            ("CLIENT_SECRET", "q9Zt4LwVb2Yk"),
            ("COOKIE_KEY", "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM="),
        ];
        host = host.environment(&variables);
        host.configure(config.to_string()).unwrap();
        let is_closed = CLOSED.contains(&filter);
        Self { host, config, random: Random(seed), streams: Vec::new(), is_closed }
    }

    fn step(&mut self) -> Result<(), Trap> {
        self.act()?;
        // What was held may have gone on, with whatever happened.
        if !self.streams.is_empty() {
            let stream = self.streams[self.random.below(self.streams.len())];
            self.judge(&self.host.outcome(stream));
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), Trap> {
        match self.random.below(17) {
            0..=4 => {
                let headers = self.head();
                let end = self.random.below(2) == 0;
                let outcome = self.host.open(&headers, end)?;
                self.judge(&outcome);
                self.streams.push(outcome.stream);
            }
            5 => self.with_stream(|host, stream, random| {
                let body = random.bytes();
                host.request_body(stream, &body, random.below(2) == 0).map(drop)
            })?,
            16 => self.with_stream(|host, stream, random| {
                let (body, value) = (random.value(), random.value());
                let trailers = Headers::new(&[("grpc-status", &value)]);
                match random.below(3) {
                    0 => host.response_body(stream, &body, random.below(2) == 0).map(drop),
                    1 => host.request_trailers(stream, trailers).map(drop),
                    _ => host.response_trailers(stream, trailers).map(drop),
                }
            })?,
            6 => self.with_stream(|host, stream, random| {
                let status = random.below(700).to_string();
                let value = random.value();
                let headers = [(":status", status.as_bytes()), ("set-cookie", &value)];
                host.respond(stream, &headers, random.below(2) == 0).map(drop)
            })?,
            7 if !self.streams.is_empty() => {
                let index = self.random.below(self.streams.len());
                let stream = self.streams.swap_remove(index);
                self.host.finish(stream)?;
            }
            8 | 9 => self.answer()?,
            10 => self.host.tick()?,
            11 => {
                let call = self.random.pick(&CALLS);
                // A proxy that goes to another stream than it says cannot be told from one that does not.
                let least = usize::from(call == "proxy_set_effective_context");
                let status = self.random.below(14).max(least) as u32;
                let nth = When::Nth(1 + self.random.below(3) as u32);
                self.host.inject(call, nth, status);
            }
            12 => self.corrupt(),
            13 => self.host.heal(),
            14 => {
                let (export, count) = STRAYS[self.random.below(STRAYS.len())];
                let arguments: Vec<_> =
                    (0..count).map(|_| self.random.below(5000) as u32).collect();
                self.stray(export, arguments)?;
            }
            _ => self.later()?,
        }
        Ok(())
    }

    fn corrupt(&mut self) {
        let corruptions = [
            Corruption::Truncated(self.random.below(40)),
            Corruption::CountTooLarge,
            Corruption::LengthsPastTheEnd,
            Corruption::NullPointer,
            Corruption::NoTerminators,
            Corruption::Empty,
            Corruption::Huge,
        ];
        let corruption = corruptions[self.random.below(corruptions.len())];
        let reads = [
            "proxy_get_header_map_pairs",
            "proxy_get_property",
            "proxy_get_shared_data",
            "proxy_get_buffer_bytes",
        ];
        self.host.corrupt(self.random.pick(&reads), When::Nth(1), corruption);
    }

    /// Contexts that are there are left to the callbacks that are their turn.
    fn stray(&mut self, export: &str, mut arguments: Vec<u32>) -> Result<(), Trap> {
        arguments[0] += 1_000_000;
        self.host.stray(export, &arguments)
    }

    fn later(&mut self) -> Result<(), Trap> {
        let days = self.random.below(3) as u64;
        self.host.set_time(1_767_268_800_000_000_000 + days * 86_400_000_000_000);
        if self.random.below(20) == 0 {
            self.host.heal();
            // The streams of the plugin before are still under way.
            self.host.configure(self.config.to_string()).map_err(|error| Trap(error.reason()))?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), Trap> {
        let pending = self.host.pending();
        if pending.is_empty() {
            return Ok(());
        }
        let token = pending[self.random.below(pending.len())].token;
        let answer = match self.random.below(6) {
            0 => Answer::default(),
            1 => Answer::new(504, "upstream request timeout"),
            2 => {
                // In the form of gRPC: a frame of any message, and how it went.
                let message = self.random.value();
                let length = (message.len() as u32).to_be_bytes();
                let kind = [(":status", "200"), ("content-type", "application/grpc")];
                let status = self.random.pick(&["0", "4", "14", "16", ""]);
                let trailers = Headers::new(&[("grpc-status", status)]);
                let body = [&[0][..], &length, &message].concat();
                Answer { headers: Headers::new(&kind), body, trailers }
            }
            _ => {
                let kind = self.random.pick(&["application/json", "text/html", ""]);
                let headers = Headers::new(&[(":status", "200"), ("content-type", kind)]);
                Answer { headers, body: self.random.value(), trailers: Headers::default() }
            }
        };
        let outcome = self.host.answer(token, answer)?;
        self.judge(&outcome);
        Ok(())
    }

    fn judge(&self, outcome: &Outcome) {
        let has_passed = outcome.stream != 0
            && outcome.action == Action::Continue
            && outcome.local_reply.is_none();
        assert!(!self.is_closed || !has_passed, "somebody was let through: {outcome:?}");
    }

    fn with_stream(
        &mut self,
        act: impl FnOnce(&mut Host, u32, &mut Random) -> Result<(), Trap>,
    ) -> Result<(), Trap> {
        if self.streams.is_empty() {
            return Ok(());
        }
        let stream = self.streams[self.random.below(self.streams.len())];
        act(&mut self.host, stream, &mut self.random)
    }

    fn head(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut headers = vec![
            (":method".to_owned(), self.random.pick(&["GET", "POST", "PUT"]).into()),
            (":path".to_owned(), [b"/", &self.random.value()[..]].concat()),
            (":authority".to_owned(), b"shop".to_vec()),
        ];
        for _ in 0..self.random.below(6) {
            headers.push((self.random.pick(&NAMES).to_owned(), self.random.value()));
        }
        headers
    }
}

/// The clusters that a configuration names.
fn clusters(config: &Value) -> Vec<String> {
    match config {
        Value::Object(members) => {
            let own = members.iter().filter(|(name, _)| name.ends_with("cluster"));
            let own = own.filter_map(|(_, value)| Some(value.as_str()?.to_owned()));
            own.chain(members.values().flat_map(clusters)).collect()
        }
        Value::Array(items) => items.iter().flat_map(clusters).collect(),
        _ => Vec::new(),
    }
}

/// `SplitMix64`: the same from the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = if self.below(8) == 0 { self.below(3000) } else { self.below(24) };
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Some known words and some bytes.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..=self.below(3) {
            match self.below(3) {
                0 => value.extend(self.bytes()),
                _ => value.extend_from_slice(self.pick(&WORDS).as_bytes()),
            }
        }
        value
    }
}
