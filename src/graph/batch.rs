//! How many videos a step has.

use crate::diag::Spanned;
use crate::keys::{Rules, Value, schema};
use crate::tree::{Out, Tree, TreeValue};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use std::fmt;

/// Videos of the streams in a step: `24`, or `{ source = 128, target = 74 }`.
#[derive(Clone, Debug)]
pub enum Batch {
    /// As many of each stream.
    All(usize),
    /// By stream.
    Each(IndexMap<String, Spanned<usize>>),
}

impl Batch {
    /// Videos of a stream; 1 where it is not named, which the checks refuse.
    pub fn of(&self, stream: &str) -> usize {
        match self {
            Batch::All(n) => *n,
            Batch::Each(by_stream) => by_stream.get(stream).map_or(1, |n| n.value),
        }
    }

    /// Those of each of `streams`, in order.
    pub fn of_each<S: AsRef<str>>(&self, streams: &[S]) -> Vec<usize> {
        streams.iter().map(|s| self.of(s.as_ref())).collect()
    }

    /// The most that a stream has.
    pub fn largest(&self) -> usize {
        match self {
            Batch::All(n) => *n,
            Batch::Each(by_stream) => by_stream.values().map(|n| n.value).max().unwrap_or(1),
        }
    }

    /// The streams that are named, where they are.
    pub fn named(&self) -> Option<&IndexMap<String, Spanned<usize>>> {
        match self {
            Batch::All(_) => None,
            Batch::Each(by_stream) => Some(by_stream),
        }
    }
}

/// `24`, or `128 of source and 74 of target`.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batch::All(n) => write!(f, "{n}"),
            Batch::Each(by_stream) => {
                let last = by_stream.len().saturating_sub(1);
                for (i, (stream, n)) in by_stream.iter().enumerate() {
                    f.write_str(match i {
                        0 => "",
                        _ if i == last => " and ",
                        _ => ", ",
                    })?;
                    write!(f, "{} of {stream}", n.value)?;
                }
                Ok(())
            }
        }
    }
}

impl Value for Batch {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        match t.value {
            TreeValue::Table(_) => IndexMap::read(at, t, rules, out).map(Batch::Each),
            _ => usize::read(at, t, rules, out).map(Batch::All),
        }
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        match self {
            Batch::All(n) => n.write(rules),
            Batch::Each(by_stream) => by_stream.write(rules),
        }
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        let of_each = usize::schema("Videos of each stream.", rules);
        let by_stream = schema::object("By stream.", Map::new(), usize::schema("Videos of this stream.", rules));
        json!({ "anyOf": [of_each, by_stream], "description": doc })
    }
}
