//! Lists and files as they are, sound or not: for reports that name every line.

use super::host::Video;
use std::fmt;
use std::path::{Path, PathBuf};
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

/// A file of a list, or of the names of its classes, that is of no use as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FileFault {
    /// What the file should be: `the list`.
    pub role: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, as a fragment: `is JSON, not a list`.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// The lines that it is about, from 1; none where it is about all.
    pub lines: Vec<usize>,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)?;
        match self.lines.as_slice() {
            [] => {}
            [one] => write!(f, " (line {one})")?,
            lines => {
                let shown: Vec<String> = lines.iter().take(8).map(usize::to_string).collect();
                let more = if lines.len() > shown.len() { ", …" } else { "" };
                write!(f, " (lines {}{more})", shown.join(", "))?;
            }
        }
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// A line of a list, as it is written; its file is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// The list.
    pub list: &'a Path,
    /// The line, from 1.
    pub line: usize,
    /// The file or folder.
    pub path: &'a Path,
    /// Its class, where the list has one.
    pub label: Option<usize>,
    /// What the line says of its frames.
    pub stated: Stated,
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
    /// What is unusual about the file and was read all the same, as fragments: `is UTF-16 text, …`.
    pub notes: Vec<String>,
}
