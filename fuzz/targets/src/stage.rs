//! A module, and a proxy that does to it what the bytes say, in whatever order.
//!
//! It keeps to what the adapter keeps to (`shared/src/proxy/root.rs`): effects are kept while a request
//! is held, its changes are applied when it goes on, and a request that was answered is never asked
//! about again. All else may happen at any time. What holds of every filter is checked here:
//!
//! 1. What a filter sets, answers and asks for is of legal characters, if what came was.
//! 2. JSON that it answers is JSON; a 401 has a challenge.
//! 3. A call that nobody waits for is answered by a refusal.
//! 4. Where a read of the proxy fails, no request goes on.
//! 5. The shared store stays small, whatever comes.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use serde_json::Value;
use shared::bundle;
use shared::config::Environment;
use shared::driver::Step;
use shared::effects::{Effect, Effects};
use shared::filter::{Answer, Background, Birth, Call, CallFailure, Ticket, WholeBody};
use shared::reply::Reply;
use shared::runner::Runner;
use shared::store::Store;
use shared::testing::Proxy;
use shared::view::{Body, Exchange, Map, Response};

use crate::words::{Fields, PROPERTIES, fields, request, value, with_answer};

/// The most that any of these configurations may keep in the shared store.
const MOST_SHARED: usize = 8 << 20;
/// How many exchanges are under way at once.
const MOST_STREAMS: usize = 24;

/// A request that went on.
pub(crate) struct Passed<'a> {
    /// As it came.
    pub(crate) came: &'a Fields,
    /// As it goes on.
    pub(crate) goes: &'a Fields,
    /// The headers that the module set.
    pub(crate) set: &'a [String],
}

/// What has to hold of one module.
pub(crate) struct Rules {
    /// Of a request that went on.
    pub(crate) passed: fn(&Passed<'_>),
    /// Of an answer in the upstream's place.
    pub(crate) answered: fn(&Reply),
    /// Of filter state that it sets.
    pub(crate) kept: fn(&str, &[u8]),
    /// Of headers that it sets on the response.
    pub(crate) told: fn(&str, &[u8]),
    /// Whether the filter state that others write is the fuzzer's too. Settings are not among it: they
    /// may well open.
    pub(crate) has_properties: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            passed: |_| {},
            answered: |_| {},
            kept: |_, _| {},
            told: |_, _| {},
            has_properties: false,
        }
    }
}

/// Plays what the bytes say on a module of this root id.
pub(crate) fn play(root_id: &str, config: &Value, rules: Rules, bytes: &[u8]) {
    let mut stage = Stage::new(root_id, config, rules);
    let mut input = Unstructured::new(bytes);
    while !input.is_empty() && stage.event(&mut input).is_ok() {}
    assert!(stage.proxy.shared_bytes() <= MOST_SHARED, "the shared store grows");
}

/// A module and its proxy.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    module: Box<dyn Runner>,
    rules: Rules,
    streams: Vec<Stream>,
    calls: Vec<Ticket>,
    next: u32,
    /// Filter state of the exchange that the proxy is at.
    shown: Vec<String>,
    /// Whether the proxy fails reads.
    fails: bool,
    /// Whether all that came, the proxy's own words too, is of legal characters.
    legal: bool,
}

/// An exchange.
#[derive(Default)]
pub(crate) struct Stream {
    id: u32,
    /// As it came, and as it is now.
    came: Fields,
    headers: Fields,
    effects: Effects,
    state: BTreeMap<String, Vec<u8>>,
    at: At,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Waits,
    Holds,
    Reads,
    Gone,
    Answered,
}

impl Stage {
    pub(crate) fn new(root_id: &str, config: &Value, rules: Rules) -> Self {
        let proxy = Proxy::default();
        let birth = Birth { name: "test", secret: [7; 16], now: now(&proxy), host: &proxy };
        let (text, environment) = (config.to_string(), Environment::default());
        let module =
            bundle::configure(::bundle::FILTERS, root_id, text.as_bytes(), &environment, &birth);
        let module = module.map_err(|error| error.to_string()).expect("the configuration is good");
        proxy.set_property(&["source", "address"], b"10.1.2.3:4567");
        let (streams, calls, shown) = (Vec::new(), Vec::new(), Vec::new());
        Self { proxy, module, rules, streams, calls, next: 1, shown, fails: false, legal: true }
    }

    fn event(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=15_u8)? {
            0..=4 => {
                let headers = request(input)?;
                self.send(headers);
            }
            5 => self.with(input, At::Holds, |stage, stream, _| {
                stage.news(stream);
                Ok(())
            })?,
            6 => self.tick(),
            7 | 8 => {
                let ticket = match self.calls.pop() {
                    Some(ticket) => ticket,
                    None => Ticket {
                        place: usize::from(input.arbitrary::<u8>()?),
                        id: input.arbitrary()?,
                    },
                };
                with_answer(input, |answer| self.tell(ticket, answer))?;
            }
            9 => self.proxy.pass(Duration::from_millis(input.arbitrary::<u32>()?.into())),
            10 => self.property(input)?,
            11 => self.with(input, At::Waits, |stage, stream, input| {
                with_answer(input, |answer| stage.answer(stream, answer))
            })?,
            12 => self.response(input)?,
            13 => self.body(input)?,
            14 => self.end(input)?,
            _ => self.mishap(input)?,
        }
        Ok(())
    }

    /// A request has come: what became of it, for who wants to go on with it.
    pub(crate) fn send(&mut self, headers: Fields) {
        self.legal &= headers.iter().all(|(_, value)| is_legal(value));
        let mut stream =
            Stream { id: self.next, came: headers.clone(), headers, ..Stream::default() };
        self.next = self.next.wrapping_add(1);
        self.enter(&stream);
        let mut request = self.module.view(&self.proxy);
        let step = self.module.on_request(stream.id, &mut request, &mut stream.effects);
        drop(request);
        let goes_on = step == Step::Continue;
        assert!(!self.fails || !goes_on, "a request went on, and the proxy has failed");
        self.act(stream, step);
    }

    fn news(&mut self, mut stream: Stream) {
        self.enter(&stream);
        let mut request = self.module.view(&self.proxy);
        let step = self.module.on_news(stream.id, &mut request, &mut stream.effects);
        drop(request);
        self.act(stream, step);
    }

    fn answer(&mut self, mut stream: Stream, answer: &Answer<'_>) {
        self.enter(&stream);
        let mut request = self.module.view(&self.proxy);
        let step = self.module.on_answer(stream.id, answer, &mut request, &mut stream.effects);
        drop(request);
        self.act(stream, step);
    }

    fn tick(&mut self) {
        let mut background = Background::new(now(&self.proxy), Store::new(&self.proxy));
        self.module.on_tick(&mut background);
        self.calls.extend(checked(background.take_calls()));
    }

    fn tell(&mut self, ticket: Ticket, answer: &Answer<'_>) {
        let mut background = Background::new(now(&self.proxy), Store::new(&self.proxy));
        self.module.on_background_answer(ticket, answer, &mut background);
        self.calls.extend(checked(background.take_calls()));
    }

    fn response(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let Some(index) = self.any(input)? else { return Ok(()) };
        let mut headers =
            vec![(":status".to_owned(), input.int_in_range(0..=699)?.to_string().into())];
        headers.extend(fields(input, 5)?);
        self.proxy.set_response(&headers);
        let (id, mut effects) = (self.at(index), Effects::default());
        self.module.on_response(id, &mut Response::new(&self.proxy), &mut effects);
        for effect in effects.take() {
            self.note(&effect);
        }
        Ok(())
    }

    /// The body of a request that is read, or a part of another as it passes by.
    fn body(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        if let Some(index) = self.streams.iter().position(|stream| stream.at == At::Reads) {
            let (mut stream, bytes) = (self.streams.swap_remove(index), value(input)?);
            let body = match input.int_in_range(0..=7_u8)? {
                0 => WholeBody::TooLong,
                _ => WholeBody::Bytes(&bytes),
            };
            self.enter(&stream);
            self.proxy.set_request::<&str, &str>(&[]);
            let mut request = self.module.view(&self.proxy);
            let (id, effects) = (stream.id, &mut stream.effects);
            let step = self.module.on_whole_body(id, body, &mut request, effects);
            drop(request);
            self.act(stream, step);
            return Ok(());
        }
        let Some(index) = self.any(input)? else { return Ok(()) };
        let (map, part) = (*input.choose(&[Map::Request, Map::Response])?, value(input)?);
        self.proxy.set_body(&part);
        let id = self.at(index);
        self.module.on_body(id, map, &Body::new(&self.proxy, map, part.len(), input.arbitrary()?));
        Ok(())
    }

    fn end(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let Some(index) = self.any(input)? else { return Ok(()) };
        self.proxy
            .set_property(&["response", "code"], &input.int_in_range(0..=699_u64)?.to_le_bytes());
        self.proxy.set_property(&["request", "duration"], &input.arbitrary::<u64>()?.to_le_bytes());
        self.proxy.set_property(&["response", "code_details"], &value(input)?);
        let (id, mut effects) = (self.at(index), Effects::default());
        if input.ratio(7, 8)? {
            self.module.on_log(id, &Exchange::new(&self.proxy), &mut effects);
        }
        for effect in effects.take() {
            self.note(&effect);
        }
        self.module.forget(id);
        self.streams.swap_remove(index);
        Ok(())
    }

    /// What a proxy seldom does.
    fn mishap(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=4_u8)? {
            0 => self.proxy.lose_races(usize::from(input.int_in_range(1..=40_u8)?)),
            1 => self.proxy.set_random(input.arbitrary()?),
            2 if !self.rules.has_properties => {
                // Of an exchange that the module never saw, or has forgotten.
                let mut stream =
                    Stream { id: self.next, headers: request(input)?, ..Stream::default() };
                self.next = self.next.wrapping_add(1);
                self.enter(&stream);
                let mut request = self.module.view(&self.proxy);
                let step = if input.arbitrary()? {
                    self.module.on_news(stream.id, &mut request, &mut stream.effects)
                } else {
                    let answer = Answer::Failed(CallFailure::Broken);
                    self.module.on_answer(stream.id, &answer, &mut request, &mut stream.effects)
                };
                assert!(matches!(step, Step::Reply(_)), "nobody waits, and {step:?}");
                self.module.forget(stream.id);
            }
            3 => {
                let Some(index) = self.any(input)? else { return Ok(()) };
                if !matches!(self.streams.get(index).map(|stream| stream.at), Some(At::Holds)) {
                    return Ok(());
                }
                let mut stream = self.streams.swap_remove(index);
                self.enter(&stream);
                let mut request = self.module.view(&self.proxy);
                let step = self.module.too_many_held(stream.id, &mut request, &mut stream.effects);
                drop(request);
                self.act(stream, step);
            }
            _ if input.ratio(1, 4)? => {
                self.proxy.fail();
                self.fails = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn property(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let place = *input.choose(&PROPERTIES)?;
        let bytes = value(input)?;
        let is_state = place.first().is_some_and(|first| first.starts_with("gatehouse."));
        if self.rules.has_properties || !is_state {
            self.legal &= is_legal(&bytes) && !is_state;
            self.proxy.set_property(place, &bytes);
        }
        Ok(())
    }

    fn with(
        &mut self,
        input: &mut Unstructured<'_>,
        at: At,
        act: impl FnOnce(&mut Self, Stream, &mut Unstructured<'_>) -> Result<()>,
    ) -> Result<()> {
        let places = self.streams.iter().enumerate();
        let fitting: Vec<_> =
            places.filter(|(_, stream)| stream.at == at).map(|(at, _)| at).collect();
        if fitting.is_empty() {
            return Ok(());
        }
        let index = *input.choose(&fitting)?;
        let stream = self.streams.swap_remove(index);
        act(self, stream, input)
    }

    fn any(&self, input: &mut Unstructured<'_>) -> Result<Option<usize>> {
        if self.streams.is_empty() {
            return Ok(None);
        }
        input.choose_index(self.streams.len()).map(Some)
    }

    /// Goes to an exchange that is under way: its number.
    fn at(&mut self, index: usize) -> u32 {
        let stream = self.streams.swap_remove(index);
        let id = stream.id;
        self.enter(&stream);
        self.streams.push(stream);
        let last = self.streams.len().saturating_sub(1);
        self.streams.swap(index, last);
        id
    }

    /// Shows the module an exchange: its request, and its filter state.
    fn enter(&mut self, stream: &Stream) {
        self.proxy.set_request(&stream.headers);
        for name in self.shown.drain(..) {
            self.proxy.remove_property(&[&name]);
        }
        for (name, value) in &stream.state {
            self.proxy.set_property(&[name], value);
            self.shown.push(name.clone());
        }
    }

    /// Does what the module decided.
    fn act(&mut self, mut stream: Stream, step: Step) {
        self.calls.extend(checked(stream.effects.take_calls()));
        stream.at = match step {
            Step::Continue => {
                self.go_on(&mut stream);
                At::Gone
            }
            Step::Read(_) => {
                self.go_on(&mut stream);
                At::Reads
            }
            Step::Anew => {
                for edit in stream.effects.take_edits() {
                    self.note(&edit);
                    edited(&mut stream.headers, &edit);
                }
                self.enter(&stream);
                let mut request = self.module.view(&self.proxy);
                let step = self.module.on_anew(stream.id, &mut request, &mut stream.effects);
                drop(request);
                return self.act(stream, step);
            }
            Step::Wait(call) => {
                check_call(&call);
                At::Waits
            }
            Step::Hold => At::Holds,
            Step::Reply(reply) => {
                self.check_reply(&reply);
                for effect in stream.effects.take() {
                    self.note(&effect);
                }
                At::Answered
            }
        };
        if self.streams.len() >= MOST_STREAMS {
            let gone = self.streams.swap_remove(0);
            self.module.forget(gone.id);
        }
        self.streams.push(stream);
    }

    fn go_on(&mut self, stream: &mut Stream) {
        let mut set = Vec::new();
        for effect in stream.effects.take() {
            self.note(&effect);
            edited(&mut stream.headers, &effect);
            if let Effect::SetRequestHeader(name, _) = &effect {
                set.push(name.to_string());
            }
            if let Some((name, value)) = effect.state() {
                stream.state.insert(name.to_string(), value.to_vec());
            }
        }
        (self.rules.passed)(&Passed { came: &stream.came, goes: &stream.headers, set: &set });
    }

    /// Looks at what is done to an exchange.
    fn note(&self, effect: &Effect) {
        match effect {
            Effect::SetRequestHeader(name, value) => self.check_field(name, value),
            Effect::SetResponseHeader(name, value) | Effect::AddResponseHeader(name, value) => {
                self.check_field(name, value);
                (self.rules.told)(name, value);
            }
            Effect::SetState(name, value) => (self.rules.kept)(name, value),
            Effect::Leave(name, testimony) => (self.rules.kept)(name, &testimony.written()),
            Effect::RemoveRequestHeader(_) | Effect::Count(_) | Effect::Measure(..) => {}
        }
    }

    fn check_field(&self, name: &str, value: &[u8]) {
        assert!(is_name(name.strip_prefix(':').unwrap_or(name)), "a header `{name}`");
        let shown = String::from_utf8_lossy(value);
        assert!(is_legal(value) || !self.legal, "{name}: {shown:?}");
    }

    fn check_reply(&self, reply: &Reply) {
        let Reply { status, details, headers, body, grpc_status } = reply;
        assert!((200..=599).contains(status), "{reply:?}");
        assert!(details.starts_with("gatehouse.") && details.bytes().all(|b| b.is_ascii_graphic()));
        for (name, value) in headers {
            self.check_field(name, value.as_bytes());
        }
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name);
        assert!(*status != 401 || header("www-authenticate").is_some(), "{reply:?}");
        if header("content-type").is_some_and(|(_, kind)| kind.contains("json")) {
            serde_json::from_slice::<Value>(body).expect("JSON");
        }
        assert!(grpc_status.is_none_or(|code| code <= 16), "{reply:?}");
        (self.rules.answered)(reply);
    }
}

/// A change to the head of a request.
fn edited(headers: &mut Fields, effect: &Effect) {
    if let Effect::SetRequestHeader(name, _) | Effect::RemoveRequestHeader(name) = effect {
        headers.retain(|(known, _)| **known != **name);
    }
    if let Effect::SetRequestHeader(name, value) = effect {
        headers.push((name.to_string(), value.to_vec()));
    }
}

fn now(proxy: &Proxy) -> shared::time::Timestamp {
    shared::view::Host::now(proxy).unwrap_or_default()
}

fn checked(calls: Vec<(Ticket, Call)>) -> impl Iterator<Item = Ticket> {
    calls.into_iter().map(|(ticket, call)| {
        check_call(&call);
        ticket
    })
}

/// What a proxy is asked to send is HTTP.
fn check_call(call: &Call) {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_word(&call.cluster) && is_word(&call.authority) && is_word(&call.path), "{call:?}");
    assert!(call.path.starts_with('/') && matches!(call.method, "GET" | "POST"), "{call:?}");
    assert!(call.timeout >= Duration::from_millis(1), "{call:?}");
    for (name, value) in &call.headers {
        assert!(is_name(name) && is_legal(value.as_bytes()), "{call:?}");
    }
}

/// What no HTTP can carry in a value (RFC 9110, 5.5).
pub(crate) fn is_legal(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}
