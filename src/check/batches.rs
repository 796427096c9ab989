//! Batches that differ by stream: every stream that runs has one, and rows that belong together are as many in every step.

use super::cx::inside;
use super::draft::Draft;
use super::prune::pattern;
use crate::diag::Problem;
use crate::graph::{Batch, PhaseDef};
use crate::program::{ProgramKind, ValueId};
use glad_nodes::{DimExpr, Side, Size};
use std::collections::{BTreeMap, HashMap};

/// How many rows a value has: for each size of a batch, so many times that. Values with the same have as many rows in short
/// steps, too.
type Rows = BTreeMap<usize, usize>;

/// Checks a phase whose batches are given by stream.
pub(super) fn check(draft: &Draft) {
    if draft.scene.kind != ProgramKind::Phase {
        return;
    }
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    let mut complete = true;
    for batch in [Some(&phase.batch), phase.micro_batch.as_ref()].into_iter().flatten() {
        let Some(named) = batch.value.named() else { continue };
        for stream in draft.program.streams.iter().filter(|s| !named.contains_key(*s)) {
            complete = false;
            let p = Problem::error(format!("stream `{stream}` has no batch size"))
                .at(&batch.place, "by stream, and not for this one");
            draft
                .scene
                .push(p.help(format!("write `{stream} = …`, too: videos of it in a step")));
        }
    }
    if complete && draft.program.uneven() {
        rows(draft, phase);
    }
}

/// Refuses calls that pair rows of which there are not as many.
fn rows(draft: &Draft, phase: &PhaseDef) {
    let mut found: HashMap<ValueId, Rows> = HashMap::new();
    for (i, call) in draft.program.calls.iter().enumerate() {
        let contract = &draft.sites[i].contract;
        let mut named: HashMap<&str, (Rows, (usize, usize))> = HashMap::new();
        let mut first: BTreeMap<&str, (Rows, (usize, usize))> = BTreeMap::new();
        for (port, (name, values)) in call.inputs.iter().enumerate() {
            let Some(input) = contract.inputs.iter().find(|p| p.name == *name) else {
                continue;
            };
            for (n, value) in values.iter().enumerate() {
                let Some(rows) = found.get(value) else { continue };
                first.entry(name).or_insert((rows.clone(), (port, n)));
                let Some(DimExpr::Local(letter)) = pattern(input, n).dims.first() else {
                    continue;
                };
                match named.get(letter.as_str()) {
                    // The streams of a joint node are separate.
                    _ if call.joint.is_some() => {}
                    Some((other, at)) if other != rows => {
                        return differ(draft, phase, i, (other, *at), (rows, (port, n)));
                    }
                    Some(_) => {}
                    None => {
                        named.insert(letter, (rows.clone(), (port, n)));
                    }
                }
            }
        }
        if let Some([a, b]) = contract.by_place
            && let (Some((x, at)), Some((y, beside))) = (first.get(a), first.get(b))
            && x != y
        {
            differ(draft, phase, i, (x, *at), (y, *beside));
        }
        let per_stream = contract.outputs.len();
        for (k, id) in call.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let value = &draft.program.values[id.0];
            let (Some(Size::Batch(times)), true) = (value.ty.dims.first(), call.side != Side::Host) else {
                continue;
            };
            let own = value.stream.map(|s| Rows::from([(draft.program.batches[s], *times)]));
            let made = || of(contract.outputs[k % per_stream].ty.dims.first()?, &named, *times);
            found.extend(own.or_else(made).map(|rows| (*id, rows)));
        }
    }
}

/// The rows of an output with this first dimension, which are `times` batches.
fn of(dim: &DimExpr, named: &HashMap<&str, (Rows, (usize, usize))>, times: usize) -> Option<Rows> {
    match dim {
        DimExpr::Local(name) => Some(named.get(name.as_str())?.0.clone()),
        DimExpr::Sum(terms) => terms.iter().try_fold(Rows::new(), |mut all, term| {
            let count = |rows: &Rows| rows.values().sum();
            let DimExpr::Local(name) = term else { return None };
            let own = &named.get(name.as_str())?.0;
            for (batch, n) in of(term, named, count(own))? {
                *all.entry(batch).or_default() += n;
            }
            Some(all)
        }),
        DimExpr::Product(terms) => {
            let rows = terms.iter().find_map(|t| of(t, named, times))?;
            let all: usize = rows.values().sum();
            Some(
                rows.into_iter()
                    .map(|(batch, n)| (batch, n * times / all.max(1)))
                    .collect(),
            )
        }
        _ => None,
    }
}

fn differ(
    draft: &Draft,
    phase: &PhaseDef,
    call: usize,
    (a, at): (&Rows, (usize, usize)),
    (b, beside): (&Rows, (usize, usize)),
) {
    let node = &draft.scene.cx.graph.nodes[&draft.program.calls[call].node];
    let count = |rows: &Rows| rows.iter().map(|(batch, n)| batch * n).sum::<usize>();
    let what = format!("`{}` pairs rows, of which there are not as many", node.path);
    let p = [(a, at), (b, beside)]
        .into_iter()
        .fold(Problem::error(what), |p, (rows, (port, n))| {
            let r = &draft.sites[call].refs[port][n];
            p.at(&r.place, format!("`{}` has {}", r.value, count(rows)))
        });
    let place: &Batch = &phase.batch.value;
    let p = p.at(&phase.batch.place, format!("{place} in a step"));
    draft
        .scene
        .push(inside(p, node).help("give these streams as many videos in a step"));
}
