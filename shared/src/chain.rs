//! Several filters in one pass over an exchange.
//!
//! 1. A request goes through the filters in their order. Its headers, and what else they ask the
//!    proxy, are read once for all.
//! 2. Each sees the request as those in front of it leave it: their headers, their filter state. To
//!    the proxy all of it is written at the end, each header and piece of state once.
//! 3. The first that refuses or answers ends the pass. The changes to the request are dropped; what
//!    was counted and left in filter state is kept, as when each filter is a module of its own.
//! 4. A filter that waits, or whose request is held, is where the pass goes on. So is one that takes
//!    off what a client says of itself: all changes so far are then applied, and the request is looked
//!    at anew.
//! 5. A response goes through the filters the other way, as far as its request came; the foremost has
//!    the last word on a header. That goes for a refusal, too, and all are told of the end of the
//!    exchange.
//! 6. What the filters have left in filter state is read from memory at the end of the exchange, too.
//! 7. Of the filters that want to read a body the foremost does.
//! 8. Every filter keeps its ticks, its background calls, its slots of the shared store and the names
//!    of its metrics.

use std::collections::HashMap;
use std::time::Duration;

use crate::driver::Step;
use crate::effects::{Effect, Effects};
use crate::filter::{Answer, Background, Ticket, WholeBody};
use crate::hash::Spread;
use crate::reply::{Format, Refusal};
use crate::runner::{Phases, Runner};
use crate::time::Timestamp;
use crate::view::{Body, Exchange, Host, Map, Request, Response, State};

/// The name of a chain, in refusals that are none of its filters'.
pub const NAME: &str = "chain";

/// The first part of the names of the state that filters leave for each other.
const EVIDENCE: &str = "gatehouse.evidence.";

/// Filters in a row.
pub struct Chain {
    members: Vec<Member>,
    phases: Phases,
    /// Whether filters behind the chain, outside of it, get to see the evidence.
    shares_evidence: bool,
    passages: HashMap<u32, Passage, Spread>,
}

struct Member {
    runner: Box<dyn Runner>,
    /// When it wants its next tick.
    due: Timestamp,
}

/// How far an exchange has come.
#[derive(Default)]
struct Passage {
    /// The filter that it is at, or came to at most.
    place: usize,
    /// What the filters in front of that want done.
    settled: Effects,
    /// What that filter wants done so far.
    own: Effects,
    /// Whether that filter holds the request until there is news.
    held: bool,
    /// What all of them have left in filter state, for those that are told of the end.
    states: Vec<State>,
    /// The filter that reads the body, and how much of it.
    reads: Option<(usize, usize)>,
}

/// How often a filter is told that time has passed where it does not say.
const SLOWEST_TICK: Duration = Duration::from_secs(5);

impl Chain {
    /// The filters in their order.
    pub fn new(members: Vec<Box<dyn Runner>>, shares_evidence: bool) -> Self {
        let phases = members.iter().map(|runner| runner.phases());
        let phases = phases.fold(Phases::REQUEST, Phases::or);
        let member = |runner| Member { runner, due: Timestamp::default() };
        let members = members.into_iter().map(member).collect();
        Self { members, phases, shares_evidence, passages: HashMap::default() }
    }

    /// Goes on behind what the filter at the passage's place has decided.
    fn go_on(
        &mut self,
        stream: u32,
        mut passage: Passage,
        mut step: Step,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        while matches!(step, Step::Continue | Step::Read(_)) {
            if let Step::Read(most) = step {
                passage.reads.get_or_insert((passage.place, most));
                step = Step::Continue;
            }
            let next = passage.place.saturating_add(1);
            let Some(member) = self.members.get_mut(next) else { break };
            request.apply(&passage.own);
            passage.settled.settle(std::mem::replace(&mut passage.own, Effects::at(next)));
            passage.place = next;
            step = member.runner.on_request(stream, request, &mut passage.own);
        }
        passage.held = step == Step::Hold;
        if let (Step::Continue, Some((_, most))) = (&step, passage.reads) {
            step = Step::Read(most);
        }
        effects.add_calls(&mut passage.settled);
        effects.add_calls(&mut passage.own);
        if step == Step::Anew {
            effects.add_edits(&mut passage.settled);
            effects.add_edits(&mut passage.own);
        }
        let goes_on = matches!(step, Step::Wait(_) | Step::Hold | Step::Anew);
        if !goes_on {
            self.conclude(&mut passage, &step, effects);
        }
        // Who wanted to read the body has to forget the exchange, even where another refuses it.
        if self.phases.has_more() || goes_on || passage.reads.is_some() {
            self.passages.insert(stream, passage);
        }
        step
    }

    /// What the proxy is told to do in the end.
    fn conclude(&self, passage: &mut Passage, step: &Step, effects: &mut Effects) {
        let mut all = std::mem::take(&mut passage.settled);
        all.settle(std::mem::take(&mut passage.own));
        if matches!(step, Step::Reply(_)) {
            all.discard_edits();
        }
        if !self.shares_evidence {
            all.retain(|effect| match effect {
                Effect::Leave(..) => false,
                Effect::SetState(name, _) => !name.starts_with(EVIDENCE),
                _ => true,
            });
        }
        if self.phases.has_log {
            passage.states = all.states();
        }
        effects.extend(all);
    }

    /// Lets the filter that a request is at decide anew.
    fn resume(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
        decide: impl FnOnce(&mut dyn Runner, &mut Request<'_>, &mut Effects) -> Step,
    ) -> Step {
        let mut passage = self.passages.remove(&stream).unwrap_or_default();
        let Some(member) = self.members.get_mut(passage.place) else { return nobody(request) };
        // The proxy still has the request as it came.
        request.apply(&passage.settled);
        let step = decide(&mut *member.runner, request, &mut passage.own);
        self.go_on(stream, passage, step, request, effects)
    }
}

/// There is no filter to decide.
fn nobody(request: &Request<'_>) -> Step {
    Step::Reply(Refusal::unavailable("not_configured").reply(NAME, Format::default(), request))
}

impl Runner for Chain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn phases(&self) -> Phases {
        self.phases
    }

    fn view<'h>(&self, host: &'h dyn Host) -> Request<'h> {
        Request::of_chain(host)
    }

    fn on_request(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let Some(first) = self.members.first_mut() else { return nobody(request) };
        let mut passage = Passage::default();
        let step = first.runner.on_request(stream, request, &mut passage.own);
        self.go_on(stream, passage, step, request, effects)
    }

    fn on_anew(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        self.resume(stream, request, effects, |runner, request, own| {
            runner.on_anew(stream, request, own)
        })
    }

    fn on_answer(
        &mut self,
        stream: u32,
        answer: &Answer<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        self.resume(stream, request, effects, |runner, request, own| {
            runner.on_answer(stream, answer, request, own)
        })
    }

    fn on_news(&mut self, stream: u32, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        self.resume(stream, request, effects, |runner, request, own| {
            runner.on_news(stream, request, own)
        })
    }

    fn on_whole_body(
        &mut self,
        stream: u32,
        body: WholeBody<'_>,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        let reader = self.passages.get_mut(&stream).and_then(|passage| passage.reads.take());
        let found = reader.and_then(|(place, _)| Some((place, self.members.get_mut(place)?)));
        let Some((place, member)) = found else { return nobody(request) };
        let mut own = Effects::at(place);
        let step = member.runner.on_whole_body(stream, body, request, &mut own);
        if !self.phases.has_more() {
            self.passages.remove(&stream);
        }
        effects.extend(own);
        step
    }

    fn too_many_held(
        &mut self,
        stream: u32,
        request: &mut Request<'_>,
        effects: &mut Effects,
    ) -> Step {
        self.resume(stream, request, effects, |runner, request, own| {
            runner.too_many_held(stream, request, own)
        })
    }

    fn host_failure(&mut self, request: &mut Request<'_>, effects: &mut Effects) -> Step {
        match self.members.last_mut() {
            Some(member) => member.runner.host_failure(request, effects),
            None => nobody(request),
        }
    }

    fn on_response(&mut self, stream: u32, response: &mut Response<'_>, effects: &mut Effects) {
        let Some(passage) = self.passages.get(&stream) else { return };
        let reached = passage.place.saturating_add(1);
        for (place, member) in self.members.iter_mut().enumerate().take(reached).rev() {
            if member.runner.phases().has_response {
                let mut own = Effects::at(place);
                member.runner.on_response(stream, response, &mut own);
                response.apply(&own);
                effects.extend(own);
            }
        }
    }

    fn on_body(&mut self, stream: u32, side: Map, body: &Body<'_>) {
        let Some(passage) = self.passages.get(&stream) else { return };
        let reached = passage.place.saturating_add(1);
        for member in self.members.iter_mut().take(reached) {
            if member.runner.phases().has_bodies {
                member.runner.on_body(stream, side, body);
            }
        }
    }

    fn on_log(&mut self, stream: u32, exchange: &Exchange<'_>, effects: &mut Effects) {
        let states = self.passages.get(&stream).map_or(&[][..], |passage| &passage.states);
        let exchange = &exchange.knowing(states);
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.runner.phases().has_log {
                effects.speak_at(place);
                member.runner.on_log(stream, exchange, effects);
            }
        }
    }

    fn forget(&mut self, stream: u32) {
        if self.passages.remove(&stream).is_some() {
            self.members.iter_mut().for_each(|member| member.runner.forget(stream));
        }
    }

    fn tick(&self) -> Option<Duration> {
        self.members.iter().filter_map(|member| member.runner.tick()).min()
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        let now = background.now;
        for (place, member) in self.members.iter_mut().enumerate() {
            let period = member.runner.tick().unwrap_or(SLOWEST_TICK);
            let early = member.due.since(now);
            // What requests wait for is to be heard of soon; and a wait that is longer than the period is
            // of a clock that was set back.
            let is_awaited = |passage: &Passage| passage.held && passage.place == place;
            if !early.is_zero() && early <= period && !self.passages.values().any(is_awaited) {
                continue;
            }
            // The proxy's timer may be a little early.
            member.due = now.after(period.mul_f32(0.9));
            background.effects.speak_at(place);
            member.runner.on_tick(background);
        }
    }

    fn on_background_answer(
        &mut self,
        ticket: Ticket,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        if let Some(member) = self.members.get_mut(ticket.place) {
            background.effects.speak_at(ticket.place);
            member.runner.on_background_answer(ticket, answer, background);
        }
    }
}

#[cfg(test)]
mod tests;
