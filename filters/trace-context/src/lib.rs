//! The context of a trace: read, checked, sampled, and passed on.
//!
//! 1. A request's context is looked for in the forms of `extract`, in their order: the first that
//!    parses wins. What does not parse, or comes twice, is not gone on with.
//! 2. The context of a sender who is not trusted is not looked at: the trace starts anew, and nothing of
//!    the old one goes upstream, in whatever form.
//! 3. A trace that starts here has a random id, and says so (W3C level 2).
//! 4. The proxy has a span of its own, the parent of the upstream's; `span: keep` hands on the parent
//!    that came.
//! 5. The sender's decision holds; where there is none, `sampling` decides.
//! 6. The context goes upstream in all forms of `inject`. What would contradict it is taken off, and
//!    the headers of the other forms too, unless `clear: false`.
//! 7. `tracestate` goes on with the `traceparent` that it came with, as one header, and only if it is
//!    well-formed. `baggage` goes on as far as it is allowed and within its limits.
//! 8. Filters behind and the access log find the context in filter state: `gatehouse.trace_id`,
//!    `gatehouse.span_id`, and `gatehouse.traceparent`, which calls of other filters carry.
//! 9. `request_id` gives the request an id that is one word, and not longer than it may be.
//! 10. `export` sends the proxy's own spans of recorded traces to a collector, in the background. A
//!     collector that is slow or down costs spans, and no request anything.
//! 11. No request is refused, whatever it carries, unless the proxy itself fails.
//!
//! `mode: shadow` counts and changes nothing; `mode: off` does nothing.

#![forbid(unsafe_code)]

mod carried;
mod config;
mod export;
mod extract;
mod inject;
mod request_id;
mod sampling;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use shared::config::{Invalid, Layers, Mode, Scope};
use shared::effects::{Effect, Effects};
use shared::filter::{Answer, Background, Birth, Filter, Flow, Plugin};
use shared::trace::ids::Ids;
use shared::trace::{Decision, Found, Incoming, Outgoing, w3c};
use shared::view::{Exchange, Request};

use carried::{Carried, Header, Names};
pub use config::{Config, Settings};
use config::{Root, Source, SpanMode};
use export::{Exporter, Started};
use extract::Look;
use inject::Injection;
use sampling::Samplers;

/// The plugin.
pub struct TraceContext {
    ids: Ids,
    names: Names,
    states: States,
    samplers: Samplers,
    exporter: Option<Exporter>,
}

/// The names of filter state and of response headers.
struct States {
    trace_id: Rc<str>,
    span_id: Rc<str>,
    traceparent: Rc<str>,
    traceresponse: Rc<str>,
    request_id: Rc<str>,
}

impl Default for States {
    fn default() -> Self {
        Self {
            trace_id: Rc::from("gatehouse.trace_id"),
            span_id: Rc::from("gatehouse.span_id"),
            traceparent: Rc::from(shared::trace::STATE),
            traceresponse: Rc::from(w3c::TRACERESPONSE),
            request_id: Rc::from("gatehouse.request_id"),
        }
    }
}

impl Plugin for TraceContext {
    const NAME: &'static str = "trace-context";
    type Config = Config;
    type Settings = Settings;
    type Filter = Traced;

    fn new(config: Config, layers: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let export =
            config.export.map(|export| export.check().map_err(|error| error.within("export")));
        let export = export.transpose()?;
        if export.is_some()
            && let Some((place, _)) =
                layers.all().find(|(_, scope)| scope.settings.span == SpanMode::Keep)
        {
            let message = "`keep` leaves the proxy no span of its own to export";
            return Err(Invalid::at("span", message).within(&place));
        }
        Ok(Self {
            ids: Ids::new(birth.secret),
            names: Names::default(),
            states: States::default(),
            samplers: Samplers::new(birth.slots(Self::NAME)),
            exporter: export.map(|export| Exporter::new(export, birth)),
        })
    }

    fn tick(&self) -> Option<Duration> {
        self.exporter.as_ref().map(Exporter::interval)
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        if let Some(exporter) = &mut self.exporter {
            exporter.send(background);
        }
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        if let Some(exporter) = &mut self.exporter {
            exporter.answered(id, answer, background);
        }
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Traced {
    /// The proxy's span, if it is to be exported.
    span: Option<Box<Started>>,
}

impl Filter for Traced {
    type Plugin = TraceContext;

    fn on_request(
        &mut self,
        plugin: &mut TraceContext,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        if scope.mode == Mode::Shadow {
            let mut all = Effects::default();
            plugin.trace(&scope.settings, request, &mut all);
            for effect in all.iter() {
                let Effect::Count(count) = effect else { continue };
                match count.label {
                    Some((label, value)) => effects.count_by(count.event, label, value),
                    None => effects.count(count.event),
                }
            }
            return Flow::Continue;
        }
        self.span = plugin.trace(&scope.settings, request, effects);
        Flow::Continue
    }

    fn on_log(
        &mut self,
        plugin: &mut TraceContext,
        exchange: &Exchange<'_>,
        effects: &mut Effects,
    ) {
        if let (Some(span), Some(exporter)) = (self.span.take(), &mut plugin.exporter) {
            exporter.finish(*span, exchange, effects);
        }
    }
}

impl TraceContext {
    /// Does everything that is done to a request; the span to export, if there is one.
    fn trace(
        &mut self,
        settings: &Settings,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Option<Box<Started>> {
        let carried = Carried::read(request.headers());
        let trusted = settings.trust.holds(request);
        let (source, incoming, only) = match find(settings, &carried, trusted, effects) {
            Some((source, Found::Trace(incoming))) => (Some(source), Some(incoming), None),
            Some((_, Found::Only(decision))) => (None, None, Some(decision)),
            None => (None, None, None),
        };
        let outgoing = self.go_on(settings, incoming, only, request);
        let traceparent: Rc<[u8]> = Rc::from(&w3c::print(&outgoing)[..]);
        self.keep(&traceparent, effects);
        Injection::new(&self.names, &carried, settings, trusted, source, effects)
            .write(&outgoing, &traceparent);
        if settings.response.traceresponse {
            effects.set_response_header(Rc::clone(&self.states.traceresponse), traceparent);
        }
        self.name_request(settings, trusted, request, effects);
        let is_new = incoming.and_then(|incoming| incoming.parent) != Some(outgoing.span_id);
        let exports = self.exporter.is_some() && outgoing.decision.is_sampled() && is_new;
        exports.then(|| {
            let state = match source {
                Some(Source::W3c) => carried.all(Header::Tracestate).collect(),
                _ => Vec::new(),
            };
            Box::new(Started::new(&outgoing, incoming, &state, request))
        })
    }

    /// The trace that goes on, or the one that starts.
    fn go_on(
        &mut self,
        settings: &Settings,
        incoming: Option<Incoming>,
        only: Option<Decision>,
        request: &Request<'_>,
    ) -> Outgoing {
        let trace_id = incoming.map_or_else(|| self.ids.trace_id(), |incoming| incoming.trace_id);
        let kept = match settings.span {
            SpanMode::Keep => incoming.and_then(|incoming| incoming.parent),
            SpanMode::New => None,
        };
        let span_id = kept.unwrap_or_else(|| self.ids.span_id());
        let came = incoming.map_or(only, |incoming| Some(incoming.decision));
        // The flags of a parent that is kept are its own, and so is the decision in them.
        let holds = settings.sampling.parent || kept.is_some();
        let decision = match came.filter(|decision| holds && *decision != Decision::Deferred) {
            Some(decision) => decision,
            None => Decision::of(match settings.sampling.root {
                Root::Always => true,
                Root::Never => false,
                Root::Ratio(ratio) => sampling::is_among(trace_id, ratio.0),
                Root::PerSecond(rate) => {
                    self.samplers.decide(rate.0, trace_id, request.now(), request.store())
                }
            }),
        };
        let random = incoming.is_none_or(|incoming| incoming.random);
        Outgoing { trace_id, span_id, decision, random }
    }

    /// Leaves the context to the filters behind and the access log.
    fn keep(&self, traceparent: &Rc<[u8]>, effects: &mut Effects) {
        let states = &self.states;
        // Both stand in it already.
        let part = |from, to| Rc::from(traceparent.get(from..to).unwrap_or_default());
        effects.set_state(Rc::clone(&states.trace_id), part(3, 35));
        effects.set_state(Rc::clone(&states.span_id), part(36, 52));
        effects.set_state(Rc::clone(&states.traceparent), Rc::clone(traceparent));
    }

    fn name_request(
        &mut self,
        settings: &Settings,
        trusted: bool,
        request: &Request<'_>,
        effects: &mut Effects,
    ) {
        let Some(config) = &settings.request_id else { return };
        let header = config.header();
        let came = request.sole(&header);
        let id = request_id::choose(config, came, trusted, &mut self.ids);
        if came != shared::headers::Sole::Once(&id) {
            effects.set_request_header(Rc::clone(&header), Rc::clone(&id));
            // In a chain the header is not changed where another filter refuses the request.
            effects.set_state(Rc::clone(&self.states.request_id), Rc::clone(&id));
        }
        if config.echo {
            effects.set_response_header(header, id);
        }
    }
}

/// The context that a request carries, and its form.
fn find(
    settings: &Settings,
    carried: &Carried<'_>,
    trusted: bool,
    effects: &mut Effects,
) -> Option<(Source, Found)> {
    if !trusted {
        if !carried.present.is_empty() {
            effects.count("untrusted");
        }
        return None;
    }
    for source in &settings.extract.0 {
        match source.look(carried) {
            Look::Found(found) => return Some((*source, found)),
            Look::Malformed => effects.count_by("malformed", "by", source.name()),
            Look::Absent => {}
        }
    }
    None
}
