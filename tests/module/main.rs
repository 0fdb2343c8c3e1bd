//! The built modules in our own host.
#![allow(clippy::unwrap_used, reason = "tests: an error is a failure")]

mod host_itself;
