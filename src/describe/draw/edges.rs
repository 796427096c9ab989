//! The edges of a picture, with the streams that pass along them.

use super::build::Scene;
use super::picture::{Edge, Picture};
use crate::program::{Program, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// An input of a box.
type Entry = (usize, String);
/// An output of a box: the box and the index of the output.
type Exit = (usize, usize);
/// The streams on an edge, `None` for a value computed from several.
type Streams = BTreeSet<Option<usize>>;

/// Adds the edges of all phases; then those that only views add; then the references of nodes that never run.
pub(super) fn edges(s: &Scene, p: &mut Picture) {
    let mut ways: BTreeMap<Entry, BTreeMap<Exit, (Streams, bool)>> = BTreeMap::new();
    for program in s.checked.phases.values() {
        for (entry, exit, stream) in of_program(s, p, program) {
            ways.entry(entry).or_default().entry(exit).or_default().0.insert(stream);
        }
    }
    for program in s.checked.views.values() {
        for (entry, exit, stream) in of_program(s, p, program) {
            let exits = ways.entry(entry).or_default();
            // A phase has shown what enters here; a view may bypass some of it, which the dashed boxes show.
            if exits.values().all(|(_, pale)| *pale) {
                exits
                    .entry(exit)
                    .or_insert_with(|| (Streams::new(), true))
                    .0
                    .insert(stream);
            }
        }
    }
    for (entry, exit) in unused(s, p) {
        ways.entry(entry)
            .or_default()
            .entry(exit)
            .or_insert_with(|| (Streams::from([None]), true));
    }
    let mut all: Vec<Edge> = vec![];
    for ((to, port), exits) in &ways {
        let everything: Streams = exits.values().flat_map(|(s, _)| s.iter().copied()).collect();
        for ((from, output), (streams, pale)) in exits {
            for stream in drawn(streams, &everything) {
                let at = stream.map_or(String::new(), |i| format!("@{}", p.streams[i]));
                let tip = format!(
                    "{}.{}{at} → {}.{port}",
                    p.boxes[*from].path, p.boxes[*from].outputs[*output].0, p.boxes[*to].path
                );
                let same = |e: &&Edge| (e.from, e.output, e.to, e.stream) == (*from, *output, *to, stream);
                if all.iter().find(same).is_none() {
                    all.push(Edge {
                        from: *from,
                        output: *output,
                        to: *to,
                        stream,
                        pale: *pale,
                        tip,
                    });
                }
            }
        }
    }
    p.edges = all;
}

/// The lines of an edge: one for all streams where everything that enters comes this way; else one per stream.
fn drawn(streams: &Streams, everything: &Streams) -> Vec<Option<usize>> {
    if streams.contains(&None) || (streams.len() > 1 && streams == everything) {
        return vec![None];
    }
    streams.iter().copied().collect()
}

fn of_program(s: &Scene, p: &Picture, program: &Program) -> Vec<(Entry, Exit, Option<usize>)> {
    let mut all = vec![];
    let index = |node: &str| s.graph.nodes.get_index_of(node);
    for call in &program.calls {
        let Some(to) = index(&call.node) else { continue };
        for (port, ids) in &call.inputs {
            for id in ids {
                let Some((from, output)) = exit(s, p, program, *id) else {
                    continue;
                };
                let name = match program.values[id.0].stream {
                    Some(i) => Some(program.streams[i].as_str()),
                    None => call.whole_list.as_deref(),
                };
                let stream = name.and_then(|n| p.streams.iter().position(|s| s == n));
                all.push(((to, port.clone()), (from, output), stream));
            }
        }
    }
    all
}

fn exit(s: &Scene, p: &Picture, program: &Program, id: ValueId) -> Option<Exit> {
    let call = &program.calls[program.values[id.0].call];
    let port = &call.ports[call.outputs.iter().position(|o| *o == Some(id))?];
    let from = s.graph.nodes.get_index_of(&call.node)?;
    Some((from, p.boxes[from].outputs.iter().position(|(n, _)| n == port)?))
}

/// References of nodes that are in no phase and no view.
fn unused(s: &Scene, p: &Picture) -> Vec<(Entry, Exit)> {
    let mut all = vec![];
    for (to, node) in s.graph.nodes.values().enumerate() {
        if s.programs()
            .iter()
            .any(|program| program.calls.iter().any(|c| c.node == node.path))
        {
            continue;
        }
        for (port, refs) in &node.inputs {
            for r in refs {
                let Some(from) = s.graph.nodes.get_index_of(&r.value.node) else {
                    continue;
                };
                let output = p.boxes[from].outputs.iter().position(|(n, _)| *n == r.value.port);
                all.extend(output.map(|o| ((to, port.clone()), (from, o))));
            }
        }
    }
    all
}
