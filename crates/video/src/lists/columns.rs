//! The columns of a list.

use std::fmt;

/// The meaning of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The video: takes all words that remain after the other columns.
    Path,
    /// Frames to skip at the beginning.
    Offset,
    /// Number of frames.
    Frames,
    /// The number of the first frame, numbered like the files.
    Start,
    /// The number of the last frame, which is included.
    Stop,
    /// The class: a number from 0, the name of a class, or `-` for none.
    Label,
    /// A column that is not used.
    Ignored,
}

const NAMES: [(&str, Column); 7] = [
    ("path", Column::Path),
    ("offset", Column::Offset),
    ("frames", Column::Frames),
    ("start", Column::Start),
    ("stop", Column::Stop),
    ("label", Column::Label),
    ("_", Column::Ignored),
];

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = NAMES.iter().find(|(_, c)| c == self).unwrap_or(&NAMES[0]);
        f.write_str(name)
    }
}

/// The columns of a list, from left to right; exactly one is the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(pub(super) Vec<Column>);

impl Columns {
    /// From names, such as `"path offset frames label"`; `_` is a column to skip.
    ///
    /// # Errors
    /// A fragment: an unknown name, a duplicate, no path, or redundant columns.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut columns = Vec::new();
        for name in names.split_whitespace() {
            let Some((_, column)) = NAMES.iter().find(|(n, _)| *n == name) else {
                return Err(format!(
                    "column {name:?} is not known; there are path, offset, frames, start, stop, label and _"
                ));
            };
            if *column != Column::Ignored && columns.contains(column) {
                return Err(format!("column {name:?} comes twice in {names:?}"));
            }
            columns.push(*column);
        }
        let has = |c| columns.contains(&c);
        if !has(Column::Path) {
            return Err(format!("columns {names:?} have no path"));
        }
        if has(Column::Start) != has(Column::Stop) {
            return Err(format!(
                "columns {names:?} have one of start and stop, which belong together"
            ));
        }
        if has(Column::Start) && (has(Column::Offset) || has(Column::Frames)) {
            return Err(format!(
                "columns {names:?} say where a segment is in two ways; keep start and stop, or offset and frames, and \
                 write _ for the others"
            ));
        }
        Ok(Self(columns))
    }

    /// The index of the path among the columns.
    pub(super) fn path_at(&self) -> usize {
        self.0.iter().position(|&c| c == Column::Path).unwrap_or_default()
    }

    /// A path and as many columns after it as lists commonly have: 0 to 3.
    pub(super) fn common(after_path: usize) -> Self {
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
