//! The content of a file as a hash.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// A file as it was found: its path, bytes, and time of last change.
type Seen = (PathBuf, u64, Option<SystemTime>);

/// BLAKE3 of a file's bytes, in hexadecimal. A file of the same path, size and time of last change is read once a process.
///
/// # Errors
/// The file cannot be read.
pub fn content_hash(path: &Path) -> Result<String> {
    static KNOWN: Mutex<Option<HashMap<Seen, String>>> = Mutex::new(None);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let read = || -> std::io::Result<String> {
        let file = glad_video::open_file(path)?;
        let meta = file.metadata()?;
        let seen = (path.canonicalize()?, meta.len(), meta.modified().ok());
        if let Some(hash) = known().get_or_insert_default().get(&seen) {
            return Ok(hash.clone());
        }
        let hash = blake3::Hasher::new()
            .update_reader(file)?
            .finalize()
            .to_hex()
            .to_string();
        known().get_or_insert_default().insert(seen, hash.clone());
        Ok(hash)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.pth");
        std::fs::write(&path, "ab").unwrap();
        let before = content_hash(&path).unwrap();
        assert_eq!(before, blake3::hash(b"ab").to_hex().as_str());
        assert_eq!(content_hash(&path).unwrap(), before);
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(content_hash(&path).unwrap(), blake3::hash(b"abc").to_hex().as_str());
        let e = content_hash(&dir.path().join("none")).unwrap_err().to_string();
        assert!(e.contains("none"), "{e}");
    }
}
