//! Structural differences between two experiments, independent of how their files are split and worded.

use super::effective::plain;
use crate::graph::Graph;
use crate::tree::{Tree, dotted};
use indexmap::{IndexMap, IndexSet};

/// What `b` has (`+`), lacks (`-`) or changes (`~`) compared with `a`, a line each; empty where they are equal.
pub fn diff(a: &Graph, b: &Graph) -> String {
    let (before, after) = (plain(a), plain(b));
    let mut lines: Vec<(char, String, String)> = vec![];
    for key in both(&before, &after) {
        let (old, new) = (before.get(&key), after.get(&key));
        if ["nodes", "phases", "views"].contains(&key.as_str()) {
            items(&key, old, new, a, b, &mut lines);
        } else {
            leaves(&key, old, new, &mut lines);
        }
    }
    let width = lines
        .iter()
        .map(|l| l.1.chars().count())
        .filter(|w| *w <= 48)
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(mark, path, what)| format!("{mark} {path:width$}  {what}").trim_end().to_string() + "\n")
        .collect()
}

/// The keys of both tables, those of the first in front.
fn both(a: &Tree, b: &Tree) -> IndexSet<String> {
    [a, b]
        .into_iter()
        .filter_map(Tree::entries)
        .flat_map(|t| t.keys().cloned())
        .collect()
}

type Lines = Vec<(char, String, String)>;

fn items(section: &str, old: Option<&Tree>, new: Option<&Tree>, a: &Graph, b: &Graph, lines: &mut Lines) {
    let empty = Tree::table(a.tree.place.clone());
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut whole: IndexMap<(char, String), Vec<String>> = IndexMap::new();
    let mut changed: Lines = vec![];
    for name in both(old, new) {
        let (mark, tree, graph) = match (old.get(&name), new.get(&name)) {
            (Some(o), Some(n)) => {
                if let (Some(o), Some(n)) = (o.get("rounds"), n.get("rounds"))
                    && let Some((before, after)) = reordered(o, n)
                {
                    changed.push(('~', format!("{section}.{name}.rounds"), format!("{before} → {after}")));
                }
                // Names of nodes in composites contain dots and are written so everywhere.
                leaves(&format!("{section}.{name}"), Some(o), Some(n), &mut changed);
                continue;
            }
            (Some(o), None) => ('-', o, a),
            (None, Some(n)) => ('+', n, b),
            (None, None) => continue,
        };
        // The nodes of a composite are shown in one line.
        let outer = graph
            .nodes
            .get(&name)
            .and_then(|n| n.inside.first())
            .filter(|_| section == "nodes");
        let (title, what) = match outer {
            Some(o) => (o.value.clone(), name[o.value.len() + 1..].to_string()),
            None => (name.clone(), summary(section, tree)),
        };
        whole
            .entry((mark, format!("{section}.{title}")))
            .or_default()
            .push(what);
    }
    lines.extend(
        whole
            .into_iter()
            .map(|((mark, path), what)| (mark, path, what.join(", "))),
    );
    lines.append(&mut changed);
}

/// The names in two tables whose order counts, where nothing else than the order differs.
fn reordered(a: &Tree, b: &Tree) -> Option<(String, String)> {
    let names = |t: &Tree| Some(t.entries()?.keys().cloned().collect::<Vec<_>>());
    let (a, b) = (names(a)?, names(b)?);
    let same = a.len() == b.len() && a.iter().all(|name| b.contains(name));
    (same && a != b).then(|| (a.join(", "), b.join(", ")))
}

/// A short description of a whole node, phase or view.
fn summary(section: &str, t: &Tree) -> String {
    match section {
        "nodes" => t.get("kind").and_then(Tree::text).unwrap_or_default().to_string(),
        "phases" => {
            let names = |key: &str| t.get(key).and_then(Tree::entries).map(|all| all.keys().cloned());
            let names = names("losses").into_iter().chain(names("rounds")).flatten();
            names.collect::<Vec<_>>().join(", ")
        }
        _ => {
            let roots = t.get("roots").and_then(Tree::items).unwrap_or_default();
            roots.iter().filter_map(Tree::text).collect::<Vec<_>>().join(", ")
        }
    }
}

fn leaves(path: &str, old: Option<&Tree>, new: Option<&Tree>, lines: &mut Lines) {
    match (old, new) {
        (Some(o), Some(n)) if o.same(n) => {}
        (Some(o), Some(n)) => match (o.entries(), n.entries(), o.items(), n.items()) {
            (Some(_), Some(_), ..) => {
                for key in both(o, n) {
                    leaves(
                        &format!("{path}.{}", dotted([key.as_str()])),
                        o.get(&key),
                        n.get(&key),
                        lines,
                    );
                }
            }
            (_, _, Some(o), Some(n)) if names(o) && names(n) => list(path, o, n, lines),
            _ => lines.push(('~', path.into(), format!("{o} → {n}"))),
        },
        (Some(o), None) => whole('-', path, o, lines),
        (None, Some(n)) => whole('+', path, n, lines),
        (None, None) => {}
    }
}

/// What only one of them has, one line for all that is in it.
fn whole(mark: char, path: &str, t: &Tree, lines: &mut Lines) {
    // A loss of a composite is known by its name; where it is inside adds nothing.
    if let (Some(_), Some(weight)) = (t.get("of"), t.get("weight")) {
        return lines.push((mark, path.into(), weight.to_string()));
    }
    t.leaves(&mut vec![], &mut |inner, leaf| {
        let path = std::iter::once(path.to_string()).chain(inner.iter().map(|k| dotted([*k])));
        lines.push((mark, path.collect::<Vec<_>>().join("."), leaf.to_string()));
    });
}

fn names(items: &[Tree]) -> bool {
    items.iter().all(|i| i.text().is_some())
}

/// Lists of names: what was added and removed; where only the order differs, both lists.
fn list(path: &str, old: &[Tree], new: &[Tree], lines: &mut Lines) {
    let text = |items: &[Tree]| {
        items
            .iter()
            .filter_map(Tree::text)
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let (old, new) = (text(old), text(new));
    let without = |a: &[String], b: &[String]| a.iter().filter(|i| !b.contains(i)).cloned().collect::<Vec<_>>();
    let (gone, come) = (without(&old, &new), without(&new, &old));
    if gone.is_empty() && come.is_empty() {
        lines.push(('~', path.into(), format!("{} → {}", old.join(", "), new.join(", "))));
    }
    if !gone.is_empty() {
        lines.push(('-', path.into(), gone.join(", ")));
    }
    if !come.is_empty() {
        lines.push(('+', path.into(), come.join(", ")));
    }
}
