//! What a graph contains and nothing uses.

use super::cx::Cx;
use super::prune::Needs;
use super::scene::Scene;
use crate::diag::Problem;
use crate::graph::Select;
use crate::program::{Program, RESULT_VIEW};
use glad_nodes::Body;
use indexmap::IndexMap;
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
    pub(super) fn add(&mut self, scene: &Scene, needs: &Needs) {
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

/// Notes on nodes that nothing needs, on labels that nothing reads, and on keys without effect.
pub(super) fn check(cx: &Cx, used: &Used, phases: &IndexMap<String, Program>, views: &IndexMap<String, Program>) {
    oracle(cx, phases);
    scored(cx, views);
    let mut reported: Vec<&str> = vec![];
    for (i, node) in cx.graph.nodes.values().enumerate() {
        // What is bypassed everywhere is left out on purpose.
        if used.nodes.contains(&i) || node.bypass.is_some() {
            continue;
        }
        // A composite of which nothing is used is reported as one.
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
        if !reported.contains(&name) {
            reported.push(name);
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

/// Notes `oracle = true` where no held-out labels choose or train anything.
fn oracle(cx: &Cx, phases: &IndexMap<String, Program>) {
    let held = |stream: &str| cx.graph.held_out.iter().any(|h| h.value == stream);
    let trains = |p: &Program| {
        p.labels
            .iter()
            .any(|u| !u.losses.is_empty() && held(&p.streams[u.stream]))
    };
    let depends = |p: &Program| p.losses.iter().any(|l| l.values.iter().any(|v| p.values[v.0].held_out));
    let used = phases.values().any(|p| trains(p) || depends(p)) || cx.graph.select.value == Select::Best;
    if cx.graph.oracle && !used {
        cx.push(
            cx.graph
                .tree
                .get("oracle")
                .into_iter()
                .fold(Problem::note("`oracle = true` changes nothing"), |p, t| {
                    p.at(&t.place, "no loss and no choice depends on held-out labels")
                })
                .help("without it, results are those of an adaptation method, and say so"),
        );
    }
}

/// Notes where the result of a run scores streams other than those held out.
fn scored(cx: &Cx, views: &IndexMap<String, Program>) {
    let named = cx.graph.run.iter().filter_map(|r| views.get(&r.value));
    let named: Vec<&Program> = named.filter(|v| v.statistics.is_empty()).collect();
    let result = if named.is_empty() {
        views.get(RESULT_VIEW).into_iter().collect()
    } else {
        named
    };
    let metrics = || {
        let labels = result.iter().flat_map(|v| v.labels.iter().map(move |u| (*v, u)));
        labels.filter(|(v, u)| matches!(v.bodies[v.calls[u.call].body], Body::Metric(_)))
    };
    let held = |stream: &String| cx.graph.held_out.iter().any(|h| h.value == *stream);
    if cx.graph.phases.is_empty() || metrics().next().is_none() {
        return;
    }
    if let (Some(stream), false) = (
        cx.graph.held_out.first(),
        metrics().any(|(v, u)| held(&v.streams[u.stream])),
    ) {
        let view = &cx.graph.views[&result[0].name];
        cx.push(
            Problem::warning(format!("nothing scores `{}`, to which the method adapts", stream.value))
                .at(&view.place, format!("view {} gives the result of a run", view.name))
                .at(&stream.place, "held out here")
                .help(format!(
                    "give it a root such as `scores.mean_class_accuracy@{}`",
                    stream.value
                )),
        );
    }
}
