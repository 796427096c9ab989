//! Untrusted files of weights, for the fuzz target and the test with mutated files.

use super::file::WeightFile;
use std::cell::RefCell;
use std::io::Write;

thread_local! {
    static FILE: RefCell<Option<tempfile::NamedTempFile>> = const { RefCell::new(None) };
}

/// Maximum values read of a tensor: a network only reads tensors of its own shapes.
const MOST: usize = 1 << 16;

/// Opens bytes as a file of weights and reads its tensors. Returns for any bytes; the result is the number of tensors
/// that could be read.
pub fn weights(bytes: &[u8]) -> usize {
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| tempfile::NamedTempFile::new().expect("a temporary file can be made"));
        let mut write = || -> std::io::Result<()> {
            file.as_file_mut().set_len(0)?;
            std::io::Seek::rewind(file)?;
            file.write_all(bytes)
        };
        write().expect("a temporary file can be written");
        let Ok(mut weights) = WeightFile::open(file.path()) else {
            return 0;
        };
        let asked = |shape: &[usize]| {
            shape
                .iter()
                .try_fold(1usize, |n, d| n.checked_mul(*d))
                .is_some_and(|n| n <= MOST)
        };
        let all = std::mem::take(&mut weights.dictionaries);
        let tensors = all.iter().flat_map(|d| &d.tensors).take(64);
        tensors
            .filter(|t| asked(&t.shape) && weights.numbers(t).is_ok())
            .count()
    })
}
