//! Bytes as a saved state.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad::fuzzing::checkpoint(bytes);
});
