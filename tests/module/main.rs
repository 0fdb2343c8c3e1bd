//! The built modules in our own host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod access_policy;
mod any_order;
mod api_key_auth;
mod basic_auth;
mod bundle;
mod costs;
mod health_shortcut;
mod host_itself;
mod jwt_auth;
mod log_level;
mod oauth2_login;
mod rate_limit;
mod rate_limit_service;
mod shape;
mod telemetry;
mod token_introspection;
mod trace_context;
