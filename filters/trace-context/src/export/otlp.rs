//! What of OTLP (opentelemetry-proto 1.x) a span of ours needs, as protobuf.
//!
//! The messages are written down here since the crate that has them all brings a gRPC stack along.

use std::collections::BTreeMap;

use prost::Message;

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// What makes the spans.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// A span.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(enumeration = "Kind", tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(super) flags: u32,
}

/// `SpanKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    /// None was given.
    Unspecified = 0,
    /// Of who answers a request.
    Server = 2,
}

/// How the operation ended.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub(super) code: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StatusCode {
    /// Not to be judged here.
    Unset = 0,
    /// Not well.
    Error = 2,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(int64, tag = "3")]
    Int(i64),
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::String(value.into()))
}

/// An attribute that is a number.
pub(super) fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::Int(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// The proxy, as who it is configured to be, and as the instance that its node is where nothing else
/// is said.
pub(super) fn resource(configured: &BTreeMap<String, String>, node: &[u8]) -> Resource {
    const INSTANCE: &str = "service.instance.id";
    let mut attributes: Vec<_> =
        configured.iter().map(|(name, value)| text(name, &**value)).collect();
    attributes.push(text("telemetry.sdk.name", "gatehouse"));
    attributes.push(text("telemetry.sdk.language", "rust"));
    attributes.push(text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")));
    if !node.is_empty() && !configured.contains_key(INSTANCE) {
        attributes.push(text(INSTANCE, String::from_utf8_lossy(node)));
    }
    Resource { attributes }
}

/// The body of a call with these spans.
pub(super) fn request(resource: Resource, spans: Vec<Span>) -> Vec<u8> {
    let scope = Scope { name: "gatehouse".into(), version: env!("CARGO_PKG_VERSION").into() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans }];
    Request { resource_spans }.encode_to_vec()
}

/// How many spans the collector has left out of those that it took; an answer that is none says
/// nothing of it.
pub(super) fn left_out(body: &[u8]) -> usize {
    let response = Response::decode(body).unwrap_or_default();
    let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
    usize::try_from(rejected).unwrap_or_default()
}

/// What a test sees of a call: the attributes of the resource, and of each span its name, status and
/// attributes.
#[cfg(test)]
pub(crate) fn read(body: &[u8]) -> (String, Vec<String>) {
    let write = |attributes: &[KeyValue]| {
        let write = |KeyValue { key, value }: &KeyValue| match value
            .as_ref()
            .and_then(|any| any.value.as_ref())
        {
            Some(Value::String(text)) => format!("{key}={text}"),
            Some(Value::Int(number)) => format!("{key}={number}"),
            None => format!("{key}="),
        };
        attributes.iter().map(write).collect::<Vec<_>>().join(", ")
    };
    let request = Request::decode(body).unwrap();
    let [ResourceSpans { resource: Some(resource), scope_spans }] = &request.resource_spans[..]
    else {
        panic!("one resource");
    };
    let line = |span: &Span| {
        let status = match &span.status {
            Some(Status { message, code: 2 }) => format!("error `{message}`"),
            _ => "unset".to_owned(),
        };
        format!("{} | {status} | {}", span.name, write(&span.attributes))
    };
    let spans = scope_spans.iter().flat_map(|scope| &scope.spans).map(line).collect();
    (write(&resource.attributes), spans)
}
