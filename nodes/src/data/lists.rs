//! The lists of a stream as a parameter: one, or one for each split.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;

/// One list for every split, or lists by split.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "ListsSchema")]
pub enum Lists {
    /// Whatever split is asked for.
    One(String),
    /// By the name of the split.
    BySplit(IndexMap<String, String>),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum ListsSchema {
    /// One list for every split.
    One(String),
    /// A list for each split.
    BySplit(IndexMap<String, String>),
}

impl TryFrom<Value> for Lists {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        match v {
            Value::String(s) => Ok(Lists::One(s)),
            Value::Object(table) if !table.is_empty() => {
                let list = |(split, v): (String, Value)| match v {
                    Value::String(s) => Ok((split, s)),
                    v => Err(format!("the list of split `{split}` is a path, not {v}")),
                };
                table
                    .into_iter()
                    .map(list)
                    .collect::<Result<_, _>>()
                    .map(Lists::BySplit)
            }
            _ => Err(
                "expected a path, or a table of paths by split such as { train = \"a.txt\", test = \"b.txt\" }".into(),
            ),
        }
    }
}

impl Lists {
    /// The list of a split.
    pub fn of(&self, split: &str) -> Option<&str> {
        match self {
            Lists::One(list) => Some(list),
            Lists::BySplit(lists) => lists.get(split).map(String::as_str),
        }
    }

    /// The splits that there are; of one list, the usual ones.
    pub fn splits(&self) -> Vec<String> {
        match self {
            Lists::One(_) => ["train", "val", "test"].map(String::from).to_vec(),
            Lists::BySplit(lists) => lists.keys().cloned().collect(),
        }
    }

    /// Every list once, with a split that it is for.
    pub(super) fn distinct(&self) -> Vec<(&str, &str)> {
        match self {
            Lists::One(list) => vec![("train", list)],
            Lists::BySplit(lists) => {
                let mut seen = HashSet::new();
                let first = lists.iter().filter(|(_, list)| seen.insert(*list));
                first.map(|(split, list)| (split.as_str(), list.as_str())).collect()
            }
        }
    }

    /// The splits, for messages.
    pub(super) fn named(&self) -> String {
        let splits: Vec<String> = self.splits().iter().map(|s| format!("`{s}`")).collect();
        splits.join(", ")
    }
}
