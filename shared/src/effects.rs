//! What a filter wants done: values, applied by the adapter when the filter has decided.
//!
//! Changes to the request are applied when it goes on, and never when it is refused. Counts and
//! filter state are kept either way.

use std::fmt;
use std::rc::Rc;

use crate::evidence::Testimony;
use crate::filter::{Call, Ticket};
use crate::metric::Metric;
use crate::view::State;

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give a header of the request this one value.
    SetRequestHeader(Rc<str>, Rc<[u8]>),
    /// Take a header off the request, every occurrence.
    RemoveRequestHeader(Rc<str>),
    /// Give a header of the response this one value.
    SetResponseHeader(Rc<str>, Rc<[u8]>),
    /// Give the response one more header, beside those of the same name.
    AddResponseHeader(Rc<str>, Rc<[u8]>),
    /// Set filter state, for the filters behind and the access log.
    SetState(Rc<str>, Rc<[u8]>),
    /// Leave evidence in filter state of this name. The filters of one pass read it as it is; it is
    /// written for others alone.
    Leave(Rc<str>, Rc<Testimony>),
    /// Add one to a counter.
    Count(Count),
    /// Add so much to a metric whose name is made at run time, or note so much in it.
    Measure(Rc<Metric>, u64),
}

impl Effect {
    /// Whether it changes the request.
    pub(crate) const fn is_for_request(&self) -> bool {
        matches!(self, Self::SetRequestHeader(..) | Self::RemoveRequestHeader(_))
    }

    /// Whether it changes the response.
    pub(crate) const fn is_for_response(&self) -> bool {
        matches!(self, Self::SetResponseHeader(..) | Self::AddResponseHeader(..))
    }

    /// The filter state that it sets, as bytes.
    pub fn state(&self) -> Option<(&Rc<str>, Rc<[u8]>)> {
        match self {
            Self::SetState(name, value) => Some((name, Rc::clone(value))),
            Self::Leave(name, testimony) => Some((name, testimony.written())),
            _ => None,
        }
    }

    /// What it writes: the last that writes it overwrites the others.
    const fn target(&self) -> Option<(Target, &Rc<str>)> {
        match self {
            Self::SetRequestHeader(name, _) | Self::RemoveRequestHeader(name) => {
                Some((Target::Request, name))
            }
            Self::SetResponseHeader(name, _) => Some((Target::Response, name)),
            Self::SetState(name, _) | Self::Leave(name, _) => Some((Target::State, name)),
            // One more beside the others overwrites none.
            Self::AddResponseHeader(..) | Self::Count(_) | Self::Measure(..) => None,
        }
    }
}

/// Where an effect writes under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Request,
    Response,
    State,
}

/// A counter of a filter: `gatehouse.<filter>.<event>`, with at most one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Count {
    /// Whose it is.
    pub filter: &'static str,
    /// What happened.
    pub event: &'static str,
    /// The label's name and value; the value is one of a fixed few, never a client's word.
    pub label: Option<(&'static str, &'static str)>,
}

impl Count {
    /// Whether it is the same by its words' addresses, without a look at them.
    #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
    pub(crate) fn is(&self, other: &Self) -> bool {
        let is = |one: &'static str, other: &'static str| std::ptr::eq(one, other);
        is(self.event, other.event)
            && is(self.filter, other.filter)
            && match (self.label, other.label) {
                (None, None) => true,
                (Some((name, value)), Some((others, other))) => {
                    is(value, other) && is(name, others)
                }
                _ => false,
            }
    }

    /// The name under which the proxy keeps it; `stats_tags` in `envoy/` turn it into labels.
    pub fn name(&self) -> String {
        let Self { filter, event, label } = self;
        match label {
            None => format!("gatehouse.{filter}.{event}"),
            Some((label, value)) => format!("gatehouse.{filter}.{event}.{label}.{value}"),
        }
    }
}

/// Everything that a filter wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    list: Vec<Effect>,
    calls: Vec<(Ticket, Call)>,
    kept: Vec<Rc<str>>,
    /// The filter that speaks, and its place in a chain: who counts, and who is told of a call's end.
    filter: &'static str,
    place: usize,
    /// The marks of all that is settled ([`mark`]), and more perhaps.
    marks: u64,
}

/// One of 64 bits, the same for what writes to the same: most of what filters of a chain want done is
/// new, and need not be looked for.
fn mark(target: Target, name: &str) -> u64 {
    let last = name.as_bytes().last().copied().unwrap_or_default();
    let number =
        name.len().wrapping_mul(5) ^ usize::from(last) ^ (target as usize).wrapping_mul(21);
    1 << (number & 63)
}

impl Effects {
    /// None yet, of the filter at a place of a chain.
    pub(crate) fn at(place: usize) -> Self {
        Self { place, ..Self::default() }
    }

    /// What is added from now on is of the filter of this name.
    pub(crate) const fn speak_for(&mut self, filter: &'static str) {
        self.filter = filter;
    }

    /// What is added from now on is of the filter at this place of a chain.
    pub(crate) const fn speak_at(&mut self, place: usize) {
        self.place = place;
    }

    /// The background call that the speaking filter calls `id`.
    pub(crate) const fn ticket(&self, id: u32) -> Ticket {
        Ticket { place: self.place, id }
    }

    /// Gives a header of the request this one value.
    pub fn set_request_header(&mut self, name: Rc<str>, value: Rc<[u8]>) {
        self.list.push(Effect::SetRequestHeader(name, value));
    }

    /// Takes a header off the request.
    pub fn remove_request_header(&mut self, name: Rc<str>) {
        self.list.push(Effect::RemoveRequestHeader(name));
    }

    /// Gives a header of the response this one value.
    pub fn set_response_header(&mut self, name: Rc<str>, value: Rc<[u8]>) {
        self.list.push(Effect::SetResponseHeader(name, value));
    }

    /// Gives the response one more header, beside those of the same name: cookies.
    pub fn add_response_header(&mut self, name: Rc<str>, value: Rc<[u8]>) {
        self.list.push(Effect::AddResponseHeader(name, value));
    }

    /// Sets filter state.
    pub fn set_state(&mut self, name: Rc<str>, value: Rc<[u8]>) {
        self.list.push(Effect::SetState(name, value));
    }

    /// Leaves evidence in filter state.
    pub(crate) fn leave(&mut self, name: Rc<str>, testimony: Rc<Testimony>) {
        self.list.push(Effect::Leave(name, testimony));
    }

    /// Counts an event.
    pub fn count(&mut self, event: &'static str) {
        self.count_labelled(event, None);
    }

    /// Counts an event under a label.
    pub fn count_by(&mut self, event: &'static str, label: &'static str, value: &'static str) {
        self.count_labelled(event, Some((label, value)));
    }

    fn count_labelled(&mut self, event: &'static str, label: Option<(&'static str, &'static str)>) {
        self.list.push(Effect::Count(Count { filter: self.filter, event, label }));
    }

    /// Adds to a counter, or notes a value in a histogram, whose name is made at run time.
    pub fn measure(&mut self, metric: Rc<Metric>, value: u64) {
        self.list.push(Effect::Measure(metric, value));
    }

    /// Starts a background call of the plugin, whose end is told under `id`.
    pub fn call(&mut self, id: u32, call: Call) {
        self.calls.push((self.ticket(id), call));
    }

    /// The calls to start.
    pub(crate) fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.calls.iter_mut().map(|(_, call)| call)
    }

    /// Hands over the calls to start.
    pub fn take_calls(&mut self) -> Vec<(Ticket, Call)> {
        std::mem::take(&mut self.calls)
    }

    /// Notes a header in which an authenticator in front has told the upstream who it is.
    pub(crate) fn keep(&mut self, name: Rc<str>) {
        self.kept.push(name);
    }

    /// Hands over the names of those headers.
    pub(crate) fn take_kept(&mut self) -> Vec<Rc<str>> {
        std::mem::take(&mut self.kept)
    }

    /// Adds the calls to start of another's, and takes them from it.
    pub(crate) fn add_calls(&mut self, other: &mut Self) {
        self.calls.append(&mut other.calls);
    }

    /// Keeps only some of what there is to do.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Effect) -> bool) {
        self.list.retain(keep);
    }

    /// Adds what another filter wants done, as it wants it.
    pub(crate) fn extend(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.calls.append(&mut other.calls);
    }

    /// Adds what the filter behind in a chain wants done: each header of the request and each piece of
    /// filter state is written once in the end, as the last filter wants it. Of the response, which
    /// goes the other way, the foremost filter has the last word.
    pub(crate) fn settle(&mut self, behind: Self) {
        let mut in_front = self.list.len();
        if self.marks == 0 {
            let marks = self.list.iter().filter_map(Effect::target);
            self.marks = marks.fold(0, |marks, (target, name)| marks | mark(target, name));
        }
        self.list.reserve(behind.list.len());
        for effect in behind.list {
            let Some((target, name)) = effect.target() else {
                self.list.push(effect);
                continue;
            };
            let is_same = |known: &Effect| {
                known.target().is_some_and(|(at, known)| at == target && known == name)
            };
            let mark = mark(target, name);
            let may_be_there = self.marks & mark != 0;
            self.marks |= mark;
            let known = if may_be_there { self.list.iter().position(is_same) } else { None };
            match known {
                Some(known) if target == Target::Response && known < in_front => {}
                Some(known) => {
                    self.list.remove(known);
                    if known < in_front {
                        in_front = in_front.saturating_sub(1);
                    }
                    self.list.push(effect);
                }
                None => self.list.push(effect),
            }
        }
        self.calls.extend(behind.calls);
    }

    /// The filter state that it sets, but for evidence.
    pub(crate) fn states(&self) -> Vec<State> {
        let set = self.list.iter().filter_map(|effect| match effect {
            Effect::SetState(name, value) => Some((Rc::clone(name), Rc::clone(value))),
            _ => None,
        });
        set.collect()
    }

    /// Whether there are changes to the request.
    pub(crate) fn has_edits(&self) -> bool {
        self.list.iter().any(Effect::is_for_request)
    }

    /// Hands over the changes to the request, and keeps the rest.
    pub fn take_edits(&mut self) -> Vec<Effect> {
        self.list.extract_if(.., |effect| effect.is_for_request()).collect()
    }

    /// Adds the changes to the request of another's, and takes them from it.
    pub(crate) fn add_edits(&mut self, other: &mut Self) {
        self.list.append(&mut other.take_edits());
    }

    /// Forgets the changes to the request, which does not go on.
    pub(crate) fn discard_edits(&mut self) {
        self.list.retain(|effect| !effect.is_for_request());
    }

    /// What there is to do, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// Hands over what there is to do.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.list)
    }
}

impl fmt::Display for Effects {
    /// `+name: value`, `-name`, `state=value`, `#event`, `call GET cluster/path`: for tests and logs
    /// of tests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for (index, effect) in self.list.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match effect {
                Effect::SetRequestHeader(name, value) => {
                    write!(f, "{space}+{name}: {}", text(value))
                }
                Effect::RemoveRequestHeader(name) => write!(f, "{space}-{name}"),
                Effect::SetResponseHeader(name, value) => {
                    write!(f, "{space}<{name}: {}", text(value))
                }
                Effect::AddResponseHeader(name, value) => {
                    write!(f, "{space}<+{name}: {}", text(value))
                }
                Effect::SetState(name, value) => write!(f, "{space}{name}={}", text(value)),
                Effect::Leave(name, testimony) => {
                    write!(f, "{space}{name}={}", text(&testimony.written()))
                }
                Effect::Count(Count { event, label: None, .. }) => write!(f, "{space}#{event}"),
                Effect::Count(Count { event, label: Some((label, value)), .. }) => {
                    write!(f, "{space}#{event}[{label}={value}]")
                }
                Effect::Measure(metric, value) => write!(f, "{space}#{}={value}", metric.name()),
            }?;
        }
        for (index, (_, call)) in self.calls.iter().enumerate() {
            let space = if index == 0 && self.list.is_empty() { "" } else { " " };
            write!(f, "{space}call {} {}{}", call.method, call.cluster, call.path)?;
        }
        Ok(())
    }
}
