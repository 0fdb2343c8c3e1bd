//! `grpc.health.v1.Health` (gRPC's `doc/health-checking.md`), as far as a filter can answer it.
//!
//! 1. Envoy makes every reply of its own to a gRPC request one of headers alone: no message fits in
//!    it. A `Check` therefore goes on as a probe, to a listener of the proxy's own. On its way Envoy's
//!    `grpc_http1_reverse_bridge` makes it a request of the type [`BRIDGED`], and of the answer one of
//!    gRPC again, trailers and all.
//! 2. There it is answered: 200 with one message. An error is an answer of headers alone, `grpc-status`
//!    among them.
//! 3. A body is one message, not compressed, of at most [`LONGEST`] bytes with its frame (gRPC over
//!    HTTP/2, "Length-Prefixed-Message"). A frame or a message that is anything else is
//!    `INVALID_ARGUMENT`; a compressed one is `UNIMPLEMENTED` (gRPC's `doc/compression.md`), one that is too
//!    long `RESOURCE_EXHAUSTED`.
//! 4. A service that the configuration does not name is `NOT_FOUND`.
//! 5. Every other method of the service, `Watch` among them, is `UNIMPLEMENTED`: to be told of changes takes
//!    an answer that does not end.

use prost::Message;
use shared::driver::GRPC_HEALTH;
use shared::filter::{Plugin as _, WholeBody};
use shared::reply::Reply;

use crate::HealthShortcut;

/// The type of a request that the bridge has made of one of gRPC, and of the answer to it.
const BRIDGED: &[u8] = b"application/x-grpc-health";
const BRIDGED_TEXT: &str = "application/x-grpc-health";
/// The longest body of a request that is read: five bytes of frame, and a name that is in the
/// configuration. Fields that are not known may take the rest.
pub(crate) const LONGEST: usize = 1024;
/// A message that is not compressed, and one that is.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// A method of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// How a service is.
    Check,
    /// Any other.
    Other,
}

/// The method that a path calls, if it is one of the service.
pub(crate) fn method(path: &[u8]) -> Option<Method> {
    let name = path.strip_prefix(GRPC_HEALTH)?;
    Some(if name == b"Check" { Method::Check } else { Method::Other })
}

/// Whether a `content-type` is that of the bridge.
pub(crate) fn is_bridged(content_type: &[u8]) -> bool {
    content_type == BRIDGED
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The service does its work.
    Serving,
    /// It does not, or the proxy drains.
    NotServing,
    /// There is no such service.
    UnknownService,
    /// The body is no message, or none of a check.
    Malformed,
    /// The message is compressed.
    Compressed,
    /// The body is longer than any check that is known.
    TooLong,
    /// The method is not offered.
    NotOffered,
    /// The proxy does not hand the body over.
    Unreadable,
}

impl Verdict {
    /// Its name in metrics and in the access log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotServing => "not_serving",
            Self::UnknownService => "unknown_service",
            Self::Malformed => "malformed",
            Self::Compressed => "compressed",
            Self::TooLong => "too_long",
            Self::NotOffered => "not_offered",
            Self::Unreadable => "unreadable",
        }
    }

    /// `grpc-status` and `grpc-message`, where it is an error (gRPC's `doc/statuscodes.md`).
    const fn error(self) -> Option<(u8, &'static str)> {
        match self {
            Self::Serving | Self::NotServing => None,
            Self::UnknownService => Some((5, "unknown service")),
            Self::Malformed => Some((3, "the message is malformed")),
            Self::Compressed => Some((12, "the message is compressed")),
            Self::TooLong => Some((8, "the message is too long")),
            Self::NotOffered => Some((12, "only Check is offered")),
            Self::Unreadable => Some((14, "the message cannot be read")),
        }
    }

    /// The answer to a request of the bridge's type.
    pub(crate) fn bridged(self) -> Reply {
        let mut headers = vec![("cache-control", "no-store".to_owned())];
        let mut body = Vec::new();
        match self.error() {
            Some((status, message)) => {
                headers.push(("grpc-status", status.to_string()));
                headers.push(("grpc-message", message.to_owned()));
                if self == Self::Compressed {
                    headers.push(("grpc-accept-encoding", "identity".to_owned()));
                }
            }
            None => {
                headers.push(("content-type", BRIDGED_TEXT.to_owned()));
                body = framed(&HealthCheckResponse { status: self.serving() }.encode_to_vec());
            }
        }
        Reply { status: 200, details: self.details(), headers, body, grpc_status: None }
    }

    /// The answer to a request of gRPC itself, which can be an error alone.
    pub(crate) fn refusal(self) -> Reply {
        let (status, message) = self.error().unwrap_or((13, "no message fits in this answer"));
        Reply {
            status: 200,
            details: self.details(),
            headers: vec![("cache-control", "no-store".to_owned())],
            body: message.as_bytes().to_vec(),
            grpc_status: Some(status),
        }
    }

    /// `ServingStatus`.
    fn serving(self) -> i32 {
        if self == Self::Serving { 1 } else { 2 }
    }

    fn details(self) -> String {
        format!("gatehouse.{}.grpc_{}", HealthShortcut::NAME, self.name())
    }
}

/// The name of the service that a body asks for, or why there is none.
pub(crate) fn service(body: WholeBody<'_>) -> Result<String, Verdict> {
    let bytes = match body {
        WholeBody::Bytes(bytes) => bytes,
        WholeBody::TooLong => return Err(Verdict::TooLong),
        WholeBody::Unreadable => return Err(Verdict::Unreadable),
    };
    let (head, message) = bytes.split_first_chunk::<5>().ok_or(Verdict::Malformed)?;
    let [flag, length @ ..] = *head;
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(Verdict::Malformed);
    }
    match flag {
        PLAIN => {}
        COMPRESSED => return Err(Verdict::Compressed),
        _ => return Err(Verdict::Malformed),
    }
    let request = HealthCheckRequest::decode(message).map_err(|_| Verdict::Malformed)?;
    Ok(request.service)
}

/// A message in its frame. It is a few bytes long.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or_default();
    [&[PLAIN][..], &length.to_be_bytes(), message].concat()
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(bytes: &[u8]) -> Result<String, Verdict> {
        service(WholeBody::Bytes(bytes))
    }

    #[test]
    fn a_body_is_a_message_in_its_frame() {
        assert_eq!(ask(b"\0\0\0\0\0").as_deref(), Ok(""));
        assert_eq!(ask(b"\0\0\0\0\x03\x0a\x01a").as_deref(), Ok("a"));
        assert_eq!(ask(b"\0\0\0\0\x06\x0a\x01a\x0a\x01b").as_deref(), Ok("b"), "the last holds");
        assert_eq!(ask(b"\0\0\0\0\x05\x10\x07\x0a\x01a").as_deref(), Ok("a"), "with another field");
    }

    #[test]
    fn every_part_of_a_message_is_malformed() {
        let whole =
            framed(&HealthCheckRequest { service: "users.v1.Users".into() }.encode_to_vec());
        for end in 0..whole.len() {
            assert_eq!(ask(&whole[..end]), Err(Verdict::Malformed), "{end}");
        }
        for more in [&[0][..], &[0; 5], &whole] {
            assert_eq!(ask(&[&whole, more].concat()), Err(Verdict::Malformed), "two messages");
        }
    }

    #[test]
    fn a_message_that_is_none_is_malformed() {
        for message in [
            &b"\x0a"[..],
            b"\x0a\x05a",
            b"\x0a\xff\xff\xff\xff\x0f",
            b"\x0a\x01\xff",
            b"\x08\x01",
            b"\0\0",
            b"\x0b",
        ] {
            assert_eq!(ask(&framed(message)), Err(Verdict::Malformed), "{message:?}");
        }
    }

    #[test]
    fn the_flag_says_whether_it_is_compressed() {
        assert_eq!(ask(b"\x01\0\0\0\x01x"), Err(Verdict::Compressed));
        assert_eq!(ask(b"\x02\0\0\0\0"), Err(Verdict::Malformed));
        assert_eq!(ask(b"\x01\0\0\0\x02x"), Err(Verdict::Malformed));
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        assert_eq!(service(WholeBody::TooLong), Err(Verdict::TooLong));
        assert_eq!(service(WholeBody::Unreadable), Err(Verdict::Unreadable));
    }

    #[test]
    fn an_answer_is_one_message() {
        assert_eq!(Verdict::Serving.bridged().body, b"\0\0\0\0\x02\x08\x01");
        assert_eq!(Verdict::NotServing.bridged().body, b"\0\0\0\0\x02\x08\x02");
    }

    #[test]
    fn paths_are_those_of_the_service() {
        assert_eq!(method(b"/grpc.health.v1.Health/Check"), Some(Method::Check));
        for path in ["Watch", "List", "check", "", "Check/", "Check?x"] {
            let path = format!("/grpc.health.v1.Health/{path}");
            assert_eq!(method(path.as_bytes()), Some(Method::Other), "{path}");
        }
        for path in [
            "/",
            "/grpc.health.v1.Health",
            "/x/grpc.health.v1.Health/Check",
            "/grpc.health.v1.healthCheck",
        ] {
            assert_eq!(method(path.as_bytes()), None, "{path}");
        }
    }
}
