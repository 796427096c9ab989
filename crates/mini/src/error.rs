//! Errors of the generator.

use std::path::{Path, PathBuf};

use glad_video::write::WriteError;

/// An error while the data set is generated.
#[derive(Debug, thiserror::Error)]
pub enum MiniError {
    /// Settings are out of range: all of them are named.
    #[error("the settings of the mini data set are out of range: {}", .0.join("; "))]
    Config(Vec<String>),
    /// A file or folder could not be read, written or renamed.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A video could not be written.
    #[error(transparent)]
    Video(#[from] WriteError),
    /// A contact sheet could not be made.
    #[error(transparent)]
    Image(#[from] glad_video::ImageError),
    /// The platform names no folder for caches.
    #[error("no folder for caches is known on this system: set GLAD_CACHE to a folder")]
    NoCacheDir,
}

impl MiniError {
    /// Makes an error about `path` from the system's error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |cause| Self::Io { path, cause }
    }
}
