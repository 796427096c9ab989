//! Lists whose lines can be read in two ways.

use super::paths::from_home;
use glad_video::lists::{BadLine, Scan};
use std::path::Path;

/// A line whose numbers were read as columns, where a file is there whose name ends in one or more of them: `take 12 0`, and
/// the folder `take 12`. Of a label by name nothing is open.
pub(super) fn two_ways(scan: &Scan, root: &Path) -> Option<BadLine> {
    let columns: Vec<&str> = scan.columns.split(' ').collect();
    let [_, after @ ..] = columns.as_slice() else {
        return None;
    };
    scan.first.iter().find_map(|(line, text)| {
        // Where each word ends.
        let mut ends: Vec<usize> = vec![];
        for word in text.split_whitespace() {
            ends.push(word.as_ptr() as usize - text.as_ptr() as usize + word.len());
        }
        let entry = scan.entries.iter().take(scan.first.len()).find(|e| e.line == *line);
        let path = match entry {
            // A label may have several words.
            Some(e) => ends.iter().position(|end| text[..*end] == *e.path)?,
            None => ends.len().checked_sub(after.len() + 1)?,
        };
        let name = |n: usize| &text[..ends[path + n]];
        let last = ends.len() - 1 - path;
        let is_number = |n: usize| name(n).rsplit(char::is_whitespace).next().is_some_and(|w| w.parse::<u64>().is_ok());
        let mut taken = (1..=after.len().min(last)).take_while(|n| is_number(*n));
        let longer = taken.find(|n| root.join(from_home(name(*n))).exists())?;
        let rest = ["path", "path label", "path frames label"].get(after.len() - longer)?;
        let numbers = match (longer, after) {
            (1, ["label"]) => "its label",
            (_, ["frames", ..]) if longer == 1 => "its number of frames",
            (_, ["frames", ..]) => "its number of frames and its label",
            _ => "its segment",
        };
        Some(BadLine {
            line: *line,
            reason: format!(
                "can be read in two ways, and so can all lines: `{}`, which is there (then say `columns = \"{rest}\"`), or \
                 `{}` and {numbers} (then say `columns = \"{}\"`)",
                name(longer),
                name(0),
                scan.columns
            ),
        })
    })
}
