//! Fuzzes the target `key_set`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("key_set", bytes));
