//! The BLAKE3 of a file, which a list may contain: a file changed or damaged since is then reported, even if a decoder
//! would accept it.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use crate::regular::open_file;

/// The BLAKE3 of a file's bytes; written as `b3:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub(crate) [u8; 32]);

/// The prefix of a checksum.
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

    /// Whether a word looks like a checksum.
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

    /// The error is a sentence fragment.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn words_are_read_and_written() {
        // The published hash of empty input.
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
}
