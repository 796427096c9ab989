//! Bytes as a sample.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad_video::fuzzing::nal_units(bytes);
});
