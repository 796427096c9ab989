//! Lists with a line a video, their columns separated by spaces or tabs.

use super::{BadLine, Column, Columns, Labels, ListEntry, ListFormat, ListOptions, Scan};
use crate::Checksum;

/// Reads what can be read.
pub(super) fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let labels = Labels::of(options);
    let given = match (&options.columns, options.format) {
        (Some(c), _) => Some(c.clone()),
        (None, ListFormat::Plain | ListFormat::MixamoKinetics) => Some(Columns::common(1)),
        (None, ListFormat::Kinetics) => Some(Columns::common(2)),
        (None, ListFormat::Babel) => Some(Columns::common(3)),
        (None, _) => None,
    };
    let reader = LineReader {
        detected: given.is_none(),
        columns: match given {
            Some(c) => c,
            None if options.format == ListFormat::UcfHmdb => detect(bytes, &labels, 1..3),
            None => detect(bytes, &labels, 0..4),
        },
        labels,
        first_frame: options.first_frame,
    };
    let mut found = Scan {
        columns: reader.columns.to_string(),
        ..Scan::default()
    };
    if reader.detected
        && let Some(doubt) = doubt(bytes, &reader.columns)
    {
        found.bad.push(doubt);
        return found;
    }
    for (line, text, checksum) in lines(bytes) {
        let entry = std::str::from_utf8(text)
            .map_err(|_| "is not UTF-8 text".to_owned())
            .and_then(|text| reader.read(line, text))
            .and_then(|entry| {
                Ok(ListEntry {
                    checksum: checksum.map(str::parse).transpose()?,
                    ..entry
                })
            });
        match entry {
            Ok(e) => found.entries.push(e),
            Err(reason) => found.bad.push(BadLine { line, reason }),
        }
    }
    found
}

/// The lines that matter, numbered from 1, each without the checksum at its end, and that.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], Option<&str>)> {
    (1..)
        .zip(bytes.split(|&b| b == b'\n'))
        .map(|(n, line)| (n, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
        .map(|(n, line)| match checksum(line) {
            Some((rest, checksum)) => (n, rest, Some(checksum)),
            None => (n, line, None),
        })
}

/// A line without the checksum that is its last word, and that.
fn checksum(line: &[u8]) -> Option<(&[u8], &str)> {
    let at = line.iter().rposition(u8::is_ascii_whitespace)?;
    let word = std::str::from_utf8(&line[at + 1..]).ok()?;
    Checksum::is_meant(word).then(|| (line[..at].trim_ascii_end(), word))
}

/// The columns that most lines have, by the numbers at their ends; of equally many, the most.
fn detect(bytes: &[u8], labels: &Labels<'_>, among: std::ops::Range<usize>) -> Columns {
    let mut votes = [0usize; 4];
    for (_, line, _) in lines(bytes) {
        if let Ok(line) = std::str::from_utf8(line) {
            votes[numbers_after_path(line, labels)] += 1;
        }
    }
    let least = among.start;
    let most = among.max_by_key(|&n| votes[n]).unwrap_or(least);
    Columns::common(most)
}

/// How many words at the end of a line look like columns: numbers, and a label. At most 3, and
/// never the first word.
fn numbers_after_path(line: &str, labels: &Labels<'_>) -> usize {
    let mut words = line.split_whitespace().rev();
    let before_last = line.split_whitespace().count().saturating_sub(1);
    let label = words.next().is_some_and(|w| is_number(w) || w == "-" || labels.has(w));
    if !label || before_last == 0 {
        return 0;
    }
    let numbers = words.take_while(|w| is_number(w)).count();
    (1 + numbers).min(before_last).min(3)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
}

/// Why a guess at the columns may be wrong, at the first line that shows it. A wrong guess would read other frames than
/// were meant, or no file at all.
fn doubt(bytes: &[u8], columns: &Columns) -> Option<BadLine> {
    let lines = || lines(bytes).filter_map(|(n, l, _)| Some((n, std::str::from_utf8(l).ok()?)));
    match columns.0.len() {
        1 => lines().find_map(|(line, text)| {
            let last = text.split_whitespace().next_back()?;
            let reason = if let Some((_, end)) = text.rsplit_once([',', ';'])
                && (is_number(end.trim()) || end.trim() == "-")
            {
                "seems to be separated by commas: separate the columns by spaces, or, of EPIC-KITCHENS, keep the line \
                 with the columns' names at the top"
            } else if last.len() < text.len() && !last.contains(['.', '/']) {
                "has no number after its path: if its last word is a class, give the names of the classes (`classes`); \
                 if it belongs to the path, say `columns = \"path\"`"
            } else {
                return None;
            };
            Some(BadLine {
                line,
                reason: reason.into(),
            })
        }),
        4 => {
            // (line, second number from the path, third)
            let all: Vec<(usize, u64, u64)> = lines()
                .filter_map(|(n, text)| {
                    let mut words = text.split_whitespace().rev().skip(1);
                    let third = words.next()?.parse().ok()?;
                    Some((n, words.next()?.parse().ok()?, third))
                })
                .collect();
            let ends_after = all.iter().all(|(_, a, b)| b > a);
            let (line, a, b) = all.into_iter().find(|(_, a, _)| *a > 0).filter(|_| ends_after)?;
            Some(BadLine {
                line,
                reason: format!(
                    "can be read in two ways, and so can all lines: {b} frames from frame {a} on (then say \
                     `format = \"babel\"`), or frames {a} to {b} (then say `columns = \"path start stop label\"`)"
                ),
            })
        }
        _ => None,
    }
}

struct LineReader<'a> {
    columns: Columns,
    /// Whether the columns are a guess.
    detected: bool,
    labels: Labels<'a>,
    first_frame: usize,
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
            let numbers = numbers_after_path(text, &self.labels);
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
            path: between(text, words[before], words[path_end - 1]),
            label: None,
            frames: None,
            offset: None,
            checksum: None,
            line,
        };
        let outside = words[..before].iter().chain(&words[path_end..]);
        let kinds = columns[..path_at].iter().chain(&columns[path_at + 1..]);
        let (mut start, mut stop) = (None, None);
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
                Column::Start => start = Some(number(word, "first frame", &expected)?),
                Column::Stop => stop = Some(number(word, "last frame", &expected)?),
                Column::Label => entry.label = self.labels.read(word, &format!(" ({})", expected()))?,
                Column::Path | Column::Ignored => {}
            }
        }
        if let (Some(start), Some(stop)) = (start, stop) {
            let (offset, frames) = segment(start, stop, self.first_frame)?;
            (entry.offset, entry.frames) = (Some(offset), Some(frames));
        }
        Ok(entry)
    }
}

/// Offset and number of the frames `start` to `stop`, of which `first` is the first that there can be.
pub(super) fn segment(start: usize, stop: usize, first: usize) -> Result<(usize, usize), String> {
    if start < first {
        Err(format!("begins at frame {start}, and frames are numbered from {first}"))
    } else if stop < start {
        Err(format!("ends at frame {stop}, before it begins at {start}"))
    } else {
        Ok((start - first, stop - start + 1))
    }
}

fn number(word: &str, what: &str, expected: &dyn Fn() -> String) -> Result<usize, String> {
    word.parse()
        .map_err(|_| format!("{what} {word:?} is not a number from 0 ({})", expected()))
}

/// The text from the start of one word to the end of another, both slices of `text`: the spaces
/// of a path are kept as they are.
fn between(text: &str, first: &str, last: &str) -> String {
    let start = first.as_ptr() as usize - text.as_ptr() as usize;
    let end = last.as_ptr() as usize - text.as_ptr() as usize + last.len();
    text[start..end].to_owned()
}
