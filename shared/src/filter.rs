//! The contract of a filter: events in, effects out.
//!
//! A [`Plugin`] is a filter as it was configured: what its exchanges share. A [`Filter`] is the
//! state of one exchange. Both are plain Rust. They name no host, read no clock, draw no
//! randomness, do no I/O: what they may look at is a view, what they want done is a value.
//!
//! [`Flow`] has no way to pause without a call, to write after a reply, or to go on after a refusal.

use std::time::Duration;

use serde::de::DeserializeOwned;
use siphasher::sip128::SipHasher24;

use crate::config::{Invalid, Layers, Scope};
use crate::effects::Effects;
use crate::headers::Headers;
use crate::reply::{Refusal, Reply};
use crate::store::Store;
use crate::time::Timestamp;
use crate::view::{Body, Exchange, Host, Request, Response, Unreadable};

/// A filter as it was configured.
pub trait Plugin: Sized + 'static {
    /// The filter's name: of its folder, its package and its module, and in every metric.
    const NAME: &'static str;
    /// Whether a health probe that `health-shortcut` in front lets go on passes whatever the filter
    /// makes of it. It costs a call to the proxy where a request does not go on.
    const LETS_PROBES_PASS: bool = true;
    /// What is configured once, at the top level.
    type Config: DeserializeOwned;
    /// What a rule, a route or a virtual host may set anew.
    type Settings: DeserializeOwned + 'static;
    /// The state of one exchange.
    type Filter: Filter<Plugin = Self>;

    /// Takes a configuration into effect, or says what is wrong with it.
    fn new(
        config: Self::Config,
        layers: &Layers<Self::Settings>,
        birth: &Birth<'_>,
    ) -> Result<Self, Invalid>;

    /// A cheap look at whether the request concerns the filter at all. Where it does not, nothing
    /// else is read.
    fn concerns(&self, _request: &Request<'_>) -> bool {
        true
    }

    /// Takes off every request that concerns the filter, whatever its rules and mode, what clients may
    /// not say. It is gone before the settings are looked for, and before the filter looks.
    fn sanitise(&self, _request: &Request<'_>, _effects: &mut Effects) {}

    /// Takes off it, whatever its rules and mode, what the filter reads and the upstream must not see.
    fn withhold(&self, _request: &Request<'_>, _effects: &mut Effects) {}

    /// How often [`Self::on_tick`] wants to be called; `None` for never.
    fn tick(&self) -> Option<Duration> {
        None
    }

    /// Time has passed: background work, apart from any request. Called on every worker.
    fn on_tick(&mut self, _background: &mut Background<'_>) {}

    /// A background call that was started as `id` has ended.
    fn on_background_answer(
        &mut self,
        _id: u32,
        _answer: &Answer<'_>,
        _background: &mut Background<'_>,
    ) {
    }
}

/// What a plugin is told when it is made.
pub struct Birth<'a> {
    /// The name that the proxy's configuration gives the plugin.
    pub name: &'a str,
    /// Bytes that nobody can guess, drawn for this plugin on this worker.
    pub secret: [u8; 16],
    /// The time now.
    pub now: Timestamp,
    /// The proxy, for what it may be asked apart from any exchange.
    pub host: &'a dyn Host,
}

impl Birth<'_> {
    /// The prefix of the plugin's slots in the shared store. Plugins of one name share them.
    pub fn slots(&self, filter: &str) -> String {
        format!("gatehouse/{filter}/{}", self.name)
    }

    /// A secret for one purpose. Who learns it (the other workers do of what is in the shared store, and
    /// everybody of what comes of it in ids) knows nothing of the others.
    pub fn secret_for(&self, purpose: &str) -> [u8; 16] {
        SipHasher24::new_with_key(&self.secret).hash(purpose.as_bytes()).as_bytes()
    }
}

/// The state of one exchange: told what happens, it says what the proxy does next.
pub trait Filter: Default + 'static {
    /// What it shares with the other exchanges.
    type Plugin: Plugin<Filter = Self>;

    /// The head of a request has come.
    fn on_request(
        &mut self,
        plugin: &mut Self::Plugin,
        scope: &Scope<<Self::Plugin as Plugin>::Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow;

    /// The call that it waits for has ended.
    fn on_answer(
        &mut self,
        _plugin: &mut Self::Plugin,
        _scope: &Scope<<Self::Plugin as Plugin>::Settings>,
        _answer: &Answer<'_>,
        _request: &Request<'_>,
        _effects: &mut Effects,
    ) -> Flow {
        Flow::Refuse(Refusal::unavailable("unexpected_answer"))
    }

    /// The request was held ([`Flow::Hold`]), and the plugin may have learned something since: time
    /// has passed, or a background call has ended.
    fn on_news(
        &mut self,
        _plugin: &mut Self::Plugin,
        _scope: &Scope<<Self::Plugin as Plugin>::Settings>,
        _request: &Request<'_>,
        _effects: &mut Effects,
    ) -> Flow {
        Flow::Refuse(Refusal::unavailable("unexpected_news"))
    }

    /// The body has come that the filter reads ([`Flow::Read`]). The head of the request has gone on, and
    /// is not to be seen any more; what is answered is said by [`Flow::Answer`] or [`Flow::Refuse`].
    fn on_whole_body(
        &mut self,
        _plugin: &mut Self::Plugin,
        _scope: &Scope<<Self::Plugin as Plugin>::Settings>,
        _body: WholeBody<'_>,
        _request: &Request<'_>,
        _effects: &mut Effects,
    ) -> Flow {
        Flow::Refuse(Refusal::unavailable("unexpected_body"))
    }

    /// The head of the response has come. Only in modules that ask for it: `plugin!(… response)`.
    fn on_response(
        &mut self,
        _plugin: &mut Self::Plugin,
        _response: &Response<'_>,
        _effects: &mut Effects,
    ) {
    }

    /// A part of the request's body passes by. Only in modules that ask for it: `plugin!(… bodies)`.
    fn on_request_body(&mut self, _plugin: &mut Self::Plugin, _body: &Body<'_>) {}

    /// A part of the response's body passes by. Only in modules that ask for it: `plugin!(… bodies)`.
    fn on_response_body(&mut self, _plugin: &mut Self::Plugin, _body: &Body<'_>) {}

    /// The exchange has ended. Only in modules that ask for it: `plugin!(… log)`. Where a filter in
    /// front has refused the request, this is all that is told of it.
    fn on_log(
        &mut self,
        _plugin: &mut Self::Plugin,
        _exchange: &Exchange<'_>,
        _effects: &mut Effects,
    ) {
    }
}

/// What the proxy does next with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Lets it go on.
    Continue,
    /// Holds it until a call has ended.
    Wait(Call),
    /// Holds it until the plugin may have news ([`Filter::on_news`]): some times a second, and when a
    /// background call has ended. For what many requests wait for together; how long is the filter's
    /// to say.
    Hold,
    /// Lets its head go on, and reads its body, of so many bytes at most ([`Filter::on_whole_body`]): in
    /// modules that say `plugin!(… wait)`. Envoy shows no filter the body of a request that it holds. What
    /// is to be answered before anybody sees the head needs something behind that holds it until the
    /// body has come, such as Envoy's `buffer`.
    Read(usize),
    /// Refuses it.
    Refuse(Refusal),
    /// Answers it in the upstream's place.
    Answer(Reply),
}

/// The body of a request that a filter reads ([`Flow::Read`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeBody<'a> {
    /// All of it.
    Bytes(&'a [u8]),
    /// It is longer than the filter wants; no more of it is read.
    TooLong,
    /// The proxy does not hand it over.
    Unreadable,
}

/// An HTTP request to a cluster of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The cluster.
    pub cluster: String,
    /// `:method`.
    pub method: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long the answer may take; at least a millisecond, for there is no call without a limit.
    pub timeout: Duration,
    /// How many bytes of the answer's body are wanted; a longer one is [`Answer::Failed`].
    pub max_body: usize,
}

impl Call {
    /// A GET without a body of the answer.
    pub fn get(
        cluster: impl Into<String>,
        authority: impl Into<String>,
        path: impl Into<String>,
        timeout: Duration,
    ) -> Self {
        Self {
            cluster: cluster.into(),
            method: "GET",
            authority: authority.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout,
            max_body: 0,
        }
    }
}

/// How a call ended.
///
/// Envoy makes an answer of what other hosts call a failure: a refused connection is a 503, a
/// time-out a 504, both with a body of its own.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// With a status.
    Response {
        /// The status.
        status: u16,
        /// All headers.
        headers: &'a Headers,
        /// The body; empty where [`Call::max_body`] is zero.
        body: &'a [u8],
        /// The trailers, which is where gRPC says how a call went; most answers have none.
        trailers: &'a Headers,
    },
    /// Without one.
    Failed(CallFailure),
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// The proxy has no such cluster, or does not take the call.
    Rejected,
    /// The cluster has no host to ask.
    NoHost,
    /// The connection broke, or the answer was no HTTP.
    Broken,
    /// The body is longer than [`Call::max_body`].
    TooLong,
}

/// What background work can look at, and ask for.
pub struct Background<'a> {
    /// The time now.
    pub now: Timestamp,
    /// What the plugin shares with its twins on other workers.
    pub store: Store<'a>,
    /// What to count.
    pub effects: Effects,
    calls: Vec<(Ticket, Call)>,
}

/// Which background call has ended: the filter's own number for it, and the filter's place in a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The place; 0 where there is no chain.
    pub place: usize,
    /// The number.
    pub id: u32,
}

impl<'a> Background<'a> {
    /// An empty one.
    pub fn new(now: Timestamp, store: Store<'a>) -> Self {
        Self { now, store, effects: Effects::default(), calls: Vec::new() }
    }

    /// Asks for a call; its end is told under `id`.
    pub fn call(&mut self, id: u32, call: Call) {
        self.calls.push((self.effects.ticket(id), call));
    }

    /// Asks for calls that a request gave rise to.
    pub fn call_all(&mut self, calls: Vec<(Ticket, Call)>) {
        self.calls.extend(calls);
    }

    /// The proxy, for what it may be asked apart from any exchange.
    pub const fn host(&self) -> &'a dyn Host {
        self.store.host()
    }

    /// Bytes that nobody can guess.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Unreadable> {
        let mut bytes = [0; N];
        self.host().random(&mut bytes)?;
        Ok(bytes)
    }

    /// The calls asked for.
    pub fn take_calls(&mut self) -> Vec<(Ticket, Call)> {
        std::mem::take(&mut self.calls)
    }
}
