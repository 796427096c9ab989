//! Files that are being written: leftovers of a killed process can be distinguished from files that another one is writing.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::{NamedTempFile, TempPath};

/// The name prefix of files that are being written, all of which are locked.
const PREFIX: &str = ".writing-";

/// The name prefix of files that are created and not yet locked.
const UNLOCKED: &str = ".unlocked-";

/// How long a file may be unlocked before it counts as a leftover.
const LONG: Duration = Duration::from_secs(60);

/// A temporary file in the folder of `path`, with the permissions of an ordinary file. It is locked while it is open.
pub(super) fn beside(path: &Path) -> io::Result<NamedTempFile<File>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNLOCKED).suffix(".mp4");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let made = builder.tempfile_in(folder)?;
    let name = made
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .replace(UNLOCKED, PREFIX);
    // If files cannot be locked, leftovers stay.
    if made.as_file().try_lock().is_err() {
        return Ok(made);
    }
    let (file, path) = made.into_parts();
    let locked = folder.join(name);
    fs::rename(&path, &locked)?;
    Ok(NamedTempFile::from_parts(file, TempPath::try_from_path(locked)?))
}

/// Removes leftovers of killed writers from a folder; files that are being written stay.
///
/// # Errors
/// If the folder cannot be read.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Another process may be faster: a missing file is fine.
        if name.starts_with(PREFIX) {
            let _ = remove_if_left(&entry.path(), Duration::ZERO);
        } else if name.starts_with(UNLOCKED) {
            let _ = remove_if_left(&entry.path(), LONG);
        }
    }
    Ok(())
}

fn remove_if_left(path: &Path, age: Duration) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    let old = file.metadata()?.modified()?.elapsed().unwrap_or_default();
    if old >= age && file.try_lock().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_left_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut open = beside(&dir.path().join("a.mp4")).unwrap();
        open.write_all(b"half").unwrap();
        let left = dir.path().join(format!("{PREFIX}x.mp4"));
        fs::write(&left, b"half").unwrap();
        let fresh = dir.path().join(format!("{UNLOCKED}y.mp4"));
        fs::write(&fresh, b"").unwrap();
        fs::write(dir.path().join("b.mp4"), b"whole").unwrap();
        sweep(dir.path()).unwrap();
        assert!(!left.exists());
        assert!(fresh.exists() && open.path().exists() && dir.path().join("b.mp4").exists());
        let e = sweep(&dir.path().join("nowhere")).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::NotFound);
    }
}
