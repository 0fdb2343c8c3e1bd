//! Being built.

#![forbid(unsafe_code)]

pub mod htpasswd;
pub mod password;
