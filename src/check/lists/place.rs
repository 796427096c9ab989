//! Where a list and its parameters were written.

use crate::diag::Place;
use crate::graph::{Graph, NodeDef};
use crate::program::{Program, ProgramKind};
use crate::tree::{Tree, TreeValue};

/// A parameter of a source for a stream.
pub(in crate::check) fn param<'g>(node: &'g NodeDef, stream: Option<&str>, name: &str) -> Option<&'g Tree> {
    let own = stream.and_then(|s| node.per_stream.get(s));
    own.and_then(|p| p.get(name)).or_else(|| node.params.get(name))
}

/// Where the list of a stream's split is written, else its lists, or else the node.
pub(in crate::check) fn list_place(node: &NodeDef, stream: Option<&str>, split: &str) -> Place {
    let Some(list) = param(node, stream, "list") else {
        return node.place.clone();
    };
    match &list.value {
        TreeValue::Table(lists) => lists.get(split).map_or(&list.key, |t| &t.place).clone(),
        _ => list.place.clone(),
    }
}

/// Where the number behind a name of `dims` is written for a program, and that number.
pub(in crate::check) fn dim(graph: &Graph, program: &Program, name: &str) -> Option<(Place, String)> {
    let own = match program.kind {
        ProgramKind::Phase => &graph.phases[&program.name].dims,
        ProgramKind::View => &graph.views[&program.name].dims,
    };
    let d = own.get(name).or_else(|| graph.dims.get(name))?;
    Some((d.place.clone(), format!("{name} = {}", d.value)))
}
