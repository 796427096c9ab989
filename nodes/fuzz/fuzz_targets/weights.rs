//! Bytes as a file of weights. The reader's sources are taken alone, so that nothing of the networks has to be built.
#![no_main]

#[allow(dead_code)]
#[path = "../../src/model/init"]
mod init {
    mod archive;
    mod arrays;
    mod entry;
    mod file;
    pub mod fuzzing;
    mod header;
    mod npy;
    mod numpy;
    mod pickle;
    mod torch;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    init::fuzzing::weights(bytes);
});
