//! Fuzzes the target `jwt_auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("jwt_auth", bytes));
