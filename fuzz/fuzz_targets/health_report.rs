//! Fuzzes the target `health_report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("health_report", bytes));
