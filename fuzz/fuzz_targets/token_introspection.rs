//! Fuzzes the target `token_introspection`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("token_introspection", bytes));
