//! What a graph has and nothing uses.

use super::cx::Cx;
use super::prune::Needs;
use super::scene::Scene;
use crate::diag::Problem;
use std::collections::{BTreeMap, BTreeSet};

/// What phases and views have used.
#[derive(Default)]
pub(super) struct Used {
    nodes: BTreeSet<usize>,
    /// For each stream that runs, whether its labels are used.
    labels: BTreeMap<String, bool>,
}

impl Used {
    /// Adds what one phase or view needs.
    pub fn add(&mut self, scene: &Scene, needs: &Needs) {
        for (inst, ports) in &needs.ports {
            self.nodes.insert(inst.node);
            let (Some(c), Some(s)) = (scene.contract(*inst), inst.stream) else {
                continue;
            };
            if c.inputs.is_empty() && c.outputs.iter().any(|o| o.supervision) {
                let uses = c.outputs.iter().any(|o| o.supervision && ports.contains(&o.name));
                *self.labels.entry(scene.streams[s].to_string()).or_default() |= uses;
            }
        }
    }
}

/// Notes of nodes that nothing needs, and of labels that nothing reads.
pub(super) fn check(cx: &Cx, used: &Used) {
    let mut told: Vec<&str> = vec![];
    for (i, node) in cx.graph.nodes.values().enumerate() {
        // What is bypassed everywhere is left out on purpose.
        if used.nodes.contains(&i) || node.bypass.is_some() {
            continue;
        }
        // A composite of which nothing is used is told as one.
        let top = node.inside.first().map_or(node.path.as_str(), |s| s.value.as_str());
        let below = format!("{top}.");
        let whole = |(j, n): (usize, &crate::graph::NodeDef)| {
            !(n.path == top || n.path.starts_with(&below)) || !used.nodes.contains(&j)
        };
        let all_unused = cx.graph.nodes.values().enumerate().all(whole);
        let (name, place) = match (all_unused, node.inside.first()) {
            (true, Some(outer)) => (top, &outer.place),
            _ => (node.path.as_str(), &node.place),
        };
        if !told.contains(&name) {
            told.push(name);
            cx.push(
                Problem::note(format!("`{name}` is used by no phase and no view"))
                    .at(place, "never runs")
                    .help("what runs is what losses and the roots of views need"),
            );
        }
    }
    // Measures over lists need no labels.
    let trains = !cx.graph.phases.is_empty();
    for (stream, _) in used.labels.iter().filter(|(_, used)| trains && !**used) {
        cx.push(Problem::note(format!(
            "the labels of stream {stream} are used by nothing"
        )));
    }
}
