//! The endpoint: how it is asked (RFC 7662, 2.1), and what its answers say (2.2).
//!
//! 1. The client's id and secret are encoded as a form's before they become Basic credentials
//!    (RFC 6749, 2.3.1).
//! 2. An answer is 200, `application/json`, an object without a member that comes twice, in which
//!    `active` is a boolean and the members that RFC 7662 names are of their types, and no longer
//!    than [`MAX_ANSWER`]. Anything else is a [`Fault`], and no verdict.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use serde_json::{Map, Value};
use shared::config::{Invalid, Period, parse_json};
use shared::filter::{Answer, Call, CallFailure};
use shared::headers::Sole;
use shared::jose::{Claims, Url};

use crate::config::{Authentication, ClientConfig, EndpointConfig};
use crate::refusal::Fault;

/// The longest answer that is read, in bytes.
pub(crate) const MAX_ANSWER: usize = 32 * 1024;

/// Who is asked, and as whom.
pub(crate) struct Endpoint {
    url: Url,
    cluster: String,
    pub(crate) timeout: Duration,
    hint: String,
    client: Client,
}

/// What proves to the endpoint who asks.
enum Client {
    /// An `authorization`.
    Basic(String),
    /// Members of the form.
    Post { id: String, secret: shared::config::Secret },
}

/// What the endpoint says of a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Says {
    /// That it is good, and more.
    Active(Claims),
    /// That it is not.
    Inactive,
}

impl Endpoint {
    pub(crate) fn new(config: EndpointConfig, client: ClientConfig) -> Result<Self, Invalid> {
        let timeout = config.timeout.map_or(Duration::from_secs(2), Period::duration);
        if timeout > Duration::from_secs(60) {
            return Err(Invalid::at(
                "endpoint.timeout",
                "is more than a minute, and requests wait for it",
            ));
        }
        if config.cluster.is_empty() {
            return Err(Invalid::at("endpoint.cluster", "is empty"));
        }
        let hint = config.token_type_hint.unwrap_or_else(|| "access_token".into());
        if hint.is_empty() {
            return Err(Invalid::at("endpoint.token_type_hint", "is empty"));
        }
        if client.id.is_empty() {
            return Err(Invalid::at("client.id", "is empty"));
        }
        if client.secret.expose().is_empty() {
            return Err(Invalid::at("client.secret", "is empty"));
        }
        let client = match client.authentication {
            Authentication::Basic => Client::Basic(basic(&client.id, client.secret.expose())),
            Authentication::Post => Client::Post { id: client.id, secret: client.secret },
        };
        Ok(Self { url: config.uri, cluster: config.cluster, timeout, hint, client })
    }

    /// What tells its answers from those of another endpoint, or to another client.
    pub(crate) fn name(&self) -> Vec<u8> {
        let client = match &self.client {
            Client::Basic(credentials) => credentials,
            Client::Post { id, .. } => id,
        };
        let parts = [&self.url.authority, &self.url.path, &self.cluster, &self.hint, client];
        format!("{parts:?}").into_bytes()
    }

    /// The call that asks about a token.
    pub(crate) fn call(&self, token: &str) -> Call {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", &self.hint);
        match &self.client {
            Client::Basic(credentials) => headers.push(("authorization", credentials.clone())),
            Client::Post { id, secret } => {
                form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            }
        }
        Call {
            cluster: self.cluster.clone(),
            method: "POST",
            authority: self.url.authority.clone(),
            path: self.url.path.clone(),
            headers,
            body: form.finish().into_bytes(),
            timeout: self.timeout,
            max_body: MAX_ANSWER,
        }
    }
}

/// RFC 6749, 2.3.1: a form's encoding first, so that a colon within the id is none.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

/// The body of an answer that may be believed.
pub(crate) fn body<'a>(answer: &'a Answer<'_>) -> Result<&'a [u8], Fault> {
    let (status, headers, body) = match answer {
        Answer::Response { status, headers, body } => (*status, *headers, *body),
        Answer::Failed(CallFailure::TooLong) => return Err(Fault::TooLong),
        Answer::Failed(_) => return Err(Fault::Unreachable),
    };
    match status {
        200 => {}
        401 | 403 => return Err(Fault::ClientRefused),
        // A proxy's own words for a connection that was refused or broke, and for a time-out.
        502 | 503 => return Err(Fault::Unreachable),
        504 => return Err(Fault::Timeout),
        _ => return Err(Fault::Status),
    }
    let Sole::Once(kind) = headers.sole("content-type") else { return Err(Fault::Answer) };
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/token-introspection+jwt") {
        return Err(Fault::Jwt);
    }
    if kind.eq_ignore_ascii_case(b"application/json") { Ok(body) } else { Err(Fault::Answer) }
}

/// What a body says.
pub(crate) fn read(body: &[u8]) -> Result<Says, Fault> {
    let Ok(Value::Object(members)) = parse_json(body) else { return Err(Fault::Answer) };
    match members.get("active") {
        Some(Value::Bool(true)) if has_types(&members) => Ok(Says::Active(Claims::new(members))),
        Some(Value::Bool(false)) => Ok(Says::Inactive),
        _ => Err(Fault::Answer),
    }
}

/// Whether the members that RFC 7662, 2.2 names are what it says; a list of scopes is let pass, as
/// some endpoints write one.
fn has_types(members: &Map<String, Value>) -> bool {
    let all = |names: &[&str], is: fn(&Value) -> bool| {
        names.iter().filter_map(|name| members.get(*name)).all(is)
    };
    all(&["client_id", "username", "token_type", "sub", "iss", "jti"], Value::is_string)
        && all(&["exp", "iat", "nbf"], Value::is_number)
        && all(&["aud", "scope"], |value| match value {
            Value::Array(list) => list.iter().all(Value::is_string),
            value => value.is_string(),
        })
}
