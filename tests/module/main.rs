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
mod health_shortcut;
mod host_itself;
mod jwt_auth;
mod shape;
mod token_introspection;
