//! Bytes as an image of a folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad_video::fuzzing::image(bytes);
});
