//! Every filter in one module: which of them a plugin is, its root id says, or its configuration
//! ([`shared::bundle`]). The root id `chain` runs a list of them in one pass ([`shared::chain`]).

#![forbid(unsafe_code)]

use access_policy::AccessPolicy;
use api_key_auth::ApiKeyAuth;
use basic_auth::BasicAuth;
use health_shortcut::HealthShortcut;
use jwt_auth::JwtAuth;
use shared::runner::{Kind, Phases};
use token_introspection::TokenIntrospection;

/// The filters, each with the phases that its own module asks for (`plugin!`).
pub const FILTERS: &[Kind] = &[
    Kind::of::<AccessPolicy>(Phases::REQUEST),
    Kind::of::<ApiKeyAuth>(Phases::REQUEST),
    Kind::of::<BasicAuth>(Phases::REQUEST),
    Kind::of::<HealthShortcut>(Phases::REQUEST),
    Kind::of::<JwtAuth>(Phases::REQUEST.wait()),
    Kind::of::<TokenIntrospection>(Phases::REQUEST.wait()),
];

#[cfg(test)]
mod tests;
