//! Annotation lists: one video a line.
//!
//! Understood as they come: `path label`, `path frames label` (Kinetics rawframes), `path offset
//! frames label` (segments of sequences, BABEL), and bare paths. Blank lines and lines that begin
//! with `#` are passed over. Paths may hold spaces, since what follows them is numbers.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The video: takes all words that the other columns leave.
    Path,
    /// Frames to pass over at the beginning.
    Offset,
    /// Number of frames.
    Frames,
    /// The class: a number from 0, the name of a class, or `-` for none.
    Label,
    /// Something not used here.
    Ignored,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Offset => "offset",
            Self::Frames => "frames",
            Self::Label => "label",
            Self::Ignored => "_",
        })
    }
}

/// The columns of a list, from left to right; exactly one is the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// From names, such as `"path offset frames label"`; `_` is a column to pass over.
    ///
    /// # Errors
    /// A fragment: an unknown name, one that comes twice, or no path.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut columns = Vec::new();
        for name in names.split_whitespace() {
            let column = match name {
                "path" => Column::Path,
                "offset" => Column::Offset,
                "frames" => Column::Frames,
                "label" => Column::Label,
                "_" => Column::Ignored,
                _ => {
                    return Err(format!(
                        "column {name:?} is not known; there are path, offset, frames, label and _"
                    ));
                }
            };
            if column != Column::Ignored && columns.contains(&column) {
                return Err(format!("column {name:?} comes twice in {names:?}"));
            }
            columns.push(column);
        }
        if columns.contains(&Column::Path) {
            Ok(Self(columns))
        } else {
            Err(format!("columns {names:?} have no path"))
        }
    }

    /// A path and as many columns after it as lists commonly have: 0 to 3.
    fn common(after_path: usize) -> Self {
        use Column::{Frames, Label, Offset, Path};
        Self(match after_path {
            0 => vec![Path],
            1 => vec![Path, Label],
            2 => vec![Path, Frames, Label],
            _ => vec![Path, Offset, Frames, Label],
        })
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, c) in self.0.iter().enumerate() {
            write!(f, "{}{c}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// How to read a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The columns; `None`: by what most lines look like.
    pub columns: Option<Columns>,
    /// Names of the classes, in order: labels may be names, and numbers must be below their count.
    pub classes: Option<Vec<String>>,
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

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file could not be read.
    #[error("{}: cannot read: {source}", path.display())]
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
    let bytes = read_all(path).map_err(|source| ListError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse_list(&bytes, options).map_err(|bad| ListError::Lines {
        path: path.to_owned(),
        lines: lines(&bytes).count(),
        bad,
    })
}

/// Bytes of the largest list that is read: ten million lines.
const LARGEST: u64 = 1 << 30;

/// All of a file, unless it is too large, or one that never ends such as a device.
fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
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
    let names: Option<HashMap<&str, usize>> = options
        .classes
        .as_ref()
        .map(|names| names.iter().map(String::as_str).zip(0..).collect());
    let reader = LineReader {
        columns: match &options.columns {
            Some(c) => c.clone(),
            None => detect(bytes, names.as_ref()),
        },
        detected: options.columns.is_none(),
        names,
    };
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for (line, text) in lines(bytes) {
        let entry = std::str::from_utf8(text)
            .map_err(|_| "is not UTF-8 text".to_owned())
            .and_then(|text| reader.read(line, text));
        match entry {
            Ok(e) => entries.push(e),
            Err(reason) => bad.push(BadLine { line, reason }),
        }
    }
    if bad.is_empty() { Ok(entries) } else { Err(bad) }
}

/// The lines that matter, numbered from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    (1..)
        .zip(bytes.split(|&b| b == b'\n'))
        .map(|(n, line)| (n, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

/// The columns that most lines have, by the numbers at their ends; of equally many, the most.
fn detect(bytes: &[u8], names: Option<&HashMap<&str, usize>>) -> Columns {
    let mut votes = [0usize; 4];
    for (_, line) in lines(bytes) {
        if let Ok(line) = std::str::from_utf8(line) {
            votes[numbers_after_path(line, names)] += 1;
        }
    }
    let most = (0..4).max_by_key(|&n| votes[n]).unwrap_or(0);
    Columns::common(most)
}

/// How many words at the end of a line look like columns: numbers, and a label. At most 3, and
/// never the first word.
fn numbers_after_path(line: &str, names: Option<&HashMap<&str, usize>>) -> usize {
    let mut words = line.split_whitespace().rev();
    let is_number = |w: &str| w.bytes().all(|b| b.is_ascii_digit());
    let before_last = line.split_whitespace().count().saturating_sub(1);
    let label = words
        .next()
        .is_some_and(|w| is_number(w) || w == "-" || names.is_some_and(|n| n.contains_key(w)));
    if !label || before_last == 0 {
        return 0;
    }
    let numbers = words.take_while(|w| is_number(w)).count();
    (1 + numbers).min(before_last).min(3)
}

struct LineReader<'a> {
    columns: Columns,
    /// Whether the columns are a guess.
    detected: bool,
    names: Option<HashMap<&'a str, usize>>,
}

impl LineReader<'_> {
    fn read(&self, line: usize, text: &str) -> Result<ListEntry, String> {
        let columns = &self.columns.0;
        let path_at = columns.iter().position(|&c| c == Column::Path).unwrap_or_default();
        let (before, after) = (path_at, columns.len() - path_at - 1);
        let expected = || {
            format!(
                "\"{}\"{}",
                self.columns,
                if self.detected { ", as most lines have" } else { "" }
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() < columns.len() {
            return Err(format!(
                "has {} of the {} columns {}",
                words.len(),
                columns.len(),
                expected()
            ));
        }
        if self.detected && words.len() > columns.len() {
            let numbers = numbers_after_path(text, self.names.as_ref());
            if numbers > after {
                return Err(format!(
                    "has {numbers} numbers after its path where {after} are expected ({}); say \
                     which columns the list has if the path ends in a number",
                    expected()
                ));
            }
        }
        let path_end = words.len() - after;
        let mut entry = ListEntry {
            path: between(text, &words[before], &words[path_end - 1]),
            label: None,
            frames: None,
            offset: None,
            line,
        };
        let outside = words[..before].iter().chain(&words[path_end..]);
        let kinds = columns[..path_at].iter().chain(&columns[path_at + 1..]);
        for (word, kind) in outside.zip(kinds) {
            match kind {
                Column::Offset => entry.offset = Some(number(word, "offset", &expected)?),
                Column::Frames => {
                    let frames = number(word, "number of frames", &expected)?;
                    if frames == 0 {
                        return Err("has no frames".to_owned());
                    }
                    entry.frames = Some(frames);
                }
                Column::Label => entry.label = self.label(word, &expected)?,
                Column::Path | Column::Ignored => {}
            }
        }
        Ok(entry)
    }

    fn label(&self, word: &str, expected: &dyn Fn() -> String) -> Result<Option<usize>, String> {
        if word == "-" {
            return Ok(None);
        }
        let Some(names) = &self.names else {
            return number(word, "label", expected)
                .map(Some)
                .map_err(|e| format!("{e}; a video without a label has \"-\""));
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

fn number(word: &str, what: &str, expected: &dyn Fn() -> String) -> Result<usize, String> {
    word.parse()
        .map_err(|_| format!("{what} {word:?} is not a number from 0 ({})", expected()))
}

/// The text from the start of one word to the end of another, both slices of `text`: the spaces
/// of a path are kept as they are.
fn between(text: &str, first: &&str, last: &&str) -> String {
    let start = first.as_ptr() as usize - text.as_ptr() as usize;
    let end = last.as_ptr() as usize - text.as_ptr() as usize + last.len();
    text[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<ListEntry>, Vec<BadLine>> {
        parse_list(text.as_bytes(), &ListOptions::default())
    }

    fn entry(
        path: &str,
        offset: impl Into<Option<usize>>,
        frames: Option<usize>,
        label: Option<usize>,
        line: usize,
    ) -> ListEntry {
        let offset = offset.into();
        ListEntry {
            path: path.to_owned(),
            label,
            frames,
            offset,
            line,
        }
    }

    #[test]
    fn the_common_lists() {
        assert_eq!(
            parse("a/b.mp4 3\n\n# c\nd.mp4 -\n").unwrap(),
            [
                entry("a/b.mp4", None, None, Some(3), 1),
                entry("d.mp4", None, None, None, 4)
            ]
        );
        assert_eq!(
            parse("squat/x_1_11 300 7\r\nkick/y_2_12 250 2\r\n").unwrap(),
            [
                entry("squat/x_1_11", None, Some(300), Some(7), 1),
                entry("kick/y_2_12", None, Some(250), Some(2), 2)
            ]
        );
        assert_eq!(
            parse("train/1234 96 54 0\n").unwrap(),
            [entry("train/1234", 96, Some(54), Some(0), 1)]
        );
        assert_eq!(
            parse("\u{feff}a.mp4\nb.mp4\n").unwrap(),
            [entry("a.mp4", None, None, None, 1), entry("b.mp4", None, None, None, 2)]
        );
        assert_eq!(parse("# nothing\n").unwrap(), []);
    }

    #[test]
    fn numeric_paths_are_paths() {
        assert_eq!(
            parse("1234 96 54 0\n1235 0 60 1\n").unwrap()[1],
            entry("1235", 0, Some(60), Some(1), 2)
        );
        assert_eq!(parse("17\n18\n").unwrap()[0], entry("17", None, None, None, 1));
    }

    #[test]
    fn spaces_in_paths() {
        let list = parse("a b.mp4 1\nc.mp4 0\nsome  long name.mp4 2\n").unwrap();
        assert_eq!(list[0].path, "a b.mp4");
        assert_eq!(list[2].path, "some  long name.mp4");

        let ambiguous = "a.mp4 1\nb.mp4 2\ntake 2 1\n";
        let bad = parse(ambiguous).unwrap_err();
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].line, 3);
        let options = ListOptions {
            columns: Some(Columns::parse("path label").unwrap()),
            classes: None,
        };
        let list = parse_list(ambiguous.as_bytes(), &options).unwrap();
        assert_eq!(list[2], entry("take 2", None, None, Some(1), 3));
    }

    #[test]
    fn every_malformed_line_is_named() {
        let text = b"a 10 1\nb 0 1\nc 12\nd 12 x\n# e\nf -3 2\n\xff\xfe 3 3\ng 12 5\nh 1 2\n";
        let bad = parse_list(text, &ListOptions::default()).unwrap_err();
        let lines: Vec<usize> = bad.iter().map(|b| b.line).collect();
        assert_eq!(lines, [2, 3, 4, 6, 7], "{bad:#?}");
        assert!(bad[1].reason.contains("2 of the 3 columns"), "{bad:?}");
    }

    #[test]
    fn classes_by_name_or_number() {
        let options = ListOptions {
            columns: None,
            classes: Some(vec!["jump".into(), "run".into()]),
        };
        let list = parse_list(b"a 10 run\nb 11 0\nc 12 -\n", &options).unwrap();
        let labels: Vec<Option<usize>> = list.iter().map(|e| e.label).collect();
        assert_eq!(labels, [Some(1), Some(0), None]);
        let bad = parse_list(b"a 10 run\nb 11 2\nc 12 walk\n", &options).unwrap_err();
        assert_eq!(bad.len(), 2, "{bad:?}");
        assert!(bad[0].reason.contains("beyond the 2 classes"));
    }

    #[test]
    fn columns_can_be_given() {
        let options = ListOptions {
            columns: Some(Columns::parse("label _ path frames").unwrap()),
            classes: None,
        };
        let list = parse_list(b"3 x my clip 90\n", &options).unwrap();
        assert_eq!(list[0], entry("my clip", None, Some(90), Some(3), 1));
        assert!(Columns::parse("label frames").is_err());
        assert!(Columns::parse("path label label").is_err());
        assert!(Columns::parse("path lable").is_err());
    }

    #[test]
    fn files_and_their_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.txt");
        fs::write(&path, "a.mp4 1\nb.mp4 x y\nc.mp4 2\nd.mp4\n").unwrap();
        let e = read_list(&path, &ListOptions::default()).unwrap_err();
        let text = e.to_string();
        assert!(text.starts_with("2 of 4 lines"), "{text}");
        assert!(text.contains("l.txt:2: ") && text.contains("l.txt:4: "), "{text}");
        let missing = dir.path().join("m.txt");
        assert!(matches!(
            read_list(&missing, &ListOptions::default()),
            Err(ListError::Io { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse_list(&bytes, &ListOptions::default());
        }

        #[test]
        fn what_is_written_is_read(
            rows in prop::collection::vec(("[a-z]{1,6}/[a-z_]{1,9}( [a-z]{1,5}\\.mp4)?", 0usize..500, 1usize..400, 0usize..12), 1..20)
        ) {
            let text: String = rows.iter().map(|(p, o, f, l)| format!("{p} {o} {f} {l}\n")).collect();
            let list = parse(&text).unwrap();
            for (i, (e, (p, o, f, l))) in list.iter().zip(&rows).enumerate() {
                prop_assert_eq!(e, &entry(p, *o, Some(*f), Some(*l), i + 1));
            }
        }
    }
}
