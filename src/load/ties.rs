//! Nodes that use the weights of another node.

use super::expand::Tie;
use crate::diag::{Problem, Spanned, suggest};
use crate::graph::NodeDef;
use crate::tree::Out;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};

/// Gives each of these nodes the path of the node whose weights it uses in the end.
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
        match root(path, &of) {
            Err(circle) => {
                let p = match circle.as_slice() {
                    [_] => Problem::error(format!("`{path}` uses the weights of itself")),
                    _ => Problem::error(format!(
                        "`{path}` uses its own weights, by way of {}",
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
                    "`{path}` is a `{}` and cannot use the weights of a `{}`",
                    node.kind.value, owner.kind.value
                );
                let p = Problem::error(what).at(&tie.place, "asked for here");
                let p = p
                    .at(&node.kind.place, format!("`{path}`"))
                    .at(&owner.kind.place, format!("`{}`", tie.owner));
                out.push(p.help("nodes that share weights are of one kind, or are the same composite"));
            }
            Ok(root) => settled.push((path, Spanned::new(root.to_string(), tie.place.clone()))),
        }
    }
    for (path, owner) in settled {
        nodes[path].weights = Some(owner);
    }
}

/// The node at the end of the chain that begins with `path`, or the circle that the chain runs into.
fn root<'t>(path: &'t str, of: &HashMap<&'t str, &'t Tie>) -> Result<&'t str, Vec<&'t str>> {
    let mut chain = vec![path];
    while let Some(tie) = of.get(chain[chain.len() - 1]) {
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
    let p = Problem::error(format!("`{name}` cannot use the weights of `{owner}`"));
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
