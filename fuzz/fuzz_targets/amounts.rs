#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| creditd_fuzz::fuzz::amounts::run(bytes));
