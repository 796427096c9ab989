//! Regular files only: opening a named pipe waits for another program, possibly forever, and a
//! device may be endless.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened, or is a folder, a named pipe, a device or a socket; the message says which. None of these is
/// opened.
pub fn open_file(path: &Path) -> io::Result<File> {
    match not_a_file(&std::fs::metadata(path)?) {
        Some(what) => Err(refusal(what)),
        None => File::open(path),
    }
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open_file`], or if it cannot be read.
pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// As [`read_bytes`], or if it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_file(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Checks a path that a file is going to be written to: opening a named pipe to write waits for a reader.
///
/// # Errors
/// If a folder, a named pipe, a device or a socket is there.
pub fn may_be_written(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) => not_a_file(&there).map_or(Ok(()), |what| Err(refusal(what))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// The kind of something that is not a regular file, such as `a named pipe`; `None` for a regular file.
pub(crate) fn not_a_file(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_file() {
        None
    } else if metadata.is_dir() {
        Some("a folder")
    } else {
        Some(special(metadata.file_type()))
    }
}

pub(crate) fn refusal(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file"))
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "a device"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, b"a").unwrap();
        assert!(open_file(&file).is_ok());
        assert_eq!(read_text(&file).unwrap().as_bytes(), read_bytes(&file).unwrap());
        assert!(may_be_written(&file).is_ok() && may_be_written(&folder.path().join("none")).is_ok());
        let refused = |path: &Path| {
            let why = open_file(path).unwrap_err().to_string();
            assert_eq!(read_text(path).unwrap_err().to_string(), why);
            assert_eq!(read_bytes(path).unwrap_err().to_string(), why);
            if path.exists() {
                assert_eq!(may_be_written(path).unwrap_err().to_string(), why);
            }
            why
        };
        assert_eq!(refused(folder.path()), "it is a folder, not a file");
        assert!(refused(&folder.path().join("none")).contains("No such file"));
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success());
            assert_eq!(refused(&pipe), "it is a named pipe, not a file");
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&pipe, &link).unwrap();
            assert_eq!(refused(&link), "it is a named pipe, not a file");
            assert_eq!(refused(Path::new("/dev/null")), "it is a device, not a file");
            let socket = folder.path().join("socket");
            let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert_eq!(refused(&socket), "it is a socket, not a file");
        }
    }
}
