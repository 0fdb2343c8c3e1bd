//! What a fuzzer would take long to find: known words, and what is made of them and of its bytes.

use arbitrary::{Result, Unstructured};
use shared::filter::{Answer, CallFailure};
use shared::headers::Headers;

/// Headers as they come, or go on.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

pub(crate) const NAMES: [&str; 42] = [
    ":path",
    ":method",
    ":authority",
    ":scheme",
    "authorization",
    "cookie",
    "x-api-key",
    "accept",
    "content-type",
    "x-auth-subject",
    "x-auth-groups",
    "x_auth_groups",
    "x.auth.scopes",
    "x-forwarded-proto",
    "x-forwarded-for",
    "te",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "uberctx-a",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-request-id",
    "x-cost",
    "x-gatehouse-timing",
    "user-agent",
    "grpc-status",
    "content-length",
];

pub(crate) const VALUES: [&str; 60] = [
    "GET",
    "POST",
    "/",
    "/a/1",
    "/a/b/c",
    "/open",
    "/livez",
    "/readyz",
    "/debug/pprof",
    "/debug?debug-logs=on",
    "/oauth2/login",
    "/oauth2/logout",
    "/oauth2/callback?code=c&iss=https%3A%2F%2Fidp.example&state=",
    "?api_key=",
    "?access_token=",
    "session=",
    "__Host-session=1.",
    "__Host-session.1=",
    "__Host-session.seen=",
    "__Host-session.login.",
    "; ",
    "Basic ",
    "Bearer ",
    "Basic YWxpY2U6c2VjcmV0",
    "acme-key",
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.",
    "eyJhbGciOiJub25lIn0.",
    "application/json",
    "application/xml",
    "application/grpc",
    "application/x-grpc-health",
    "/grpc.health.v1.Health/Check",
    "text/html",
    "https",
    "navigate",
    "same-origin",
    "..",
    "//",
    "\\",
    "%2f",
    "%3f",
    "%0d%0a",
    ";",
    ",",
    "=",
    "\u{0}",
    "10.0.0.1",
    "[2001:db8::1]:80",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
    "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1",
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "1234567890",
    "{\"active\":true,\"token_type\":\"Bearer\",\"aud\":\"api\",\"sub\":\"alice\"}",
    "{\"keys\":[]}",
    "{\"issuer\":\"https://idp.example\",\"authorization_endpoint\":\"https://idp.example/auth\",\"token_endpoint\":\"https://idp.example/token\",\"jwks_uri\":\"https://idp.example/keys\",\"end_session_endpoint\":\"https://idp.example/end\"}",
    "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":300,\"id_token\":\"\"}",
    "{\"refused\":{\"reason\":\"missing\",\"status\":401,\"headers\":[[\"www-authenticate\",\"Basic\"]],\"missing\":true}}",
    "{\"scheme\":\"jwt\",\"subject\":\"alice\",\"scopes\":[\"read\"],\"groups\":[\"ops\"],\"headers\":{\"x-auth-subject\":\"alice\"}}",
    "\u{0}\u{0}\u{0}\u{0}\u{2}\u{8}\u{1}",
];

/// The proxy's own words, and what filters in front leave.
pub(crate) const PROPERTIES: [&[&str]; 10] = [
    &["source", "address"],
    &["xds", "route_name"],
    &["response", "size"],
    &["response", "code_details"],
    &["gatehouse.evidence.jwt-auth"],
    &["gatehouse.evidence.basic-auth"],
    &["gatehouse.probe"],
    &["gatehouse.traceparent"],
    &["gatehouse.service"],
    &["gatehouse.consumer"],
];

/// A request: what every one has, and some more.
pub(crate) fn request(input: &mut Unstructured<'_>) -> Result<Fields> {
    let mut headers = Vec::new();
    if input.ratio(7, 8)? {
        headers.push((":method".to_owned(), (*input.choose(&["GET", "POST", "HEAD"])?).into()));
        headers.push((":path".to_owned(), [b"/", &value(input)?[..]].concat()));
        headers.push((":authority".to_owned(), b"app.example".to_vec()));
    }
    headers.extend(fields(input, 8)?);
    Ok(headers)
}

pub(crate) fn fields(input: &mut Unstructured<'_>, most: u8) -> Result<Fields> {
    let mut headers = Vec::new();
    for _ in 0..input.int_in_range(0..=most)? {
        let name = if input.ratio(15, 16)? {
            (*input.choose(&NAMES)?).to_owned()
        } else {
            String::from_utf8_lossy(&piece(input)?).to_lowercase()
        };
        headers.push((name, value(input)?));
    }
    Ok(headers)
}

/// The end of a call.
pub(crate) fn with_answer<T>(
    input: &mut Unstructured<'_>,
    tell: impl FnOnce(&Answer<'_>) -> T,
) -> Result<T> {
    let failures =
        [CallFailure::Rejected, CallFailure::NoHost, CallFailure::Broken, CallFailure::TooLong];
    if input.ratio(1, 8)? {
        return Ok(tell(&Answer::Failed(*input.choose(&failures)?)));
    }
    let status = if input.ratio(7, 8)? { 200 } else { input.arbitrary()? };
    let kind = *input.choose(&["application/json", "application/grpc", "text/html", ""])?;
    let headers: Headers = [(":status", "200"), ("content-type", kind)].into_iter().collect();
    let grpc: [&[(&str, &str)]; 3] = [&[], &[("grpc-status", "0")], &[("grpc-status", "14")]];
    let trailers: Headers = input.choose(&grpc)?.iter().copied().collect();
    let body = value(input)?;
    Ok(tell(&Answer::Response { status, headers: &headers, body: &body, trailers: &trailers }))
}

/// Some known words and some bytes, one after the other.
pub(crate) fn value(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    for _ in 0..input.int_in_range(1..=3_u8)? {
        if input.ratio(2, 3)? {
            value.extend_from_slice(input.choose(&VALUES)?.as_bytes());
        } else {
            value.extend_from_slice(&piece(input)?);
        }
    }
    Ok(value)
}

/// Bytes: up to a line, or a document.
fn piece(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let most = if input.ratio(1, 8)? { 2048 } else { 64 };
    let length = input.int_in_range(0..=most)?;
    Ok(input.bytes(length.min(input.len()))?.to_vec())
}
