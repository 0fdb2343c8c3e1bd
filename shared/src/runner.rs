//! What a host runs, of whatever kind: one filter, or a [chain](crate::chain) of several.
//!
//! A host knows an exchange by a number (its stream). A runner keeps the state of an exchange only if
//! there is more to come for it: it waits, or it is told of responses or of ends.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{self, Environment, Invalid};
use crate::driver::{Instance, Run, Step};
use crate::effects::Effects;
use crate::filter::{Answer, Background, Birth, Plugin, Ticket, WholeBody};
use crate::hash::Spread;
use crate::view::{Body, Exchange, Host, Map as Side, Request, Response};

/// A configured filter of any kind, or several in one pass.
pub trait Runner {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// What it is told of.
    fn phases(&self) -> Phases;

    /// The view of a request that it wants.
    fn view<'h>(&self, host: &'h dyn Host) -> Request<'h> {
        Request::new(host)
    }

    /// The head of a request has come.
    fn on_request(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects)
    -> Step;

    /// The changes to a request have been applied that were asked for ([`Step::Anew`]).
    fn on_anew(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step;

    /// The call that a request waits for has ended.
    fn on_answer(
        &mut self,
        stream: u32,
        answer: &Answer<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step;

    /// A request is held, and there may be news.
    fn on_news(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step;

    /// The body of a request has come that is read.
    fn on_whole_body(
        &mut self,
        stream: u32,
        body: WholeBody<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step;

    /// A request would be held, and there are too many.
    fn too_many_held(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step;

    /// The host does not do to a request what was asked for.
    fn host_failure(&mut self, request: &mut Request<'_>, effects: &mut Effects) -> Step;

    /// The head of a response has come.
    fn on_response(&mut self, stream: u32, response: &mut Response<'_>, effects: &mut Effects);

    /// A part of a body passes by.
    fn on_body(&mut self, _stream: u32, _side: Side, _body: &Body<'_>) {}

    /// An exchange has ended.
    fn on_log(&mut self, stream: u32, exchange: &Exchange<'_>, effects: &mut Effects);

    /// Nothing more comes for an exchange.
    fn forget(&mut self, stream: u32);

    /// How often [`Self::on_tick`] wants to be called; `None` for never.
    fn tick(&self) -> Option<Duration>;

    /// Time has passed.
    fn on_tick(&mut self, background: &mut Background<'_>);

    /// A background call has ended.
    fn on_background_answer(
        &mut self,
        ticket: Ticket,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    );
}

/// What a filter is told of beyond the heads of requests: what its module says in `plugin!`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// It is told of responses.
    pub has_response: bool,
    /// It is told of the ends of exchanges.
    pub has_log: bool,
    /// It looks at bodies.
    pub has_bodies: bool,
}

impl Phases {
    /// The heads of requests alone.
    pub const REQUEST: Self = Self { has_response: false, has_log: false, has_bodies: false };

    /// And its requests wait, or it reads their bodies: the module has the callbacks, and that is all.
    #[must_use]
    pub const fn wait(self) -> Self {
        self
    }

    /// And the heads of responses.
    #[must_use]
    pub const fn response(self) -> Self {
        Self { has_response: true, ..self }
    }

    /// And the ends of exchanges.
    #[must_use]
    pub const fn log(self) -> Self {
        Self { has_log: true, ..self }
    }

    /// And bodies, as they pass by. The module has to say `wait`, too, to be told of requests' bodies.
    #[must_use]
    pub const fn bodies(self) -> Self {
        Self { has_bodies: true, ..self }
    }

    /// And the answers of the calls that it makes: the module has the callback, and that is all.
    #[must_use]
    pub const fn call(self) -> Self {
        self
    }

    /// What one or the other is told of.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            has_response: self.has_response || other.has_response,
            has_log: self.has_log || other.has_log,
            has_bodies: self.has_bodies || other.has_bodies,
        }
    }

    /// Whether more comes for every exchange.
    pub const fn has_more(self) -> bool {
        self.has_response || self.has_log || self.has_bodies
    }
}

/// A kind of filter: its name, and how one is made.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    name: &'static str,
    phases: Phases,
    make: Make,
}

type Make = fn(Phases, Map<String, Value>, &Birth<'_>) -> Result<Box<dyn Runner>, Invalid>;

impl Kind {
    /// Filters of this plugin, which are told of these phases.
    pub const fn of<P: Plugin>(phases: Phases) -> Self {
        Self { name: P::NAME, phases, make: make::<P> }
    }

    /// The filter's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What its filters are told of.
    pub const fn phases(&self) -> Phases {
        self.phases
    }

    /// Takes a configuration into effect, as the proxy hands it over, or says what is wrong with it.
    pub fn read(
        &self,
        bytes: &[u8],
        environment: &Environment,
        birth: &Birth<'_>,
    ) -> Result<Box<dyn Runner>, Invalid> {
        self.configure(config::read(bytes, environment)?, birth)
    }

    /// The same, of a configuration that has been read.
    pub fn configure(
        &self,
        object: Map<String, Value>,
        birth: &Birth<'_>,
    ) -> Result<Box<dyn Runner>, Invalid> {
        (self.make)(self.phases, object, birth)
    }
}

fn make<P: Plugin>(
    phases: Phases,
    object: Map<String, Value>,
    birth: &Birth<'_>,
) -> Result<Box<dyn Runner>, Invalid> {
    let instance = Instance::<P>::of_object(object, birth)?;
    Ok(Box::new(Single { instance, runs: HashMap::default(), phases }))
}

/// One filter, and the exchanges that there is more to come for.
struct Single<P: Plugin> {
    instance: Instance<P>,
    runs: HashMap<u32, Run<P>, Spread>,
    phases: Phases,
}

impl<P: Plugin> Single<P> {
    /// Keeps the exchange as long as there is more to come.
    fn keep(&mut self, stream: u32, run: Run<P>, step: Step) -> Step {
        let waits = matches!(step, Step::Wait(_) | Step::Hold | Step::Read(_) | Step::Anew);
        if self.phases.has_more() || waits {
            self.runs.insert(stream, run);
        }
        step
    }
}

impl<P: Plugin> Runner for Single<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn phases(&self) -> Phases {
        self.phases
    }

    fn on_request(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let mut run = Run::default();
        let step = self.instance.on_request(&mut run, request, effects);
        self.keep(stream, run, step)
    }

    fn on_anew(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        let step = self.instance.on_request(&mut run, request, effects);
        self.keep(stream, run, step)
    }

    fn on_answer(
        &mut self,
        stream: u32,
        answer: &Answer<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        let step = self.instance.on_answer(&mut run, answer, request, effects);
        self.keep(stream, run, step)
    }

    fn on_news(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        let step = self.instance.on_news(&mut run, request, effects);
        self.keep(stream, run, step)
    }

    fn on_whole_body(
        &mut self,
        stream: u32,
        body: WholeBody<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        let step = self.instance.on_whole_body(&mut run, body, request, effects);
        self.keep(stream, run, step)
    }

    fn too_many_held(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        let step = self.instance.too_many_held(&mut run, request, effects);
        self.keep(stream, run, step)
    }

    fn host_failure(&mut self, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        self.instance.host_failure(request, effects)
    }

    fn on_response(&mut self, stream: u32, response: &mut Response<'_>, effects: &mut Effects) {
        if let Some(run) = self.runs.get_mut(&stream) {
            self.instance.on_response(run, response, effects);
        }
    }

    fn on_body(&mut self, stream: u32, side: Side, body: &Body<'_>) {
        if let Some(run) = self.runs.get_mut(&stream) {
            self.instance.on_body(run, side, body);
        }
    }

    fn on_log(&mut self, stream: u32, exchange: &Exchange<'_>, effects: &mut Effects) {
        // A filter in front may have refused the request before it came here.
        let mut run = self.runs.remove(&stream).unwrap_or_default();
        self.instance.on_log(&mut run, exchange, effects);
    }

    fn forget(&mut self, stream: u32) {
        self.runs.remove(&stream);
    }

    fn tick(&self) -> Option<Duration> {
        self.instance.plugin.tick()
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        background.effects.speak_for(P::NAME);
        self.instance.plugin.on_tick(background);
    }

    fn on_background_answer(
        &mut self,
        ticket: Ticket,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        background.effects.speak_for(P::NAME);
        self.instance.plugin.on_background_answer(ticket.id, answer, background);
    }
}
