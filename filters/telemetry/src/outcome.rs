//! What came of an exchange, as the proxy tells it at its end.
//!
//! 1. What is read costs a call each, so that the least is read: of a plain success the heads of the
//!    response, and what the metrics need.
//! 2. A refusal is an answer of the proxy's own, of a filter or of Envoy itself, with a status from 400
//!    on or a gRPC status that is not `OK`. Envoy says so in `response.code_details`.

use shared::view::Exchange;

/// What came of an exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// The status; 0 where the client got none.
    pub(crate) status: u16,
    /// The gRPC status, where the exchange was gRPC.
    pub(crate) grpc: Option<u32>,
    /// Why the response is what it is; empty for a plain success, of which it is not asked.
    pub(crate) details: Vec<u8>,
}

impl Outcome {
    /// Reads it.
    pub(crate) fn of(exchange: &Exchange<'_>) -> Self {
        let headers = exchange.response_headers();
        let status = headers.first(":status").and_then(number).unwrap_or_default();
        let grpc = exchange.grpc_status(&headers);
        let mut outcome =
            Self { status: u16::try_from(status).unwrap_or_default(), grpc, details: Vec::new() };
        if !outcome.is_plain() {
            outcome.details = exchange.property(&["response", "code_details"]).unwrap_or_default();
        }
        outcome
    }

    /// Whether nothing is remarkable about it.
    fn is_plain(&self) -> bool {
        (100..400).contains(&self.status) && matches!(self.grpc, None | Some(0))
    }

    /// Whether it failed on this side: the upstream, the proxy, or nobody answered.
    pub(crate) fn is_error(&self) -> bool {
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        self.status == 0 || self.status >= 500 || matches!(self.grpc, Some(2 | 4 | 12..=15))
    }

    /// Whether the proxy refused it.
    pub(crate) fn is_refused(&self) -> bool {
        let by_upstream = self.details.is_empty() || self.details == b"via_upstream";
        !self.is_plain() && self.status != 0 && !by_upstream
    }

    /// Which hundred its status is of. A gRPC status counts as the HTTP status that it stands for.
    pub(crate) const fn class(&self) -> &'static str {
        match (self.grpc, self.status) {
            (None | Some(0), 200..=299) => "2xx",
            (Some(2 | 4 | 12..=15), 200..=299) => "5xx",
            (Some(_), 200..=299) => "4xx",
            (_, 100..=199) => "1xx",
            (_, 300..=399) => "3xx",
            (_, 400..=499) => "4xx",
            (_, 500..=599) => "5xx",
            _ => "none",
        }
    }

    /// By whom it was refused, and why: words of ours, or the first word of what Envoy says.
    pub(crate) fn refusal(&self) -> (&[u8], &[u8]) {
        let text = self.own_details();
        if let Some(ours) = text.strip_prefix(b"gatehouse.")
            && let Some(dot) = ours.iter().position(|byte| *byte == b'.')
            && let Some((by, reason)) = ours.split_at_checked(dot)
        {
            return (
                by.get(..by.len().min(64)).unwrap_or_default(),
                word(reason.strip_prefix(b".").unwrap_or_default()),
            );
        }
        (b"proxy", word(text))
    }

    /// The details without what Envoy puts before those of a Wasm filter: `via_wasm::<plugin>::`.
    pub(crate) fn own_details(&self) -> &[u8] {
        let wasm = self.details.strip_prefix(b"via_wasm::");
        let behind = wasm.and_then(|rest| {
            let at = rest.windows(2).position(|pair| pair == b"::")?;
            rest.get(at.saturating_add(2)..)
        });
        behind.unwrap_or(&self.details)
    }
}

/// The first lower-case letters, digits and `_`; 64 at most.
fn word(text: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let end = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    text.get(..end.min(64)).unwrap_or_default()
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The name of a gRPC status, as Go writes it.
pub(crate) const fn grpc_code(status: u32) -> &'static str {
    match status {
        0 => "OK",
        1 => "Canceled",
        2 => "Unknown",
        3 => "InvalidArgument",
        4 => "DeadlineExceeded",
        5 => "NotFound",
        6 => "AlreadyExists",
        7 => "PermissionDenied",
        8 => "ResourceExhausted",
        9 => "FailedPrecondition",
        10 => "Aborted",
        11 => "OutOfRange",
        12 => "Unimplemented",
        13 => "Internal",
        14 => "Unavailable",
        15 => "DataLoss",
        16 => "Unauthenticated",
        _ => "Code",
    }
}
