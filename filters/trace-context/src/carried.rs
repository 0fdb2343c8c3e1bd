//! What of a trace a request carries: one look at each of its headers.

use std::rc::Rc;

use shared::headers::{Headers, Sole};
use shared::trace::{b3, baggage, datadog, google, jaeger, tracestate, w3c, xray};

use crate::config::Form;

/// A header of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Traceparent,
    Tracestate,
    Baggage,
    B3,
    B3TraceId,
    B3SpanId,
    B3ParentSpanId,
    B3Sampled,
    B3Flags,
    Uber,
    JaegerDebugId,
    JaegerBaggage,
    DatadogTraceId,
    DatadogParentId,
    DatadogPriority,
    DatadogOrigin,
    DatadogTags,
    Amzn,
    Google,
}

use Header as H;

/// All headers, in the order of their numbers, with the form that each belongs to.
const ALL: [(H, &str, Option<Form>); 19] = [
    (H::Traceparent, w3c::TRACEPARENT, Some(Form::W3c)),
    (H::Tracestate, tracestate::TRACESTATE, Some(Form::W3c)),
    (H::Baggage, baggage::BAGGAGE, None),
    (H::B3, b3::B3, Some(Form::B3)),
    (H::B3TraceId, b3::TRACE_ID, Some(Form::B3Multi)),
    (H::B3SpanId, b3::SPAN_ID, Some(Form::B3Multi)),
    (H::B3ParentSpanId, b3::PARENT_SPAN_ID, Some(Form::B3Multi)),
    (H::B3Sampled, b3::SAMPLED, Some(Form::B3Multi)),
    (H::B3Flags, b3::FLAGS, Some(Form::B3Multi)),
    (H::Uber, jaeger::UBER_TRACE_ID, Some(Form::Jaeger)),
    (H::JaegerDebugId, "jaeger-debug-id", Some(Form::Jaeger)),
    (H::JaegerBaggage, "jaeger-baggage", Some(Form::Jaeger)),
    (H::DatadogTraceId, datadog::TRACE_ID, Some(Form::Datadog)),
    (H::DatadogParentId, datadog::PARENT_ID, Some(Form::Datadog)),
    (H::DatadogPriority, datadog::PRIORITY, Some(Form::Datadog)),
    (H::DatadogOrigin, datadog::ORIGIN, Some(Form::Datadog)),
    (H::DatadogTags, datadog::TAGS, Some(Form::Datadog)),
    (H::Amzn, xray::X_AMZN_TRACE_ID, Some(Form::Xray)),
    (H::Google, google::X_CLOUD_TRACE_CONTEXT, Some(Form::Google)),
];

impl Header {
    /// The header of this name, in lower case.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        // Most headers of a request are none of these, and their first letters say so.
        match name {
            [b't' | b'b' | b'j', ..] | [b'u', b'b', ..] => {}
            [b'x', b'-', b'a' | b'b' | b'c' | b'd', ..] => {}
            _ => return None,
        }
        ALL.iter().find(|(_, known, _)| known.as_bytes() == name).map(|(header, ..)| *header)
    }

    /// Its bit in a [`Set`].
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Some headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Set(u32);

impl Set {
    /// Puts one in.
    pub(crate) const fn insert(&mut self, header: Header) {
        self.0 |= header.bit();
    }

    /// Whether one is in it.
    pub(crate) const fn contains(self, header: Header) -> bool {
        self.0 & header.bit() != 0
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in it, each with its form.
    pub(crate) fn iter(self) -> impl Iterator<Item = (Header, Option<Form>)> {
        // Most sets are empty, and need no look at all.
        let all: &[_] = if self.0 == 0 { &[] } else { &ALL };
        all.iter()
            .filter(move |(header, ..)| self.contains(*header))
            .map(|(header, _, form)| (*header, *form))
    }
}

/// The names of all headers, to be set and taken off by; made once.
pub(crate) struct Names([Rc<str>; ALL.len()]);

impl Default for Names {
    fn default() -> Self {
        Self(ALL.map(|(_, name, _)| Rc::from(name)))
    }
}

impl Names {
    /// That of one.
    pub(crate) fn of(&self, header: Header) -> Rc<str> {
        self.0.get(header as usize).map_or_else(|| Rc::from(""), Rc::clone)
    }
}

/// What a request carries.
pub(crate) struct Carried<'a> {
    headers: &'a Headers,
    values: [Sole<'a>; ALL.len()],
    /// Which there are.
    pub(crate) present: Set,
    /// The names of headers with Jaeger's own baggage, which has one for each member.
    pub(crate) jaeger_members: Vec<&'a [u8]>,
}

impl<'a> Carried<'a> {
    /// Looks at all headers.
    pub(crate) fn read(headers: &'a Headers) -> Self {
        let mut carried = Self {
            headers,
            values: [Sole::Absent; ALL.len()],
            present: Set::default(),
            jaeger_members: Vec::new(),
        };
        for (name, value) in headers.iter() {
            if let Some(header) = Header::of(name) {
                carried.add(header, value);
            } else if name.starts_with(jaeger::BAGGAGE_PREFIX.as_bytes()) {
                carried.jaeger_members.push(name);
            }
        }
        carried
    }

    fn add(&mut self, header: Header, value: &'a [u8]) {
        let Some(place) = self.values.get_mut(header as usize) else { return };
        *place = if self.present.contains(header) { Sole::Repeated } else { Sole::Once(value) };
        self.present.insert(header);
    }

    /// A header that may come once.
    pub(crate) fn sole(&self, header: Header) -> Sole<'a> {
        self.values.get(header as usize).copied().unwrap_or(Sole::Absent)
    }

    /// The same; `None` where it is not there, and an error where it came more than once.
    pub(crate) fn once(&self, header: Header) -> Result<Option<&'a [u8]>, Repeated> {
        match self.sole(header) {
            Sole::Absent => Ok(None),
            Sole::Once(value) => Ok(Some(value)),
            Sole::Repeated => Err(Repeated),
        }
    }

    /// Every value of a header that may come more than once.
    pub(crate) fn all(&self, header: Header) -> impl Iterator<Item = &'a [u8]> {
        let name = ALL.get(header as usize).map_or("", |(_, name, _)| *name);
        self.headers.all(name)
    }
}

/// A header came twice that may come once. Which of them counts would be a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated;
