//! Fuzzes the target `rate_limit_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("rate_limit_answer", bytes));
