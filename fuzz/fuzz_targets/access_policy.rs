//! Fuzzes the target `access_policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("access_policy", bytes));
