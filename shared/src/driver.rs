//! Runs a filter on an exchange, the same under every host: what no filter has to think of.
//!
//! 1. A request that does not concern the filter costs nothing more.
//! 2. What is done to every request is done whatever the rules say; then the settings are found. Where
//!    that takes something off, it is taken off the proxy's request first ([`Step::Anew`]): no rule is
//!    to be matched by what a client says of itself.
//! 3. `mode: off` goes no further; `mode: shadow` counts what would be refused or answered, and lets
//!    it pass.
//! 4. A read that the proxy failed refuses the request (503), whatever the filter made of it.
//! 5. A call that a request waits for, or gives rise to, carries the request's trace (`traceparent`),
//!    where there is `trace-context` in front.
//! 6. A filter may wait a few times in a row ([`MOST_CALLS`]), not for ever.
//! 7. A health probe that `health-shortcut` in front lets go on is neither refused nor held by any
//!    filter behind it.
//! 8. Where a client asks for it, a filter leaves in filter state how long it took: from its first look
//!    at the headers to its decision, each time that it is asked anew.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::config::{self, Environment, Invalid, Layers, Mode, Scope, field_names};
use crate::effects::Effects;
use crate::filter::{Answer, Birth, Call, Filter, Flow, Plugin, WholeBody};
use crate::reply::{Format, Refusal, Reply};
use crate::trace::{STATE, w3c};
use crate::view::{Body, Exchange, Map as Side, Request, Response};

/// How many calls one exchange may wait for.
const MOST_CALLS: u8 = 8;

/// A configured filter, ready for exchanges.
pub struct Instance<P: Plugin> {
    /// The filter.
    pub plugin: P,
    layers: Layers<P::Settings>,
}

/// One exchange under a filter.
pub struct Run<P: Plugin> {
    filter: P::Filter,
    scope: Option<Rc<Scope<P::Settings>>>,
    calls: u8,
    /// Whether the request is looked at for the second time.
    is_anew: bool,
}

impl<P: Plugin> Default for Run<P> {
    fn default() -> Self {
        Self { filter: P::Filter::default(), scope: None, calls: 0, is_anew: false }
    }
}

/// What the host has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Let the request go on, its changes applied.
    Continue,
    /// Hold it and make the call.
    Wait(Call),
    /// Hold it until there may be news.
    Hold,
    /// Let its head go on, its changes applied, and read so many bytes of its body at most.
    Read(usize),
    /// Apply the changes to the request that there are so far, and show it anew.
    Anew,
    /// Answer it, for good.
    Reply(Reply),
}

impl<P: Plugin> Instance<P> {
    /// Takes a configuration into effect, or says what is wrong with it.
    pub fn configure(
        bytes: &[u8],
        environment: &Environment,
        birth: &Birth<'_>,
    ) -> Result<Self, Invalid> {
        Self::of_object(config::read(bytes, environment)?, birth)
    }

    /// The same, of a configuration that has been read.
    pub fn of_object(object: Map<String, Value>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let known = field_names::<P::Config>();
        let (layers, rest): (_, Map<_, _>) = Layers::split(P::NAME, object, known)?;
        let plugin = P::new(config::interpret(Value::Object(rest))?, &layers, birth)?;
        Ok(Self { plugin, layers })
    }

    /// Whether the proxy's metadata may say this for the filter.
    pub fn check_override(&self, metadata: &Map<String, Value>) -> Result<(), Invalid> {
        self.layers.check_override(metadata)
    }

    /// The head of a request has come.
    pub fn on_request(
        &mut self,
        run: &mut Run<P>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        effects.speak_for(P::NAME);
        request.restart_timing();
        if !self.plugin.concerns(request) {
            return conclude::<P>(
                Flow::Continue,
                self.layers.top().errors,
                Mode::Enforce,
                request,
                effects,
            );
        }
        self.plugin.sanitise(request, effects);
        if effects.has_edits() && !run.is_anew && !request.fault() {
            run.is_anew = true;
            return Step::Anew;
        }
        self.plugin.withhold(request, effects);
        let scope = match self.layers.scope(request) {
            Ok(scope) => scope,
            Err(refusal) => {
                let format = self.layers.top().errors;
                return conclude::<P>(
                    Flow::Refuse(refusal),
                    format,
                    Mode::Enforce,
                    request,
                    effects,
                );
            }
        };
        let flow = match scope.mode {
            Mode::Off => Flow::Continue,
            _ => run.filter.on_request(&mut self.plugin, &scope, request, effects),
        };
        let (errors, mode) = (scope.errors, scope.mode);
        run.scope = Some(scope);
        run.conclude(flow, errors, mode, request, effects)
    }

    /// The call that the exchange waits for has ended.
    pub fn on_answer(
        &mut self,
        run: &mut Run<P>,
        answer: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        effects.speak_for(P::NAME);
        let Some(scope) = run.scope.clone() else {
            let refusal = Flow::Refuse(Refusal::unavailable("unexpected_answer"));
            return run.conclude(refusal, Format::default(), Mode::Enforce, request, effects);
        };
        let flow = run.filter.on_answer(&mut self.plugin, &scope, answer, request, effects);
        run.conclude(flow, scope.errors, scope.mode, request, effects)
    }

    /// The request is held, and there may be news.
    pub fn on_news(
        &mut self,
        run: &mut Run<P>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        effects.speak_for(P::NAME);
        let Some(scope) = run.scope.clone() else {
            let refusal = Flow::Refuse(Refusal::unavailable("unexpected_news"));
            return run.conclude(refusal, Format::default(), Mode::Enforce, request, effects);
        };
        let flow = run.filter.on_news(&mut self.plugin, &scope, request, effects);
        run.conclude(flow, scope.errors, scope.mode, request, effects)
    }

    /// The body that the filter reads has come.
    pub fn on_whole_body(
        &mut self,
        run: &mut Run<P>,
        body: WholeBody<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        effects.speak_for(P::NAME);
        let Some(scope) = run.scope.clone() else {
            let refusal = Flow::Refuse(Refusal::unavailable("unexpected_body"));
            return run.conclude(refusal, Format::default(), Mode::Enforce, request, effects);
        };
        let flow = run.filter.on_whole_body(&mut self.plugin, &scope, body, request, effects);
        run.conclude(flow, scope.errors, scope.mode, request, effects)
    }

    /// The request would be held, and there are too many.
    pub fn too_many_held(
        &self,
        run: &mut Run<P>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        effects.speak_for(P::NAME);
        let refusal = Flow::Refuse(Refusal::unavailable("too_many_waiting"));
        let (errors, mode) = match &run.scope {
            Some(scope) => (scope.errors, scope.mode),
            None => (self.layers.top().errors, Mode::Enforce),
        };
        run.conclude(refusal, errors, mode, request, effects)
    }

    /// The head of the response has come.
    pub fn on_response(
        &mut self,
        run: &mut Run<P>,
        response: &Response<'_>,
        effects: &mut Effects,
    ) {
        effects.speak_for(P::NAME);
        run.filter.on_response(&mut self.plugin, response, effects);
    }

    /// A part of a body passes by.
    pub fn on_body(&mut self, run: &mut Run<P>, side: Side, body: &Body<'_>) {
        match side {
            Side::Request => run.filter.on_request_body(&mut self.plugin, body),
            Side::Response => run.filter.on_response_body(&mut self.plugin, body),
        }
    }

    /// The exchange has ended.
    pub fn on_log(&mut self, run: &mut Run<P>, exchange: &Exchange<'_>, effects: &mut Effects) {
        effects.speak_for(P::NAME);
        run.filter.on_log(&mut self.plugin, exchange, effects);
    }

    /// How the filter refuses what the host cannot even show it.
    pub fn host_failure(&self, request: &Request<'_>, effects: &mut Effects) -> Step {
        effects.speak_for(P::NAME);
        let refusal = Flow::Refuse(Refusal::unavailable("host_failure"));
        conclude::<P>(refusal, self.layers.top().errors, Mode::Enforce, request, effects)
    }
}

impl<P: Plugin> Run<P> {
    fn conclude(
        &mut self,
        flow: Flow,
        errors: Format,
        mode: Mode,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let step = conclude::<P>(flow, errors, mode, request, effects);
        if !matches!(step, Step::Wait(_)) {
            return step;
        }
        self.calls = self.calls.saturating_add(1);
        if self.calls <= MOST_CALLS {
            return step;
        }
        let refusal = Flow::Refuse(Refusal::unavailable("too_many_calls"));
        conclude::<P>(refusal, errors, mode, request, effects)
    }
}

/// A call for a request carries the request's trace, if there is a filter that knows it.
fn trace(call: &mut Call, request: &Request<'_>) {
    let is_set = call.headers.iter().any(|(name, _)| *name == w3c::TRACEPARENT);
    // In a chain the state is not the proxy's yet, but the request knows it.
    let context = request.property(&[STATE]).unwrap_or_default();
    if !is_set
        && w3c::parse(&context).is_some()
        && let Ok(context) = String::from_utf8(context)
    {
        call.headers.push((w3c::TRACEPARENT, context));
    }
}

/// Under which name a filter leaves the microseconds that it took, where a client asked for it.
pub fn timing_name(filter: &str) -> String {
    format!("gatehouse.timing.{filter}")
}

/// The filter state that marks a health probe which goes on to the upstream.
pub const PROBE: &str = "gatehouse.probe";

/// Whether `health-shortcut` in front has found that the request is a probe. It is asked only of a
/// request that would not go on by itself, so that the others cost nothing more.
fn is_probe(request: &Request<'_>) -> bool {
    request.property(&[PROBE]).is_some()
}

/// Whether a request is a probe that `health-shortcut` in front lets go on: for filters that do more
/// with a request than to refuse it. It costs a call to the proxy at those that may be one: a GET, a
/// HEAD, and a check of gRPC's.
pub fn goes_on_as_probe(request: &Request<'_>) -> bool {
    let may_be = match request.method() {
        b"GET" | b"HEAD" => true,
        b"POST" => request.path().is_some_and(|path| path.starts_with(GRPC_HEALTH)),
        _ => false,
    };
    may_be && is_probe(request)
}

/// What the paths of gRPC's health service begin with.
pub const GRPC_HEALTH: &[u8] = b"/grpc.health.v1.Health/";

fn conclude<P: Plugin>(
    flow: Flow,
    errors: Format,
    mode: Mode,
    request: &Request<'_>,
    effects: &mut Effects,
) -> Step {
    // A view that lied may have hidden a header to take off: not even `shadow` lets that pass.
    let (flow, mode) = if request.fault() {
        (Flow::Refuse(Refusal::unavailable("host_failure")), Mode::Enforce)
    } else if P::LETS_PROBES_PASS && flow != Flow::Continue && is_probe(request) {
        (Flow::Continue, mode)
    } else {
        (flow, mode)
    };
    if let Some(since) = request.timed_since()
        && let Ok(now) = request.host().now()
    {
        let micros = now.since(since).as_micros().to_string();
        effects.set_state(timing_name(P::NAME).into(), micros.into_bytes().into());
    }
    effects.calls_mut().for_each(|call| trace(call, request));
    match flow {
        Flow::Continue => Step::Continue,
        Flow::Wait(mut call) => {
            trace(&mut call, request);
            Step::Wait(call)
        }
        Flow::Hold => Step::Hold,
        Flow::Read(most) => Step::Read(most),
        Flow::Answer(_) if mode == Mode::Shadow => {
            effects.count("shadow_answered");
            Step::Continue
        }
        Flow::Answer(reply) => Step::Reply(reply),
        Flow::Refuse(refusal) => {
            let event = if mode == Mode::Shadow { "shadow_refused" } else { "refused" };
            effects.count_by(event, "reason", refusal.reason());
            log::debug!("{}: {event}: {}", P::NAME, refusal.reason());
            if mode == Mode::Shadow {
                return Step::Continue;
            }
            Step::Reply(refusal.reply(P::NAME, errors, request))
        }
    }
}
