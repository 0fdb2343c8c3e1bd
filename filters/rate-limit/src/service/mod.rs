//! Counting by a rate-limit service, for the whole fleet
//! (`envoy.service.ratelimit.v3.RateLimitService`).
//!
//! `config` is what is configured, `client` asks and understands, in the words of `wire` and the form
//! of `grpc`; `memory` is what need not be asked again, `descriptor` what a limit's key is called
//! there, `question` what becomes of a request meanwhile.

mod client;
mod config;
mod descriptor;
mod grpc;
mod headers;
mod memory;
mod question;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use config::{Config, check};
#[cfg(feature = "schema")]
pub(crate) use config::{Name, Timeout};
pub(crate) use question::{Pending, Service};
