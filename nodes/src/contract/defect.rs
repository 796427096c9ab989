//! What a list states about a video, and what is wrong with its file.

use std::fmt;
use std::path::PathBuf;

/// What a list states about a video's frames.
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
    /// It is there, and cannot be read as a video.
    Unreadable(String),
    /// It is sound as far as was looked, but what is to decode it does not read its kind.
    Unsupported {
        /// What the file is.
        what: String,
        /// What decodes it, by its name in the graph, such as `rust`.
        backend: &'static str,
        /// What would read it.
        remedy: String,
    },
    /// It ends before it should.
    Short {
        /// Frames that the list states.
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
            Defect::Short { stated, found } => write!(f, "has {} where the list says {stated}", frames(*found)),
            Defect::Offset { offset, found } => write!(f, "has {}, and the segment begins at {offset}", frames(*found)),
        }
    }
}

/// `1 frame`, `3 frames`.
fn frames(n: usize) -> String {
    format!("{n} frame{}", if n == 1 { "" } else { "s" })
}

/// What may be meant by a path where there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clue {
    /// What is there.
    pub found: Vec<PathBuf>,
    /// What to write; the same for all lines of which the same is wrong.
    pub advice: String,
}

impl fmt::Display for Clue {
    /// `a.mp4 is`, `a.avi and a.mp4 are`, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, path) in self.found.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " and " }, path.display())?;
        }
        match self.found.len() {
            0 => Ok(()),
            1 => f.write_str(" is"),
            _ => f.write_str(" are"),
        }
    }
}
