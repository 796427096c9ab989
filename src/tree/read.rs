//! Reads values of the types of the graph language; values of other types are reported at their place.

use super::{Tree, TreeValue};
use crate::diag::{Place, Problem, Spanned, suggest};
use indexmap::IndexMap;
use std::collections::HashMap;

/// The largest count and size: products of a few of them do not overflow, and no machine has memory for more.
pub(crate) const MOST: u64 = i32::MAX as u64;

/// The problems of the merged tree.
pub struct Out<'a>(pub(crate) &'a mut Vec<Problem>);

impl Out<'_> {
    pub(crate) fn push(&mut self, p: Problem) {
        self.0.push(p);
    }

    /// Reports that the value at `name` is of a wrong type.
    pub(crate) fn mistyped(&mut self, name: &str, t: &Tree, expected: &str) {
        // A parameter that does not exist was reported already, and left as it was.
        if t.text().is_some_and(|s| s.starts_with('$')) {
            return;
        }
        let p = Problem::error(format!("`{name}`: expected {expected}, found {}", found(t)));
        self.0.push(at_value(p, t, "this value"));
    }

    pub(crate) fn string(&mut self, name: &str, t: &Tree) -> Option<Spanned<String>> {
        match &t.value {
            TreeValue::String(s) if !s.starts_with('$') => Some(Spanned::new(s.clone(), t.place.clone())),
            _ => {
                self.mistyped(name, t, "a string");
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, name: &str, t: &Tree) -> Option<bool> {
        match t.value {
            TreeValue::Boolean(b) => Some(b),
            _ => {
                self.mistyped(name, t, "true or false");
                None
            }
        }
    }

    pub(crate) fn number(&mut self, name: &str, t: &Tree) -> Option<Spanned<f64>> {
        let n = match t.value {
            TreeValue::Float(x) => x,
            TreeValue::Integer(i) => i as f64,
            _ => {
                self.mistyped(name, t, "a number");
                return None;
            }
        };
        if !n.is_finite() {
            let p = Problem::error(format!("`{name}`: expected a number, found {n}"));
            self.push(at_value(p, t, "this value"));
            return None;
        }
        if n.abs() > f64::from(f32::MAX) {
            let p = Problem::error(format!(
                "`{name}` is {n:e}, and has to be between -{0:e} and {0:e}",
                f32::MAX
            ));
            self.push(at_value(p, t, "more than 32-bit numbers can hold"));
            return None;
        }
        Some(Spanned::new(n, t.place.clone()))
    }

    /// A whole number of 0 or more.
    pub(crate) fn whole(&mut self, name: &str, t: &Tree) -> Option<Spanned<u64>> {
        match t.value {
            TreeValue::Integer(i) if i >= 0 => Some(Spanned::new(i as u64, t.place.clone())),
            TreeValue::Integer(i) => {
                let p = Problem::error(format!("`{name}` is {i}, and has to be at least 0"));
                self.push(at_value(p, t, "this value"));
                None
            }
            _ => {
                self.mistyped(name, t, "a whole number");
                None
            }
        }
    }

    pub(crate) fn table<'t>(&mut self, name: &str, t: &'t Tree) -> Option<&'t IndexMap<String, Tree>> {
        let entries = t.entries();
        if entries.is_none() {
            self.mistyped(name, t, "a table");
        }
        entries
    }

    pub(crate) fn list<'t>(&mut self, name: &str, t: &'t Tree) -> Option<&'t [Tree]> {
        let items = t.items();
        if items.is_none() {
            self.mistyped(name, t, "a list");
        }
        items
    }

    /// A list of distinct strings.
    pub(crate) fn names(&mut self, name: &str, t: &Tree) -> Option<Vec<Spanned<String>>> {
        let items = t.items();
        if items.is_none() {
            self.mistyped(name, t, "a list of strings");
        }
        let mut names: Vec<Spanned<String>> = vec![];
        let mut seen: HashMap<String, usize> = HashMap::new();
        for item in items? {
            let Some(new) = self.string(&format!("items of `{name}`").replace('`', ""), item) else {
                continue;
            };
            match seen.get(&new.value).map(|i| &names[*i]) {
                Some(old) => self.push(
                    Problem::error(format!("`{}` is twice in `{name}`", new.value))
                        .at(&new.place, "again here")
                        .at(&old.place, "it is here"),
                ),
                None => {
                    seen.insert(new.value.clone(), names.len());
                    names.push(new);
                }
            }
        }
        Some(names)
    }

    /// Reports unknown keys of a table. `of` describes the table.
    pub(crate) fn unknown_keys(&mut self, of: &str, table: &IndexMap<String, Tree>, known: &[&str]) {
        for (key, value) in table.iter().filter(|(k, _)| !known.contains(&k.as_str())) {
            let p = Problem::error(format!("unknown key `{key}` in {of}"))
                .at(&value.key, "no such key")
                .help(suggest(key, "keys", known.iter().copied()));
            self.push(p);
        }
    }
}

/// A short value itself, else its type.
fn found(t: &Tree) -> String {
    let text = t.to_string();
    match t.value {
        TreeValue::String(_) if text.chars().count() <= 30 => format!("the string {text}"),
        TreeValue::Integer(_) | TreeValue::Float(_) | TreeValue::Boolean(_) => text,
        _ => t.what().into(),
    }
}

/// Adds the place of a value, and that of the key where a parameter provided the value.
pub(crate) fn at_value(p: Problem, t: &Tree, label: &str) -> Problem {
    let (key, value): (&Place, &Place) = (&t.key, &t.place);
    let elsewhere = key.file != value.file || value.span.start < key.span.start;
    let p = p.at(value, label);
    if elsewhere { p.at(key, "it is used here") } else { p }
}

/// Letters, digits and `_`, not starting with a digit.
pub(crate) fn is_name(s: &str) -> bool {
    s.chars().all(|c| c.is_alphanumeric() || c == '_') && !s.starts_with(|c: char| c.is_ascii_digit()) && !s.is_empty()
}
