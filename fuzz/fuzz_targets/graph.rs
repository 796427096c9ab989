//! Bytes as a graph file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glad::fuzzing::graph(bytes);
});
