//! Every filter in one module: which of them a plugin is, its root id says, or its configuration
//! ([`mod@shared::bundle`]). The root id `chain` runs a list of them in one pass ([`shared::chain`]).

#![forbid(unsafe_code)]

use access_policy::AccessPolicy;
use api_key_auth::ApiKeyAuth;
use basic_auth::BasicAuth;
use health_shortcut::HealthShortcut;
use jwt_auth::JwtAuth;
use oauth2_login::OAuth2Login;
use rate_limit::RateLimit;
use shared::runner::{Kind, Phases};
use telemetry::Telemetry;
use token_introspection::TokenIntrospection;
use trace_context::TraceContext;

/// The filters, each with the phases that its own module asks for (`plugin!`).
pub const FILTERS: &[Kind] = &[
    Kind::of::<AccessPolicy>(Phases::REQUEST),
    Kind::of::<ApiKeyAuth>(Phases::REQUEST),
    Kind::of::<BasicAuth>(Phases::REQUEST),
    Kind::of::<HealthShortcut>(Phases::REQUEST.wait().call()),
    Kind::of::<JwtAuth>(Phases::REQUEST.wait().call()),
    Kind::of::<OAuth2Login>(Phases::REQUEST.wait().call().response()),
    Kind::of::<Telemetry>(Phases::REQUEST.wait().response().log().bodies()),
    Kind::of::<RateLimit>(Phases::REQUEST.wait().call().response()),
    Kind::of::<TokenIntrospection>(Phases::REQUEST.wait().call()),
    Kind::of::<TraceContext>(Phases::REQUEST.call().response().log()),
];

#[cfg(test)]
mod tests;
