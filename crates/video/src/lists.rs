//! Annotation lists: one video a line, or a table (CSV) with one a row.
//!
//! [`ListFormat`] names the kinds of lists. Blank lines are skipped, and so are comments: lines that begin
//! with `#` and whitespace (names of files may begin with a `#`, too). Paths may hold spaces, since what follows them is
//! numbers. Columns may be separated by tabs, commas or semicolons, if all lines are, and named by a first line; text may be
//! UTF-16, with the line ends of any system. Any line may end with a word `b3:` and a BLAKE3, the
//! [`Checksum`] of the file. [`read_list`] accepts a list only if all of it is understood; [`scan_list`]
//! returns what is understood, and what is not.

mod columns;
mod doubt;
mod encoding;
mod epic;
mod features;
mod header;
mod labels;
mod meant;
mod names;
mod nearby;
mod rows;
mod separator;
mod table;
mod text;
mod words;

pub use columns::{Column, Columns};
pub use meant::meant;
pub use names::{BadNames, VIDEO_ENDINGS, class_names, is_heading};
pub use nearby::{Clue, Nearby};
pub use table::Entries;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::Checksum;

/// The kind of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "parameters",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "snake_case")
)]
pub enum ListFormat {
    /// Detected from the majority of lines: a path, `path label`, `path frames label`, `path offset frames label`, or the
    /// header of EPIC-KITCHENS. If lines can be read in two ways, an error says what to do.
    #[default]
    Auto,
    /// `path label`.
    Plain,
    /// `path frames label`, of whole videos: Kinetics of Kinetics→BABEL.
    Kinetics,
    /// `path offset frames label`, of segments of sequences: BABEL of Kinetics→BABEL, whose images begin with 1: say
    /// `start_index = 1` with it.
    Babel,
    /// `path label` or `path frames label`, detected from the majority of lines: UCF101 and HMDB51 of UCF-HMDB.
    UcfHmdb,
    /// `path label`, of video files: Mixamo and Kinetics of Mixamo→Kinetics.
    MixamoKinetics,
    /// CSV with the columns `participant_id`, `video_id`, `start_frame`, `stop_frame` and `verb_class` (or `verb`, with
    /// `classes`), in any order: frames `start_frame` to `stop_frame`, both included, of the folder
    /// `participant_id/video_id`.
    EpicKitchens,
    /// CSV with the columns `file` and `label`, in any order: the `index.csv` of a folder of features that `glad-run predict`
    /// wrote. Detected where there is a column `shape`, too. `video` names the video that the features were computed from, and
    /// `offset` and `frames` its segment, where it is one; other columns are ignored.
    FeatureIndex,
}

impl ListFormat {
    /// File names of a folder's images, as in the data set; [`Template`](crate::Template) reads it.
    pub fn template(self) -> &'static str {
        match self {
            Self::EpicKitchens => "frame_%010d.jpg",
            _ => "img_%05d.jpg",
        }
    }

    /// The number of a folder's first image, as in the data set.
    pub fn start_index(self) -> usize {
        usize::from(self == Self::EpicKitchens)
    }
}

/// How to read a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The kind of list.
    pub format: ListFormat,
    /// The columns, instead of the format's.
    pub columns: Option<Columns>,
    /// Names of the classes, in order: labels may be names, and numbers must be below their count.
    pub classes: Option<Vec<String>>,
    /// The number of a video's first frame, from which the columns `start` and `stop` count.
    pub first_frame: usize,
}

/// One line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListEntry<'a> {
    /// The video, as it is written.
    pub path: &'a str,
    /// Its class, if it has one.
    pub label: Option<usize>,
    /// Its number of frames, if the list has it.
    pub frames: Option<usize>,
    /// Frames of the file before its first, if the list has that column: then `frames` is the length of a
    /// segment, else of the whole file.
    pub offset: Option<usize>,
    /// The checksum of its file, if the list has it.
    pub checksum: Option<Checksum>,
    /// What its features were computed from, if the list has it.
    pub origin: Option<Origin<'a>>,
    /// The line, from 1.
    pub line: usize,
}

/// The video that features were computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin<'a> {
    /// The video, as it is written.
    pub path: &'a str,
    /// Frames of the file before its first, where it is a segment.
    pub offset: Option<usize>,
    /// Frames of that segment.
    pub frames: Option<usize>,
}

/// One line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// All lines of a list, understood or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The lines that are understood, in order.
    pub entries: Entries,
    /// The others.
    pub bad: Vec<BadLine>,
    /// The assumed columns, such as `path frames label`.
    pub columns: String,
    /// Whether the columns are a guess, from the majority of lines.
    pub guessed: bool,
    /// Whether what is wrong concerns the list as a whole: which columns it has is open, at the line that shows it.
    pub undecided: bool,
    /// Whether all labels are numbers, not names of classes.
    pub numbered: bool,
    /// The first label, where labels are names, no line has a class, and that is wrong with all lines: the names of the classes
    /// may be what is wrong.
    pub foreign: Option<String>,
    /// The first lines with a path and numbers, where the columns are a guess, without their checksums.
    pub first: Vec<(usize, String)>,
    /// The format, where it was recognised or given: EPIC-KITCHENS numbers images differently.
    pub format: ListFormat,
    /// Unusual features of the file that were accepted, as fragments: `is UTF-16 text, …`.
    pub notes: Vec<String>,
}

/// Why a file is not a list, as a fragment: `is JSON, not a list: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAList(pub String);

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file could not be read.
    #[error("{}: cannot read the list: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file is something else.
    #[error("{}: {what}", path.display())]
    NotAList {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        what: NotAList,
    },
    /// Which columns the lines have is open.
    #[error("{}:{}: {}", path.display(), at.line, at.reason)]
    Undecided {
        /// The file.
        path: PathBuf,
        /// The first line that shows it, and what to write.
        at: BadLine,
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

/// Malformed lines that a message shows.
const SHOWN: usize = 50;

fn listed(path: &Path, bad: &[BadLine]) -> String {
    let shown = bad.iter().take(SHOWN);
    let mut text: String = shown
        .map(|b| format!("\n{}:{}: {}", path.display(), b.line, b.reason))
        .collect();
    if let Some(more) = bad.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        text += &format!("\n… and {more} more (`glad-run lint` writes them all)");
    }
    text
}

/// Reads a list from a file.
///
/// # Errors
/// If it cannot be read, or with every line that is malformed.
pub fn read_list(path: &Path, options: &ListOptions) -> Result<Scan, ListError> {
    scan_list(path, options)?.whole(path)
}

impl Scan {
    /// Returns itself if every line of the file `path` was understood.
    ///
    /// # Errors
    /// With every line that is malformed.
    pub fn whole(mut self, path: &Path) -> Result<Self, ListError> {
        let path = path.to_owned();
        match self.bad.is_empty() {
            true => Ok(self),
            false if self.undecided => Err(ListError::Undecided {
                path,
                at: self.bad.swap_remove(0),
            }),
            false => Err(ListError::Lines {
                path,
                lines: self.entries.len() + self.bad.len(),
                bad: self.bad,
            }),
        }
    }

    /// Leaves open which columns the list has, since the line `at` can be read in two ways.
    pub fn leave_open(&mut self, at: BadLine) {
        self.entries = Entries::default();
        self.bad = vec![at];
        self.undecided = true;
    }
}

/// Reads the valid lines of a list in a file.
///
/// # Errors
/// If the file cannot be read; lines that are malformed are in the result.
pub fn scan_list(path: &Path, options: &ListOptions) -> Result<Scan, ListError> {
    scan(&read_file(path)?, options).map_err(|what| ListError::NotAList {
        path: path.to_owned(),
        what,
    })
}

/// All bytes of a list.
///
/// # Errors
/// If the file cannot be read, is not a file, or is larger than 1 GiB.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ListError> {
    read_all(path).map_err(|cause| ListError::Io {
        path: path.to_owned(),
        cause,
    })
}

/// Bytes of the largest list that is read: ten million lines.
const LARGEST: u64 = 1 << 30;

/// All of a file, unless it is too large, or endless, such as a device or a pipe.
fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let file = crate::open_file(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(LARGEST) as usize);
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 GiB, so it is no list"));
    }
    Ok(bytes)
}

/// Reads a list from bytes.
///
/// # Errors
/// Every line that is malformed.
pub fn parse_list(bytes: &[u8], options: &ListOptions) -> Result<Entries, Vec<BadLine>> {
    match scan(bytes, options) {
        Ok(Scan { entries, bad, .. }) if bad.is_empty() => Ok(entries),
        Ok(Scan { bad, .. }) => Err(bad),
        Err(NotAList(reason)) => Err(vec![BadLine { line: 1, reason }]),
    }
}

/// Reads the valid lines of a list in bytes.
///
/// # Errors
/// If it is another kind of file.
pub fn scan(bytes: &[u8], options: &ListOptions) -> Result<Scan, NotAList> {
    let encoding::Text { bytes, note } = encoding::text(bytes, &encoding::LIST).map_err(NotAList)?;
    let format = match options.format {
        _ if options.columns.is_some() => ListFormat::Auto,
        ListFormat::Auto if epic::has_header(&bytes) => ListFormat::EpicKitchens,
        ListFormat::Auto if features::has_header(&bytes) => ListFormat::FeatureIndex,
        format => format,
    };
    let mut found = match format {
        ListFormat::EpicKitchens => epic::scan(&bytes, options),
        ListFormat::FeatureIndex => features::scan(&bytes, options),
        _ => text::scan(&bytes, options),
    };
    found.format = match format {
        ListFormat::Auto => options.format,
        format => format,
    };
    found.notes.extend(note.map(String::from));
    Ok(found)
}

#[cfg(test)]
mod people;
#[cfg(test)]
mod tests;
