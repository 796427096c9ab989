//! `$name`: a parameter of the graph or of a composite in place of a value.

use crate::diag::{Problem, suggest};
use crate::tree::{Out, at_value};
use crate::tree::{Tree, TreeValue};
use indexmap::{IndexMap, IndexSet};
use std::cell::Cell;
use std::rc::Rc;

/// The parameters that a file may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    /// Their values; `None` was reported as missing.
    values: IndexMap<String, Option<Tree>>,
    /// Names of the graph's `dims`, for the help where one is written with `$`.
    dims: Vec<String>,
    /// Which of them were used.
    pub used: IndexSet<String>,
    /// The number of values put in place of parameters so far, over all composites: nested lists of parameters may
    /// expand to very many.
    placed: Rc<Cell<usize>>,
}

/// The limit on that number.
const MOST_PLACED: usize = 100_000;

impl Params {
    /// The graph's own: `params` may use each other.
    pub(super) fn of_graph(tree: &Tree, out: &mut Out) -> Params {
        let dims = tree
            .get("dims")
            .and_then(Tree::entries)
            .map_or(vec![], |t| t.keys().cloned().collect());
        let mut params = Params {
            dims,
            ..Params::default()
        };
        let Some(table) = tree.get("params").and_then(|t| out.table("params", t)) else {
            return params;
        };
        for (name, value) in table {
            params.values.insert(name.clone(), Some(value.clone()));
        }
        params.settle_all(out);
        params
    }

    /// A composite's: those of the node that uses it, else its defaults, which may use the composite's other parameters.
    pub(super) fn of_composite(&self, values: IndexMap<String, Option<Tree>>, out: &mut Out) -> Params {
        let mut params = Params {
            values,
            dims: self.dims.clone(),
            used: IndexSet::new(),
            placed: self.placed.clone(),
        };
        params.settle_all(out);
        params
    }

    fn settle_all(&mut self, out: &mut Out) {
        let names: Vec<String> = self.values.keys().cloned().collect();
        let mut open = vec![];
        for name in &names {
            self.settle(name, &mut open, out);
        }
    }

    /// Whether this many more values may be placed. The first time that they may not is reported, at `tree`.
    fn room(&self, more: usize, tree: &Tree, out: &mut Out) -> bool {
        let before = self.placed.get();
        self.placed.set(before.saturating_add(more));
        let fits = self.placed.get() <= MOST_PLACED;
        if !fits && before <= MOST_PLACED {
            let message = format!("the parameters of this graph stand for more than {MOST_PLACED} values");
            let p = Problem::error(message).at(&tree.key, "here there are too many");
            out.push(p.help("a parameter that holds others several times grows with each level"));
        }
        fits
    }

    /// First replaces the parameters that parameter `name` is made of.
    fn settle(&mut self, name: &str, open: &mut Vec<String>, out: &mut Out) {
        let Some(Some(value)) = self.values.get(name) else {
            return;
        };
        let mut value = value.clone();
        let mut needs = vec![];
        names_in(&value, &mut needs);
        if needs.is_empty() {
            return;
        }
        if let Some(i) = open.iter().position(|o| o == name) {
            let mut circle = open[i..].to_vec();
            circle.push(name.into());
            let message = format!("parameters go in a circle: {}", circle.join(" → "));
            out.push(Problem::error(message).at(&value.place, "this is one of them"));
            self.values.insert(name.into(), None);
            return;
        }
        open.push(name.into());
        for n in needs {
            self.settle(&n, open, out);
        }
        open.pop();
        if self.values.get(name).is_some_and(Option::is_some) {
            self.substitute(&mut value, out);
            self.values.insert(name.into(), Some(value));
        }
    }

    /// Puts values in place of all `"$name"` in `tree`. Unknown ones are reported and stay.
    pub(super) fn substitute(&mut self, tree: &mut Tree, out: &mut Out) {
        match &mut tree.value {
            TreeValue::Array(items) => items.iter_mut().for_each(|t| self.substitute(t, out)),
            TreeValue::Table(entries) => entries.values_mut().for_each(|t| self.substitute(t, out)),
            TreeValue::String(s) => {
                let Some(name) = s.strip_prefix('$') else { return };
                let name = name.to_string();
                match self.values.get(&name) {
                    Some(Some(value)) if !self.room(size(value), tree, out) => {
                        tree.value = TreeValue::Boolean(false);
                    }
                    Some(Some(value)) => {
                        tree.value = value.value.clone();
                        tree.place = value.place.clone();
                    }
                    Some(None) => {}
                    None => out.push(self.unknown(&name, tree)),
                }
                self.used.insert(name);
            }
            _ => {}
        }
    }

    fn unknown(&self, name: &str, tree: &Tree) -> Problem {
        if is_variable(name) {
            let p = Problem::error(format!(
                "`${name}`: variables of the environment are not replaced in graph files"
            ));
            return at_value(p, tree, "`$` begins a parameter").help(PATHS);
        }
        let p = at_value(
            Problem::error(format!("unknown parameter `${name}`")),
            tree,
            "no such parameter",
        );
        if self.dims.iter().any(|d| d == name) {
            return p.help(format!("`{name}` is one of the `dims`: write it without `$`"));
        }
        p.help(suggest(name, "parameters", self.values.keys().map(String::as_str)))
    }

    /// Unused parameters.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&str, &Tree)> {
        self.values
            .iter()
            .filter(|(n, _)| !self.used.contains(*n))
            .filter_map(|(n, v)| Some((n.as_str(), v.as_ref()?)))
    }
}

/// What to write for a variable of the environment in a path.
pub(super) const PATHS: &str = "write the path out; `~/` at its beginning is the home folder";

/// Whether what follows a `$` is meant as a variable of the environment: a path, or a usual one.
fn is_variable(name: &str) -> bool {
    name.contains(['/', '\\', '{', '(']) || ["HOME", "PWD", "TMPDIR", "USER"].contains(&name)
}

/// How many values a value holds, itself included.
fn size(tree: &Tree) -> usize {
    let inside: usize = match &tree.value {
        TreeValue::Array(items) => items.iter().map(size).sum(),
        TreeValue::Table(entries) => entries.values().map(size).sum(),
        _ => 0,
    };
    1 + inside
}

fn names_in(tree: &Tree, names: &mut Vec<String>) {
    match &tree.value {
        TreeValue::String(s) => names.extend(s.strip_prefix('$').map(String::from)),
        TreeValue::Array(items) => items.iter().for_each(|t| names_in(t, names)),
        TreeValue::Table(entries) => entries.values().for_each(|t| names_in(t, names)),
        _ => {}
    }
}
