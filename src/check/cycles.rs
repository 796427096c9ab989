//! Cycles of nodes.

use super::cx::Cx;
use crate::diag::Problem;
use petgraph::algo::{astar, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};

/// Reports every cycle; true if there is none.
pub(super) fn none(cx: &Cx) -> bool {
    let mut g: DiGraph<(), ()> = DiGraph::new();
    let ids: Vec<NodeIndex> = cx.graph.nodes.values().map(|_| g.add_node(())).collect();
    for (i, node) in cx.graph.nodes.values().enumerate() {
        for r in node.inputs.values().flatten() {
            if let Some(from) = cx.graph.nodes.get_index_of(&r.value.node) {
                g.update_edge(ids[from], ids[i], ());
            }
        }
    }
    let mut knots: Vec<Vec<usize>> = tarjan_scc(&g)
        .into_iter()
        .filter(|c| c.len() > 1 || g.find_edge(c[0], c[0]).is_some())
        .map(|c| c.into_iter().map(NodeIndex::index).collect())
        .collect();
    knots.iter_mut().for_each(|k| k.sort());
    knots.sort();
    for knot in &knots {
        cx.push(cycle(cx, &g, knot));
    }
    knots.is_empty()
}

/// The shortest way from the first node of `knot` back to it.
fn cycle(cx: &Cx, g: &DiGraph<(), ()>, knot: &[usize]) -> Problem {
    let start = NodeIndex::new(knot[0]);
    let back = |from| astar(g, from, |n| n == start, |_| 1, |_| 0);
    let (_, way) = g
        .neighbors(start)
        .filter_map(back)
        .min()
        .expect("a knot has a way back");
    let path: Vec<usize> = std::iter::once(start).chain(way).map(NodeIndex::index).collect();
    let names: Vec<&str> = path.iter().map(|i| cx.node(*i).path.as_str()).collect();
    let mut p = Problem::error(format!("nodes feed each other in a cycle: {}", names.join(" → ")));
    for pair in path.windows(2) {
        let (from, to) = (cx.node(pair[0]), cx.node(pair[1]));
        if let Some(r) = to.inputs.values().flatten().find(|r| r.value.node == from.path) {
            p = p.at(&r.place, format!("`{}` takes from `{}`", to.path, from.path));
        }
    }
    p.help("a node can only take what was computed before it: leave one of these references out")
}
