//! What is drawn, as plain data, independent of graphs and coordinates.

use crate::describe::svg::shortened;

/// A picture of an experiment.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// The title.
    pub title: String,
    /// The text next to the title.
    pub subtitle: String,
    /// Streams, in order; their lines have the colours of these indices.
    pub streams: Vec<String>,
    /// Nodes, in file order.
    pub boxes: Vec<NodeBox>,
    /// Composites, outer ones before those inside.
    pub frames: Vec<Frame>,
    /// Edges.
    pub edges: Vec<Edge>,
    /// Phases and views.
    pub cards: Vec<Card>,
}

/// The side of the graph that a node is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Zone {
    /// Data side.
    #[default]
    Host,
    /// On the boundary.
    Boundary,
    /// Device side.
    Device,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeBox {
    /// Its path, for tooltips.
    pub path: String,
    /// Its name within its composite.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its group's name; empty where the kind never runs.
    pub group: &'static str,
    /// Its side.
    pub zone: Zone,
    /// The outputs that something reads: name and type.
    pub outputs: Vec<(String, String)>,
    /// The terms of objectives that it computes: `main × 0.1`.
    pub terms: Vec<String>,
    /// Marks after the kind: `source only`.
    pub marks: Vec<String>,
    /// Left out of views.
    pub train_only: bool,
    /// Whether no phase uses it.
    pub pale: bool,
    /// The composite around it, an index into [`Picture::frames`].
    pub frame: Option<usize>,
    /// The nodes that it stands for, where it is a folded composite.
    pub folded: Vec<String>,
}

impl NodeBox {
    /// The lines below its name.
    pub(super) fn lines(&self) -> Vec<String> {
        let types = self.outputs.iter().map(|(port, ty)| match self.outputs.len() {
            1 if !ty.is_empty() => ty.clone(),
            _ => format!("{port} {ty}"),
        });
        types.map(|t| shortened(t.trim_end(), 34)).collect()
    }
}

/// A composite.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Its name.
    pub name: String,
    /// The file that it comes from.
    pub kind: String,
    /// The composite around it.
    pub parent: Option<usize>,
}

/// An edge.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// From this box.
    pub from: usize,
    /// Which of its outputs.
    pub output: usize,
    /// To this box.
    pub to: usize,
    /// The stream, an index into [`Picture::streams`]; `None` for several.
    pub stream: Option<usize>,
    /// Whether no phase uses it.
    pub pale: bool,
    /// For tooltips: `batch.label@source → ce.label`.
    pub tip: String,
}

/// A phase or view.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// Its position among those that run, from 1.
    pub turn: Option<usize>,
    /// `phase` or `view`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Its length, batch and streams.
    pub facts: String,
    /// What it keeps: names and groups.
    pub keeps: Vec<(String, &'static str)>,
}
