//! What each layer did to the values below it.

use super::Tree;
use crate::diag::{FileId, Place};
use indexmap::IndexMap;

/// What part a file plays.
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
    /// What stood there before.
    pub old: Option<Tree>,
}

/// The layers and what they changed.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The files that were laid on each other, the lowest first.
    pub layers: Vec<(FileId, Role)>,
    /// Changes by dotted path, the oldest first.
    changes: IndexMap<String, Vec<Change>>,
}

impl History {
    /// Notes a change of the value at `path`.
    pub(crate) fn push(&mut self, path: &str, change: Change) {
        self.changes.entry(path.to_string()).or_default().push(change);
    }

    /// What was done to the value at `path`, the oldest change first.
    pub fn of(&self, path: &str) -> &[Change] {
        self.changes.get(path).map_or(&[], Vec::as_slice)
    }

    /// All changes by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Change])> {
        self.changes.iter().map(|(p, c)| (p.as_str(), c.as_slice()))
    }
}
