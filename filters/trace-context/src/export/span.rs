//! The proxy's span of one exchange, by OpenTelemetry's conventions for HTTP servers.
//!
//! The path goes without its query, and no header but the user agent: there may be secrets in them.
//! Texts are cut at a length, and what is no UTF-8 in them is replaced. What the span is called is
//! known at its end (`operation.rs`).

use shared::time::Timestamp;
use shared::trace::{Incoming, Outgoing, tracestate};
use shared::view::{Exchange, Request};

use super::operation::{Methods, Operation, Rpc};
use super::otlp::{KeyValue, Kind, Span, Status, StatusCode, number, text};

/// How many bytes of a text are kept.
pub(super) const LONGEST_TEXT: usize = 256;
/// How many of a path.
const LONGEST_PATH: usize = 1024;
/// That it is known whether the parent is remote, and that it is (`SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// The methods that go by their name (OpenTelemetry, `http.request.method`).
const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

/// A span that has not ended.
#[derive(Debug)]
pub(crate) struct Started {
    /// It, with the HTTP method for a name.
    span: Span,
    /// Whether the request is gRPC.
    is_grpc: bool,
    /// The method of gRPC that it is about.
    rpc: Option<Rpc>,
}

impl Started {
    /// The span of a request, the child of `incoming`.
    pub(crate) fn new(
        outgoing: &Outgoing,
        incoming: Option<Incoming>,
        state: &[&[u8]],
        request: &Request<'_>,
    ) -> Self {
        let parent = incoming.and_then(|incoming| incoming.parent);
        let state = tracestate::combine(state.iter().copied()).unwrap_or_default();
        let random = if outgoing.random { 2 } else { 0 };
        let remote = if parent.is_some() { IS_REMOTE } else { 0 };
        let method = METHODS.iter().find(|method| method.as_bytes() == request.method());
        let start = request.number(&["request", "time"]);
        let is_grpc = request.is_grpc();
        let span = Span {
            trace_id: outgoing.trace_id.number().to_be_bytes().to_vec(),
            span_id: outgoing.span_id.number().to_be_bytes().to_vec(),
            trace_state: String::from_utf8(state).unwrap_or_default(),
            parent_span_id: parent
                .map_or_else(Vec::new, |parent| parent.number().to_be_bytes().to_vec()),
            name: method.map_or("HTTP", |method| *method).to_owned(),
            kind: Kind::Server.into(),
            start_time_unix_nano: start.unwrap_or_else(|| request.now().nanos()),
            end_time_unix_nano: 0,
            attributes: attributes(method.copied(), request),
            status: None,
            flags: 1 | random | HAS_IS_REMOTE | remote,
        };
        let rpc = if is_grpc { Rpc::of(request) } else { None };
        Self { span, is_grpc, rpc }
    }

    /// The span, with how the exchange ended.
    pub(super) fn end(self, methods: &mut Methods, exchange: &Exchange<'_>) -> Span {
        let Self { mut span, is_grpc, rpc } = self;
        let now = exchange.now().map_or(0, Timestamp::nanos);
        span.end_time_unix_nano = now.max(span.start_time_unix_nano);
        let status = exchange.number(&["response", "code"]).unwrap_or_default();
        let status = i64::try_from(status).unwrap_or_default();
        if status > 0 {
            span.attributes.push(number("http.response.status_code", status));
        }
        let grpc = if is_grpc { exchange.grpc_status(&exchange.response_headers()) } else { None };
        if is_grpc {
            span.attributes.push(text("rpc.system", "grpc"));
        }
        if let Some(code) = grpc {
            span.attributes.push(number("rpc.grpc.status_code", i64::from(code)));
        }
        if let Some(kind) = error(status, grpc) {
            let details = exchange.property(&["response", "code_details"]).unwrap_or_default();
            span.attributes.push(text("error.type", kind));
            let message = cut(&details, LONGEST_TEXT);
            span.status = Some(Status { message, code: StatusCode::Error.into() });
        }
        let operation = Operation::of(rpc, grpc, methods, exchange);
        operation.attributes(&mut span.attributes);
        span.name = operation.name(&span.name);
        span
    }
}

/// What went wrong on this side, if anything. No status is no answer; from 400 to 499 it is the client's
/// affair, and so it is with half of gRPC's (OpenTelemetry, "gRPC status", of a server).
fn error(status: i64, grpc: Option<u32>) -> Option<String> {
    match status {
        0 => return Some("no_response".to_owned()),
        500.. => return Some(status.to_string()),
        _ => {}
    }
    let name = match grpc? {
        2 => "UNKNOWN",
        4 => "DEADLINE_EXCEEDED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        _ => return None,
    };
    Some(name.to_owned())
}

fn attributes(method: Option<&str>, request: &Request<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![text("http.request.method", method.unwrap_or("_OTHER"))];
    if method.is_none() {
        let original = cut(request.method(), LONGEST_TEXT);
        attributes.push(text("http.request.method_original", original));
    }
    if let Some(path) = request.path() {
        let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
        let path = path.get(..end).unwrap_or_default();
        attributes.push(text("url.path", cut(path, LONGEST_PATH)));
    }
    let (host, port) = host_and_port(request.headers().first(":authority").unwrap_or_default());
    if !host.is_empty() {
        attributes.push(text("server.address", cut(host, LONGEST_TEXT)));
    }
    if let Some(port) = port {
        attributes.push(number("server.port", port));
    }
    for (header, key) in [(":scheme", "url.scheme"), ("user-agent", "user_agent.original")] {
        if let Some(value) = request.headers().first(header) {
            attributes.push(text(key, cut(value, LONGEST_TEXT)));
        }
    }
    if let Some(address) = shared::address::of_client(request) {
        attributes.push(text("client.address", address.to_string()));
    }
    if let Some(protocol) = request.property(&["request", "protocol"])
        && let Some(version) = protocol.strip_prefix(b"HTTP/")
    {
        attributes.push(text("network.protocol.version", cut(version, LONGEST_TEXT)));
    }
    attributes
}

/// The parts of an `:authority`; a port that is no number is a part of the host.
fn host_and_port(authority: &[u8]) -> (&[u8], Option<i64>) {
    let parts = authority.iter().rposition(|byte| *byte == b':').and_then(|colon| {
        let (host, port) = authority.split_at_checked(colon)?;
        let port: u16 = std::str::from_utf8(port.get(1..)?).ok()?.parse().ok()?;
        Some((host, Some(i64::from(port))))
    });
    parts.unwrap_or((authority, None))
}

/// The first bytes, as text.
pub(super) fn cut(bytes: &[u8], longest: usize) -> String {
    String::from_utf8_lossy(bytes.get(..longest).unwrap_or(bytes)).into_owned()
}
