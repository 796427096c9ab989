//! Untrusted text, made safe to print: names, paths, labels and quoted lines may hold characters that control a
//! terminal, hide text or change its order.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character controls a terminal or is invisible: controls, direction marks, and characters of no width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            | '\u{feff}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with hidden characters written out, as `\u{1b}` for ESC; line breaks stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    written_out(text, |_, c| c == '\n').0
}

/// Like [`printable`], for text that has to stay on one line: a name, a path, a title. Line breaks are escaped, too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    written_out(text, |_, _| false).0
}

/// A message whose further lines are indented, so that no part of it looks like a message of its own.
pub fn indented(text: &str) -> String {
    let text = printable(text.trim_end_matches('\n'));
    let mut lines = text.split('\n');
    let mut out = lines.next().unwrap_or_default().to_string();
    for line in lines {
        out.push('\n');
        if !line.is_empty() && !line.starts_with(' ') {
            out.push_str("  ");
        }
        out.push_str(line);
    }
    out
}

/// A file's text as quoted, with the shifts of its places.
pub(super) struct Quoted<'t> {
    pub text: Cow<'t, str>,
    moved: Vec<(usize, usize)>,
}

impl<'t> Quoted<'t> {
    /// Of a whole file: line breaks and tabs stay.
    pub(super) fn new(text: &'t str) -> Quoted<'t> {
        let stays = |at: usize, c| matches!(c, '\n' | '\t') || text[at..].starts_with("\r\n");
        let (text, moved) = written_out(text, stays);
        Quoted { text, moved }
    }

    /// The offset in `text` of byte `at` of the file.
    pub(super) fn at(&self, at: usize) -> usize {
        let moved = self.moved.partition_point(|(from, _)| *from <= at);
        at + moved.checked_sub(1).map_or(0, |i| self.moved[i].1)
    }
}

/// Escapes hidden characters that `stays` does not keep. Also returns from which byte on the text is shifted by how
/// much.
fn written_out(text: &str, stays: impl Fn(usize, char) -> bool) -> (Cow<'_, str>, Vec<(usize, usize)>) {
    let mut moved = vec![];
    let mut out = String::new();
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        if !is_hidden(c) || stays(at, c) {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + c.len_utf8();
        let _ = match c {
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c => write!(out, "{}", c.escape_unicode()),
        };
        moved.push((copied, out.len() - copied));
    }
    if copied == 0 {
        return (Cow::Borrowed(text), moved);
    }
    out.push_str(&text[copied..]);
    (Cow::Owned(out), moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        for (text, shown) in [
            ("plain é λ → …", "plain é λ → …"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("bell\u{7} c1 \u{9b}2J del\u{7f}", "bell\\u{7} c1 \\u{9b}2J del\\u{7f}"),
            ("a\rb\tc", "a\\rb\\tc"),
            ("x\u{202e}lmot.", "x\\u{202e}lmot."),
            ("no\u{200b}width\u{feff}", "no\\u{200b}width\\u{feff}"),
            ("line\u{2028}break", "line\\u{2028}break"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(one_line(text), shown);
        }
        assert_eq!(printable("a\nb"), "a\nb");
        assert_eq!(one_line("a\nok    b"), "a\\nok    b");
        assert_eq!(indented("a\nerror: b\n  c\n"), "a\n  error: b\n  c");
    }

    #[test]
    fn places_move_with_the_text() {
        let text = "a\u{1b}b\u{202e}c\r\n\td";
        let quoted = Quoted::new(text);
        assert_eq!(quoted.text, "a\\u{1b}b\\u{202e}c\r\n\td");
        for letter in ["a", "b", "c", "d"] {
            let at = text.find(letter).unwrap();
            assert!(quoted.text[quoted.at(at)..].starts_with(letter), "{letter}");
        }
    }
}
