//! Fuzzes the target `basic_auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("basic_auth", bytes));
