//! The separator of columns: whitespace, or a mark as spreadsheets and pandas write it.

use super::labels::{Labels, is_count};

/// A separator of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// Any amount of whitespace; the path may contain some, since its columns are counted from the ends of the line.
    Blanks,
    /// One of [`MARKS`], possibly with quoted fields.
    Mark(u8),
}

/// The marks, in the order in which they are tried.
pub(super) const MARKS: [u8; 4] = [b'\t', b';', b',', b'|'];

impl Separator {
    /// Puts the columns of a line into `fields`, without the whitespace and quotes around them.
    pub(super) fn split<'a>(self, line: &'a str, fields: &mut Vec<&'a str>) {
        fields.clear();
        match self {
            Self::Blanks => fields.extend(line.split_whitespace()),
            Self::Mark(mark) => split(line, char::from(mark), fields),
        }
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blanks => "blanks",
            Self::Mark(b'\t') => "tabs",
            Self::Mark(b';') => "semicolons",
            Self::Mark(b',') => "commas",
            Self::Mark(_) => "bars (|)",
        }
    }
}

fn split<'a>(line: &'a str, mark: char, fields: &mut Vec<&'a str>) {
    let blank = |c: char| c.is_whitespace() && c != mark;
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches(blank);
        // A field in quotes may contain the mark.
        if let Some((field, after)) = start.strip_prefix('"').and_then(|s| s.split_once('"')) {
            let after = after.trim_start_matches(blank);
            if after.is_empty() {
                return fields.push(field.trim());
            }
            if let Some(after) = after.strip_prefix(mark) {
                fields.push(field.trim());
                rest = after;
                continue;
            }
        }
        match rest.split_once(mark) {
            Some((field, after)) => {
                fields.push(field.trim_matches(blank));
                rest = after;
            }
            None => return fields.push(rest.trim_matches(blank)),
        }
    }
}

/// A text in quotes, without them; any other unchanged.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = |q: char| text.strip_prefix(q)?.strip_suffix(q).filter(|t| !t.contains(q));
    inner('"').or_else(|| inner('\'')).map_or(text, str::trim)
}

/// The mark that separates the columns of all `lines`, with the number of columns: each line has as many, one of them
/// is a path (`path_at`), and the others are numbers or labels. Otherwise whitespace.
pub(super) fn detect<'a>(
    lines: impl Iterator<Item = &'a str> + Clone,
    labels: &Labels<'_>,
    path_at: usize,
) -> (Separator, usize) {
    let fits = |mark: u8| -> Option<usize> {
        let mut fields = vec![];
        let mut columns = 0;
        for line in lines.clone() {
            line.contains(char::from(mark)).then_some(())?;
            Separator::Mark(mark).split(line, &mut fields);
            // Tables often end with columns that are empty in every row.
            let used = fields.iter().rposition(|f| !f.is_empty())? + 1;
            // A class with the mark in its name makes no column.
            if labels.torn(&fields[..used], char::from(mark)).is_none() {
                columns = used.max(columns);
            }
            let sound = |(i, field): (usize, &&str)| match i == path_at {
                true => is_path(field, labels),
                false => is_value(field, labels),
            };
            fields.iter().enumerate().all(sound).then_some(())?;
        }
        Some(columns.max(2)).filter(|_| columns > path_at)
    };
    let found = MARKS
        .into_iter()
        .find_map(|mark| Some((Separator::Mark(mark), fits(mark)?)));
    found.unwrap_or((Separator::Blanks, 0))
}

/// Whether a field can be just the path: not a number, and not a path followed by a column.
fn is_path(field: &str, labels: &Labels<'_>) -> bool {
    let column_after = field
        .rsplit_once(char::is_whitespace)
        .is_some_and(|(before, last)| labels.like(last) && has_ending(before.trim_end()));
    !field.is_empty() && !is_count(field) && !column_after
}

/// Whether a field can be another column: a number, a label, or nothing.
fn is_value(field: &str, labels: &Labels<'_>) -> bool {
    let number = || field.bytes().all(|b| b.is_ascii_digit() || b".,:'- ".contains(&b));
    let word = || {
        !field.contains(['.', '/', '\\'])
            && field
                .rsplit_once(char::is_whitespace)
                .is_none_or(|(_, last)| !labels.like(last))
    };
    field.is_empty() || labels.like(field) || number() || word()
}

/// Whether a text ends with a file extension: a dot and two to four letters or digits.
pub(super) fn has_ending(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(before, ending)| {
        !before.is_empty() && (2..=4).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}
