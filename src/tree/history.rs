//! What each layer changed of the values below it.

use super::Tree;
use crate::diag::{FileId, Place};
use indexmap::IndexMap;

/// The role of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The layer at the bottom: data, sizes, lengths.
    Setting,
    /// The graph, or what it extends.
    Graph,
    /// An overlay of `--with`.
    With,
    /// A `--set` of the command line.
    Set,
}

/// A change of a value by a layer above the one that wrote it.
#[derive(Clone, Debug)]
pub struct Change {
    /// `set`, `append`, `remove`, `replace`, `drop` or `bypass`.
    pub verb: &'static str,
    /// Where the change was written.
    pub by: Place,
    /// The previous value.
    pub old: Option<Tree>,
}

/// The layers and their changes.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The layered files, the lowest first.
    pub layers: Vec<(FileId, Role)>,
    /// Changes by dotted path, the oldest first.
    changes: IndexMap<String, Vec<Change>>,
}

impl History {
    /// Records a change of the value at `path`.
    pub(crate) fn push(&mut self, path: &str, change: Change) {
        self.changes.entry(path.to_string()).or_default().push(change);
    }

    /// The changes of the value at `path`, the oldest first.
    pub fn of(&self, path: &str) -> &[Change] {
        self.changes.get(path).map_or(&[], Vec::as_slice)
    }

    /// All changes by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Change])> {
        self.changes.iter().map(|(p, c)| (p.as_str(), c.as_slice()))
    }
}
