//! Fuzzes the target `api_key_auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("api_key_auth", bytes));
