//! TOML with the place of every key and value. Layers and overlays work on this untyped form.

mod history;
mod read;
mod within;
mod write;

pub use history::{Change, History, Role};
pub use read::Out;
pub(crate) use read::{MOST, at_value, is_name};
pub(crate) use within::within;
pub use write::Written;
pub(crate) use write::{list, string, strings};

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

/// The content of a [`Tree`].
#[derive(Clone, Debug, PartialEq)]
pub enum TreeValue {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// An array.
    Array(Vec<Tree>),
    /// A table, in the order of the file.
    Table(IndexMap<String, Tree>),
}

impl Tree {
    /// An empty table at `place`.
    pub fn table(place: Place) -> Tree {
        Tree {
            value: TreeValue::Table(IndexMap::new()),
            key: place.clone(),
            place,
        }
    }

    /// The entries, if it is a table.
    pub fn entries(&self) -> Option<&IndexMap<String, Tree>> {
        match &self.value {
            TreeValue::Table(t) => Some(t),
            _ => None,
        }
    }

    /// The entries, mutable, if it is a table.
    pub fn entries_mut(&mut self) -> Option<&mut IndexMap<String, Tree>> {
        match &mut self.value {
            TreeValue::Table(t) => Some(t),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn items(&self) -> Option<&[Tree]> {
        match &self.value {
            TreeValue::Array(a) => Some(a),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            TreeValue::String(s) => Some(s),
            _ => None,
        }
    }

    /// The value of a table's key; `None` also for anything that is not a table.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entries()?.get(key)
    }

    /// The value at the end of `path`.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Tree> {
        path.into_iter().try_fold(self, |t, k| t.get(k))
    }

    /// The value at the end of `path`, mutable.
    pub fn at_mut<'a>(&mut self, path: impl IntoIterator<Item = &'a str>) -> Option<&mut Tree> {
        path.into_iter().try_fold(self, |t, k| t.entries_mut()?.get_mut(k))
    }

    /// Whether both are equal, wherever they were written; the order of a table's keys does not count.
    pub fn same(&self, other: &Tree) -> bool {
        match (&self.value, &other.value) {
            (TreeValue::Array(a), TreeValue::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (TreeValue::Table(a), TreeValue::Table(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| v.same(w)))
            }
            // NaN equals itself here.
            (TreeValue::Float(a), TreeValue::Float(b)) => a == b || a.is_nan() && b.is_nan(),
            (a, b) => a == b,
        }
    }

    /// Its type, for `expected …, found …`.
    pub fn what(&self) -> &'static str {
        match self.value {
            TreeValue::String(_) => "a string",
            TreeValue::Integer(_) => "a whole number",
            TreeValue::Float(_) => "a number",
            TreeValue::Boolean(_) => "a truth value",
            TreeValue::Datetime(_) => "a date",
            TreeValue::Array(_) => "a list",
            TreeValue::Table(_) => "a table",
        }
    }

    /// Calls `f` with the path and value of everything that is not a table, and of empty tables, depth first.
    pub fn leaves<'a>(&'a self, path: &mut Vec<&'a str>, f: &mut impl FnMut(&[&'a str], &'a Tree)) {
        match &self.value {
            TreeValue::Table(t) if !t.is_empty() => {
                for (k, v) in t {
                    path.push(k);
                    v.leaves(path, f);
                    path.pop();
                }
            }
            _ => f(path, self),
        }
    }
}

/// The value as TOML, in one line.
impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            TreeValue::String(s) => write!(f, "{}", basic_string(s)),
            TreeValue::Integer(i) => write!(f, "{i}"),
            TreeValue::Float(x) => write!(f, "{}", toml::Value::Float(*x)),
            TreeValue::Boolean(b) => write!(f, "{b}"),
            TreeValue::Datetime(d) => write!(f, "{d}"),
            TreeValue::Array(a) => {
                write!(f, "[")?;
                for (i, v) in a.iter().enumerate() {
                    write!(f, "{}{v}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, "]")
            }
            TreeValue::Table(t) if t.is_empty() => write!(f, "{{}}"),
            TreeValue::Table(t) => {
                write!(f, "{{ ")?;
                for (i, (k, v)) in t.iter().enumerate() {
                    write!(f, "{}{} = {v}", if i > 0 { ", " } else { "" }, key(k))?;
                }
                write!(f, " }}")
            }
        }
    }
}

/// A key as TOML writes it: bare where possible, else quoted.
pub fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_string()
    } else {
        basic_string(name)
    }
}

/// A dotted path as TOML writes it.
pub fn dotted<'a>(path: impl IntoIterator<Item = &'a str>) -> String {
    let keys: Vec<String> = path.into_iter().map(key).collect();
    keys.join(".")
}

/// A string in one line of TOML 1.0, in double quotes.
pub fn basic_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back() {
        for s in ["", "a\"b\\c", "line\nand\ttab", "\u{7}\u{7f}é λ", "'''"] {
            let text = format!("{} = {}", key(s), basic_string(s));
            let t: toml::Table = text.parse().unwrap();
            assert_eq!(t[s].as_str(), Some(s));
        }
    }
}
