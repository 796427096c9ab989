//! Bytes as a list of videos.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad_video::fuzzing::list(bytes);
});
