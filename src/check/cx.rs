//! What all checks share: the graph, the kinds, the problems found so far.

use super::sink::Sink;
use crate::diag::{Place, Problem, did_you_mean};
use crate::graph::{Graph, NodeDef};
use crate::tree::Tree;
use glad_nodes::{Contract, Registry, Wiring};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::HashSet;

/// What all checks share.
pub(super) struct Cx<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// The kinds.
    pub registry: &'g Registry,
    /// The problems.
    pub sink: RefCell<Sink>,
    /// Nodes whose wiring is wrong in every phase, which has been reported: no program uses them.
    pub broken: RefCell<HashSet<String>>,
    streams: Vec<&'g str>,
}

impl<'g> Cx<'g> {
    /// The context of a graph.
    pub(super) fn new(graph: &'g Graph, registry: &'g Registry) -> Self {
        let mut streams: Vec<&str> = vec![];
        let phases = graph.phases.values().filter_map(|p| p.streams.as_ref());
        let views = graph.views.values().filter_map(|v| v.streams.as_ref());
        for s in std::iter::once(&graph.streams).chain(phases).chain(views).flatten() {
            if !streams.contains(&s.value.as_str()) {
                streams.push(&s.value);
            }
        }
        Cx {
            graph,
            registry,
            sink: RefCell::default(),
            broken: RefCell::default(),
            streams,
        }
    }

    /// All streams that the graph, its phases and its views name.
    pub(super) fn streams(&self) -> &[&'g str] {
        &self.streams
    }

    /// Whether there is such a stream.
    pub(super) fn is_stream(&self, name: &str) -> bool {
        self.streams.contains(&name)
    }

    /// Reports a problem of the graph as a whole.
    pub(super) fn push(&self, problem: Problem) {
        self.sink.borrow_mut().push(problem);
    }

    /// The node at this index.
    pub(super) fn node(&self, index: usize) -> &'g NodeDef {
        &self.graph.nodes[index]
    }

    /// A node's wiring as far as its references alone define it.
    pub(super) fn plain_wiring(node: &NodeDef) -> Wiring {
        Wiring {
            count: node.inputs.iter().map(|(p, refs)| (p.clone(), refs.len())).collect(),
        }
    }

    /// The entry `nodes.NODE` of a phase or view for `node`.
    pub(super) fn overrides(
        of: &'g IndexMap<String, crate::diag::Spanned<IndexMap<String, Tree>>>,
        node: &NodeDef,
    ) -> Option<&'g IndexMap<String, Tree>> {
        of.get(&node.path).map(|s| &s.value)
    }

    /// The nodes that `name` refers to: a node, or all nodes of a composite.
    pub(super) fn named(&self, name: &str) -> Vec<&'g NodeDef> {
        let below = format!("{name}.");
        self.graph
            .nodes
            .values()
            .filter(|n| n.path == name || n.path.starts_with(&below))
            .collect()
    }

    /// Help for a name that is neither a node nor a composite.
    pub(super) fn suggest_node(&self, name: &str) -> Option<String> {
        let mut names: Vec<&str> = vec![];
        for n in self.graph.nodes.values() {
            let tops = n.path.match_indices('.').map(|(i, _)| &n.path[..i]);
            for name in tops.chain([n.path.as_str()]) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        did_you_mean(name, names)
    }

    /// `file:line`.
    pub(super) fn at(&self, place: &Place) -> String {
        self.graph.files.at(place)
    }
}

/// Adds where the composite around a node was written, if there is one.
pub(super) fn inside(problem: Problem, node: &NodeDef) -> Problem {
    match node.inside.first() {
        Some(outer) => problem.at(&outer.place, format!("inside `{}`", outer.value)),
        None => problem,
    }
}

/// `logits: Logits[B,K], label: Label[B]`.
pub(super) fn inputs_of(c: &Contract) -> String {
    list(c.inputs.iter().map(|i| format!("`{}`: {}", i.name, i.types[0])))
}

/// `loss: Loss[], accuracy: Metric[]`.
pub(super) fn outputs_of(c: &Contract) -> String {
    list(c.outputs.iter().map(|o| format!("`{}`: {}", o.name, o.ty)))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let v: Vec<String> = items.collect();
    if v.is_empty() { "none".into() } else { v.join(", ") }
}
