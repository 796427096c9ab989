//! What the parameters of a node mean, where they are more than values: the typed form of a formula.

use crate::check::plain;
use crate::graph::Graph;
use glad_nodes::Registry;

/// The lines about the node at a path of `explain` (`nodes.coral`, `coral`), if there are any.
pub fn form(graph: &Graph, registry: &Registry, path: &str) -> Option<String> {
    let path = path.trim();
    let name = path.strip_prefix("nodes.").unwrap_or(path);
    let node = graph.nodes.get(name)?;
    let form = plain(registry, node)?.form()?;
    Some(format!("typed as\n{form}"))
}
