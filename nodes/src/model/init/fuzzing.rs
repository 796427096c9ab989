//! Untrusted files of weights and features, for the fuzz target and the test with mutated files.

use super::arrays::ArrayFile;
use super::file::WeightFile;
use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

thread_local! {
    static FILE: RefCell<Option<tempfile::NamedTempFile>> = const { RefCell::new(None) };
}

/// Maximum values read of a tensor: a network only reads tensors of its own shapes.
const MOST: usize = 1 << 16;

/// Opens bytes as a file of weights and reads its tensors. Returns for any bytes; the result is the number of tensors
/// that could be read.
pub fn weights(bytes: &[u8]) -> usize {
    with_file(bytes, |path| {
        let Ok(mut weights) = WeightFile::open(path) else {
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

/// Opens bytes as a file of features, rows of `size` numbers of the array `key`, and reads its first and last rows. Returns
/// for any bytes; the result is the number of rows, 0 where they cannot be read.
pub fn features(bytes: &[u8], key: Option<&str>, size: usize) -> usize {
    with_file(bytes, |path| {
        let Ok(mut file) = ArrayFile::open(path, key, size) else {
            return 0;
        };
        let (mut rows, n) = (vec![], file.rows());
        let wanted = (0..n.min(32)).chain(n.saturating_sub(32)..n);
        for row in wanted {
            rows.clear();
            if file.read(row, &mut rows).is_err() {
                return 0;
            }
            assert_eq!(rows.len(), size);
        }
        assert!(file.read(n, &mut rows).is_err());
        n
    })
}

fn with_file(bytes: &[u8], read: impl FnOnce(&Path) -> usize) -> usize {
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| tempfile::NamedTempFile::new().expect("a temporary file can be made"));
        let mut write = || -> std::io::Result<()> {
            file.as_file_mut().set_len(0)?;
            std::io::Seek::rewind(file)?;
            file.write_all(bytes)
        };
        write().expect("a temporary file can be written");
        read(file.path())
    })
}
