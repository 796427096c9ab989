//! Bytes as a video file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad_video::fuzzing::video_file(bytes);
});
