//! Where a value comes from.

use super::composite::CompositeDef;
use super::set_arg::key_path;
use crate::diag::{Place, Spanned, suggest};
use crate::graph::{Graph, ema_shown};
use crate::tree::{Tree, dotted};
use std::fmt::Write;

/// The value at a dotted path, which file and line set it, and what it replaced of lower layers; for a table,
/// everything in it. `nodes.` may be omitted before a node's name.
///
/// # Errors
/// Nothing is at the path; the message names similar paths.
pub fn explain(graph: &Graph, path: &str) -> Result<String, String> {
    let keys = match path.trim() {
        "" | "." => vec![],
        p => key_path(p).ok_or_else(|| format!("`{path}` is no dotted path such as `nodes.tol.hidden`"))?,
    };
    let sections = ["nodes", "phases", "views", "params", "dims"];
    let mut found = None;
    for prefix in std::iter::once(None).chain(sections.map(Some)) {
        let full: Vec<String> = prefix
            .into_iter()
            .map(String::from)
            .chain(keys.iter().cloned())
            .collect();
        if let Some(t) = graph.tree.at(full.iter().map(String::as_str)) {
            found = Some((full, t));
            break;
        }
    }
    if let Some((full, tree)) = found {
        let mut out = match tree.entries() {
            Some(t) if !t.is_empty() => table(graph, &full, tree),
            _ => leaf(graph, &full, tree),
        };
        out.push_str(&dropped_below(graph, &full));
        out.push_str(&composite(graph, &full, tree));
        out.push_str(&as_owner(graph, &full, tree));
        return Ok(out);
    }
    inside(graph, &keys)
        .or_else(|| gone(graph, &keys))
        .ok_or_else(|| nothing(graph, path, &keys))
}

fn name(path: &[String]) -> String {
    dotted(path.iter().map(String::as_str))
}

/// A value with `$name` replaced by the parameter's value.
fn shown(graph: &Graph, t: &Tree) -> String {
    match parameter(graph, t) {
        Some((_, p)) => p.to_string(),
        None => t.to_string(),
    }
}

fn parameter<'a>(graph: &'a Graph, t: &'a Tree) -> Option<(&'a str, &'a Tree)> {
    let name = t.text()?.strip_prefix('$')?;
    let value = graph.tree.get("params")?.get(name)?;
    Some((name, value))
}

fn leaf(graph: &Graph, path: &[String], t: &Tree) -> String {
    let mut out = format!("{} = {}\n", name(path), shown(graph, t));
    story(graph, path, t, "", &mut out);
    let mut at = t;
    // A parameter may use another.
    for _ in 0..16 {
        let Some((param, value)) = parameter(graph, at) else {
            break;
        };
        story(
            graph,
            &["params".into(), param.into()],
            value,
            &format!("params.{param} = "),
            &mut out,
        );
        at = value;
    }
    out
}

/// Who wrote the value, the latest first, down to the layer that had it first.
fn story(graph: &Graph, path: &[String], t: &Tree, before: &str, out: &mut String) {
    let mut line = |place: &Place, what: &str, value: &str| {
        let _ = writeln!(out, "  {} {what} {value}", graph.files.at(place));
    };
    let mut now = Some(t);
    for (verb, by, old) in changes(graph, path).into_iter().rev() {
        let value = now.map(|t| format!("{before}{t}")).unwrap_or_default();
        match (verb, now) {
            ("set", _) => line(by, "set", &value),
            ("append" | "remove", _) => {
                let text = graph.files.text(by.file).get(by.span.clone()).unwrap_or_default();
                line(by, if verb == "append" { "appended" } else { "removed" }, text);
            }
            ("replace", Some(t)) => line(&t.place, "wrote, in `replace`,", &value),
            ("drop", Some(t)) => {
                line(&t.place, "wrote", &value);
                line(by, "dropped", "what was there");
            }
            _ => line(by, verb, ""),
        }
        now = old;
    }
    if let Some(t) = now {
        line(&t.place, "wrote", &format!("{before}{t}"));
    }
}

type Changed<'a> = (&'static str, &'a Place, Option<&'a Tree>);

/// The changes that affected the value at `path`: of it, or of a table around it.
fn changes<'a>(graph: &'a Graph, path: &[String]) -> Vec<Changed<'a>> {
    let mut found = vec![];
    for n in 1..=path.len() {
        for c in graph.history.of(&name(&path[..n])) {
            let old = c.old.as_ref().and_then(|o| o.at(path[n..].iter().map(String::as_str)));
            if n == path.len() || old.is_some() {
                found.push((c.verb, &c.by, old));
            }
        }
    }
    found
}

fn table(graph: &Graph, path: &[String], tree: &Tree) -> String {
    let mut rows: Vec<(String, String, String)> = vec![];
    tree.leaves(&mut vec![], &mut |inner, leaf| {
        let full: Vec<String> = path
            .iter()
            .cloned()
            .chain(inner.iter().map(|s| s.to_string()))
            .collect();
        let mut from = graph.files.at(&leaf.place);
        if let Some((param, value)) = parameter(graph, leaf) {
            let _ = write!(from, ", ${param} of {}", graph.files.at(&value.place));
        }
        for (verb, _, old) in changes(graph, &full).into_iter().rev() {
            if let Some(old) = old {
                let _ = write!(from, ", {verb} over {old} of {}", graph.files.at(&old.place));
            }
        }
        rows.push((name(&full), shown(graph, leaf), from));
    });
    let width = |of: fn(&(String, String, String)) -> &String| {
        rows.iter()
            .map(|r| of(r).chars().count())
            .filter(|w| *w <= 60)
            .max()
            .unwrap_or(0)
    };
    let (left, middle) = (width(|r| &r.0), width(|r| &r.1));
    rows.iter()
        .map(|(path, value, from)| format!("{path:left$} = {value:middle$}  {from}\n"))
        .collect()
}

/// What was dropped from the table at `path`.
fn dropped_below(graph: &Graph, path: &[String]) -> String {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{}.", name(path))
    };
    let mut out = String::new();
    for (p, changes) in graph.history.iter().filter(|(p, _)| p.starts_with(&prefix)) {
        let still = key_path(p).is_some_and(|k| graph.tree.at(k.iter().map(String::as_str)).is_some());
        if let Some(c) = changes.last().filter(|c| c.verb == "drop" && !still) {
            let _ = writeln!(out, "{p} was dropped in {}", graph.files.at(&c.by));
        }
    }
    out
}

/// The nodes that a composite node stands for.
fn composite(graph: &Graph, path: &[String], tree: &Tree) -> String {
    let kind = tree
        .get("kind")
        .and_then(Tree::text)
        .filter(|k| CompositeDef::is_file(k));
    match (path, kind) {
        ([section, node], Some(kind)) if section == "nodes" => {
            let prefix = format!("{node}.");
            let inner: Vec<&str> = graph
                .nodes
                .keys()
                .filter(|k| k.starts_with(&prefix))
                .map(String::as_str)
                .collect();
            format!("made of {kind}: {}\n", inner.join(", "))
        }
        _ => String::new(),
    }
}

/// Whose kind and parameters a node has that names another's weights, and no kind.
fn as_owner(graph: &Graph, path: &[String], tree: &Tree) -> String {
    let ([section, node], Some(_), None) = (path, tree.get("weights"), tree.get("kind")) else {
        return String::new();
    };
    match graph.nodes.get(node).filter(|_| section == "nodes") {
        Some(n) => format!(
            "as its kind is left out: {} of {}\n",
            n.kind.value,
            graph.files.at(&n.kind.place)
        ),
        None => String::new(),
    }
}

/// A node inside a composite, or one of its parameters.
fn inside(graph: &Graph, keys: &[String]) -> Option<String> {
    let keys = keys.strip_prefix(&["nodes".to_string()]).unwrap_or(keys);
    let (node, rest) = (1..=keys.len())
        .rev()
        .find_map(|n| Some((graph.nodes.get(&keys[..n].join("."))?, &keys[n..])))?;
    let from = |t: &Tree| graph.files.at(&t.place);
    let title = format!("nodes.{}", node.path);
    if rest.is_empty() {
        let mut out = format!("{title}: {} of {}\n", node.kind.value, graph.files.at(&node.kind.place));
        for (name, t) in &node.params {
            let _ = writeln!(out, "{title}.{name} = {t}  {}", from(t));
        }
        let of = |w: &Spanned<String>| format!("{} by {}", w.value, graph.files.at(&w.place));
        if let Some(owner) = &node.weights {
            let _ = writeln!(out, "uses the weights of nodes.{}", of(owner));
        }
        if let Some(copy) = &node.copy {
            let _ = writeln!(
                out,
                "has a copy of the weights of nodes.{}, with ema = {}",
                of(&copy.of),
                ema_shown(&copy.ema.0.value)
            );
        }
        for outer in &node.inside {
            let _ = writeln!(out, "inside nodes.{} of {}", outer.value, graph.files.at(&outer.place));
        }
        return Some(out);
    }
    let first = node.params.get(&rest[0])?;
    let t = first.at(rest[1..].iter().map(String::as_str))?;
    let mut out = format!("{title}.{} = {t}\n  {} wrote {t}\n", name(rest), from(t));
    if t.key != t.place {
        let _ = writeln!(out, "  {} uses it", graph.files.at(&t.key));
    }
    Some(out)
}

/// Values that were removed.
fn gone(graph: &Graph, keys: &[String]) -> Option<String> {
    for prefix in [None, Some("nodes"), Some("phases")] {
        let full: Vec<String> = prefix
            .into_iter()
            .map(String::from)
            .chain(keys.iter().cloned())
            .collect();
        let changes = changes(graph, &full);
        let Some((_, by, old)) = changes.iter().rev().find(|c| c.0 == "drop" && c.2.is_some()) else {
            continue;
        };
        let was = old
            .map(|o| format!(": {o} of {}", graph.files.at(&o.place)))
            .unwrap_or_default();
        return Some(format!("{} was dropped in {}{was}\n", name(&full), graph.files.at(by)));
    }
    None
}

fn nothing(graph: &Graph, path: &str, keys: &[String]) -> String {
    let at = |n: usize| graph.tree.at(keys[..n].iter().map(String::as_str));
    let known = (0..keys.len()).rev().find(|n| at(*n).is_some()).unwrap_or(0);
    let table = at(known).unwrap_or(&graph.tree);
    let what = if known == 0 {
        "keys".into()
    } else {
        format!("keys of `{}`", name(&keys[..known]))
    };
    let mut names: Vec<&str> = table
        .entries()
        .into_iter()
        .flat_map(|t| t.keys().map(String::as_str))
        .collect();
    if known == 0 {
        let nodes = graph.tree.get("nodes").and_then(Tree::entries);
        names.extend(nodes.into_iter().flat_map(|t| t.keys().map(String::as_str)));
    }
    format!("there is no `{path}`: {}", suggest(&keys[known], &what, names))
}
