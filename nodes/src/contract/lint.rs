//! Lists and files as they are, sound or not: for reports that name every line.

use super::host::Video;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a list says of a video's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stated {
    /// Frames of the file before the video's first, where it is a segment of the file.
    pub offset: Option<usize>,
    /// Frames: of the segment, else of the file.
    pub frames: Option<usize>,
}

/// What is wrong with a video, from a look at its file that decodes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// There is no such file or folder.
    Missing,
    /// It is there, and no video can be had of it.
    Unreadable(String),
    /// It is sound as far as was looked, but what is to decode it does not read its kind.
    Unsupported {
        /// What the file is.
        what: String,
        /// What decodes it: a word that the graph says, such as `rust`.
        backend: &'static str,
        /// What would read it.
        remedy: String,
    },
    /// It ends before it should.
    Short {
        /// Frames that the list says.
        stated: usize,
        /// Frames that there are, from the segment's first on.
        found: usize,
    },
    /// The segment begins after the end of the file.
    Offset {
        /// Where it begins.
        offset: usize,
        /// Frames of the file.
        found: usize,
    },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Defect::Missing => f.write_str("is not there"),
            Defect::Unreadable(reason) => f.write_str(reason),
            Defect::Unsupported { what, .. } => write!(f, "is {what}"),
            Defect::Short { stated, found } => write!(f, "has {found} frames where the list says {stated}"),
            Defect::Offset { offset, found } => write!(f, "has {found} frames, and the segment begins at {offset}"),
        }
    }
}

/// A line that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// `list.txt:12`.
    pub line: String,
    /// What is wrong with it.
    pub reason: String,
}

/// All that a list holds.
#[derive(Debug, Default)]
pub struct ListScan {
    /// The list, where it is a file.
    pub file: Option<PathBuf>,
    /// The videos of lines that are understood.
    pub videos: Vec<Arc<Video>>,
    /// The other lines.
    pub malformed: Vec<Malformed>,
    /// What was taken for the columns; empty where there are none.
    pub columns: String,
}
