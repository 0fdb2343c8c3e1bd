//! Fuzzes the target `rate_limit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("rate_limit", bytes));
