//! A call of gRPC over the proxy's HTTP calls: one message there, one back.
//!
//! 1. A message goes in one frame: a byte that says whether it is compressed, its length in four
//!    bytes, itself (gRPC over HTTP/2, "Length-Prefixed-Message").
//! 2. A call went well where the status is 200, the content type gRPC's, and `grpc-status` is `0`: in
//!    the trailers, or among the headers of an answer that has nothing else ("Trailers-Only").
//! 3. An answer is one frame, not compressed, of the length it says, and nothing behind it.
//!
//! The proxy has calls of gRPC, too (`proxy_grpc_call`). These here need no further callbacks, are
//! bounded in length before they are copied, and fail in the ways that every call fails.

use std::time::Duration;

use prost::Message;

use shared::filter::{Answer, Call, CallFailure};
use shared::headers::Sole;

/// How long an answer may be, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// Why a call gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered: no such cluster, no host, no connection, no answer in time.
    Unavailable,
    /// The service answered that it cannot: another `grpc-status`.
    Refused,
    /// The answer is none: another content type, a frame that does not hold together, a message that
    /// cannot be read or contradicts itself.
    Malformed,
}

impl Failure {
    /// One word for metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }
}

/// The call that carries `message`.
pub(super) fn call(cluster: &str, path: &str, message: &impl Message, timeout: Duration) -> Call {
    // At most eight digits ("TimeoutValue"), and never zero.
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    Call {
        cluster: cluster.to_owned(),
        method: "POST",
        authority: cluster.to_owned(),
        path: path.to_owned(),
        headers: vec![
            ("content-type", "application/grpc".to_owned()),
            ("te", "trailers".to_owned()),
            ("grpc-timeout", format!("{millis}m")),
        ],
        body: frame(message),
        timeout,
        max_body: LONGEST,
    }
}

fn frame(message: &impl Message) -> Vec<u8> {
    let len = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&message.encode_to_vec());
    frame
}

/// The message that a call came back with.
pub(super) fn message<M: Message + Default>(answer: &Answer<'_>) -> Result<M, Failure> {
    let (status, headers, body, trailers) = match answer {
        Answer::Response { status, headers, body, trailers } => (*status, headers, *body, trailers),
        Answer::Failed(CallFailure::TooLong) => return Err(Failure::Malformed),
        Answer::Failed(_) => return Err(Failure::Unavailable),
    };
    match status {
        200 => {}
        502..=504 => return Err(Failure::Unavailable),
        _ => return Err(Failure::Malformed),
    }
    let Sole::Once(kind) = headers.sole("content-type") else { return Err(Failure::Malformed) };
    let rest = kind.strip_prefix(b"application/grpc").ok_or(Failure::Malformed)?;
    if !matches!(rest.first(), None | Some(b'+' | b';')) {
        return Err(Failure::Malformed);
    }
    // Envoy's own answers to a call of gRPC are `Trailers-Only`: a 503 comes as 14 (UNAVAILABLE).
    let place = if trailers.is_empty() { headers } else { trailers };
    match place.sole("grpc-status") {
        Sole::Once(b"0") => {}
        Sole::Once(b"4" | b"14") => return Err(Failure::Unavailable),
        Sole::Once(_) => return Err(Failure::Refused),
        Sole::Absent | Sole::Repeated => return Err(Failure::Malformed),
    }
    M::decode(unframe(body).ok_or(Failure::Malformed)?).map_err(|_| Failure::Malformed)
}

fn unframe(body: &[u8]) -> Option<&[u8]> {
    let (&[compressed, a, b, c, d], message) = body.split_first_chunk::<5>()?;
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (compressed == 0 && len == message.len()).then_some(message)
}
