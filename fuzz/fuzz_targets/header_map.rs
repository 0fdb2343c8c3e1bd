//! Fuzzes the target `header_map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("header_map", bytes));
