//! Annotation lists: one video a line, or a table (CSV) with one a row.
//!
//! [`ListFormat`] names the kinds of lists that there are. Of lists without a header, blank lines and lines that begin
//! with `#` are passed over, and paths may hold spaces, since what follows them is numbers. Behind all columns of any list
//! a word `b3:` with a BLAKE3 may stand, the [`Checksum`] of the file. [`read_list`] takes a list
//! only if all of it is understood; [`scan_list`] gives what is, beside what is not.

mod columns;
mod epic;
mod text;

pub use columns::{Column, Columns};

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::Checksum;

/// What kind of list a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "parameters",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "snake_case")
)]
pub enum ListFormat {
    /// By what most lines look like: a path, `path label`, `path frames label`, `path offset frames label`, or the
    /// header of EPIC-KITCHENS. Where lines can be read in two ways, an error says what to do.
    #[default]
    Auto,
    /// `path label`.
    Plain,
    /// `path frames label`, of whole videos: Kinetics of Kinetics→BABEL.
    Kinetics,
    /// `path offset frames label`, of segments of sequences: BABEL of Kinetics→BABEL (with `start_index = 1`).
    Babel,
    /// `path label` or `path frames label`, by what most lines look like: UCF101 and HMDB51 of UCF-HMDB.
    UcfHmdb,
    /// `path label`, of video files: Mixamo and Kinetics of Mixamo→Kinetics.
    MixamoKinetics,
    /// CSV with the columns `participant_id`, `video_id`, `start_frame`, `stop_frame` and `verb_class` (or `verb`, with
    /// `classes`), in any order: frames `start_frame` to `stop_frame`, both included, of the folder
    /// `participant_id/video_id`.
    EpicKitchens,
}

impl ListFormat {
    /// File names of a folder's images, as the data set has them; [`Template`](crate::Template) reads it.
    pub fn template(self) -> &'static str {
        match self {
            Self::EpicKitchens => "frame_%010d.jpg",
            _ => "img_%05d.jpg",
        }
    }

    /// The number of a folder's first image, as the data set has it.
    pub fn start_index(self) -> usize {
        usize::from(self == Self::EpicKitchens)
    }
}

/// How to read a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// What kind of list it is.
    pub format: ListFormat,
    /// The columns, instead of those that the format says.
    pub columns: Option<Columns>,
    /// Names of the classes, in order: labels may be names, and numbers must be below their count.
    pub classes: Option<Vec<String>>,
    /// The number of a video's first frame, from which the columns `start` and `stop` count.
    pub first_frame: usize,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListEntry {
    /// The video, as it is written.
    pub path: String,
    /// Its class, if it has one.
    pub label: Option<usize>,
    /// Its number of frames, if the list says.
    pub frames: Option<usize>,
    /// Frames of the file before its first, where the list has a column for that: then `frames` is the length of a
    /// segment, else of the whole file.
    pub offset: Option<usize>,
    /// The checksum of its file, if the list has it.
    pub checksum: Option<Checksum>,
    /// The line, from 1.
    pub line: usize,
}

/// One line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// All that a list holds, understood or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The lines that are understood, in order.
    pub entries: Vec<ListEntry>,
    /// The others.
    pub bad: Vec<BadLine>,
    /// What was taken for the columns, such as `path frames label`.
    pub columns: String,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file could not be read.
    #[error("{}: cannot read the list", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Lines are malformed: all of them, not only the first.
    #[error("{} of {lines} lines of {} are malformed{}", bad.len(), path.display(), listed(path, bad))]
    Lines {
        /// The file.
        path: PathBuf,
        /// Lines that hold an entry or should.
        lines: usize,
        /// The malformed ones.
        bad: Vec<BadLine>,
    },
}

fn listed(path: &Path, bad: &[BadLine]) -> String {
    bad.iter()
        .map(|b| format!("\n{}:{}: {}", path.display(), b.line, b.reason))
        .collect()
}

/// Reads a list from a file.
///
/// # Errors
/// If it cannot be read, or with every line that is malformed.
pub fn read_list(path: &Path, options: &ListOptions) -> Result<Vec<ListEntry>, ListError> {
    let Scan { entries, bad, .. } = scan_list(path, options)?;
    if bad.is_empty() {
        return Ok(entries);
    }
    Err(ListError::Lines {
        path: path.to_owned(),
        lines: entries.len() + bad.len(),
        bad,
    })
}

/// Reads what can be read of a list in a file.
///
/// # Errors
/// If the file cannot be read; lines that are malformed are in the result.
pub fn scan_list(path: &Path, options: &ListOptions) -> Result<Scan, ListError> {
    let bytes = read_all(path).map_err(|source| ListError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(scan(&bytes, options))
}

/// Bytes of the largest list that is read: ten million lines.
const LARGEST: u64 = 1 << 30;

/// All of a file, unless it is too large, or one that never ends such as a device.
fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    crate::open_file(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 GiB, so it is no list"));
    }
    Ok(bytes)
}

/// Reads a list from bytes (UTF-8, with or without a byte order mark).
///
/// # Errors
/// Every line that is malformed.
pub fn parse_list(bytes: &[u8], options: &ListOptions) -> Result<Vec<ListEntry>, Vec<BadLine>> {
    let Scan { entries, bad, .. } = scan(bytes, options);
    if bad.is_empty() { Ok(entries) } else { Err(bad) }
}

/// Reads what can be read of a list in bytes.
pub fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let table = match options.format {
        ListFormat::EpicKitchens => options.columns.is_none(),
        ListFormat::Auto => options.columns.is_none() && epic::has_header(bytes),
        _ => false,
    };
    if table {
        epic::scan(bytes, options)
    } else {
        text::scan(bytes, options)
    }
}

/// A label as it is written: a number, the name of a class, or `-` for none.
struct Labels<'a> {
    names: Option<std::collections::HashMap<&'a str, usize>>,
}

impl<'a> Labels<'a> {
    fn of(options: &'a ListOptions) -> Self {
        let by_name = |names: &'a Vec<String>| names.iter().map(String::as_str).zip(0..).collect();
        Self {
            names: options.classes.as_ref().map(by_name),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|n| n.contains_key(name))
    }

    /// `context` says what was expected where.
    fn read(&self, word: &str, context: &str) -> Result<Option<usize>, String> {
        if word == "-" {
            return Ok(None);
        }
        let Some(names) = &self.names else {
            return match word.parse() {
                Ok(label) => Ok(Some(label)),
                Err(_) => Err(format!(
                    "label {word:?} is not a number from 0{context}; a video without a label has \"-\", and labels may \
                     be names where the classes are given (`classes`)"
                )),
            };
        };
        if let Some(&label) = names.get(word) {
            return Ok(Some(label));
        }
        match word.parse::<usize>() {
            Ok(label) if label < names.len() => Ok(Some(label)),
            Ok(label) => Err(format!(
                "label {label} is beyond the {} classes (0 to {})",
                names.len(),
                names.len().saturating_sub(1)
            )),
            Err(_) => Err(format!("label {word:?} is neither a class nor a number")),
        }
    }
}

#[cfg(test)]
mod tests;
