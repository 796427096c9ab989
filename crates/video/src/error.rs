//! Errors while a video is read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::{Checksum, Limits};

/// Why a video, or a frame of it, could not be read. Every variant names the file.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The file or folder could not be opened or read.
    #[error("{}: cannot read: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: Arc<io::Error>,
    },
    /// The file looks intact, but this build cannot decode its contents.
    #[error("{}: {what}; {hint}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What the file is.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The file breaks the rules of its own format, or is cut short before its index.
    #[error("{}: not a readable video: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The rule it breaks.
        reason: String,
    },
    /// The file is beyond one of the [`Limits`](crate::Limits).
    #[error(
        "{}: {what} is {found}, more than the limit of {limit}; raise the limit if the file is to be trusted",
        path.display()
    )]
    Limit {
        /// The file.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The file is not the one its index was made from.
    #[error("{}: the file has changed since it was indexed; index it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that a list names.
    #[error(
        "{}: the file is not the one that the list names: its BLAKE3 is {found}, and the list has {expected}; it was \
         changed or damaged since, or the list is of another version of the data",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: Checksum,
        /// What it should be.
        expected: Checksum,
    },
    /// A frame was requested that the video does not have.
    #[error("{}: frame {frame} was asked for, but there are {count} (0 to {})", path.display(), count.saturating_sub(1))]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The requested frame.
        frame: usize,
        /// How many there are.
        count: usize,
    },
    /// No frame arrived within the limit, so something hangs. The file need not be at fault: only a [`Watch`](crate::Watch)
    /// returns this.
    #[error("{}: nothing came of it for {} s: its disk, or what decodes it, hangs", path.display(), limit.as_secs_f64())]
    Stalled {
        /// The file.
        path: PathBuf,
        /// The time waited.
        limit: Duration,
    },
    /// A frame exists but cannot be decoded: it or one of its reference frames is damaged.
    #[error("{}: frame {frame} cannot be decoded: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The requested frame.
        frame: usize,
        /// Where the damage is and what it is.
        reason: String,
    },
}

impl VideoError {
    /// The file the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Malformed { path, .. }
            | Self::Limit { path, .. }
            | Self::Changed { path }
            | Self::Checksum { path, .. }
            | Self::Stalled { path, .. }
            | Self::OutOfRange { path, .. }
            | Self::Damaged { path, .. } => path,
        }
    }

    pub(crate) fn io(path: &Path, cause: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            cause: Arc::new(cause),
        }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// A file that the pure-Rust backend does not read.
    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        let hint = if cfg!(feature = "ffmpeg") {
            "the backend `rust` reads 8-bit 4:2:0 progressive H.264 in mp4 or mov, and folders of jpeg or png \
             frames: take the backend `ffmpeg`, or `auto`"
        } else {
            "this build reads 8-bit 4:2:0 progressive H.264 in mp4 or mov, and folders of jpeg or png frames: \
             build with `--features ffmpeg`, which reads it with the system's FFmpeg, or convert it (ffmpeg -i IN \
             -c:v libx264 -pix_fmt yuv420p OUT.mp4)"
        };
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
            hint: hint.to_owned(),
        }
    }

    pub(crate) fn too_much_read(path: &Path, limits: &Limits) -> Self {
        let what = "the number of coded pictures to go through";
        Self::limit(path, what, limits.max_read.saturating_add(1), limits.max_read)
    }

    pub(crate) fn too_much_work(path: &Path, found: u64, limits: &Limits) -> Self {
        Self::limit(
            path,
            "the number of macroblocks to decode",
            found,
            limits.max_macroblocks,
        )
    }

    pub(crate) fn limit(path: &Path, what: &'static str, found: u64, limit: u64) -> Self {
        Self::Limit {
            path: path.to_owned(),
            what,
            found,
            limit,
        }
    }

    pub(crate) fn damaged(path: &Path, frame: usize, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            frame,
            reason: reason.into(),
        }
    }
}
