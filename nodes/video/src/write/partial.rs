//! Files that are being written: what a killed process leaves of them can be told from what another one works on.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

/// The beginning of the names of files that are being written.
const PREFIX: &str = ".writing-";

/// How long a file may be empty before it is taken for left behind: between its making and its lock.
const UNLOCKED: Duration = Duration::from_secs(60);

/// A temporary file in the folder of `path`, with the permissions of an ordinary file. It is locked while it is open.
pub(super) fn beside(path: &Path) -> io::Result<NamedTempFile<File>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(".mp4");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder)?;
    // Where files cannot be locked, what is left behind stays.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes what writers that were killed have left in a folder; files that are being written stay.
///
/// # Errors
/// If the folder cannot be read.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Another process may be faster.
            let _ = remove_if_left(&entry.path());
        }
    }
    Ok(())
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    let about = file.metadata()?;
    let new = about.len() == 0 && about.modified()?.elapsed().unwrap_or_default() < UNLOCKED;
    if !new && file.try_lock().is_ok() {
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
        let fresh = dir.path().join(format!("{PREFIX}y.mp4"));
        fs::write(&fresh, b"").unwrap();
        fs::write(dir.path().join("b.mp4"), b"whole").unwrap();
        sweep(dir.path()).unwrap();
        assert!(!left.exists());
        assert!(fresh.exists() && open.path().exists() && dir.path().join("b.mp4").exists());
        assert!(sweep(&dir.path().join("nowhere")).is_err());
    }
}
