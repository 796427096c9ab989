//! The BLAKE3 of a file, which a list may give: what was changed or damaged since is then reported, whatever a decoder
//! would make of it.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::VideoError;
use crate::index::Stamp;
use crate::regular::open_file;

/// The BLAKE3 of a file's bytes; written as `b3:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum([u8; 32]);

/// What a checksum begins with.
const PREFIX: &str = "b3:";

impl Checksum {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If it cannot be read, or is no regular file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(open_file(path)?)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// Whether a word is meant to be one.
    pub(crate) fn is_meant(word: &str) -> bool {
        word.starts_with(PREFIX)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl FromStr for Checksum {
    type Err = String;

    /// The error is a fragment.
    fn from_str(word: &str) -> Result<Self, String> {
        let digits = word.strip_prefix(PREFIX).unwrap_or_default();
        match blake3::Hash::from_hex(digits) {
            Ok(hash) => Ok(Self(*hash.as_bytes())),
            Err(_) => Err(format!(
                "checksum {word:?} is not {PREFIX} and the 64 hexadecimal digits of a BLAKE3"
            )),
        }
    }
}

/// Fingerprints of the files that were found sound, of their time and length, and of what was expected: each is read once,
/// however many segments of it a list names.
static SOUND: LazyLock<Mutex<HashSet<[u8; 16]>>> = LazyLock::new(Mutex::default);

/// An error if a file is not what it is expected to be.
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

fn sound() -> std::sync::MutexGuard<'static, HashSet<[u8; 16]>> {
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
    fn words_are_read_and_written() {
        // Of no bytes, as the authors of BLAKE3 publish it.
        let word = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("empty");
        fs::write(&file, b"").unwrap();
        let sum = Checksum::of(&file).unwrap();
        assert_eq!(sum.to_string(), word);
        assert_eq!(word.to_uppercase().replace("B3:", "b3:").parse(), Ok(sum));
        for wrong in ["b3:", &word[..66], &word.replace('a', "x"), &format!("{word}0")] {
            let e = wrong.parse::<Checksum>().unwrap_err();
            assert!(e.contains("64 hexadecimal digits"), "{e}");
        }
    }

    #[test]
    fn a_file_is_read_once_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, b"one").unwrap();
        let (sum, before) = (Checksum::of(&file).unwrap(), stamp(&file));
        check(&file, before, sum).unwrap();
        // Still the same by its stamp: not read again.
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
