//! From files to a [`Graph`](crate::graph::Graph): setting, graph, overlays, `--set`, composites.

mod tree;

pub use tree::{Tree, TreeValue};
