//! A stand-in for the proxy, for native tests: it holds what a test says, and no opinion of how a
//! real proxy behaves. That is for the tests of the built modules in the real one.

mod stack;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Environment, Invalid};
use crate::driver::{Instance, Run, Step};
use crate::effects::{Effect, Effects};
use crate::filter::{Answer, Background, Birth, Call, Plugin, WholeBody};
use crate::headers::Headers;
use crate::reply::Reply;
use crate::store::{Store, Version, WriteFailure};
use crate::time::Timestamp;
use crate::view::{Host, Map, Request, Response, Unreadable};

pub use stack::{Stack, Sum};

/// The stand-in.
pub struct Proxy {
    request: RefCell<Headers>,
    response: RefCell<Headers>,
    body: RefCell<Vec<u8>>,
    properties: RefCell<BTreeMap<String, Vec<u8>>>,
    shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    now: Cell<Timestamp>,
    races: Cell<usize>,
    fails: Cell<bool>,
    random: Cell<u8>,
    /// What has been read of the request: `headers`, or the path of a property.
    reads: RefCell<Vec<String>>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            request: RefCell::default(),
            response: RefCell::default(),
            body: RefCell::default(),
            properties: RefCell::default(),
            shared: RefCell::default(),
            now: Cell::new(Timestamp::from_secs(1_800_000_000)),
            races: Cell::new(0),
            fails: Cell::new(false),
            random: Cell::new(7),
            reads: RefCell::default(),
        }
    }
}

impl Proxy {
    /// One that is at a request with these headers.
    pub fn with_request<N: AsRef<[u8]>, V: AsRef<[u8]>>(headers: &[(N, V)]) -> Self {
        let proxy = Self::default();
        proxy.set_request(headers);
        proxy
    }

    /// Goes to the next request.
    pub fn set_request<N: AsRef<[u8]>, V: AsRef<[u8]>>(&self, headers: &[(N, V)]) {
        *self.request.borrow_mut() =
            headers.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    }

    /// Goes to its response.
    pub fn set_response<N: AsRef<[u8]>, V: AsRef<[u8]>>(&self, headers: &[(N, V)]) {
        *self.response.borrow_mut() =
            headers.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    }

    /// Sets a property.
    pub fn set_property(&self, path: &[&str], value: &[u8]) {
        self.properties.borrow_mut().insert(path.join("."), value.to_vec());
    }

    /// Takes a property away.
    pub fn remove_property(&self, path: &[&str]) {
        self.properties.borrow_mut().remove(&path.join("."));
    }

    /// Goes to the next part of a body.
    pub fn set_body(&self, part: &[u8]) {
        *self.body.borrow_mut() = part.to_vec();
    }

    /// Sets the clock.
    pub fn set_now(&self, now: Timestamp) {
        self.now.set(now);
    }

    /// Sets the clock ahead.
    pub fn pass(&self, time: std::time::Duration) {
        self.now.set(self.now.get().after(time));
    }

    /// Lets another worker be faster so many times: it appends a zero byte to what is written.
    pub fn lose_races(&self, races: usize) {
        self.races.set(races);
    }

    /// Sets what every random byte is; 7 unless told.
    pub fn set_random(&self, byte: u8) {
        self.random.set(byte);
    }

    /// Lets every read fail from now on.
    pub fn fail(&self) {
        self.fails.set(true);
    }

    /// How many slots of shared data were ever written.
    pub fn shared_keys(&self) -> usize {
        self.shared.borrow().len()
    }

    /// How many bytes shared data takes, names included.
    pub fn shared_bytes(&self) -> usize {
        self.shared
            .borrow()
            .iter()
            .map(|(key, (bytes, _))| key.len().saturating_add(bytes.len()))
            .sum()
    }

    /// What has been read of the request: `headers`, or the path of a property.
    pub fn reads(&self) -> Vec<String> {
        self.reads.borrow().clone()
    }

    fn answer<T>(&self, value: T) -> Result<T, Unreadable> {
        if self.fails.get() { Err(Unreadable) } else { Ok(value) }
    }
}

impl Host for Proxy {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        self.answer(self.now.get())
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), Unreadable> {
        bytes.fill(self.random.get());
        self.answer(())
    }

    fn headers(&self, map: Map) -> Result<Headers, Unreadable> {
        self.reads.borrow_mut().push("headers".to_owned());
        self.answer(match map {
            Map::Request => self.request.borrow().clone(),
            Map::Response => self.response.borrow().clone(),
        })
    }

    fn header(&self, map: Map, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.headers(map)?.first(name).map(<[u8]>::to_vec))
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Unreadable> {
        let path = path.join(".");
        self.reads.borrow_mut().push(path.clone());
        self.answer(self.properties.borrow().get(&path).cloned())
    }

    fn body(&self, _: Map, most: usize) -> Result<Vec<u8>, Unreadable> {
        self.answer(self.body.borrow().iter().take(most).copied().collect())
    }

    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Unreadable> {
        self.answer(match self.shared.borrow().get(key) {
            Some((bytes, number)) => (bytes.clone(), Version::Number(*number)),
            None => (Vec::new(), Version::Absent),
        })
    }

    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), WriteFailure> {
        let mut shared = self.shared.borrow_mut();
        let next = match shared.get(key) {
            Some((_, number)) => number.wrapping_add(1),
            None => 1,
        };
        if self.races.get() > 0 {
            self.races.set(self.races.get().saturating_sub(1));
            let mut bytes = shared.get(key).map(|(bytes, _)| bytes.clone()).unwrap_or_default();
            bytes.push(0);
            shared.insert(key.to_owned(), (bytes, next));
            return Err(WriteFailure::Overtaken);
        }
        let current =
            shared.get(key).map_or(Version::Absent, |(_, number)| Version::Number(*number));
        if current != version {
            return Err(WriteFailure::Overtaken);
        }
        shared.insert(key.to_owned(), (value.to_vec(), next));
        Ok(())
    }
}

/// A configured filter and the stand-in that it runs under.
pub struct Bench<P: Plugin> {
    /// The proxy.
    pub proxy: Proxy,
    /// The filter.
    pub instance: Instance<P>,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// What the host had to do.
    pub step: Step,
    /// What else was to be done.
    pub effects: Effects,
}

impl Outcome {
    /// In one line: `continue`, `read 10`, `wait GET cluster/path`, or status and details, and the effects.
    pub fn line(&self) -> String {
        let step = match &self.step {
            Step::Continue => "continue".to_owned(),
            Step::Hold => "hold".to_owned(),
            Step::Read(most) => format!("read {most}"),
            Step::Anew => "anew".to_owned(),
            Step::Wait(call) => format!("wait {} {}{}", call.method, call.cluster, call.path),
            Step::Reply(reply) => format!("{} {}", reply.status, reply.details),
        };
        format!("{step} {}", self.effects).trim_end().to_owned()
    }

    /// The answer that the filter gave, if it gave one.
    pub const fn reply(&self) -> Option<&Reply> {
        match &self.step {
            Step::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// The value of a header of that answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.reply()?.headers.iter();
        headers.find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl<P: Plugin> Bench<P> {
    /// The filter under a configuration, or its error.
    pub fn configure(config: &Value) -> Result<Self, Invalid> {
        Self::configure_in(config, &Environment::default())
    }

    /// The same with an environment.
    pub fn configure_in(config: &Value, environment: &Environment) -> Result<Self, Invalid> {
        let proxy = Proxy::default();
        let birth = Birth { name: "test", secret: [7; 16], now: proxy.now.get(), host: &proxy };
        let instance = Instance::configure(config.to_string().as_bytes(), environment, &birth)?;
        Ok(Self { proxy, instance })
    }

    /// Sends a request through the filter.
    pub fn send<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, headers: &[(N, V)]) -> Outcome {
        self.begin(headers).1
    }

    /// Asks a filter that holds a request what it makes of the news, as of a request whose exchange
    /// is `run`.
    pub fn news(&mut self, run: &mut Run<P>) -> Outcome {
        let request = Request::new(&self.proxy);
        let mut effects = Effects::default();
        let step = self.instance.on_news(run, &request, &mut effects);
        Outcome { step, effects }
    }

    /// Sends a request through the filter, and keeps its exchange.
    pub fn begin<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        headers: &[(N, V)],
    ) -> (Run<P>, Outcome) {
        self.proxy.set_request(headers);
        let (mut run, mut effects) = (Run::default(), Effects::default());
        loop {
            let request = Request::new(&self.proxy);
            let step = self.instance.on_request(&mut run, &request, &mut effects);
            if step != Step::Anew {
                return (run, Outcome { step, effects });
            }
            for effect in effects.iter() {
                if let Effect::RemoveRequestHeader(name) = effect {
                    self.proxy.request.borrow_mut().remove(name);
                }
            }
        }
    }

    /// Hands over the body of a request that is read, and whose exchange is `run`. Its head is gone.
    pub fn body(&mut self, run: &mut Run<P>, body: WholeBody<'_>) -> Outcome {
        self.proxy.set_request::<&str, &str>(&[]);
        let request = Request::new(&self.proxy);
        let mut effects = Effects::default();
        let step = self.instance.on_whole_body(run, body, &request, &mut effects);
        Outcome { step, effects }
    }

    /// Answers a request whose exchange is `run`: what is done to the response.
    pub fn respond<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        run: &mut Run<P>,
        headers: &[(N, V)],
    ) -> Effects {
        self.proxy.set_response(headers);
        let mut effects = Effects::default();
        self.instance.on_response(run, &Response::new(&self.proxy), &mut effects);
        effects
    }

    /// Lets time pass: what background work asks for.
    pub fn tick(&mut self) -> Vec<(u32, Call)> {
        let mut background = Background::new(self.proxy.now.get(), Store::new(&self.proxy));
        self.instance.plugin.on_tick(&mut background);
        calls_of(&mut background)
    }

    /// Answers a background call: what calls that leads to.
    pub fn answer(&mut self, id: u32, answer: &Answer<'_>) -> Vec<(u32, Call)> {
        let mut background = Background::new(self.proxy.now.get(), Store::new(&self.proxy));
        self.instance.plugin.on_background_answer(id, answer, &mut background);
        calls_of(&mut background)
    }
}

fn calls_of(background: &mut Background<'_>) -> Vec<(u32, Call)> {
    background.take_calls().into_iter().map(|(ticket, call)| (ticket.id, call)).collect()
}

/// A value as a `google.protobuf.Struct`, the form in which proxies hand over YAML.
pub fn structure(value: &Value) -> prost_types::Struct {
    let fields = value.as_object().into_iter().flatten();
    prost_types::Struct {
        fields: fields.map(|(name, value)| (name.clone(), protobuf(value))).collect(),
    }
}

fn protobuf(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => {
            Kind::ListValue(prost_types::ListValue { values: list.iter().map(protobuf).collect() })
        }
        Value::Object(_) => Kind::StructValue(structure(value)),
    };
    prost_types::Value { kind: Some(kind) }
}
