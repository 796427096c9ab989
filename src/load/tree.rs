//! TOML with the place of every key and value. Layers and overlays work on this, untyped.

use crate::diag::Place;
use indexmap::IndexMap;

/// A value, where it was written, and where its key was.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The value.
    pub value: TreeValue,
    /// Where the value was written: which layer set it.
    pub place: Place,
    /// Where its key was written (the value's own place for items of an array).
    pub key: Place,
}

/// What a [`Tree`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeValue {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// An array.
    Array(Vec<Tree>),
    /// A table, in the order of the file.
    Table(IndexMap<String, Tree>),
}
