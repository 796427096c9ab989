//! Lists as they are, sound or not: for reports that name every line.

use super::defect::Stated;
use super::footage::{Origin, Video};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Whether the labels of the list are numbers, all of them, and not names of classes.
    pub numbered: bool,
    /// What the line states about its frames.
    pub stated: Stated,
    /// The video that features were computed from, where the line says it.
    pub origin: Option<&'a Origin>,
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
    /// Whether these are the one line that shows that the columns of the list as a whole are open.
    pub undecided: bool,
    /// Whether the labels are numbers, all of them, and not names of classes.
    pub numbered: bool,
    /// What was taken for the columns; empty where there are none.
    pub columns: String,
    /// What is unusual about the file and was read all the same, as fragments: `is UTF-16 text, …`.
    pub notes: Vec<String>,
}
