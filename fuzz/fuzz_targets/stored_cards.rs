#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| creditd_fuzz::fuzz::stored_cards::run(bytes));
