//! What a filter wants done: values, applied by the adapter when the filter has decided.
//!
//! Changes to the request are applied when it goes on, and never when it is refused. Counts and
//! filter state are kept either way.

use std::fmt;
use std::rc::Rc;

use crate::filter::Call;

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
    /// Add one to a counter.
    Count(Count),
}

/// A counter of a filter: `gatehouse.<filter>.<event>`, with at most one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Count {
    /// What happened.
    pub event: &'static str,
    /// The label's name and value; the value is one of a fixed few, never a client's word.
    pub label: Option<(&'static str, &'static str)>,
}

impl Count {
    /// The name under which the proxy keeps it; `stats_tags` in `envoy/` turn it into labels.
    pub fn name(&self, filter: &str) -> String {
        match self.label {
            None => format!("gatehouse.{filter}.{}", self.event),
            Some((label, value)) => format!("gatehouse.{filter}.{}.{label}.{value}", self.event),
        }
    }
}

/// Everything that a filter wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    list: Vec<Effect>,
    calls: Vec<(u32, Call)>,
    kept: Vec<Rc<str>>,
}

impl Effects {
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

    /// Counts an event.
    pub fn count(&mut self, event: &'static str) {
        self.list.push(Effect::Count(Count { event, label: None }));
    }

    /// Counts an event under a label.
    pub fn count_by(&mut self, event: &'static str, label: &'static str, value: &'static str) {
        self.list.push(Effect::Count(Count { event, label: Some((label, value)) }));
    }

    /// Starts a background call of the plugin, whose end is told under `id`.
    pub fn call(&mut self, id: u32, call: Call) {
        self.calls.push((id, call));
    }

    /// Hands over the calls to start.
    pub fn take_calls(&mut self) -> Vec<(u32, Call)> {
        std::mem::take(&mut self.calls)
    }

    /// Notes a header of the request that an authenticator in front has set.
    pub(crate) fn keep(&mut self, name: Rc<str>) {
        self.kept.push(name);
    }

    /// Hands over the names of those headers.
    pub(crate) fn take_kept(&mut self) -> Vec<Rc<str>> {
        std::mem::take(&mut self.kept)
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
                Effect::Count(Count { event, label: None }) => write!(f, "{space}#{event}"),
                Effect::Count(Count { event, label: Some((label, value)) }) => {
                    write!(f, "{space}#{event}[{label}={value}]")
                }
            }?;
        }
        for (index, (_, call)) in self.calls.iter().enumerate() {
            let space = if index == 0 && self.list.is_empty() { "" } else { " " };
            write!(f, "{space}call {} {}{}", call.method, call.cluster, call.path)?;
        }
        Ok(())
    }
}
