//! Fuzzes the target `oauth2_login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("oauth2_login", bytes));
