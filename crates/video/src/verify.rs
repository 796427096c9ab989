//! Checks files against the checksums in lists.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::index::Stamp;
use crate::{Checksum, VideoError};

/// Hashes of the verified files' paths, times, lengths and expected checksums: each file is read once,
/// for any number of segments in a list.
static SOUND: LazyLock<Mutex<HashSet<[u8; 16]>>> = LazyLock::new(Mutex::default);

/// An error if a file does not match its checksum.
pub(crate) fn check(path: &Path, stamp: Stamp, expected: Checksum) -> Result<(), VideoError> {
    let key = fingerprint(path, stamp, expected);
    if sound().contains(&key) {
        return Ok(());
    }
    let found = Checksum::of(path).map_err(|e| VideoError::io(path, e))?;
    if found != expected {
        return Err(VideoError::Checksum {
            path: path.to_owned(),
            found,
            expected,
        });
    }
    sound().insert(key);
    Ok(())
}

fn sound() -> MutexGuard<'static, HashSet<[u8; 16]>> {
    SOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fingerprint(path: &Path, stamp: Stamp, expected: Checksum) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{stamp:?}").as_bytes());
    hasher.update(&expected.0);
    hasher.update(path.as_os_str().as_encoded_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn stamp(path: &Path) -> Stamp {
        Stamp::of(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_file_is_read_once_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, b"one").unwrap();
        let (sum, before) = (Checksum::of(&file).unwrap(), stamp(&file));
        check(&file, before, sum).unwrap();
        // Unchanged by its stamp: not read again.
        fs::write(&file, b"two").unwrap();
        check(&file, before, sum).unwrap();
        fs::write(&file, b"three").unwrap();
        let e = check(&file, stamp(&file), sum).unwrap_err();
        assert!(
            matches!(e, VideoError::Checksum { expected, .. } if expected == sum),
            "{e}"
        );
        assert!(e.to_string().starts_with(&file.display().to_string()), "{e}");
    }
}
