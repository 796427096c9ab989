//! Nodes that use the weights of another node, or have a copy of them.

use super::expand::Tie;
use crate::diag::{Problem, Spanned, suggest};
use crate::graph::{CopyDef, NodeDef};
use crate::tree::Out;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};

/// Gives each of these nodes the path of the node whose weights it uses or copies in the end.
pub(super) fn tie(nodes: &mut IndexMap<String, NodeDef>, ties: &[(String, Tie)], out: &mut Out) {
    let of: HashMap<&str, &Tie> = ties.iter().map(|(path, tie)| (path.as_str(), tie)).collect();
    let mut reported = BTreeSet::new();
    let mut settled = vec![];
    for (path, tie) in ties {
        let Some(node) = nodes.get(path) else { continue };
        let Some(owner) = nodes.get(&tie.owner) else {
            // A composite's `weights` is one mistake, however many nodes are inside.
            if reported.insert((&tie.place.file, tie.place.span.start)) {
                out.push(missing(nodes, path, tie));
            }
            continue;
        };
        let copies = tie.ema.is_some();
        match root(path, &of) {
            Err(circle) => {
                let does = if copies { "copies" } else { "uses" };
                let p = match circle.as_slice() {
                    [_] => Problem::error(format!("`{path}` {does} the weights of itself")),
                    _ => Problem::error(format!(
                        "`{path}` {does} its own weights, by way of {}",
                        listed(&circle[1..])
                    )),
                };
                out.push(
                    p.at(&tie.place, "in a circle")
                        .help("one of them has weights of its own"),
                );
            }
            Ok(_) if owner.kind.value != node.kind.value => {
                let what = format!(
                    "`{path}` is a `{}` and cannot {} the weights of a `{}`",
                    node.kind.value,
                    verb(tie),
                    owner.kind.value
                );
                let p = Problem::error(what).at(&tie.place, "asked for here");
                let p = p
                    .at(&node.kind.place, format!("`{path}`"))
                    .at(&owner.kind.place, format!("`{}`", tie.owner));
                out.push(p.help(match copies {
                    true => "a copy is of the same kind, or the same composite: leave `kind` out",
                    false => "nodes that share weights are of one kind, or are the same composite",
                }));
            }
            Ok(root) => match of.get(root).filter(|_| copies).and_then(|t| Some((t, t.ema.as_ref()?))) {
                Some((copy, _)) if reported.insert((&tie.place.file, tie.place.span.start)) => {
                    out.push(of_a_copy(path, tie, root, copy));
                }
                Some(_) => {}
                None => settled.push((path, Spanned::new(root.to_string(), tie.place.clone()), &tie.ema)),
            },
        }
    }
    for (path, of, ema) in settled {
        match ema.clone() {
            None => nodes[path].weights = Some(of),
            Some(ema) => nodes[path].copy = Some(CopyDef { of, ema }),
        }
    }
}

fn verb(tie: &Tie) -> &'static str {
    if tie.ema.is_some() { "copy" } else { "use" }
}

/// The node at the end of the chain that begins with `path`, or the circle that the chain runs into. A copy ends a chain: its
/// weights are its own.
fn root<'t>(path: &'t str, of: &HashMap<&'t str, &'t Tie>) -> Result<&'t str, Vec<&'t str>> {
    let mut chain = vec![path];
    while let Some(tie) = of.get(chain[chain.len() - 1]) {
        if tie.ema.is_some() && chain.len() > 1 {
            break;
        }
        if tie.owner == path {
            return Err(chain);
        }
        // A circle that this node only leads to is reported at its own nodes.
        if chain.contains(&tie.owner.as_str()) {
            break;
        }
        chain.push(&tie.owner);
    }
    Ok(chain[chain.len() - 1])
}

/// A copy of a copy.
fn of_a_copy(path: &str, tie: &Tie, root: &str, copy: &Tie) -> Problem {
    // Of composites, the composites.
    let (name, root) = match (&tie.by, &copy.by) {
        (Some((own, _)), Some((other, _))) => (own.as_str(), other.as_str()),
        _ => (path, root),
    };
    let of = copy.by.as_ref().map_or(&copy.owner, |(_, of)| of);
    Problem::error(format!("`{name}` would be a copy of a copy"))
        .at(&tie.place, "copied here")
        .at(&copy.place, format!("`{root}` is a copy itself"))
        .help(format!(
            "name the node that is trained, `{of}`; `weights = \"{root}\"` uses the copy without another one"
        ))
}

fn missing(nodes: &IndexMap<String, NodeDef>, path: &str, tie: &Tie) -> Problem {
    let inside = |name: &str| {
        let below = format!("{name}.");
        nodes
            .keys()
            .filter(|n| n.starts_with(&below))
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    let (name, owner) = match &tie.by {
        Some((from, to)) => (from.as_str(), to.as_str()),
        None => (path, tie.owner.as_str()),
    };
    let p = Problem::error(format!("`{name}` cannot {} the weights of `{owner}`", verb(tie)));
    let composites = inside(owner);
    match &tie.by {
        None if !composites.is_empty() => p
            .at(&tie.place, "a composite")
            .help(format!("name one of the nodes inside it: {}", listed(&composites))),
        Some(_) if nodes.contains_key(owner) => p
            .at(&tie.place, "a node, and no composite")
            .help("name a node with the same composite as its kind"),
        Some(_) if !composites.is_empty() => p
            .at(&tie.place, format!("it has no node `{}`", tie.owner))
            .help("name a node with the same composite as its kind"),
        _ => {
            let known: BTreeSet<&str> = nodes
                .values()
                .map(|n| match (&tie.by, n.inside.first()) {
                    (Some(_), Some(top)) => top.value.as_str(),
                    _ => n.path.as_str(),
                })
                .filter(|known| *known != name)
                .collect();
            p.at(&tie.place, "no such node").help(suggest(owner, "nodes", known))
        }
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}
