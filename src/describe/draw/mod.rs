//! A picture of a graph: a layered drawing from left to right, as SVG, without external resources.
//!
//! `build` makes a `Picture`, plain data, from a checked graph; `fold` merges equal composites into one box; `arrange`
//! positions everything (`layers`, `grid`, `order`, `place` are the layered layout, which knows nothing of nodes);
//! `render` writes SVG.

mod arrange;
mod build;
mod cards;
mod edges;
mod fold;
mod grid;
mod layers;
mod order;
mod picture;
mod place;
mod render;
mod sizes;
mod symbols;

use crate::graph::Graph;
use crate::program::Checked;
use glad_nodes::Registry;

/// The graph as SVG: nodes grouped by purpose, the line between host and device, composites as frames, streams as
/// colours of lines, the terms of the objectives; below it the phases and views with the nodes that each keeps. Of
/// three or more equal composites, one is drawn open.
pub fn draw(graph: &Graph, checked: &Checked, registry: &Registry) -> String {
    let mut picture = build(graph, checked, registry);
    fold::fold(&mut picture);
    render::render(&picture)
}

/// The same with all composites open.
pub fn draw_open(graph: &Graph, checked: &Checked, registry: &Registry) -> String {
    render::render(&build(graph, checked, registry))
}

fn build(graph: &Graph, checked: &Checked, registry: &Registry) -> picture::Picture {
    build::build(&build::Scene {
        graph,
        checked,
        registry,
    })
}
