//! Fuzzes the target `session_cookie`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("session_cookie", bytes));
