//! Copies of weights from phase to phase: where each begins, and where it follows.
//!
//! A copy begins with the first phase of `run` that computes it, or where none does, that trains what it is a copy of. From
//! then on every phase that trains this moves it, whether it computes the copy or not.

use super::cx::{Cx, inside};
use super::weights::difference;
use crate::diag::{Place, Problem};
use crate::graph::{CopyDef, NodeDef};
use crate::program::{Copied, Program};
use glad_nodes::WeightSpec;
use indexmap::IndexMap;
use std::collections::HashSet;

type Programs = IndexMap<String, Program>;

/// Notes in each program which of its weights are copies, and adds the copies that only follow there.
pub(super) fn check(cx: &Cx, phases: &mut Programs, views: &mut Programs) {
    // What is missing because of another mistake is none of its own.
    let whole = cx.sink.borrow().errors() == 0;
    let mut reported = HashSet::new();
    for node in cx.graph.nodes.values() {
        let Some(copy) = &node.copy else { continue };
        let computes = |p: &Program| p.weights.contains_key(&node.path);
        // Nodes without weights, and nodes that nothing needs.
        if !phases.values().chain(views.values()).any(computes) {
            continue;
        }
        if differs(cx, node, copy, phases.values().chain(views.values())) {
            continue;
        }
        let in_run: Vec<usize> = cx
            .graph
            .run
            .iter()
            .filter_map(|r| phases.get_index_of(&r.value))
            .collect();
        let trains = |p: &Program| p.trains(&copy.of.value);
        let first = |takes: &dyn Fn(&Program) -> bool| in_run.iter().copied().find(|i| takes(&phases[*i]));
        let begins = first(&computes).or_else(|| first(&trains));
        let since: Vec<usize> = in_run.iter().copied().skip_while(|i| Some(*i) != begins).collect();
        // A composite's `weights` is one mistake, however many nodes are inside.
        let once = whole && reported.insert((copy.of.place.file, copy.of.place.span.start));
        if once {
            nothing_yet(cx, node, copy, (phases, views), begins);
        }
        for (i, phase) in phases.values_mut().enumerate() {
            let alone = !in_run.contains(&i);
            let trains = phase.trains(&copy.of.value);
            let follows = since.contains(&i) && trains;
            if !follows && !phase.weights.contains_key(&node.path) {
                continue;
            }
            if !phase.weights.contains_key(&node.path) {
                let specs = phase.weights[&copy.of.value].clone();
                phase.weights.insert(node.path.clone(), specs);
            }
            phase.copies.push(Copied {
                begins: alone || Some(i) == begins || phase.reset.contains(&copy.of.value),
                moves: trains && !copy.ema.is(1.0),
                ..of(node, copy)
            });
        }
        for view in views.values_mut().filter(|v| v.weights.contains_key(&node.path)) {
            view.copies.push(of(node, copy));
        }
        if once {
            stays(cx, node, copy, phases);
        }
    }
}

/// A copy that neither begins nor moves.
fn of(node: &NodeDef, copy: &CopyDef) -> Copied {
    Copied {
        node: node.path.clone(),
        of: copy.of.value.clone(),
        ema: copy.ema.0.value,
        begins: false,
        moves: false,
    }
}

/// Whether the copy has other weights than what it is a copy of, which is reported.
fn differs<'p>(cx: &Cx, node: &NodeDef, copy: &CopyDef, programs: impl Iterator<Item = &'p Program> + Clone) -> bool {
    let specs = |p: &'p Program, path: &str| p.weights.get(path).map(Vec::as_slice);
    let pair = |p: &'p Program| Some((specs(p, &copy.of.value)?, specs(p, &node.path)?));
    let any = |path: &str| programs.clone().find_map(|p| specs(p, path));
    let mut pairs: Vec<(&[WeightSpec], &[WeightSpec])> = programs.clone().filter_map(pair).collect();
    if pairs.is_empty() {
        pairs.extend(any(&copy.of.value).zip(any(&node.path)));
    }
    let Some(difference) = pairs.into_iter().find_map(|(of, own)| difference(of, own)) else {
        return false;
    };
    let original = &cx.graph.nodes[&copy.of.value];
    let p = Problem::error(format!(
        "`{}` cannot copy the weights of `{}`: they differ",
        node.path, copy.of.value
    ))
    .at(&node.place, format!("with its inputs and parameters {difference}"))
    .at(&original.place, "what it would be a copy of")
    .at(&copy.of.place, "copied here");
    cx.push(inside(p, node).help("give both the same parameters and inputs of the same size"));
    true
}

/// Reports a phase or view that needs a copy of weights which are not there yet.
fn nothing_yet(
    cx: &Cx,
    node: &NodeDef,
    copy: &CopyDef,
    (phases, views): (&Programs, &Programs),
    begins: Option<usize>,
) {
    let has = |p: &Program| p.weights.contains_key(&copy.of.value);
    let needs = |p: &Program| p.weights.contains_key(&node.path);
    let mut there = false;
    let Some((name, of, _)) = node.copied() else { return };
    let report = |what: String, place: &Place| {
        let p = Problem::error(format!(
            "{what} needs `{name}`, a copy of the weights of `{of}`, which are not there yet"
        ))
        .at(place, "neither here nor in a phase before")
        .at(&copy.of.place, "copied here");
        cx.push(p.help(format!(
            "let a loss or root there need `{of}`, too, or a phase of `run` before it"
        )));
    };
    for entry in &cx.graph.run {
        if let Some((i, _, phase)) = phases.get_full(&entry.value) {
            there |= has(phase);
            if Some(i) == begins && !there {
                report(format!("phase {}", phase.name), &cx.graph.phases[&phase.name].place);
            }
            let def = &cx.graph.phases[&phase.name];
            let within = def.validate.iter().chain(def.refresh.as_ref().map(|r| &r.view));
            for view in within
                .filter_map(|v| views.get(&v.value))
                .filter(|v| needs(v) && !has(v) && !there)
            {
                report(format!("view {}", view.name), &cx.graph.views[&view.name].place);
            }
        } else if let Some(view) = views.get(&entry.value).filter(|v| needs(v) && !has(v) && !there) {
            report(format!("view {}", view.name), &cx.graph.views[&view.name].place);
        }
    }
    for view in views.values().filter(|v| needs(v) && !has(v) && !there) {
        if cx.graph.run.iter().all(|r| r.value != view.name) {
            report(format!("view {}", view.name), &cx.graph.views[&view.name].place);
        }
    }
}

/// Warns of a copy that does not move though it is to.
fn stays(cx: &Cx, node: &NodeDef, copy: &CopyDef, phases: &Programs) {
    let Some((name, of, _)) = node.copied() else { return };
    if copy.ema.is(0.0) {
        let p = Problem::warning(format!("`{name}` is no average: with `ema = 0` nothing of it stays"))
            .at(&copy.ema.0.place, format!("after each update it equals `{of}`"));
        cx.push(p.help("0.99 or 0.999 is usual; `weights = \"…\"` before a `detach` needs no copy"));
    }
    for phase in phases.values() {
        let computes = phase.calls.iter().any(|c| c.owner == node.path);
        let rests = phase.copy(&node.path).is_some_and(|c| !c.moves);
        if !copy.ema.is(1.0) && computes && rests {
            let p = Problem::warning(format!("`{name}` does not move in phase {}", phase.name))
                .at(&copy.of.place, format!("a copy of the weights of `{of}`"))
                .at(&cx.graph.phases[&phase.name].place, "which nothing trains here");
            cx.push(p.help("it stays as it is and computes as in a view: `ema = 1.0` says so"));
        }
    }
}
