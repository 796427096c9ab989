//! Doubts about a guess at the columns. A wrong guess would read other frames than intended, or no file at all.

use super::labels::{Labels, is_count};
use super::separator::{MARKS, Separator};
use super::text::{Shape, numbers_after_path, texts};
use super::{BadLine, Column};

/// Why a guess may be wrong, at the first line that shows it.
pub(super) fn of(shape: &Shape, bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
    one_hot(shape, bytes, labels)
        .or_else(|| column_before_path(shape, bytes, labels))
        .or_else(|| too_many(shape, bytes, labels))
        .or_else(|| match shape.columns.0.len() {
            1 => no_columns(bytes, labels),
            4 => segments(shape, bytes),
            _ => None,
        })
}

/// The fields after the path, of each line.
fn after_path<'a>(shape: &Shape, bytes: &'a [u8], labels: &Labels<'_>) -> impl Iterator<Item = (usize, Vec<&'a str>)> {
    texts(bytes).map(|(line, text)| {
        let mut fields = vec![];
        shape.separator.split(text, &mut fields);
        let path = match shape.separator {
            Separator::Blanks => fields.len() - numbers_after_path(&fields, labels).min(fields.len()),
            Separator::Mark(_) => 1,
        };
        (line, fields.split_off(path.min(fields.len())))
    })
}

/// Zeros and a one for each class.
fn one_hot(shape: &Shape, bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
    let mut places: Vec<usize> = vec![];
    let mut classes = 0;
    let mut first = 0;
    for (line, values) in after_path(shape, bytes, labels) {
        let ones = values.iter().filter(|v| matches!(**v, "1" | "1.0")).count();
        let zeros = values.iter().filter(|v| matches!(**v, "0" | "0.0")).count();
        if values.len() < 2 || ones != 1 || ones + zeros != values.len() || classes != 0 && classes != values.len() {
            return None;
        }
        (classes, first) = (values.len(), if first == 0 { line } else { first });
        let place = values.iter().position(|v| v.starts_with('1')).unwrap_or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // A video of one frame and class 0 looks the same.
    (classes > 2 || places.len() > 1).then(|| BadLine {
        line: first,
        reason: format!(
            "seems to hold {classes} zeros and ones, one for each class, and so do all lines: write the number of the class \
             (`path label`), or say `columns` if they are something else"
        ),
    })
}

/// Whether every line begins with a number or a class and a path after it.
pub(super) fn first_column(bytes: &[u8], labels: &Labels<'_>) -> bool {
    let mut any = false;
    texts(bytes).all(|(_, text)| {
        any = true;
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        labels.like(first) && second.contains(['.', '/', '\\'])
    }) && any
}

/// A column before the path: pandas' index, or the label.
fn column_before_path(shape: &Shape, bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
    let (line, text) = texts(bytes).next()?;
    let marks = MARKS.into_iter().find(|mark| {
        let all = texts(bytes).all(|(_, text)| {
            let mut fields = vec![];
            Separator::Mark(*mark).split(text, &mut fields);
            fields.len() > 1 && labels.like(fields[0]) && fields[1].contains(['.', '/', '\\'])
        });
        all && shape.separator == Separator::Blanks
    });
    let blanks = shape.separator == Separator::Blanks && first_column(bytes, labels);
    if marks.is_none() && !blanks {
        return None;
    }
    // Numbers that count the lines, or the same word in front of every path.
    let mut counted = 0..;
    let start = |text: &str| {
        text.split([' ', '\t', ',', ';', '|'])
            .next()
            .and_then(|w| w.trim_matches('"').parse().ok())
    };
    let from = start(text).filter(|n: &usize| *n < 2).unwrap_or_default();
    let counts = texts(bytes).all(|(_, text)| start(text) == counted.next().map(|n: usize| n + from));
    let rest = match marks {
        Some(mark) => text.matches(char::from(mark)).count(),
        None => numbers_after_path(&text.split_whitespace().collect::<Vec<_>>(), labels),
    };
    // A folder's name may begin with a number if the usual columns follow the path.
    if blanks && rest > 0 && !counts {
        return None;
    }
    let after = match rest.saturating_sub(usize::from(marks.is_some())) {
        0 => "",
        1 => " label",
        2 => " frames label",
        _ => " offset frames label",
    };
    let reason = match after {
        "" => "begins with a column before its path, as all lines do: if it is the label say `columns = \"label path\"`, if it \
               numbers the lines `columns = \"_ path\"`, if it belongs to the path `columns = \"path\"`"
            .to_owned(),
        after => format!(
            "begins with the number of its line, as all lines do: if that is a column say `columns = \"_ path{after}\"`, if \
             it belongs to the path `columns = \"path{after}\"`"
        ),
    };
    Some(BadLine { line, reason })
}

/// More numbers than known columns.
fn too_many(shape: &Shape, bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
    let most = shape.columns.0.len() - 1;
    if most < 3 {
        return None;
    }
    let mut lines = 0usize;
    let mut many = after_path(shape, bytes, labels)
        .inspect(|_| lines += 1)
        .filter(|(_, v)| v.iter().filter(|v| !v.is_empty()).count() > 3);
    let (line, values) = many.next()?;
    let more = many.count();
    (2 * (more + 1) > lines).then(|| BadLine {
        line,
        reason: format!(
            "has {} columns after its path, and what they are is known of at most three (offset, frames, label): say it \
             (`columns = \"path _ offset frames label\"`, with `_` for what is not needed)",
            values.len()
        ),
    })
}

/// Lines that look like paths without columns but seem to have some.
fn no_columns(bytes: &[u8], labels: &Labels<'_>) -> Option<BadLine> {
    texts(bytes).find_map(|(line, text)| {
        let last = text.split_whitespace().next_back()?;
        let mark = MARKS.into_iter().find(|mark| {
            text.rsplit_once(char::from(*mark))
                .is_some_and(|(_, end)| is_count(end.trim()) || end.trim() == "-")
        });
        let reason = if let Some(mark) = mark {
            format!(
                "seems to be separated by {}, and not all lines have the same columns so: correct those, or separate the \
                 columns by spaces",
                Separator::Mark(mark).name()
            )
        } else if last.len() < text.len() && !last.contains(['.', '/', '\\']) && !labels.like(last) {
            match labels.named() {
                true => format!(
                    "has no label after its path, since {last:?} is neither a class nor a number; if it belongs to the path, \
                     say `columns = \"path\"`"
                ),
                false => "has no number after its path: if its last word is a class, give the names of the classes \
                          (`classes`); if it belongs to the path, say `columns = \"path\"`"
                    .into(),
            }
        } else {
            return None;
        };
        Some(BadLine { line, reason })
    })
}

/// Segments given by their length or by their end.
fn segments(shape: &Shape, bytes: &[u8]) -> Option<BadLine> {
    // (line, second number from the path, third)
    let numbers = |(line, text): (usize, &str)| {
        let mut fields = vec![];
        shape.separator.split(text, &mut fields);
        let number = |from_end: usize| fields.get(fields.len().checked_sub(from_end)?)?.parse::<u64>().ok();
        Some((line, number(3)?, number(2)?))
    };
    debug_assert_eq!(shape.columns.0[1], Column::Offset);
    let all = || texts(bytes).filter_map(numbers);
    if !all().all(|(_, a, b)| b > a) {
        return None;
    }
    let (line, a, b) = all().find(|(_, a, _)| *a > 0)?;
    Some(BadLine {
        line,
        reason: format!(
            "can be read in two ways, and so can all lines: {b} frames from frame {a} on (then say \
             `format = \"babel\"`), or frames {a} to {b} (then say `columns = \"path start stop label\"`)"
        ),
    })
}
