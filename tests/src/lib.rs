//! What the tests, the demo and the benchmarks stand on: the real Envoy ([`envoy`]), a real
//! upstream ([`upstream`]), clients that can send anything ([`client`], [`http2`]), tokens of any kind
//! ([`tokens`]), and a small host of our own for the built modules ([`host`]), which can fail in
//! every way.

// All of this serves tests: what goes wrong is to be loud.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "test code"
)]

pub mod client;
pub mod envoy;
pub mod grpc;
#[cfg(feature = "host")]
pub mod host;
pub mod http2;
pub mod modules;
pub mod provider;
pub mod ratelimit;
pub mod tls;
pub mod tokens;
pub mod upstream;
