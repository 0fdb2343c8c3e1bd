//! Fuzzes the target `introspection_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("introspection_answer", bytes));
