//! The built modules in the real Envoy: every rule with a request that is let through and one that
//! is refused, and whatever a network can do to them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods, reason = "test code")]

mod access_policy;
mod api_key_auth;
mod authenticators;
mod basic_auth;
mod configuration;
mod demo;
mod drain;
mod examples;
mod harness;
mod health_shortcut;
mod hostile;
mod jwt_auth;
mod jwt_differential;
mod oauth2_login;
mod rendered;
mod token_introspection;
mod waiting;
