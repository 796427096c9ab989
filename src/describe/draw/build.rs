//! From a checked graph to a picture of it.

use super::edges::edges;
use super::picture::{Card, Frame, NodeBox, Picture, Zone};
use super::symbols::types;
use crate::graph::{Graph, NodeDef};
use crate::program::Program;
use crate::program::{Checked, RESULT_VIEW};
use crate::tree::Tree;
use glad_nodes::{Group, Registry, Side};
use std::collections::HashMap;

/// The context of all steps.
pub(super) struct Scene<'a> {
    pub graph: &'a Graph,
    pub checked: &'a Checked,
    pub registry: &'a Registry,
}

impl<'a> Scene<'a> {
    /// Programs, the most informative first: phases from the last that runs, then views.
    pub(super) fn programs(&self) -> Vec<&'a Program> {
        let turns = self
            .graph
            .run
            .iter()
            .rev()
            .filter_map(|r| self.checked.phases.get(&r.value));
        let mut all: Vec<&Program> = vec![];
        for p in turns
            .chain(self.checked.phases.values())
            .chain(self.checked.views.values())
        {
            if !all.iter().any(|o| std::ptr::eq(*o, p)) {
                all.push(p);
            }
        }
        all
    }
}

/// The picture of a graph.
pub(super) fn build(s: &Scene) -> Picture {
    let mut streams: Vec<String> = s.graph.streams.iter().map(|t| t.value.clone()).collect();
    for stream in s
        .checked
        .phases
        .values()
        .chain(s.checked.views.values())
        .flat_map(|p| &p.streams)
    {
        if !streams.contains(stream) {
            streams.push(stream.clone());
        }
    }
    let mut p = Picture {
        title: s.graph.title.as_ref().map_or("experiment".into(), |t| t.value.clone()),
        subtitle: subtitle(s.graph),
        streams,
        ..Picture::default()
    };
    let mut frames: HashMap<String, usize> = HashMap::new();
    for node in s.graph.nodes.values() {
        let frame = frame(s, &mut p, &mut frames, &node.path);
        p.boxes.push(node_box(s, node, frame));
    }
    outputs(s, &mut p);
    edges(s, &mut p);
    p.cards = cards(s, &p);
    p
}

fn subtitle(graph: &Graph) -> String {
    let expect = graph.expect.as_ref().map(|e| format!("published: {} %", e.value));
    let oracle = graph.oracle.then(|| "oracle: uses held-out labels".to_string());
    oracle.into_iter().chain(expect).collect::<Vec<_>>().join(" · ")
}

/// The composite that contains `path`, created with those around it.
fn frame(s: &Scene, p: &mut Picture, frames: &mut HashMap<String, usize>, path: &str) -> Option<usize> {
    let mut parent = None;
    for (i, _) in path.match_indices('.') {
        let name = &path[..i];
        parent = Some(*frames.entry(name.to_string()).or_insert_with(|| {
            let kind = s
                .graph
                .tree
                .at(["nodes", name, "kind"])
                .and_then(Tree::text)
                .unwrap_or("");
            p.frames.push(Frame {
                name: name.rsplit('.').next().unwrap_or(name).to_string(),
                kind: kind
                    .trim_start_matches("../")
                    .trim_start_matches("glad:")
                    .trim_end_matches(".toml")
                    .to_string(),
                parent,
            });
            p.frames.len() - 1
        }));
    }
    parent
}

fn node_box(s: &Scene, node: &NodeDef, frame: Option<usize>) -> NodeBox {
    let entry = s.registry.get(&node.kind.value);
    let phases = || s.checked.phases.values().chain(s.checked.views.values());
    let side = phases()
        .flat_map(|p| &p.calls)
        .find(|c| c.node == node.path)
        .map(|c| c.side);
    let zone = match (side, entry.map(|e| e.group)) {
        (Some(Side::Host), _) | (None, Some(Group::Data)) => Zone::Host,
        (Some(Side::Boundary), _) => Zone::Boundary,
        _ => Zone::Device,
    };
    let only = node.only.as_ref().map(|o| {
        let names: Vec<&str> = o.iter().map(|n| n.value.as_str()).collect();
        format!("{} only", names.join(", "))
    });
    let marks = only
        .into_iter()
        .chain(node.bypass.as_ref().map(|_| "bypassed".to_string()))
        .chain(node.weights.as_ref().map(|w| format!("weights of {}", w.value)))
        .chain(node.copy.as_ref().map(|c| format!("copy of {}", c.of.value)))
        .collect();
    let terms = s
        .graph
        .run
        .iter()
        .filter_map(|r| s.checked.phases.get(&r.value))
        .flat_map(|p| {
            let gives = |id: &crate::program::ValueId| p.calls[p.values[id.0].call].node == node.path;
            p.losses
                .iter()
                .filter(move |t| t.values.iter().any(gives))
                .map(|t| format!("{} × {}", p.rounds[t.round].whole(&p.name), t.weight))
        });
    NodeBox {
        path: node.path.clone(),
        name: node.path.rsplit('.').next().unwrap_or(&node.path).to_string(),
        kind: node.kind.value.clone(),
        group: entry.map_or("", |e| e.group.name()),
        zone,
        outputs: vec![],
        terms: terms.collect(),
        marks,
        train_only: node.train_only,
        // A graph that trains nothing has only views.
        pale: !s.checked.phases.is_empty()
            && !s
                .checked
                .phases
                .values()
                .any(|p| p.calls.iter().any(|c| c.node == node.path)),
        frame,
        folded: vec![],
    }
}

/// Gives boxes the outputs that something reads, with their types.
fn outputs(s: &Scene, p: &mut Picture) {
    let mut found: HashMap<(&str, &str), String> = HashMap::new();
    for program in s.programs() {
        let types = types(program, s.registry);
        let used: Vec<_> = program
            .calls
            .iter()
            .flat_map(|c| &c.inputs)
            .flat_map(|(_, ids)| ids)
            .collect();
        for call in &program.calls {
            for (port, id) in call.ports.iter().zip(&call.outputs) {
                if let Some(id) = id.filter(|id| used.contains(&id)) {
                    found.entry((&call.node, port)).or_insert_with(|| types[&id].clone());
                }
            }
        }
    }
    for (path, node) in &s.graph.nodes {
        // In the order of the contract, as in some program; a node that never runs has the outputs that are referred
        // to.
        let calls = s
            .programs()
            .into_iter()
            .flat_map(|p| &p.calls)
            .filter(|c| c.node == *path);
        let mut ports: Vec<String> = vec![];
        calls.flat_map(|c| &c.ports).for_each(|port| {
            if !ports.contains(port) {
                ports.push(port.clone());
            }
        });
        if ports.is_empty() {
            let refs = s.graph.nodes.values().flat_map(|n| n.inputs.values().flatten());
            for r in refs.filter(|r| r.value.node == *path && !r.value.port.is_empty()) {
                if !ports.contains(&r.value.port) {
                    ports.push(r.value.port.clone());
                }
            }
            let index = s.graph.nodes.get_index_of(&node.path).expect("it is one of them");
            p.boxes[index].outputs = ports.into_iter().map(|port| (port, String::new())).collect();
            continue;
        }
        let index = s.graph.nodes.get_index_of(path).expect("it is one of them");
        let typed = |port: String| {
            found
                .get(&(path.as_str(), port.as_str()))
                .map(|t| (port.clone(), t.clone()))
        };
        p.boxes[index].outputs = ports.into_iter().filter_map(typed).collect();
    }
}

fn cards(s: &Scene, p: &Picture) -> Vec<Card> {
    let mut order: Vec<&str> = s.graph.run.iter().map(|r| r.value.as_str()).collect();
    if !order.iter().any(|n| s.checked.views.contains_key(*n)) && s.checked.views.contains_key(RESULT_VIEW) {
        order.push(RESULT_VIEW);
    }
    let turns = order.len();
    for name in s.checked.phases.keys().chain(s.checked.views.keys()) {
        if !order.contains(&name.as_str()) {
            order.push(name);
        }
    }
    let card = |(i, name): (usize, &&str)| {
        let (what, program) = match s.checked.phases.get(*name) {
            Some(program) => ("phase", program),
            None => ("view", s.checked.views.get(*name)?),
        };
        Some(Card {
            turn: (i < turns).then_some(i + 1),
            what,
            name: name.to_string(),
            facts: facts(s.graph, name, program),
            keeps: keeps(p, program),
        })
    };
    order.iter().enumerate().filter_map(card).collect()
}

fn facts(graph: &Graph, name: &str, program: &Program) -> String {
    let mut facts = vec![];
    let (mut dims, mut batch) = (None, program.batch.to_string());
    match (graph.phases.get(name), graph.views.get(name)) {
        (Some(p), _) => {
            facts.extend(p.epochs.as_ref().map(|e| format!("{} epochs", e.value)));
            facts.extend(p.steps.as_ref().map(|e| format!("{} steps", e.value)));
            (dims, batch) = (Some(&p.dims), p.batch.value.to_string());
        }
        (None, Some(v)) => {
            facts.push(format!("split {}", program.split));
            dims = Some(&v.dims);
        }
        _ => {}
    }
    facts.push(format!("batch {batch}"));
    facts.push(program.streams.join(", "));
    let dims: Vec<String> = dims
        .into_iter()
        .flatten()
        .map(|(n, v)| format!("{n} = {}", v.value))
        .collect();
    if !dims.is_empty() {
        facts.push(dims.join(", "));
    }
    facts.join(" · ")
}

/// The nodes and composites that a program keeps, in the order in which they run.
fn keeps(p: &Picture, program: &Program) -> Vec<(String, &'static str)> {
    let mut all: Vec<(String, Vec<&'static str>)> = vec![];
    for b in program
        .calls
        .iter()
        .filter_map(|c| p.boxes.iter().find(|b| b.path == c.node))
    {
        let top = b.path.split('.').next().unwrap_or(&b.path);
        match all.iter_mut().find(|(n, _)| n == top) {
            Some((_, groups)) => groups.push(b.group),
            None => all.push((top.to_string(), vec![b.group])),
        }
    }
    // A composite belongs to the group of most of its nodes.
    let most = |groups: Vec<&'static str>| {
        let count = |g: &str| groups.iter().filter(|o| **o == g).count();
        groups
            .iter()
            .copied()
            .reduce(|a, b| if count(b) > count(a) { b } else { a })
            .unwrap_or("")
    };
    all.into_iter().map(|(name, groups)| (name, most(groups))).collect()
}
