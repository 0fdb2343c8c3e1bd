//! What a filter may look at: a view of one exchange, read from the proxy as it is asked for.
//!
//! 1. A read costs a call to the proxy the first time, nothing after that.
//! 2. Time and randomness come with the view; a filter has no other source of them.
//! 3. A read that the proxy fails is remembered ([`Request::fault`]): the exchange is then refused,
//!    whatever the filter made of it.
//! 4. The filters of a chain share a view: each sees the request as those in front of it leave it,
//!    and what one has read is read for all ([`Request::of_chain`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use crate::effects::{Effect, Effects};
use crate::evidence::Testimony;
use crate::headers::{Headers, Sole};
use crate::matching::path::{BadPath, Readings};
use crate::store::{Store, Version, WriteFailure};
use crate::time::Timestamp;

/// One of the header maps of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// What the client sent.
    Request,
    /// What the upstream, or the proxy itself, answers.
    Response,
}

/// The proxy could not, or would not, answer a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// What a proxy can be asked. The adapter asks the real one; tests have [`crate::testing`].
pub trait Host {
    /// The time now.
    fn now(&self) -> Result<Timestamp, Unreadable>;
    /// Fills `bytes` with what nobody can guess.
    fn random(&self, bytes: &mut [u8]) -> Result<(), Unreadable>;
    /// A header map, whole.
    fn headers(&self, map: Map) -> Result<Headers, Unreadable>;
    /// The first value of a header.
    fn header(&self, map: Map, name: &str) -> Result<Option<Vec<u8>>, Unreadable>;
    /// A property of the exchange or of the proxy; `None` where it has none of that name.
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Unreadable>;
    /// Shared data: the bytes under `key`, and the version to name when they are replaced.
    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Unreadable>;
    /// The first bytes of the part of a body that is passing by.
    fn body(&self, _map: Map, _most: usize) -> Result<Vec<u8>, Unreadable> {
        Err(Unreadable)
    }
    /// Whether `signature` is a key's over `text`: PKCS #1 v1.5 or ECDSA in DER, with a hash such as
    /// `sha256`, the key as a `SubjectPublicKeyInfo`. Few proxies know.
    fn verify_signature(
        &self,
        _hash: &str,
        _key: &[u8],
        _signature: &[u8],
        _text: &[u8],
    ) -> Result<bool, Unreadable> {
        Err(Unreadable)
    }
    /// Replaces shared data, if it still is of that version.
    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), WriteFailure>;
}

/// No proxy: no question has an answer. For a look at a configuration apart from any proxy.
#[derive(Clone, Copy, Debug)]
pub struct NoHost;

impl Host for NoHost {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        Err(Unreadable)
    }

    fn random(&self, _bytes: &mut [u8]) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn headers(&self, _map: Map) -> Result<Headers, Unreadable> {
        Err(Unreadable)
    }

    fn header(&self, _map: Map, _name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn property(&self, _path: &[&str]) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn shared(&self, _key: &str) -> Result<(Vec<u8>, Version), Unreadable> {
        Err(Unreadable)
    }

    fn share(&self, _key: &str, _value: &[u8], _version: Version) -> Result<(), WriteFailure> {
        Err(WriteFailure::Refused)
    }
}

/// A request, before it goes on.
pub struct Request<'a> {
    host: &'a dyn Host,
    now: OnceCell<Timestamp>,
    headers: OnceCell<Headers>,
    path: OnceCell<Option<Vec<u8>>>,
    /// Those of a path that has several, or none.
    readings: OnceCell<Result<Readings<'static>, BadPath>>,
    /// Of the route, and of its virtual host.
    metadata: OnceCell<[Vec<u8>; 2]>,
    fault: Cell<bool>,
    timed: Cell<Option<Timestamp>>,
    /// What the filters of a chain have read and set.
    properties: Option<RefCell<Properties>>,
}

/// Each by the parts of its path, a zero byte between them.
type Properties = Vec<(Rc<str>, Known)>;

/// What is known of a property.
enum Known {
    /// It has these bytes, or there is none.
    Read(Option<Rc<[u8]>>),
    /// It is evidence, which may never be needed as bytes.
    Left(Rc<Testimony>),
}

/// The header with which a client asks how long filters take ([`Request::timed_since`]).
pub const TIMING_HEADER: &str = "x-gatehouse-timing";

impl<'a> Request<'a> {
    /// A view of the request that the proxy is at.
    pub fn new(host: &'a dyn Host) -> Self {
        Self {
            host,
            now: OnceCell::new(),
            headers: OnceCell::new(),
            path: OnceCell::new(),
            readings: OnceCell::new(),
            metadata: OnceCell::new(),
            fault: Cell::new(false),
            timed: Cell::new(None),
            properties: None,
        }
    }

    /// The same for many filters, of which one or the other will look at all headers.
    pub(crate) fn of_chain(host: &'a dyn Host) -> Self {
        Self { properties: Some(RefCell::new(Vec::with_capacity(16))), ..Self::new(host) }
    }

    /// Shows the filters behind what one in front wants done.
    pub(crate) fn apply(&mut self, effects: &Effects) {
        for effect in effects.iter() {
            match effect {
                Effect::SetRequestHeader(name, value) => {
                    if &**name == ":path" {
                        self.readings = OnceCell::new();
                    }
                    if let Some(headers) = self.headers_to_change() {
                        headers.set(name, value);
                    }
                }
                Effect::RemoveRequestHeader(name) => {
                    if let Some(headers) = self.headers_to_change() {
                        headers.remove(name);
                    }
                }
                Effect::SetState(name, value) => {
                    self.know(Rc::clone(name), Known::Read(Some(Rc::clone(value))));
                }
                Effect::Leave(name, testimony) => {
                    self.know(Rc::clone(name), Known::Left(Rc::clone(testimony)));
                }
                Effect::SetResponseHeader(..)
                | Effect::AddResponseHeader(..)
                | Effect::Count(_)
                | Effect::Measure(..) => {}
            }
        }
    }

    fn headers_to_change(&mut self) -> Option<&mut Headers> {
        self.headers();
        self.headers.get_mut()
    }

    /// The time now, the same throughout the view.
    pub fn now(&self) -> Timestamp {
        *self.now.get_or_init(|| self.read(self.host.now()))
    }

    /// All headers, pseudo-headers (`:method`) among them.
    pub fn headers(&self) -> &Headers {
        self.headers.get_or_init(|| {
            let headers = self.read(self.host.headers(Map::Request));
            if headers.first(TIMING_HEADER).is_some() {
                self.timed.set(self.host.now().ok());
            }
            headers
        })
    }

    /// Another filter of a chain has its turn.
    pub(crate) fn restart_timing(&self) {
        if self.timed.get().is_some() {
            self.timed.set(self.host.now().ok());
        }
    }

    /// Since when the filter is timed: when it first read the headers, if one of them asks for that
    /// ([`TIMING_HEADER`]). Nothing is measured, and no call made, where nobody asks.
    pub const fn timed_since(&self) -> Option<Timestamp> {
        self.timed.get()
    }

    /// `:path`, query and all; `None` for a CONNECT. Cheaper than [`Self::headers`] where nothing
    /// else is asked for.
    pub fn path(&self) -> Option<&[u8]> {
        if let Some(headers) = self.headers.get() {
            return headers.first(":path");
        }
        if self.properties.is_some() {
            return self.headers().first(":path");
        }
        let read = || self.read(self.host.header(Map::Request, ":path"));
        self.path.get_or_init(read).as_deref()
    }

    /// How `:path` may be read, found out once for all rules and filters; `None` for a CONNECT.
    pub fn readings(&self) -> Option<Result<Readings<'_>, BadPath>> {
        let path = self.path()?;
        if let Some(only) = Readings::only(path) {
            return Some(Ok(only));
        }
        let readings = self.readings.get_or_init(|| Readings::of(path).map(Readings::into_owned));
        Some(readings.as_ref().map(Readings::again).map_err(|bad| *bad))
    }

    /// `:method`; empty where there is none.
    pub fn method(&self) -> &[u8] {
        self.headers().first(":method").unwrap_or_default()
    }

    /// A header that may come once.
    pub fn sole(&self, name: &str) -> Sole<'_> {
        self.headers().sole(name)
    }

    /// Whether the request is gRPC, which wants its refusals in another form.
    pub fn is_grpc(&self) -> bool {
        self.headers().is_grpc()
    }

    /// A property of the exchange.
    pub fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let Some(properties) = &self.properties else { return self.read(self.host.property(path)) };
        for (name, known) in properties.borrow().iter() {
            if is_joined(name, path) {
                return match known {
                    Known::Read(value) => value.as_ref().map(|value| value.to_vec()),
                    Known::Left(testimony) => Some(testimony.written().to_vec()),
                };
            }
        }
        let value = self.read(self.host.property(path));
        self.know(path.join("\0").into(), Known::Read(value.as_deref().map(Rc::from)));
        value
    }

    /// A property that is a number; `None` where the proxy has none, or one below zero.
    pub fn number(&self, path: &[&str]) -> Option<u64> {
        number(&self.property(path)?)
    }

    /// What a filter of the same pass has left under this name.
    pub(crate) fn left(&self, name: &str) -> Option<Rc<Testimony>> {
        let known = self.properties.as_ref()?.borrow();
        known.iter().find_map(|(known, value)| match value {
            Known::Left(testimony) if is_same(known, name) => Some(Rc::clone(testimony)),
            _ => None,
        })
    }

    /// The metadata of the route and that of its virtual host, as the proxy has them written; empty
    /// where there is none.
    pub fn metadata(&self) -> &[Vec<u8>; 2] {
        self.metadata.get_or_init(|| {
            ["route_metadata", "virtual_host_metadata"]
                .map(|name| self.read(self.host.property(&["xds", name])).unwrap_or_default())
        })
    }

    fn know(&self, path: Rc<str>, value: Known) {
        let Some(properties) = &self.properties else { return };
        let mut known = properties.borrow_mut();
        match known.iter_mut().find(|(name, _)| is_same(name, &path)) {
            Some((_, old)) => *old = value,
            None => known.push((path, value)),
        }
    }

    /// Bytes that nobody can guess.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(self.host.random(&mut bytes));
        bytes
    }

    /// The proxy, for what has nothing to do with the request.
    pub const fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// What the plugin shares with its twins on other workers.
    pub const fn store(&self) -> Store<'a> {
        Store::new(self.host)
    }

    /// Whether the proxy has failed a read through this view.
    pub const fn fault(&self) -> bool {
        self.fault.get()
    }

    fn read<T: Default>(&self, result: Result<T, Unreadable>) -> T {
        result.unwrap_or_else(|Unreadable| {
            self.fault.set(true);
            T::default()
        })
    }
}

/// A number as the proxy hands it over, if it is none below zero.
fn number(bytes: &[u8]) -> Option<u64> {
    u64::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// A response, before it goes to the client.
pub struct Response<'a> {
    host: &'a dyn Host,
    headers: OnceCell<Headers>,
}

impl<'a> Response<'a> {
    /// A view of the response that the proxy is at.
    pub const fn new(host: &'a dyn Host) -> Self {
        Self { host, headers: OnceCell::new() }
    }

    /// The time now; `None` where the proxy cannot say.
    pub fn now(&self) -> Option<Timestamp> {
        self.host.now().ok()
    }

    /// What the plugin shares with its twins on other workers.
    pub const fn store(&self) -> Store<'a> {
        Store::new(self.host)
    }

    /// All headers, `:status` among them; none where the proxy cannot say.
    pub fn headers(&self) -> &Headers {
        self.headers.get_or_init(|| self.host.headers(Map::Response).unwrap_or_default())
    }

    /// The proxy, for what may be asked of it in this phase: not the request's headers.
    pub const fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// Shows the filters in front what one behind wants done.
    pub(crate) fn apply(&mut self, effects: &Effects) {
        for effect in effects.iter().filter(|effect| effect.is_for_response()) {
            self.headers();
            match (effect, self.headers.get_mut()) {
                (Effect::SetResponseHeader(name, value), Some(headers)) => headers.set(name, value),
                (Effect::AddResponseHeader(name, value), Some(headers)) => headers.add(name, value),
                _ => {}
            }
        }
    }

    /// The status; 0 where there is none.
    pub fn status(&self) -> u16 {
        self.headers().first(":status").and_then(parse_status).unwrap_or_default()
    }
}

/// A part of a body that passes by. It is looked at as it passes, never held back.
pub struct Body<'a> {
    host: &'a dyn Host,
    map: Map,
    /// How long the part is, in bytes.
    pub len: usize,
    /// Whether nothing comes behind it, but perhaps trailers.
    pub is_last: bool,
}

impl<'a> Body<'a> {
    /// A view of the part of a request's or a response's body that the proxy is at.
    pub const fn new(host: &'a dyn Host, map: Map, len: usize, is_last: bool) -> Self {
        Self { host, map, len, is_last }
    }

    /// Its first bytes, so many at most; none where the proxy cannot say.
    pub fn first(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.host.body(self.map, most.min(self.len)).unwrap_or_default();
        bytes.truncate(most);
        bytes
    }
}

/// An exchange that has ended.
pub struct Exchange<'a> {
    host: &'a dyn Host,
    /// What the filters of a chain have left of its request in filter state.
    states: &'a [State],
}

/// A piece of filter state: its name and value.
pub(crate) type State = (Rc<str>, Rc<[u8]>);

impl<'a> Exchange<'a> {
    /// A view of the exchange that the proxy logs.
    pub const fn new(host: &'a dyn Host) -> Self {
        Self { host, states: &[] }
    }

    /// The same, where the filters of a chain have left this.
    pub(crate) const fn knowing<'b>(&self, states: &'b [State]) -> Exchange<'b>
    where
        'a: 'b,
    {
        Exchange { host: self.host, states }
    }

    /// The time now; `None` where the proxy cannot say.
    pub fn now(&self) -> Option<Timestamp> {
        self.host.now().ok()
    }

    /// A property of the exchange, such as `response.code`; `None` where the proxy has none.
    pub fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        if let [name] = path
            && let Some((_, value)) = self.states.iter().find(|(known, _)| is_same(known, name))
        {
            return Some(value.to_vec());
        }
        self.host.property(path).unwrap_or_default()
    }

    /// A property that is a number; `None` where the proxy has none, or one below zero.
    pub fn number(&self, path: &[&str]) -> Option<u64> {
        number(&self.property(path)?)
    }

    /// The gRPC status of a response with these headers; `None` where it is not gRPC. It stands there
    /// where there are only trailers; else in the trailers, which the proxy keeps as a property. One
    /// that never came is UNKNOWN.
    pub fn grpc_status(&self, response: &Headers) -> Option<u32> {
        const UNKNOWN: u32 = 2;
        if !response.is_grpc() {
            return None;
        }
        let status = match response.first("grpc-status") {
            Some(status) => std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()),
            None => self
                .number(&["response", "grpc_status"])
                .and_then(|status| u32::try_from(status).ok()),
        };
        Some(status.unwrap_or(UNKNOWN))
    }

    /// The first value of a header, as it went on; `None` where there is none.
    pub fn header(&self, map: Map, name: &str) -> Option<Vec<u8>> {
        self.host.header(map, name).unwrap_or_default()
    }

    /// What the plugin shares with its twins on other workers.
    pub const fn store(&self) -> Store<'a> {
        Store::new(self.host)
    }

    /// The headers of the request as they went upstream.
    pub fn request_headers(&self) -> Headers {
        self.host.headers(Map::Request).unwrap_or_default()
    }

    /// The headers of the response as they went to the client.
    pub fn response_headers(&self) -> Headers {
        self.host.headers(Map::Response).unwrap_or_default()
    }
}

/// Whether two names are one. Those that filters use begin alike, so the ends tell them apart.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().rev().eq(other.bytes().rev())
}

/// Whether a name is the parts with a zero byte between them.
fn is_joined(name: &str, path: &[&str]) -> bool {
    if let [whole] = path {
        return is_same(name, whole);
    }
    let len: usize = path.iter().map(|part| part.len()).sum();
    if name.len() != len.saturating_add(path.len().saturating_sub(1)) {
        return false;
    }
    let (Some((first, more)), mut rest) = (path.split_first(), name.as_bytes()) else {
        return name.is_empty();
    };
    let mut take = |part: &[u8]| rest.strip_prefix(part).map(|behind| rest = behind).is_some();
    take(first.as_bytes())
        && more.iter().all(|part| take(b"\0") && take(part.as_bytes()))
        && rest.is_empty()
}

/// A status of three digits.
pub(crate) fn parse_status(text: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(text).ok()?.parse().ok()?;
    (100..=599).contains(&status).then_some(status)
}
