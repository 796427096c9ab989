//! Names of classes as a parameter: a list, or a file.

use crate::contract::FileFault;
use glad_video::lists::{ListError, class_names, read_file};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// Names of the classes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "ClassesSchema")]
pub enum Classes {
    /// A file with a name on each line; blank lines and comments (`#` and a blank) are passed over.
    File(String),
    /// The names.
    Names(Vec<String>),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum ClassesSchema {
    /// A file with a name on each line.
    File(String),
    /// The names.
    Names(Vec<String>),
}

impl TryFrom<Value> for Classes {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        match v {
            Value::String(s) => Ok(Classes::File(s)),
            v @ Value::Array(_) => serde_json::from_value(v)
                .map(Classes::Names)
                .map_err(|_| "class names are strings".to_owned()),
            _ => Err("expected a file of class names, or a list of them".into()),
        }
    }
}

impl Classes {
    /// What is wrong with names.
    pub(super) fn mistakes(names: &[String]) -> Option<String> {
        let mut seen = HashSet::new();
        let twice: Vec<&str> = names.iter().filter(|n| !seen.insert(*n)).map(String::as_str).collect();
        if names.is_empty() {
            Some("there are no classes".into())
        } else if names.iter().any(|n| n.trim().is_empty()) {
            Some("a class has an empty name".into())
        } else if !twice.is_empty() {
            Some(format!("classes come twice: {}", twice.join(", ")))
        } else {
            None
        }
    }

    /// The names in a file.
    pub(super) fn read(path: &Path) -> Result<Vec<String>, FileFault> {
        let fault = |what: String, advice: &str, lines| FileFault {
            role: "the names of the classes",
            file: path.to_owned(),
            what,
            advice: advice.into(),
            lines,
        };
        let bytes = read_file(path).map_err(|e| match e {
            ListError::Io { cause, .. } => fault(
                format!("cannot read the classes: {cause}"),
                "put the file there, or correct its path (`classes`)",
                vec![],
            ),
            e => fault(e.to_string(), "", vec![]),
        })?;
        class_names(&bytes).map_err(|e| fault(e.what, &e.advice, e.lines))
    }
}
