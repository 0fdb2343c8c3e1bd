//! Every answer that a filter gives in the upstream's place. The one maker of refusals.
//!
//! 1. 401 always carries a challenge (RFC 9110, 15.5.2); 429 and 503 say when to come back, where
//!    that is known; 405 says what is allowed.
//! 2. A refusal says what is wrong in general words. Which of a user and a password was wrong, or
//!    that a key has expired, is for the log: the reason is in `response_code_details`
//!    (`gatehouse.<filter>.<reason>`) and in the metric.
//! 3. Nobody keeps a refusal: `cache-control: no-store`.
//! 4. gRPC clients get a `grpc-status` and the short text as `grpc-message`.
//! 5. People with browsers may get a [`Page`], or are sent elsewhere ([`redirect`]).

mod page;

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::view::Request;

pub use page::{Page, escape, redirect};

/// The form of a refusal's body (`errors`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `application/problem+json` (RFC 9457).
    #[default]
    Problem,
    /// Goa's error object, with the header `goa-error`.
    Goa,
    /// One line of text.
    Text,
}

/// An answer as it goes to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The proxy's `response_code_details`.
    pub details: String,
    /// The headers, but for `:status`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What `grpc-status` becomes for a gRPC client.
    pub grpc_status: Option<u8>,
}

/// Why, and how, a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    kind: Kind,
    reason: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(&'static str, String)>,
    problem: Option<Box<Problem>>,
    is_of_nothing: bool,
}

/// A type of problem of its own (RFC 9457, 3.1.1), and the member that comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    kind: &'static str,
    title: &'static str,
    member: (&'static str, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooManyRequests,
    Misconfigured,
    Unavailable,
}

impl Refusal {
    /// 401: credentials are asked for, missing or not good. `challenge` is a `WWW-Authenticate`.
    pub fn unauthorized(reason: &'static str, challenge: impl Into<String>) -> Self {
        Self::new(Kind::Unauthorized, reason, "Credentials are missing or not valid.")
            .with_header("www-authenticate", challenge)
    }

    /// 403: who asks is known, and may not.
    pub fn forbidden(reason: &'static str) -> Self {
        Self::new(Kind::Forbidden, reason, "The credentials do not permit this request.")
    }

    /// 404: nothing of this path is offered.
    pub fn not_found(reason: &'static str) -> Self {
        Self::new(Kind::NotFound, reason, "There is nothing at this path.")
    }

    /// 405: the path is there, the method is not. `allow` are the methods that are.
    pub fn method_not_allowed(reason: &'static str, allow: &[&str]) -> Self {
        Self::new(Kind::MethodNotAllowed, reason, "The method is not offered at this path.")
            .with_header("allow", allow.join(", "))
    }

    /// 429: too many for now; worth another try after `wait`.
    pub fn too_many(reason: &'static str, wait: Duration) -> Self {
        Self::new(Kind::TooManyRequests, reason, "Too many requests; try again later.")
            .with_header("retry-after", whole_seconds(wait).to_string())
    }

    /// 503: what the decision needs is not to be had.
    pub fn unavailable(reason: &'static str) -> Self {
        Self::new(Kind::Unavailable, reason, "The request cannot be checked at the moment.")
    }

    /// 400: the request contradicts itself.
    pub fn bad_request(reason: &'static str) -> Self {
        Self::new(Kind::BadRequest, reason, "The request can be read in more than one way.")
    }

    /// 400: rules are about paths, and this path has more than one reading.
    pub fn ambiguous_path() -> Self {
        Self::new(Kind::BadRequest, "ambiguous_path", "The path can be read in more than one way.")
    }

    /// 500: the settings for this request have a mistake.
    pub fn misconfigured() -> Self {
        Self::new(Kind::Misconfigured, "invalid_override", "The proxy's configuration is wrong.")
    }

    /// The same refusal with other words for the client.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same refusal with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same refusal as a problem of the type `kind` (a URI) with its title and a member of its
    /// own, where the body is a problem.
    #[must_use]
    pub fn with_problem(
        self,
        kind: &'static str,
        title: &'static str,
        member: &'static str,
        value: Value,
    ) -> Self {
        let problem = Problem { kind, title, member: (member, value) };
        Self { problem: Some(Box::new(problem)), ..self }
    }

    /// The same refusal, for the reason that no credential was presented: not of one that is no good.
    #[must_use]
    pub const fn of_nothing(mut self) -> Self {
        self.is_of_nothing = true;
        self
    }

    /// Whether no credential was presented.
    pub const fn is_of_nothing(&self) -> bool {
        self.is_of_nothing
    }

    /// The headers that it needs, `www-authenticate` among them.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The same, given away.
    pub(crate) fn into_headers(self) -> impl Iterator<Item = (&'static str, String)> {
        self.headers.into_iter()
    }

    /// The reason, one word for logs and metrics.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::BadRequest => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::TooManyRequests => 429,
            Kind::Misconfigured => 500,
            Kind::Unavailable => 503,
        }
    }

    /// The answer to `request` from the filter of this name.
    pub fn reply(&self, filter: &str, format: Format, request: &Request<'_>) -> Reply {
        let is_grpc = request.is_grpc();
        let mut headers = self.headers.clone();
        headers.push(("cache-control", "no-store".into()));
        let body = if is_grpc {
            self.detail.as_bytes().to_vec()
        } else {
            let (kind, body) = self.body(format, request);
            headers.push(("content-type", kind.into()));
            body.into_bytes()
        };
        if format == Format::Goa {
            headers.push(("goa-error", self.goa_name().into()));
        }
        let details = format!("gatehouse.{filter}.{}", self.reason);
        Reply {
            status: self.status(),
            details,
            headers,
            body,
            grpc_status: Some(self.grpc_status()),
        }
    }

    fn new(kind: Kind, reason: &'static str, detail: &'static str) -> Self {
        let (headers, problem, is_of_nothing) = (Vec::new(), None, false);
        Self { kind, reason, detail: detail.into(), headers, problem, is_of_nothing }
    }

    fn body(&self, format: Format, request: &Request<'_>) -> (&'static str, String) {
        match format {
            Format::Problem => ("application/problem+json", self.problem()),
            Format::Goa => ("application/json", self.goa(request)),
            Format::Text => ("text/plain; charset=utf-8", format!("{}\n", self.detail)),
        }
    }

    fn problem(&self) -> String {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status(),
            "detail": self.detail,
        });
        if let (Some(problem), Value::Object(body)) = (&self.problem, &mut body) {
            let Problem { kind, title, member: (name, value) } = &**problem;
            body.insert("type".into(), (*kind).into());
            body.insert("title".into(), (*title).into());
            body.insert((*name).into(), value.clone());
        }
        body.to_string()
    }

    fn goa(&self, request: &Request<'_>) -> String {
        json!({
            "name": self.goa_name(),
            "id": URL_SAFE_NO_PAD.encode(request.random::<6>()),
            "message": self.detail,
            "temporary": matches!(self.kind, Kind::TooManyRequests | Kind::Unavailable),
            "timeout": false,
            "fault": self.kind == Kind::Misconfigured,
        })
        .to_string()
    }

    const fn title(&self) -> &'static str {
        match self.kind {
            Kind::BadRequest => "Bad Request",
            Kind::Unauthorized => "Unauthorized",
            Kind::Forbidden => "Forbidden",
            Kind::NotFound => "Not Found",
            Kind::MethodNotAllowed => "Method Not Allowed",
            Kind::TooManyRequests => "Too Many Requests",
            Kind::Misconfigured => "Internal Server Error",
            Kind::Unavailable => "Service Unavailable",
        }
    }

    const fn goa_name(&self) -> &'static str {
        match self.kind {
            Kind::BadRequest => "bad_request",
            Kind::Unauthorized => "unauthorized",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::TooManyRequests => "rate_limited",
            Kind::Misconfigured => "fault",
            Kind::Unavailable => "unavailable",
        }
    }

    /// The codes of gRPC (its `doc/statuscodes.md`).
    const fn grpc_status(&self) -> u8 {
        match self.kind {
            Kind::BadRequest => 3,
            Kind::Unauthorized => 16,
            Kind::Forbidden => 7,
            Kind::NotFound | Kind::MethodNotAllowed => 12,
            Kind::TooManyRequests => 8,
            Kind::Misconfigured => 13,
            Kind::Unavailable => 14,
        }
    }
}

/// What a client is asked to log in to (RFC 9110, 11.5): printable ASCII, so that it can be quoted.
#[derive(Clone, Debug)]
pub struct Realm(String);

impl Realm {
    /// `realm="…"`, for a challenge.
    pub fn parameter(&self) -> String {
        format!("realm={}", quoted(&self.0))
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("restricted".into())
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(D::Error::custom("a realm is printable ASCII, and not empty"));
        }
        Ok(Self(text))
    }
}

/// `text` as a quoted-string (RFC 9110, 5.6.4).
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Rounded up, and at least one: nobody is told to come back too early.
fn whole_seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(more).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn reply(refusal: &Refusal, format: Format, headers: &[(&str, &str)]) -> Reply {
        let proxy = Proxy::with_request(headers);
        refusal.reply("basic-auth", format, &Request::new(&proxy))
    }

    fn unauthorized() -> Refusal {
        Refusal::unauthorized("missing", r#"Basic realm="x""#)
    }

    #[test]
    fn a_problem_is_the_default() {
        let reply = reply(&unauthorized(), Format::default(), &[]);
        assert_eq!(reply.status, 401);
        assert_eq!(reply.details, "gatehouse.basic-auth.missing");
        let expected = [
            ("www-authenticate", r#"Basic realm="x""#),
            ("cache-control", "no-store"),
            ("content-type", "application/problem+json"),
        ];
        assert_eq!(reply.headers, expected.map(|(name, value)| (name, value.to_owned())));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let detail = "Credentials are missing or not valid.";
        assert_eq!(
            body,
            json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": detail})
        );
    }

    #[test]
    fn a_problem_may_have_a_type_and_a_member_of_its_own() {
        let refusal = Refusal::too_many("rate", Duration::from_secs(1));
        let refusal = refusal.with_problem("https://x/y", "Y", "z", json!(["a"]));
        let body: Value =
            serde_json::from_slice(&reply(&refusal, Format::default(), &[]).body).unwrap();
        assert_eq!((&body["type"], &body["title"]), (&json!("https://x/y"), &json!("Y")));
        assert_eq!((&body["status"], &body["z"]), (&json!(429), &json!(["a"])));
        let goa = reply(&refusal, Format::Goa, &[]);
        assert!(!String::from_utf8(goa.body).unwrap().contains("https://x/y"));
    }

    #[test]
    fn goa_clients_get_their_shape() {
        let reply = reply(&Refusal::unavailable("down"), Format::Goa, &[]);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["name"], "unavailable");
        assert_eq!(body["id"].as_str().unwrap().len(), 8);
        assert_eq!((&body["temporary"], &body["fault"]), (&json!(true), &json!(false)));
        assert!(reply.headers.contains(&("goa-error", "unavailable".into())));
    }

    #[test]
    fn text_is_one_line() {
        let reply = reply(&Refusal::forbidden("scope"), Format::Text, &[]);
        assert_eq!(reply.body, b"The credentials do not permit this request.\n");
    }

    #[test]
    fn grpc_clients_get_a_status_and_a_short_message() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc; x=y"] {
            let reply = reply(&unauthorized(), Format::Problem, &[("content-type", kind)]);
            assert_eq!(reply.grpc_status, Some(16));
            assert_eq!(reply.body, b"Credentials are missing or not valid.");
            assert!(!reply.headers.iter().any(|(name, _)| *name == "content-type"));
        }
        let web =
            reply(&unauthorized(), Format::Problem, &[("content-type", "application/grpc-web")]);
        assert!(web.body.starts_with(b"{"));
    }

    #[test]
    fn waits_are_rounded_up() {
        for (wait, header) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let refusal = Refusal::too_many("rate", Duration::from_millis(wait));
            let reply = reply(&refusal, Format::Text, &[]);
            assert!(reply.headers.contains(&("retry-after", header.into())), "{wait}");
        }
    }

    #[test]
    fn quoting_escapes_what_ends_a_quote() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
