//! Bytes as parameter sets and slice headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad_video::fuzzing::headers(bytes);
});
