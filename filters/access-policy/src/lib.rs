//! Who may do what: security requirements per API, service and method, in the terms of Goa.
//!
//! 1. What is offered is listed. A path that is not gets 404, a method that is not 405 with `Allow`,
//!    neither reaches the upstream; a path that can be read in ways that differ gets 400.
//! 2. A method requires what it says; else what its service says; else what the API says. A narrower
//!    level replaces a wider one, whole. `none` opens, and only where it is written.
//! 3. A list is alternatives, of which one has to hold; an object in it is schemes, which all have to
//!    hold, each with all of its scopes. Halves of two alternatives do not add up to one.
//!    `anonymous` in the list, tried last, takes nobody too: if every authenticator that is asked says
//!    that no credential was presented. One that is no good is refused, and so is a good one that is
//!    not enough.
//! 4. `allow` is satisfied if one of the credentials of the alternative is of somebody it names.
//! 5. If none holds: 403 where one was authenticated and lacked a scope or is not allowed; else 503 or
//!    429 where an authenticator would have said so; else 401 with the challenge of every scheme
//!    asked for. The log says why each failed.
//! 6. Credentials are looked at by the authenticators in front (`verdict: defer`), which leave their
//!    evidence in filter state, where no client can. One that is needed and has not run: 503.
//! 7. The upstream is told of the credentials of the alternative that held, of no others; what a
//!    client says of itself is taken off. On what is open, and of nobody, nobody is told of.
//! 8. `gatehouse.service` and `gatehouse.method` are left in filter state, refused or not.
//! 9. `require_https` redirects (308, to the same host and path) or refuses what the proxy says came
//!    otherwise (`x-forwarded-proto`, else `:scheme`).

#![forbid(unsafe_code)]

mod config;
mod openings;
mod policy;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

use std::rc::Rc;

use shared::config::{Invalid, Layers, Scope};
use shared::effects::Effects;
use shared::evidence::Memory;
use shared::filter::{Birth, Filter, Flow, Plugin};
use shared::headers::Sole;
use shared::identity::IdentityHeaders;
use shared::reply::{Refusal, Reply};
use shared::view::Request;

use config::RequireHttps;
pub use config::{Config, Settings};
use policy::{Operation, Policy};
use verdict::Grant;

/// The plugin. All of the policy is in its settings.
pub struct AccessPolicy {
    identity_headers: IdentityHeaders,
    memory: Memory,
    /// The names of the filter state that says what a request is for.
    service: Rc<str>,
    method: Rc<str>,
}

impl Plugin for AccessPolicy {
    const NAME: &'static str = "access-policy";
    type Config = Config;
    type Settings = Settings;
    type Filter = Decision;

    fn new(config: Config, layers: &Layers<Settings>, _: &Birth<'_>) -> Result<Self, Invalid> {
        config.identity_headers.check(&|_| false)?;
        let openings = openings::line(layers.all().map(|(_, scope)| &scope.settings.policy));
        log::info!("{}: {openings}", Self::NAME);
        Ok(Self {
            identity_headers: config.identity_headers,
            memory: Memory::default(),
            service: Rc::from("gatehouse.service"),
            method: Rc::from("gatehouse.method"),
        })
    }

    fn sanitise(&self, request: &Request<'_>, effects: &mut Effects) {
        self.identity_headers.strip(request, effects);
    }
}

/// One exchange. It never waits, so there is nothing to remember.
#[derive(Debug, Default)]
pub struct Decision;

impl Filter for Decision {
    type Plugin = AccessPolicy;

    fn on_request(
        &mut self,
        plugin: &mut AccessPolicy,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Settings { policy, require_https } = &scope.settings;
        if *require_https != RequireHttps::Off && !is_https(request) {
            return insecure(*require_https, request);
        }
        let operation = match find(policy, request) {
            Ok(operation) => operation,
            Err(refusal) => return Flow::Refuse(refusal),
        };
        let (service, method) = (Rc::clone(&operation.service), Rc::clone(&operation.method));
        effects.set_state(Rc::clone(&plugin.service), service.into());
        effects.set_state(Rc::clone(&plugin.method), method.into());
        match verdict::of(policy, operation, &plugin.memory, request) {
            Ok(grant) => {
                verdict::tell(&grant, request, effects);
                effects.count("allowed");
                if matches!(grant, Grant::Anonymous) {
                    effects.count("anonymous");
                }
                Flow::Continue
            }
            Err(refusal) => Flow::Refuse(refusal),
        }
    }
}

/// What a request is for.
fn find<'p>(policy: &'p Policy, request: &Request<'_>) -> Result<&'p Operation, Refusal> {
    let not_found = || Refusal::not_found("not_found");
    let readings = request.readings().ok_or_else(not_found)?;
    let readings = readings.map_err(|_| Refusal::ambiguous_path())?;
    let method = request.method();
    // What is offered is the same list in every reading, or the readings differ.
    let found = readings
        .agree(|path| policy.table.find(path).map(Offered))
        .map_err(|_| Refusal::ambiguous_path())?;
    let Offered(offers) = found.ok_or_else(not_found)?;
    let offered = offers.iter().find(|(name, _)| name.as_bytes() == method);
    let Some((_, number)) = offered else {
        let names: Vec<_> = offers.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Refusal::method_not_allowed("method_not_allowed", &names));
    };
    policy.operations.get(*number).ok_or_else(not_found)
}

/// What is offered at a path: the same, if it is the same place of the table.
struct Offered<'p>(&'p table::Offers<usize>);

impl PartialEq for Offered<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// Whether a request came by HTTPS, as the proxy says.
fn is_https(request: &Request<'_>) -> bool {
    let scheme = match request.sole("x-forwarded-proto") {
        Sole::Absent => request.headers().first(":scheme").unwrap_or_default(),
        Sole::Once(scheme) => scheme,
        Sole::Repeated => return false,
    };
    scheme.eq_ignore_ascii_case(b"https")
}

fn insecure(require: RequireHttps, request: &Request<'_>) -> Flow {
    let host = request.headers().first(":authority").and_then(host_name);
    let path = request.path().and_then(|path| std::str::from_utf8(path).ok());
    match (require, host, path) {
        (RequireHttps::Redirect, Some(host), Some(path)) if path.starts_with('/') => {
            Flow::Answer(Reply {
                status: 308,
                details: "gatehouse.access-policy.redirected".into(),
                headers: vec![
                    ("location", format!("https://{host}{path}")),
                    ("cache-control", "no-store".into()),
                ],
                body: Vec::new(),
                grpc_status: None,
            })
        }
        _ => Flow::Refuse(
            Refusal::forbidden("https_required").with_detail("This is offered by HTTPS alone."),
        ),
    }
}

/// A host without its port, if it is nothing but a host.
fn host_name(authority: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authority).ok()?;
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    let inner =
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or(host, |v6| v6);
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    let fits = !inner.is_empty() && inner.bytes().all(is_host);
    (fits && (inner.len() < host.len() || !inner.contains(':'))).then_some(host)
}
