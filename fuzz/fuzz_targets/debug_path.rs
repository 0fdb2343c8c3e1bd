//! Fuzzes the target `debug_path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("debug_path", bytes));
