//! Where the bytes of arrays are: in a file, or in memory where they had to be unpacked.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

/// Bytes that are read from any place.
#[derive(Debug)]
pub(super) enum Bytes {
    /// Those of a file.
    File(BufReader<File>),
    /// Those that were unpacked.
    Memory(Cursor<Vec<u8>>),
}

impl From<BufReader<File>> for Bytes {
    fn from(file: BufReader<File>) -> Bytes {
        Bytes::File(file)
    }
}

impl Read for Bytes {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Bytes::File(file) => file.read(to),
            Bytes::Memory(memory) => memory.read(to),
        }
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Bytes::File(file) => file.seek(to),
            Bytes::Memory(memory) => memory.seek(to),
        }
    }
}
