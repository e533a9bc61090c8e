#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taosync_properties::codes::check(bytes));
