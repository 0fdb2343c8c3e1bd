//! Fuzzes the target `sign_in`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("sign_in", bytes));
