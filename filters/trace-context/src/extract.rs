//! Finds the context that a request carries.

use shared::trace::{Found, b3, datadog, google, jaeger, w3c, xray};

use crate::carried::{Carried, Header as H, Repeated};
use crate::config::Source;

/// What there is in one form.
pub(crate) enum Look {
    /// Nothing.
    Absent,
    /// A context.
    Found(Found),
    /// Something that is none.
    Malformed,
}

impl Source {
    /// Its name, as configurations have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::W3c => "w3c",
            Self::B3 => "b3",
            Self::Jaeger => "jaeger",
            Self::Datadog => "datadog",
            Self::Xray => "xray",
            Self::Google => "google",
        }
    }

    /// Looks for a context in this form.
    pub(crate) fn look(self, carried: &Carried<'_>) -> Look {
        match self {
            Self::W3c => one(carried, H::Traceparent, w3c::parse),
            Self::B3 => match one(carried, H::B3, b3::parse) {
                // The one header is read before the several (openzipkin/b3-propagation).
                Look::Absent => of(b3_multi(carried)),
                look => look,
            },
            Self::Jaeger => one(carried, H::Uber, jaeger::parse),
            Self::Datadog => of(datadog(carried)),
            Self::Xray => one(carried, H::Amzn, xray::parse),
            Self::Google => one(carried, H::Google, google::parse),
        }
    }
}

fn one(carried: &Carried<'_>, header: H, parse: fn(&[u8]) -> Option<Found>) -> Look {
    of(carried.once(header).map(|value| value.map(parse)))
}

/// Of what a form's headers hold: there are none, or they hold a context, or nonsense.
fn of(found: Result<Option<Option<Found>>, Repeated>) -> Look {
    match found {
        Ok(None) => Look::Absent,
        Ok(Some(Some(found))) => Look::Found(found),
        Ok(Some(None)) | Err(Repeated) => Look::Malformed,
    }
}

fn b3_multi(carried: &Carried<'_>) -> Result<Option<Option<Found>>, Repeated> {
    let headers = b3::Multi {
        trace_id: carried.once(H::B3TraceId)?,
        span_id: carried.once(H::B3SpanId)?,
        parent_span_id: carried.once(H::B3ParentSpanId)?,
        sampled: carried.once(H::B3Sampled)?,
        flags: carried.once(H::B3Flags)?,
    };
    let there = [headers.trace_id, headers.span_id, headers.sampled, headers.flags];
    Ok(there.iter().any(Option::is_some).then(|| b3::parse_multi(&headers)))
}

fn datadog(carried: &Carried<'_>) -> Result<Option<Option<Found>>, Repeated> {
    let headers = datadog::Headers {
        trace_id: carried.once(H::DatadogTraceId)?,
        parent_id: carried.once(H::DatadogParentId)?,
        priority: carried.once(H::DatadogPriority)?,
        tags: carried.once(H::DatadogTags)?,
    };
    Ok(headers.trace_id.map(|_| datadog::parse(&headers)))
}
