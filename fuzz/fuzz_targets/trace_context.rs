//! Fuzzes the target `trace_context`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("trace_context", bytes));
