//! Places inside a text: where a part of a string's value was written.

use super::{Tree, TreeValue};
use crate::diag::{Files, Place};
use std::ops::Range;

/// Where the bytes `span` of a string's value were written; the place of the whole value where that is unknown.
pub(crate) fn within(files: &Files, tree: &Tree, span: &Range<usize>) -> Place {
    let place = tree.place.clone();
    let TreeValue::String(value) = &tree.value else {
        return place;
    };
    let Some(written) = files.text(place.file).get(place.span.clone()) else {
        return place;
    };
    let Some(at) = offsets(written, value) else {
        return place;
    };
    let (Some(start), Some(end)) = (at.get(span.start), at.get(span.end)) else {
        return place;
    };
    let from = place.span.start;
    // The end of a text has no letter to show: its quote.
    let end = if start == end { end + 1 } else { *end };
    Place {
        file: place.file,
        span: from + start..(from + end).min(place.span.end.max(from + start)),
    }
}

/// For each byte of the value, and for its end, where in `written` it is; `None` where `written` is another value.
fn offsets(written: &str, value: &str) -> Option<Vec<usize>> {
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|q| written.starts_with(q));
    let Some(quote) = quote else {
        // A value of the command line may have no quotes.
        return (written == value).then(|| (0..=value.len()).collect());
    };
    let several = quote.len() == 3;
    let escapes = quote.starts_with('"');
    let end = written.len().checked_sub(quote.len())?;
    let mut at = quote.len();
    if several {
        let rest = written.get(at..)?;
        at += ["\r\n", "\n"]
            .into_iter()
            .find(|n| rest.starts_with(n))
            .map_or(0, str::len);
    }
    let mut found = vec![];
    let mut read = String::new();
    while at < end {
        let rest = written.get(at..end)?;
        let (letter, len) = match rest.strip_prefix('\\').filter(|_| escapes) {
            // Readers turn the ends of lines into `\n`.
            None if rest.starts_with("\r\n") => (Some('\n'), 2),
            None => (rest.chars().next(), rest.chars().next()?.len_utf8()),
            Some(escape) => escaped(escape)?,
        };
        if let Some(c) = letter {
            found.extend(std::iter::repeat_n(at, c.len_utf8()));
            read.push(c);
        }
        at += len;
    }
    found.push(at);
    (read == value).then_some(found)
}

/// The letter that an escape stands for (none for the end of a line), and its length with the backslash.
fn escaped(rest: &str) -> Option<(Option<char>, usize)> {
    let code = |digits: usize| {
        let number = u32::from_str_radix(rest.get(1..1 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(number)?), 2 + digits))
    };
    let first = rest.chars().next()?;
    let one = |c| Some((Some(c), 2));
    match first {
        'b' => one('\u{8}'),
        't' => one('\t'),
        'n' => one('\n'),
        'f' => one('\u{c}'),
        'r' => one('\r'),
        'e' => one('\u{1b}'),
        '"' | '\\' => one(first),
        'x' => code(2),
        'u' => code(4),
        'U' => code(8),
        c if c.is_whitespace() => {
            let space = rest.len() - rest.trim_start().len();
            Some((None, 1 + space))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Files;

    /// What `within` marks of the value in `x = …`.
    fn marked(text: &str, span: Range<usize>) -> String {
        let mut files = Files::default();
        let file = files.add_file("a.toml".as_ref(), text);
        let table: toml::Table = text.parse().unwrap();
        let start = text.find('=').unwrap() + 2;
        let place = Place {
            file,
            span: start..text.trim_end().len(),
        };
        let tree = Tree {
            value: TreeValue::String(table["x"].as_str().unwrap().into()),
            key: place.clone(),
            place,
        };
        text[within(&files, &tree, &span).span].to_string()
    }

    #[test]
    fn parts_of_strings_are_found() {
        assert_eq!(marked("x = \"a + b\"\n", 4..5), "b");
        assert_eq!(marked("x = 'a + b'\n", 0..1), "a");
        assert_eq!(marked("x = \"a\\u00e9 + \\tb\"\n", 7..8), "b");
        assert_eq!(marked("x = \"\\\"é\\\" + b\"\n", 0..4), "\\\"é\\\"");
        assert_eq!(marked("x = \"\"\"\na +\n  b\"\"\"\n", 6..7), "b");
        assert_eq!(marked("x = \"\"\"a \\\n   + b\"\"\"\n", 4..5), "b");
        assert_eq!(marked("x = '''\na\\b'''\n", 2..3), "b");
        // The end is marked at the quote.
        assert_eq!(marked("x = \"a +\"\n", 3..3), "\"");
        // Past the end: the whole value.
        assert_eq!(marked("x = \"a\"\n", 5..6), "\"a\"");
    }
}
