//! What a span is called: few names, whatever clients send.
//!
//! 1. A method of gRPC that an upstream is known to have goes by its name, `shop.Orders/Get`.
//! 2. Anything else is the HTTP method and what the proxy knows of the target: the operation that
//!    `access-policy` found, `GET orders.show`; else the route's name, `GET orders`.
//! 3. Where nothing is known it is the method alone. A path is never a name: anybody may write one.
//! 4. An upstream has a method if it has answered it with a status that gRPC's libraries give to no
//!    method that is not there. At most [`MOST_METHODS`] are remembered.

use shared::view::{Exchange, Request};

use super::otlp::{KeyValue, text};
use super::span::{LONGEST_TEXT, cut};

/// How many methods of gRPC a worker remembers.
const MOST_METHODS: usize = 512;

/// The methods of gRPC that upstreams have, in order.
#[derive(Debug, Default)]
pub(super) struct Methods(Vec<Box<str>>);

/// A method of gRPC, as a path names it: `package.Service/Method`.
#[derive(Debug)]
pub(super) struct Rpc(Box<str>);

impl Rpc {
    /// That of a request; `None` where its path can be none.
    pub(super) fn of(request: &Request<'_>) -> Option<Self> {
        let path = std::str::from_utf8(request.path()?.strip_prefix(b"/")?).ok()?;
        let (service, method) = path.split_once('/')?;
        let is_name = |text: &str, more: &[u8]| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            !text.is_empty() && text.bytes().all(is_part)
        };
        let fits = path.len() <= LONGEST_TEXT && is_name(service, b"._") && is_name(method, b"_");
        fits.then(|| Self(path.into()))
    }
}

impl Methods {
    /// Whether an upstream has it, now that one has answered with this status, if it was one.
    fn has(&mut self, rpc: &Rpc, status: Option<u32>, exchange: &Exchange<'_>) -> bool {
        let Err(place) = self.0.binary_search(&rpc.0) else { return true };
        let is_there = self.0.len() < MOST_METHODS
            && status.is_some_and(is_of_a_method)
            && exchange.property(&["response", "code_details"]).is_some_and(|by| by == UPSTREAM);
        if is_there {
            self.0.insert(place, rpc.0.clone());
        }
        is_there
    }
}

/// What the proxy says of a response that it did not make.
const UPSTREAM: &[u8] = b"via_upstream";

/// OK, `INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `FAILED_PRECONDITION`, `ABORTED`, `OUT_OF_RANGE`
/// and `DATA_LOSS` ("Status codes and their use in gRPC").
const fn is_of_a_method(status: u32) -> bool {
    matches!(status, 0 | 3 | 5 | 6 | 9 | 10 | 11 | 15)
}

/// What a span is of.
pub(super) enum Operation {
    /// A method of gRPC.
    Rpc(Rpc),
    /// Of `access-policy`: its service, and the method where it found one.
    Policy(String, String),
    /// The route.
    Route(String),
    /// Not known.
    Unknown,
}

impl Operation {
    /// What is known of it at the end of an exchange.
    pub(super) fn of(
        rpc: Option<Rpc>,
        status: Option<u32>,
        methods: &mut Methods,
        exchange: &Exchange<'_>,
    ) -> Self {
        if let Some(rpc) = rpc.filter(|rpc| methods.has(rpc, status, exchange)) {
            return Self::Rpc(rpc);
        }
        let known = |path: &[&str]| {
            let text = exchange.property(path).filter(|text| !text.is_empty());
            text.map(|text| cut(&text, LONGEST_TEXT))
        };
        if let Some(service) = known(&["gatehouse.service"]) {
            let method = known(&["gatehouse.method"]).unwrap_or_default();
            return Self::Policy(service, method);
        }
        known(&["xds", "route_name"]).map_or(Self::Unknown, Self::Route)
    }

    /// The name of a span of it, with this HTTP method.
    pub(super) fn name(&self, method: &str) -> String {
        match self {
            Self::Rpc(Rpc(name)) => name.to_string(),
            Self::Policy(service, name) if name.is_empty() => [method, " ", service].concat(),
            Self::Policy(service, name) => [method, " ", service, ".", name].concat(),
            Self::Route(route) => [method, " ", route].concat(),
            Self::Unknown => method.to_owned(),
        }
    }

    /// Its own attributes.
    pub(super) fn attributes(&self, attributes: &mut Vec<KeyValue>) {
        match self {
            Self::Rpc(Rpc(name)) => {
                let (service, method) = name.split_once('/').unwrap_or_default();
                attributes.push(text("rpc.service", service));
                attributes.push(text("rpc.method", method));
            }
            Self::Policy(service, method) => {
                attributes.push(text("gatehouse.service", &**service));
                if !method.is_empty() {
                    attributes.push(text("gatehouse.method", &**method));
                }
            }
            Self::Route(_) | Self::Unknown => {}
        }
    }
}
