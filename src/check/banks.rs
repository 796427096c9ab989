//! Banks: what is kept for each video of a list is of that list in every phase and view.

use super::cx::{Cx, inside};
use crate::diag::{Place, Problem};
use crate::program::{Call, Program, ProgramKind, ValueId};
use glad_nodes::{Head, Role};
use indexmap::IndexMap;
use std::collections::HashSet;

type Programs = IndexMap<String, Program>;

/// A use of a bank, and the list whose videos it has a row of.
struct Use<'p> {
    program: &'p Program,
    call: &'p Call,
    stream: &'p str,
    /// The source of the videos, its parameters and the split.
    list: (&'p str, &'p serde_json::Value, &'p str),
}

/// Refuses banks that get places of one list in one place and those of another elsewhere: rows would be mixed up where both
/// have as many videos. Gives the names of these.
pub(super) fn check(cx: &Cx, phases: &Programs, views: &Programs) -> HashSet<String> {
    let mut reported = HashSet::new();
    let mut kept: IndexMap<&str, Use> = IndexMap::new();
    for program in phases.values().chain(views.values()) {
        for call in &program.calls {
            let Some(found) = bank(program, call) else { continue };
            let Some(first) = kept.get(call.owner.as_str()) else {
                kept.insert(&call.owner, found);
                continue;
            };
            let anew = program.name != first.program.name && program.reset.contains(&call.owner);
            if !anew && (first.stream != found.stream || first.list != found.list) {
                if reported.insert(call.owner.clone()) {
                    differs(cx, first, &found);
                }
            } else if anew {
                kept.insert(&call.owner, found);
            }
        }
    }
    reported
}

/// The use of a bank by a call: one that takes places in a list, and has weights that nothing trains.
fn bank<'p>(program: &'p Program, call: &'p Call) -> Option<Use<'p>> {
    let specs = program.weights.get(&call.owner)?;
    let is_index = |id: &&ValueId| program.values[id.0].ty.head == Head::Index;
    let index = call.inputs.iter().flat_map(|(_, ids)| ids).find(is_index)?;
    let stream = program.values[index.0].stream?;
    let source = &program.calls[program.sources[stream]];
    specs.iter().any(|s| s.role == Role::Buffer).then_some(Use {
        program,
        call,
        stream: &program.streams[stream],
        list: (&source.node, &source.params, &program.split),
    })
}

/// `stream target, split train`.
fn of(cx: &Cx, one: &Use) -> (String, Place) {
    let (kind, place) = match one.program.kind {
        ProgramKind::Phase => ("phase", &cx.graph.phases[&one.program.name].place),
        ProgramKind::View => ("view", &cx.graph.views[&one.program.name].place),
    };
    let what = format!("{} of {} in {kind} {}", one.list.2, one.stream, one.program.name);
    (what, place.clone())
}

fn differs(cx: &Cx, first: &Use, other: &Use) {
    let node = &cx.graph.nodes[&other.call.node];
    let ((a, a_place), (b, b_place)) = (of(cx, first), of(cx, other));
    let mut p = Problem::error(format!(
        "`{}` keeps a row for each video of one list, and gets those of two: {a}, and {b}",
        first.call.owner
    ))
    .at(
        &cx.graph.nodes[&first.call.node].place,
        "rows by the place of a video in its list",
    )
    .at(&a_place, format!("videos of {a}"));
    if other.program.name != first.program.name || other.program.kind != first.program.kind {
        p = p.at(&b_place, format!("videos of {b}"));
    }
    if other.call.node != first.call.node {
        p = p.at(&node.place, "the same rows");
    }
    let help = match other.program.kind {
        ProgramKind::View => "drop what needs it from the view, or let the view read the list of the phase",
        ProgramKind::Phase => {
            "name the stream in its inputs (`index = \"batch.index@target\"`), or give each list a bank of its own"
        }
    };
    cx.push(inside(p, node).help(help));
}
