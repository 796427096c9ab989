//! Lists as they are, sound or not: for reports that name every line.

use super::footage::Video;
use std::path::PathBuf;
use std::sync::Arc;

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
