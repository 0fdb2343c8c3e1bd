//! Writes the context for the upstream, and takes off what would contradict it.

use std::rc::Rc;

use shared::effects::Effects;
use shared::headers::Sole;
use shared::trace::{Outgoing, b3, baggage, datadog, google, jaeger, tracestate, xray};

use crate::carried::{Carried, Header as H, Names, Set};
use crate::config::{Form, Settings, Source};

/// What is written.
pub(crate) struct Injection<'a> {
    /// The names of headers.
    pub(crate) names: &'a Names,
    /// What came.
    pub(crate) carried: &'a Carried<'a>,
    /// What is wanted.
    pub(crate) settings: &'a Settings,
    /// Whether the sender is believed.
    pub(crate) trusted: bool,
    /// The form of the trace that is gone on with; `None` where it starts here.
    pub(crate) source: Option<Source>,
    /// Where what is done is noted.
    pub(crate) effects: &'a mut Effects,
    /// Headers that have their value.
    done: Set,
}

impl<'a> Injection<'a> {
    /// One in which nothing is written yet.
    pub(crate) fn new(
        names: &'a Names,
        carried: &'a Carried<'a>,
        settings: &'a Settings,
        trusted: bool,
        source: Option<Source>,
        effects: &'a mut Effects,
    ) -> Self {
        Self { names, carried, settings, trusted, source, effects, done: Set::default() }
    }

    /// Writes everything; `traceparent` is that of `outgoing`.
    pub(crate) fn write(mut self, outgoing: &Outgoing, traceparent: &Rc<[u8]>) {
        for form in &self.settings.inject.0 {
            match form {
                Form::W3c => self.write_w3c(traceparent),
                Form::B3 => self.set(H::B3, &b3::print(outgoing)),
                Form::B3Multi => self.write_b3_multi(outgoing),
                Form::Jaeger => self.set(H::Uber, &jaeger::print(outgoing)),
                Form::Datadog => self.write_datadog(outgoing),
                Form::Xray => self.set(H::Amzn, &xray::print(outgoing)),
                Form::Google => self.set(H::Google, &google::print(outgoing)),
            }
        }
        self.pass_on_baggage();
        self.clear();
    }

    fn write_w3c(&mut self, traceparent: &Rc<[u8]>) {
        self.done.insert(H::Traceparent);
        if self.carried.sole(H::Traceparent) == Sole::Once(traceparent) {
            // "tracestate MUST NOT be modified as well" (W3C, "Mutating the traceparent Field").
            self.done.insert(H::Tracestate);
            return;
        }
        let name = self.names.of(H::Traceparent);
        self.effects.set_request_header(name, Rc::clone(traceparent));
        // A state belongs to its `traceparent`: that of any other trace is taken off below.
        if self.source != Some(Source::W3c) || !self.carried.present.contains(H::Tracestate) {
            return;
        }
        if let Sole::Once(value) = self.carried.sole(H::Tracestate)
            && tracestate::is_as_it_should_be(value)
        {
            self.done.insert(H::Tracestate);
            return;
        }
        match tracestate::combine(self.carried.all(H::Tracestate)) {
            Ok(list) if list.is_empty() => {}
            Ok(list) => self.set(H::Tracestate, &list),
            Err(tracestate::Malformed) => self.effects.count("tracestate_dropped"),
        }
    }

    fn write_b3_multi(&mut self, outgoing: &Outgoing) {
        self.set(H::B3TraceId, &outgoing.trace_id.hex());
        self.set(H::B3SpanId, &outgoing.span_id.hex());
        match b3::print_state(outgoing.decision) {
            Some((b3::FLAGS, value)) => self.set(H::B3Flags, value),
            Some((_, value)) => self.set(H::B3Sampled, value),
            None => {}
        }
    }

    fn write_datadog(&mut self, outgoing: &Outgoing) {
        // The tags and the origin belong to a trace of Datadog's.
        let ours = self.source == Some(Source::Datadog);
        let tags = self.carried.once(H::DatadogTags).ok().flatten().filter(|_| ours);
        let printed = datadog::print(outgoing, tags);
        self.set(H::DatadogTraceId, printed.trace_id.as_bytes());
        self.set(H::DatadogParentId, printed.parent_id.as_bytes());
        if let Some(priority) = printed.priority {
            self.set(H::DatadogPriority, priority.as_bytes());
        }
        if !printed.tags.is_empty() {
            self.set(H::DatadogTags, &printed.tags);
        }
        if ours && matches!(self.carried.sole(H::DatadogOrigin), Sole::Once(_)) {
            self.done.insert(H::DatadogOrigin);
        }
    }

    /// Gives a header its one value, if it has not got it already.
    fn set(&mut self, header: H, value: &[u8]) {
        if self.carried.sole(header) != Sole::Once(value) {
            self.effects.set_request_header(self.names.of(header), Rc::from(value));
        }
        self.done.insert(header);
    }

    fn pass_on_baggage(&mut self) {
        if !self.trusted || !self.carried.present.contains(H::Baggage) {
            return;
        }
        let baggage = &self.settings.baggage;
        let values = self.carried.all(H::Baggage);
        let kept = baggage::keep(values, &baggage.limits, |key| baggage.allows(key));
        if kept.dropped {
            self.effects.count("baggage_dropped");
        }
        if !kept.list.is_empty() {
            self.set(H::Baggage, &kept.list);
        }
    }

    /// Takes off what is left of the forms that are written, and of the others where that is wanted:
    /// of a sender who is not believed, always.
    fn clear(&mut self) {
        let all = self.settings.clear || !self.trusted;
        for (header, form) in self.carried.present.without(self.done).iter() {
            let is_written = form.is_none_or(|form| self.settings.inject.0.contains(&form));
            if all || is_written {
                self.effects.remove_request_header(self.names.of(header));
            }
        }
        if !all {
            return;
        }
        for name in &self.carried.jaeger_members {
            if let Ok(name) = std::str::from_utf8(name) {
                self.effects.remove_request_header(Rc::from(name));
            }
        }
    }
}
