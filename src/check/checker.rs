//! Runs all checks in order.

use super::absent::runs;
use super::cx::Cx;
use super::draft::Draft;
use super::prune::Needs;
use super::refresh::AllLeft;
use super::scene::{Out, Scene};
use super::starts::not_given;
use super::unused::Used;
use super::{
    banks, batches, copies, domains, gradients, labels, leak, parts, phases, refresh, rounds, select, statistics,
    terms, unused, weights, wiring,
};
use crate::diag::{Problem, Problems, Spanned};
use crate::graph::{Graph, Ramp, Ref, ViewDef};
use crate::program::{Checked, LossTerm, Program, ProgramKind, RESULT_VIEW, ValueId};
use glad_nodes::Registry;
use indexmap::IndexMap;

/// Checks a graph and builds the programs of its phases and views.
///
/// # Errors
/// All problems of the graph at once.
pub fn check(graph: &Graph, registry: &Registry) -> Result<Checked, Problems> {
    let cx = Cx::new(graph, registry);
    graph.notes.iter().for_each(|n| cx.push(n.clone()));
    phases::check(&cx);
    let (mut phases, mut views) = (IndexMap::new(), IndexMap::new());
    if wiring::check(&cx) {
        let mut used = Used::default();
        // What a view leaves for the phases that it refreshes has to be known first.
        let mut passes: IndexMap<&str, (Option<Program>, AllLeft)> = IndexMap::new();
        for refresh in graph.phases.values().filter_map(|p| p.refresh.as_ref()) {
            let name = refresh.view.value.as_str();
            if let (Some(v), false) = (graph.views.get(name), passes.contains_key(name)) {
                passes.insert(name, view(&cx, v, &mut used));
            }
        }
        for p in graph.phases.values() {
            let refresh = p.refresh.as_ref().and_then(|r| {
                let (program, left) = passes.get(r.view.value.as_str())?;
                Some((&r.view, program.as_ref().map(|_| left)))
            });
            let scene = Scene::of_phase(&cx, p, refresh);
            let losses = p.losses.iter().map(|(n, l)| Root {
                name: n,
                weight: l.weight.value,
                ramp: l.ramp,
                round: l.round,
                target: &l.target,
            });
            if let Some((program, _)) = compile(&scene, &losses.collect::<Vec<_>>(), &mut used) {
                phases.insert(p.name.clone(), program);
            }
        }
        for v in graph.views.values() {
            let made = match passes.shift_remove(v.name.as_str()) {
                Some((program, _)) => program,
                None => view(&cx, v, &mut used).0,
            };
            views.extend(made.map(|program| (v.name.clone(), program)));
        }
        refresh::check(&cx, &phases, &views);
        copies::check(&cx, &mut phases, &mut views);
        statistics::check(&cx, &phases, &mut views);
        let banks = banks::check(&cx, &phases, &views);
        weights::check(&cx, &phases, &views, (RESULT_VIEW, &banks));
        select::check(&cx, &phases, &views);
        if cx.sink.borrow().errors() == 0 {
            unused::check(&cx, &used, &phases, &views);
        }
    }
    let failed = cx.sink.borrow().errors() > 0;
    let notes = Problems {
        files: graph.files.clone(),
        list: cx.sink.into_inner().finish(),
    };
    if failed {
        return Err(notes);
    }
    let mut checked = Checked { phases, views, notes };
    let open = not_given(graph, runs(graph, &checked));
    checked.notes.list.extend(open);
    Ok(checked)
}

/// The program of a view, and what it leaves for the phases that it refreshes.
fn view<'g>(cx: &Cx<'g>, v: &'g ViewDef, used: &mut Used) -> (Option<Program>, AllLeft<'g>) {
    let scene = Scene::of_view(cx, v);
    let roots = v.roots.iter().map(|r| Root {
        name: "",
        weight: 0.0,
        ramp: Ramp::default(),
        round: 0,
        target: r,
    });
    match compile(&scene, &roots.collect::<Vec<_>>(), used) {
        Some((program, left)) => (Some(program), left),
        None => (None, AllLeft::default()),
    }
}

/// A loss of a phase, or a root of a view.
struct Root<'g> {
    name: &'g str,
    weight: f64,
    ramp: Ramp,
    round: usize,
    target: &'g Spanned<Ref>,
}

/// Builds one program, with what a view leaves of its nodes over lists; `None` where something is wrong with it (reported in
/// the sink).
fn compile<'g>(scene: &Scene<'_, 'g>, roots: &[Root<'g>], used: &mut Used) -> Option<(Program, AllLeft<'g>)> {
    let before = scene.cx.sink.borrow().errors();
    let program = Program {
        name: scene.name.to_string(),
        kind: scene.kind,
        streams: vec![],
        split: scene.split.value.clone(),
        batch: scene.batch.0,
        parts: match scene.kind {
            ProgramKind::Phase => {
                (scene.cx.graph.phases[scene.name].batch.value.largest()).div_ceil(scene.batch.0.max(1))
            }
            ProgramKind::View => 1,
        },
        batches: vec![],
        dims: scene.dims.clone(),
        values: vec![],
        calls: vec![],
        bodies: vec![],
        sources: vec![],
        weights: IndexMap::new(),
        copies: vec![],
        rounds: vec![],
        losses: vec![],
        roots: vec![],
        reach: vec![],
        labels: vec![],
        frozen: vec![],
        reset: vec![],
        statistics: vec![],
        refresh: match scene.kind {
            ProgramKind::Phase => {
                let refresh = scene.cx.graph.phases[scene.name].refresh.as_ref();
                refresh.map(|r| (r.view.value.clone(), r.often.value))
            }
            ProgramKind::View => None,
        },
        kept: match scene.kind {
            ProgramKind::Phase => scene.cx.graph.phases[scene.name].optimizer.kind.buffers().len(),
            ProgramKind::View => 0,
        },
    };
    let mut ok = true;
    let mut wanted: Vec<(&Root, Vec<Out>)> = vec![];
    for root in roots {
        match scene.targets(&scene.with_port(root.target), None, true, false) {
            Ok(outs) => wanted.push((root, outs)),
            Err(p) => {
                ok = false;
                p.into_iter().for_each(|p| scene.push(p));
            }
        }
    }
    let outs: Vec<Out> = wanted.iter().flat_map(|(_, o)| o.iter().cloned()).collect();
    let mut needs = Needs::of(scene, outs.iter().cloned());
    needs.check_streamless();
    if scene.kind == ProgramKind::Phase {
        needs.free_metrics();
    }
    used.add(scene, &needs);
    let mut draft = Draft::new(scene, &mut needs, program, &outs);
    for (root, outs) in &wanted {
        let ids: Vec<ValueId> = outs.iter().filter_map(|o| draft.ids.get(o).copied()).collect();
        ok &= ids.len() == outs.len();
        match scene.kind {
            ProgramKind::Phase => loss(&mut draft, root, ids),
            ProgramKind::View => view_root(&mut draft, root, ids),
        }
    }
    rounds::fill(&mut draft);
    let ways = leak::check(&mut draft);
    refresh::rows(&draft);
    labels::check(&mut draft);
    domains::check(&draft);
    batches::check(&draft);
    ok &= draft.complete;
    if ok && scene.kind == ProgramKind::Phase {
        gradients::check(&mut draft);
        domains::adversaries(&draft);
        terms::check(&draft);
        terms::clips(&draft);
        parts::check(&mut draft);
        let cx = scene.cx;
        for name in &cx.graph.phases[scene.name].reset {
            for node in cx.named(&name.value) {
                if draft.program.weights.contains_key(&node.path) && !draft.program.reset.contains(&node.path) {
                    draft.program.reset.push(node.path.clone());
                }
            }
        }
    }
    let clean = scene.cx.sink.borrow().errors() == before;
    let left = refresh::left(&draft, &ways);
    (ok && clean).then_some((draft.program, left))
}

fn loss(draft: &mut Draft, root: &Root, ids: Vec<ValueId>) {
    for id in &ids {
        let v = &draft.program.values[id.0];
        if v.ty.head != glad_nodes::Head::Loss || !v.ty.dims.is_empty() {
            let maker = &draft.scene.cx.graph.nodes[&draft.program.calls[v.call].node];
            let p = Problem::error(format!("`{}` is {}, not a loss", root.target.value, v.ty))
                .at(&root.target.place, "a term of the objective is of type Loss[]")
                .at(&maker.place, format!("`{}` makes it", maker.path));
            draft.scene.push(p);
        }
    }
    draft.program.losses.push(LossTerm {
        name: root.name.to_string(),
        round: root.round,
        values: ids,
        weight: root.weight,
        ramp: root.ramp,
        divided: false,
    });
}

fn view_root(draft: &mut Draft, root: &Root, ids: Vec<ValueId>) {
    for id in &ids {
        let v = &draft.program.values[id.0];
        if v.ty.is_empty() {
            let p = Problem::error(format!("`{}` is empty: {}", root.target.value, v.ty));
            draft
                .scene
                .push(p.at(&root.target.place, "there is nothing in it here"));
        }
    }
    draft.program.roots.extend(ids);
}
