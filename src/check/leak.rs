//! The label-leak check: a training loss may not depend on a label of a held-out stream.

use super::draft::Draft;
use super::prune::comes_from;
use crate::diag::{Problem, Spanned};
use crate::graph::Ref;
use crate::program::{ProgramKind, ValueId};
use std::collections::HashMap;

/// How a held-out label reached a value: the reference that read it from its source, and the last reference that read a
/// value which is still only a label.
#[derive(Clone)]
pub(super) struct Way<'g> {
    stream: String,
    enters: Option<&'g Spanned<Ref>>,
    label: Option<&'g Spanned<Ref>>,
}

/// Marks what depends on a held-out label, and refuses losses that do, unless the graph is an oracle, which is then
/// recorded. Gives how such labels reached what depends on them.
pub(super) fn check<'g>(draft: &mut Draft<'_, '_, 'g>) -> HashMap<ValueId, Way<'g>> {
    let ways = mark(draft);
    if draft.program.kind != ProgramKind::Phase {
        return ways;
    }
    let graph = draft.scene.cx.graph;
    let phase = &graph.phases[draft.scene.name];
    for term in &draft.program.losses {
        let Some(way) = term.values.iter().find_map(|v| ways.get(v)) else {
            continue;
        };
        let target = &phase.losses[&term.name].target;
        let what = format!(
            "loss `{}` depends on the labels of `{}`, which is held out",
            term.name, way.stream
        );
        let mut p = match graph.oracle {
            true => Problem::note(format!("oracle: {what}")),
            false => Problem::error(what),
        };
        p = p.at(&target.place, "this term of the objective");
        if let Some(r) = way.enters {
            p = p.at(
                &r.place,
                format!("`{}`: a label of `{}` enters here", r.value, way.stream),
            );
        }
        if let Some(r) = way.label.filter(|l| way.enters.is_none_or(|e| e.place != l.place)) {
            p = p.at(&r.place, format!("`{}`: the label is used here", r.value));
        }
        if !graph.oracle {
            if let Some(held) = graph.held_out.iter().find(|h| h.value == way.stream) {
                p = p.at(&held.place, "held out here");
            }
            p = p.help(format!(
                "train without the labels of `{}` (views may use them), or say `oracle = true`, and every output will \
                 say so, too",
                way.stream
            ));
        }
        draft.scene.push(p);
    }
    ways
}

fn mark<'g>(draft: &mut Draft<'_, '_, 'g>) -> HashMap<ValueId, Way<'g>> {
    let held = &draft.scene.cx.graph.held_out;
    let mut ways: HashMap<ValueId, Way<'g>> = HashMap::new();
    for (call, site) in draft.program.calls.iter().zip(&draft.sites) {
        let per_stream = site.contract.outputs.len();
        for (i, id) in call.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let output = &site.contract.outputs[i % per_stream];
            let stream = site.insts[i / per_stream].stream.map(|s| draft.scene.streams[s]);
            if output.supervision && stream.is_some_and(|s| held.iter().any(|h| h.value == s)) {
                let stream = stream.unwrap_or_default().to_string();
                ways.insert(
                    *id,
                    Way {
                        stream,
                        enters: None,
                        label: None,
                    },
                );
                continue;
            }
            // A pass over the list may have read labels, too.
            let left = (draft.scene.refresh.as_ref()).and_then(|r| r.left?.get(&draft.program.values[id.0].name));
            if let Some(way) = left.filter(|_| call.over_list).and_then(|left| left.way.as_ref()) {
                ways.insert(*id, way.clone());
                continue;
            }
            let froms = site.contract.inputs.iter().filter(|p| comes_from(output, p));
            let found = froms.into_iter().find_map(|port| {
                let at = call.inputs.iter().position(|(n, _)| *n == port.name)?;
                let values = call.inputs[at].1.iter().zip(&site.refs[at]);
                values
                    .into_iter()
                    .find_map(|(v, r)| Some((ways.get(v)?.clone(), *v, *r)))
            });
            if let Some((mut way, value, r)) = found {
                way.enters = way.enters.or(Some(r));
                if draft.program.values[value.0].ty.head == glad_nodes::Head::Label {
                    way.label = Some(r);
                }
                ways.insert(*id, way);
            }
        }
    }
    for id in ways.keys() {
        draft.program.values[id.0].held_out = true;
    }
    ways
}
