//! Tables that are written rather than read: the places of their values do not matter.

use super::{Tree, TreeValue};
use crate::diag::Files;

/// A table that is being written.
pub struct Written(Tree);

impl Written {
    /// An empty table without a place.
    pub(crate) fn nowhere() -> Written {
        Written(Tree::table(Files::default().add_text("", "").start()))
    }

    /// An empty table whose values get the place of `t`.
    pub(crate) fn at(place: &crate::diag::Place) -> Written {
        Written(Tree::table(place.clone()))
    }

    /// Adds a value.
    pub(crate) fn put(&mut self, name: &str, value: TreeValue) {
        let item = Tree {
            value,
            place: self.0.place.clone(),
            key: self.0.place.clone(),
        };
        self.0.entries_mut().expect("a table").insert(name.to_string(), item);
    }

    /// Adds a value where there is one.
    pub(crate) fn opt(&mut self, name: &str, value: Option<TreeValue>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// The table.
    pub(crate) fn tree(self) -> Tree {
        self.0
    }
}

/// A string.
pub(crate) fn string(s: &str) -> TreeValue {
    TreeValue::String(s.to_string())
}

/// A list of values.
pub(crate) fn list(items: impl IntoIterator<Item = TreeValue>) -> TreeValue {
    let at = Files::default().add_text("", "").start();
    let item = |value: TreeValue| Tree {
        value,
        place: at.clone(),
        key: at.clone(),
    };
    TreeValue::Array(items.into_iter().map(item).collect())
}

/// A list of strings.
pub(crate) fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> TreeValue {
    list(items.into_iter().map(|s| string(s.as_ref())))
}
