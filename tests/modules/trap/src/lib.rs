//! Test only: filters that share things with other workers, in one VM with a filter that traps. It shows
//! what becomes of claims, counts and held requests when a worker loses its VM, which no request can
//! cause in the modules that are shipped.
//!
//! 1. A request with the header `x-trap` traps the VM of the worker that it came to.
//! 2. All others go on.

#![forbid(unsafe_code)]

use jwt_auth::JwtAuth;
use rate_limit::RateLimit;
use serde::Deserialize;
use shared::config::{Invalid, Layers, Scope};
use shared::effects::Effects;
use shared::filter::{Birth, Filter, Flow, Plugin};
use shared::headers::Sole;
use shared::runner::{Kind, Phases};
use shared::view::Request;
use token_introspection::TokenIntrospection;

/// The filters, as in the bundle; and the one that traps.
pub const FILTERS: &[Kind] = &[
    Kind::of::<Trap>(Phases::REQUEST),
    Kind::of::<JwtAuth>(Phases::REQUEST.wait().call()),
    Kind::of::<RateLimit>(Phases::REQUEST.wait().call().response()),
    Kind::of::<TokenIntrospection>(Phases::REQUEST.wait().call()),
];

/// The plugin.
#[derive(Debug)]
pub struct Trap;

/// Nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Nothing.
#[derive(Debug, Deserialize)]
pub struct Settings {}

impl Plugin for Trap {
    const NAME: &'static str = "trap";
    type Config = Config;
    type Settings = Settings;
    type Filter = Trapping;

    fn new(_: Config, _: &Layers<Settings>, _: &Birth<'_>) -> Result<Self, Invalid> {
        Ok(Self)
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Trapping;

impl Filter for Trapping {
    type Plugin = Trap;

    fn on_request(
        &mut self,
        _: &mut Trap,
        _: &Scope<Settings>,
        request: &Request<'_>,
        _: &mut Effects,
    ) -> Flow {
        match request.sole("x-trap") {
            Sole::Absent => Flow::Continue,
            // `unreachable`, in Wasm.
            Sole::Once(_) | Sole::Repeated => std::process::abort(),
        }
    }
}
