//! Lists with one line per video.

use super::doubt::{self, first_column};
use super::labels::{BEYOND, Labels, NEITHER, is_count, whole, why_not};
use super::separator::{self, MARKS, Separator, has_ending, unquoted};
use super::{BadLine, Column, Columns, Entries, ListEntry, ListFormat, ListOptions, Scan, header};
use crate::Checksum;

/// Reads the valid lines.
pub(super) fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let labels = Labels::of(options.classes.as_deref());
    let given = match (&options.columns, options.format) {
        (Some(c), _) => Some(c.clone()),
        (None, ListFormat::Plain | ListFormat::MixamoKinetics) => Some(Columns::common(1)),
        (None, ListFormat::Kinetics) => Some(Columns::common(2)),
        (None, ListFormat::Babel) => Some(Columns::common(3)),
        (None, _) => None,
    };
    let mut found = Scan::default();
    let shape = match Shape::of(bytes, given, options, &labels) {
        Ok(shape) => shape,
        Err(doubt) => {
            found.leave_open(doubt);
            return found;
        }
    };
    if let Separator::Mark(_) = shape.separator
        && lines(bytes).next().is_some()
    {
        let name = shape.separator.name();
        found
            .notes
            .push(format!("has columns that are separated by {name}, and was read so"));
    }
    if shape.detected
        && let Some(doubt) = shape.doubt(bytes, &labels)
    {
        found.columns = shape.columns.to_string();
        found.leave_open(doubt);
        return found;
    }
    found.columns = shape.columns.to_string();
    found.guessed = shape.detected;
    if shape.detected && matches!(shape.separator, Separator::Blanks) {
        found.first = texts(bytes).take(FIRST).map(|(n, text)| (n, text.to_owned())).collect();
    }
    let reader = LineReader {
        shape,
        labels,
        first_frame: options.first_frame,
    };
    let rows = bytes.iter().filter(|b| **b == b'\n').count() + 1;
    found.entries = Entries::with_room(rows, bytes.len());
    let mut words = vec![];
    for (line, text) in lines(bytes).skip(usize::from(reader.shape.header)) {
        let (text, checksum) = without_checksum(text);
        let entry = utf8(text)
            .and_then(|text| reader.read(line, text, &mut words))
            .and_then(|entry| {
                let checksum = checksum.map(str::parse).transpose()?;
                found.entries.push(ListEntry { checksum, ..entry })
            });
        if let Err(reason) = entry {
            found.bad.push(BadLine { line, reason });
        }
    }
    found.entries.shrink();
    found.numbered = reader.labels.numbered();
    // One line may be a mistake of its own.
    let all = found.bad.len() > 1 && found.bad.iter().all(|bad| bad.reason.contains(NEITHER));
    if all && found.entries.iter().all(|e| e.label.is_none()) {
        found.foreign = reader.labels.foreign();
    }
    if reader.labels.begin_with_one() {
        for bad in &mut found.bad {
            if bad.reason.contains(BEYOND) {
                bad.reason += "; the labels begin with 1, and classes are numbered from 0: make each label 1 less";
            }
        }
    }
    found
}

/// Lines that are compared with the files.
const FIRST: usize = 8;

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| {
        // What Windows calls ANSI, as far as it is Latin-1.
        let latin: String = text.iter().take(200).map(|b| char::from(*b)).collect();
        match latin.chars().any(|c| ('\u{80}'..'\u{a0}').contains(&c)) {
            true => "is not UTF-8 text: save the list as UTF-8".to_owned(),
            false => format!("is not UTF-8 text: save the list as UTF-8 (as Windows-1252 this line is {latin:?})"),
        }
    })
}

/// The lines that matter, numbered from 1: neither blank nor comments, which are a `#` followed by whitespace or nothing.
/// Names of files may begin with a `#`, too. Tabs at the ends of a line are kept: a table's first or last cell may be empty.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> + Clone {
    (1..)
        .zip(bytes.split(|&b| b == b'\n'))
        .map(|(n, line)| (n, trimmed(line)))
        .filter(|(_, line)| !line.trim_ascii().is_empty() && !is_comment(line))
}

/// A line without spaces at its ends, and without the byte order mark of a file that was appended.
fn trimmed(line: &[u8]) -> &[u8] {
    let mut line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    while let [b' ' | b'\r' | b'\x0c', rest @ ..] | [rest @ .., b' ' | b'\r' | b'\x0c'] = line {
        line = rest;
    }
    line
}

pub(super) fn is_comment(line: &[u8]) -> bool {
    let rest = line.trim_ascii_start();
    let Some(after) = rest.strip_prefix(b"#") else {
        return false;
    };
    after.first().is_none_or(|b| b.is_ascii_whitespace()) || after.iter().all(|b| *b == b'#')
}

/// As [`lines`], only valid UTF-8, without checksums.
pub(super) fn texts(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> + Clone {
    lines(bytes).filter_map(|(n, l)| Some((n, std::str::from_utf8(without_checksum(l).0).ok()?)))
}

/// A line without the checksum that is its last column, and the checksum.
fn without_checksum(line: &[u8]) -> (&[u8], Option<&str>) {
    let parts = |b: &u8| b.is_ascii_whitespace() || MARKS.contains(b);
    let word = || {
        let at = line.iter().rposition(parts)?;
        let word = std::str::from_utf8(&line[at + 1..]).ok()?.trim_matches('"');
        Checksum::is_meant(word).then(|| (line[..at].trim_ascii_end(), Some(word)))
    };
    word().unwrap_or((line, None))
}

/// The structure of a list's lines.
pub(super) struct Shape {
    pub separator: Separator,
    pub columns: Columns,
    /// Whether the columns are a guess.
    pub detected: bool,
    /// Whether the first line names the columns.
    pub header: bool,
}

impl Shape {
    fn of(bytes: &[u8], given: Option<Columns>, options: &ListOptions, labels: &Labels<'_>) -> Result<Self, BadLine> {
        let first = texts(bytes).next();
        if let Some((line, text)) = first
            && let Some(header) = header::read(text, labels)
        {
            let bad = |reason| BadLine { line, reason };
            let columns = header.columns.map_err(bad)?;
            if let Some(given) = given.filter(|g| *g != columns) {
                return Err(bad(format!(
                    "names the columns \"{columns}\", where \"{given}\" are expected: correct the one that is wrong"
                )));
            }
            return Ok(Self {
                separator: header.separator,
                columns,
                detected: false,
                header: true,
            });
        }
        let path_at = given.as_ref().map_or(0, Columns::path_at);
        let (separator, columns) = separator::detect(texts(bytes).map(|(_, t)| t), labels, path_at);
        let detected = given.is_none();
        let columns = match (given, separator) {
            (Some(columns), _) => columns,
            (None, Separator::Mark(_)) => Columns::common((columns - 1).min(3)),
            (None, Separator::Blanks) if options.format == ListFormat::UcfHmdb => detect(bytes, labels, 0..3),
            (None, Separator::Blanks) => detect(bytes, labels, 0..4),
        };
        Ok(Self {
            separator,
            columns,
            detected,
            header: false,
        })
    }

    /// Why a guess at the columns may be wrong, at the first line that shows it.
    fn doubt(&self, bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
        doubt::of(self, bytes, labels)
    }
}

/// The columns that most lines have, by the numbers at their ends; in a tie, the most columns.
fn detect(bytes: &[u8], labels: &Labels<'_>, among: std::ops::Range<usize>) -> Columns {
    let mut votes = [0usize; 4];
    let (mut lines, mut unknown_label) = (0, 0);
    let mut words = vec![];
    for (_, line) in texts(bytes) {
        Separator::Blanks.split(line, &mut words);
        let numbers = numbers_after_path(&words, labels);
        votes[numbers.min(3)] += 1;
        lines += 1;
        // A word that may be a class name but is not a known one.
        unknown_label +=
            usize::from(numbers == 0 && words.len() > 1 && !words[words.len() - 1].contains(['.', '/', '\\']));
    }
    let least = among.start;
    let most = among.max_by_key(|&n| votes[n]).unwrap_or(least);
    // Then each line reports the error of its label.
    let labelled = most == 0 && labels.named() && 2 * unknown_label > lines && !first_column(bytes, labels);
    Columns::common(if labelled { 1 } else { most })
}

/// The number of words at the end of a line that look like columns: numbers, and a label. Never the first word.
pub(super) fn numbers_after_path(words: &[&str], labels: &Labels<'_>) -> usize {
    let Some(label) = labels.at(words, true) else { return 0 };
    let before = &words[..words.len() - label.words];
    let numbers = before.iter().rev().take_while(|w| is_count(w)).count();
    (1 + numbers).min(before.len())
}

struct LineReader<'a> {
    shape: Shape,
    labels: Labels<'a>,
    first_frame: usize,
}

impl LineReader<'_> {
    fn read<'t>(&self, line: usize, text: &'t str, words: &mut Vec<&'t str>) -> Result<ListEntry<'t>, String> {
        self.shape.separator.split(text, words);
        let read = match self.shape.separator {
            Separator::Blanks => self.blanks(line, text, words),
            Separator::Mark(_) => self.marks(line, words),
        };
        read.map_err(|e| match text.contains(" #") {
            true => format!("{e}; a comment has a line of its own"),
            false => e,
        })
    }

    fn expected(&self) -> String {
        let detected = if self.shape.detected {
            ", as most lines have"
        } else {
            ""
        };
        format!("\"{}\"{detected}", self.shape.columns)
    }

    fn too_few(&self, words: usize) -> String {
        let columns = self.shape.columns.0.len();
        format!("has {words} of the {columns} columns {}", self.expected())
    }

    /// Parses a line whose columns are counted from its ends; the rest is the path.
    fn blanks<'t>(&self, line: usize, text: &'t str, words: &[&'t str]) -> Result<ListEntry<'t>, String> {
        let columns = &self.shape.columns.0;
        let path_at = self.shape.columns.path_at();
        if words.len() < columns.len() {
            return Err(self.too_few(words.len()));
        }
        if self.shape.detected && words.len() > columns.len() {
            let (numbers, after) = (numbers_after_path(words, &self.labels), columns.len() - 1);
            if numbers > after {
                return Err(format!(
                    "has {numbers} number{} after its path where {after} are expected ({}); say \
                     which columns the list has if the path ends in a number",
                    if numbers == 1 { "" } else { "s" },
                    self.expected()
                ));
            }
        }
        let mut fields = Fields::new(line);
        let mut from = 0;
        for kind in &columns[..path_at] {
            let rest = &words[from..];
            let taken = self.words_of(*kind, rest, false).words.min(rest.len());
            self.take(&mut fields, *kind, span(text, rest, 0, taken))?;
            from += taken;
        }
        let mut to = words.len();
        let mut doubtful = false;
        for kind in columns[path_at + 1..].iter().rev() {
            let rest = &words[from.min(to)..to];
            let found = self.words_of(*kind, rest, true);
            let taken = found.words.min(rest.len());
            doubtful |= found.doubtful;
            let word = span(text, rest, rest.len() - taken, rest.len());
            self.take(&mut fields, *kind, word).map_err(|e| match kind {
                Column::Label if e.contains(NEITHER) => self.labels.misspelt(rest, true).unwrap_or(e),
                _ => e,
            })?;
            to -= taken;
        }
        if from >= to {
            return Err(format!(
                "has no path: all of it was read as the other columns ({})",
                self.expected()
            ));
        }
        let path = span(text, words, from, to);
        if doubtful && !has_ending(path) {
            return Err(format!(
                "can be read in two ways, as the name of a class is the end of another one's, and {path:?} may go on: \
                 separate path and class by a tab, on all lines"
            ));
        }
        fields.entry(path, self.first_frame)
    }

    /// The number of words of a column.
    fn words_of(&self, kind: Column, words: &[&str], end: bool) -> super::labels::Found {
        let one = super::labels::Found {
            words: 1,
            doubtful: false,
        };
        match kind {
            Column::Label => self.labels.at(words, end).unwrap_or(one),
            _ => one,
        }
    }

    /// Parses a line whose columns are separated by marks.
    fn marks<'t>(&self, line: usize, words: &[&'t str]) -> Result<ListEntry<'t>, String> {
        let columns = &self.shape.columns.0;
        let used = words.iter().rposition(|w| !w.is_empty()).map_or(0, |at| at + 1);
        if let Separator::Mark(mark) = self.shape.separator
            && let Some(class) = self.labels.torn(&words[..used], char::from(mark))
        {
            return Err(format!(
                "label {class:?} holds the mark that separates the columns: put it in quotes, \"{class}\""
            ));
        }
        if words.len() < columns.len() {
            return Err(self.too_few(words.len()));
        }
        if used > columns.len() {
            return Err(format!(
                "has {used} columns, separated by {}, where {} are expected ({})",
                self.shape.separator.name(),
                columns.len(),
                self.expected()
            ));
        }
        let mut fields = Fields::new(line);
        let mut path = "";
        for (kind, word) in columns.iter().zip(words) {
            match kind {
                Column::Path => path = word,
                // An empty cell.
                Column::Label if word.is_empty() => {}
                _ => self.take(&mut fields, *kind, word)?,
            }
        }
        if path.is_empty() {
            return Err("has no path".to_owned());
        }
        fields.entry(path, self.first_frame)
    }

    fn take(&self, fields: &mut Fields, kind: Column, word: &str) -> Result<(), String> {
        let number = |what: &str| {
            whole(word).ok_or_else(|| {
                format!(
                    "{what} {word:?} is not a number from 0{} ({})",
                    why_not(word),
                    self.expected()
                )
            })
        };
        match kind {
            Column::Offset => fields.offset = Some(number("offset")?),
            Column::Frames => match number("number of frames")? {
                0 => return Err("has no frames".to_owned()),
                frames => fields.frames = Some(frames),
            },
            Column::Start => fields.start = Some(number("first frame")?),
            Column::Stop => fields.stop = Some(number("last frame")?),
            Column::Label => {
                let context = || format!(" ({})", self.expected());
                fields.label = self.labels.read(unquoted(word), &context)?;
            }
            Column::Path | Column::Ignored => {}
        }
        Ok(())
    }
}

/// The columns of a line other than the path.
struct Fields {
    line: usize,
    label: Option<usize>,
    frames: Option<usize>,
    offset: Option<usize>,
    start: Option<usize>,
    stop: Option<usize>,
}

impl Fields {
    fn new(line: usize) -> Self {
        Self {
            line,
            label: None,
            frames: None,
            offset: None,
            start: None,
            stop: None,
        }
    }

    fn entry(self, path: &str, first_frame: usize) -> Result<ListEntry<'_>, String> {
        let mut entry = ListEntry {
            path: unquoted(path),
            label: self.label,
            frames: self.frames,
            offset: self.offset,
            checksum: None,
            origin: None,
            line: self.line,
        };
        if entry.path.is_empty() {
            return Err("has no path".to_owned());
        }
        if let (Some(start), Some(stop)) = (self.start, self.stop) {
            let (offset, frames) = segment(start, stop, first_frame)?;
            (entry.offset, entry.frames) = (Some(offset), Some(frames));
        }
        Ok(entry)
    }
}

/// Offset and number of the frames `start` to `stop`, where `first` is the lowest possible number.
pub(super) fn segment(start: usize, stop: usize, first: usize) -> Result<(usize, usize), String> {
    if start < first {
        Err(format!("begins at frame {start}, and frames are numbered from {first}"))
    } else if stop < start {
        Err(format!("ends at frame {stop}, before it begins at {start}"))
    } else {
        Ok((start - first, (stop - start).saturating_add(1)))
    }
}

/// The text of the words `from` to `to` of `words`, slices of `text`, with what is between them: the whitespace of a path is
/// kept.
fn span<'t>(text: &'t str, words: &[&'t str], from: usize, to: usize) -> &'t str {
    let (Some(first), Some(last)) = (words.get(from), to.checked_sub(1).and_then(|i| words.get(i))) else {
        return "";
    };
    let at = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    &text[at(first)..at(last) + last.len()]
}
