//! The built modules in the real Envoy: every rule with a request that is let through and one that
//! is refused, and whatever a network can do to them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    reason = "test code"
)]

mod access_policy;
mod api_key_auth;
mod authenticators;
mod basic_auth;
mod bench;
mod between;
mod bundle;
mod capabilities;
mod complete;
mod configuration;
mod demo;
mod discovery;
mod drain;
mod examples;
mod faults;
mod harness;
mod health_shortcut;
mod hostile;
mod http2;
mod jwt_auth;
mod jwt_differential;
mod long_paths;
mod manifests;
mod oauth2_login;
mod observed;
mod rate_limit;
mod rate_limit_service;
mod refusals;
mod rendered;
mod secrets;
mod telemetry;
mod token_introspection;
mod trace_context;
mod waiting;
mod websocket;
