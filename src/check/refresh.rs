//! Passes over whole lists between the steps of a phase: what a view leaves for the phases that it refreshes, and whether it is
//! of the same videos.

use super::cx::{Cx, inside};
use super::draft::{Draft, Site};
use super::leak::Way;
use super::prune::Needs;
use super::scene::{Inst, Out, Scene};
use crate::diag::{Problem, Spanned};
use crate::graph::{Often, PhaseDef, RefreshDef};
use crate::program::{Call, Program, ProgramKind, ValueId, ValueInfo};
use glad_nodes::{Body, Size, Type};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An output of a node over a list, as a view leaves it.
pub(super) struct Left<'g> {
    /// Its type; a row a video.
    pub ty: Type,
    /// The stream of the videos.
    pub stream: String,
    /// How a label of a held-out stream reached it, where one did.
    pub way: Option<Way<'g>>,
}

/// What a view leaves, by `node.port@stream`.
pub(super) type AllLeft<'g> = BTreeMap<String, Left<'g>>;

/// The view that refreshes a phase.
pub(super) struct Refreshed<'c, 'g> {
    /// Its name, as the phase gives it.
    pub view: &'g Spanned<String>,
    /// What it leaves; nothing where something is wrong with it, which was reported.
    pub left: Option<&'c AllLeft<'g>>,
}

impl<'c, 'g> Scene<'c, 'g> {
    /// What the phase's `refresh` leaves of an output.
    pub(super) fn left(&self, out: &Out) -> Option<&'c Left<'g>> {
        self.refresh.as_ref()?.left?.get(&self.out_name(out))
    }

    /// What the phase's `refresh` leaves of any output of a node.
    pub(super) fn left_of(&self, inst: Inst) -> Option<&'c Left<'g>> {
        let contract = self.contract(inst)?;
        let mut ports = contract.outputs.iter().map(|o| o.name.clone());
        ports.find_map(|port| self.left(&Out { inst, port }))
    }
}

impl<'s, 'c, 'g> Draft<'s, 'c, 'g> {
    /// Adds the call of a node whose outputs are rows that a pass over the list left. `None` where there are none (reported).
    pub(super) fn kept(&mut self, needs: &Needs<'s, 'c, 'g>, inst: Inst) -> Option<()> {
        let scene = self.scene;
        let (node, contract) = (scene.node(inst), scene.contract(inst)?);
        let Some(refresh) = &scene.refresh else {
            let p = Problem::error(format!(
                "`{}` is computed over a whole list, and {} has no pass over one",
                node.path,
                scene.title()
            ))
            .at(&node.place, "a node over a list")
            .at(scene.place, "no `refresh` here");
            let root = scene.out_name(&Out {
                inst,
                port: contract.outputs.first()?.name.clone(),
            });
            scene.push(inside(p, node).help(format!(
                "`refresh = {{ view = \"NAME\", every = 1 }}`, where the view has the root `{root}` and the phase's `split`"
            )));
            return None;
        };
        // What is wrong with the view was reported.
        refresh.left?;
        let (index, mut values) = (self.program.calls.len(), vec![]);
        let mut stream = None;
        for output in &contract.outputs {
            let out = Out {
                inst,
                port: output.name.clone(),
            };
            if !needs.ports[&inst].contains(&output.name) {
                values.push(None);
                continue;
            }
            let name = scene.out_name(&out);
            let Some(left) = scene.left(&out) else {
                self.not_left(refresh, inst, &name);
                return None;
            };
            stream = scene
                .stream_index(&left.stream)
                .and_then(|s| self.running.get(&s).copied());
            if stream.is_none() {
                let p = Problem::error(format!(
                    "`{name}` is of videos of {}, which {} does not run",
                    left.stream,
                    scene.title()
                ))
                .at(&node.place, "of a pass over another stream's list")
                .at(&refresh.view.place, "the pass");
                scene.push(inside(p, node));
                return None;
            }
            let id = ValueId(self.program.values.len());
            self.program.values.push(ValueInfo {
                name,
                ty: left.ty.clone(),
                stream,
                side: contract.side,
                held_out: false,
                needs_grad: false,
                call: index,
            });
            self.ids.insert(out, id);
            values.push(Some(id));
        }
        self.program.bodies.push(Body::Boundary);
        self.program.calls.push(Call {
            node: node.path.clone(),
            owner: node.owner().to_string(),
            kind: scene.cx.registry.get(&node.kind.value)?.name,
            stream,
            batch: stream.map_or(self.program.batch, |s| self.program.batches[s]),
            joint: None,
            side: contract.side,
            inputs: vec![],
            outputs: values,
            ports: contract.outputs.iter().map(|o| o.name.clone()).collect(),
            body: self.program.bodies.len() - 1,
            gradient: contract.gradient,
            per_stream: vec![],
            whole_list: None,
            over_list: true,
            trains: false,
            params: scene.parsed(inst)?.params.clone(),
        });
        self.sites.push(Site {
            insts: vec![inst],
            contract: (*contract).clone(),
            refs: vec![],
        });
        Some(())
    }

    /// Reports an output that the view of a phase's `refresh` does not give.
    fn not_left(&self, refresh: &Refreshed, inst: Inst, name: &str) {
        let (scene, node) = (self.scene, self.scene.node(inst));
        let view = &scene.cx.graph.views[&refresh.view.value];
        let p = Problem::error(format!(
            "view {} does not compute `{name}`, which {} takes",
            view.name,
            scene.title()
        ))
        .at(&node.place, "a node over a list")
        .at(&refresh.view.place, "the pass over the list")
        .at(&view.place, "no root needs it");
        scene.push(inside(p, node).help(format!("add `{name}` to the view's `roots`")));
    }
}

/// Refuses nodes over a list that do not get a row of each video, and nodes that take their rows in the pass itself.
pub(super) fn rows(draft: &Draft) {
    let program = &draft.program;
    if program.kind == ProgramKind::Phase {
        return;
    }
    let over_list = |id: &ValueId| program.calls[program.values[id.0].call].over_list;
    for (call, site) in program.calls.iter().zip(&draft.sites) {
        let node = draft.scene.node(site.insts[0]);
        for ((port, ids), refs) in call.inputs.iter().zip(&site.refs) {
            for (id, r) in ids.iter().zip(refs) {
                let value = &program.values[id.0];
                let of_video = value.ty.dims.first() == Some(&Size::Batch(1)) && value.stream.is_some();
                if call.over_list && !of_video {
                    let p = Problem::error(format!(
                        "`{}` takes one row of each video at `{port}`, and `{}` is {}",
                        node.path, r.value, value.ty
                    ))
                    .at(&r.place, "other rows arrive here");
                    draft
                        .scene
                        .push(inside(p, node).help("a `mean` over clips makes one row of each video"));
                } else if !call.over_list && over_list(id) {
                    let maker = &draft.scene.cx.graph.nodes[&program.calls[value.call].node];
                    let p = Problem::error(format!(
                        "`{}` takes `{}`, which is there only when {} is over",
                        node.path,
                        r.value,
                        draft.scene.title()
                    ))
                    .at(&r.place, "taken batch by batch")
                    .at(&maker.place, "a node over a list");
                    draft.scene.push(inside(p, node).help(
                        "in a phase with `refresh` steps get its rows; in the view only other nodes over lists can take them",
                    ));
                }
            }
        }
    }
}

/// What a view leaves of its nodes over lists.
pub(super) fn left<'g>(draft: &Draft<'_, '_, 'g>, ways: &HashMap<ValueId, Way<'g>>) -> AllLeft<'g> {
    let program = &draft.program;
    if program.kind == ProgramKind::Phase {
        return AllLeft::default();
    }
    let calls = program.calls.iter().filter(|c| c.over_list);
    let outputs = calls.flat_map(|c| c.outputs.iter().flatten());
    let left = outputs.filter_map(|id| {
        let value = &program.values[id.0];
        let left = Left {
            ty: value.ty.clone(),
            stream: program.streams[value.stream?].clone(),
            way: ways.get(id).cloned(),
        };
        Some((value.name.clone(), left))
    });
    left.collect()
}

/// Checks each phase's `refresh` against its view, and that nothing else asks for what a pass over a list leaves.
pub(super) fn check(cx: &Cx, phases: &IndexMap<String, Program>, views: &IndexMap<String, Program>) {
    // What nothing takes because of another mistake is none of its own.
    let whole = cx.sink.borrow().errors() == 0;
    for phase in cx.graph.phases.values() {
        let Some(refresh) = &phase.refresh else { continue };
        same_videos(cx, phase, refresh);
        often(cx, phase, refresh);
        if let (Some(program), Some(view)) = (phases.get(&phase.name), views.get(&refresh.view.value)) {
            unused(cx, phase, refresh, program);
            same_lists(cx, phase, refresh, (program, view));
        }
    }
    for view in views.values().filter(|_| whole) {
        let refreshes = |p: &&PhaseDef| p.refresh.as_ref().is_some_and(|r| r.view.value == view.name);
        let Some(call) = view.calls.iter().find(|c| c.over_list) else {
            continue;
        };
        if cx.graph.phases.values().any(|p| refreshes(&p)) {
            continue;
        }
        let def = &cx.graph.views[&view.name];
        let node = &cx.graph.nodes[&call.node];
        let p = Problem::error(format!(
            "view {} computes `{}` over its list, and nothing takes it",
            view.name, call.node
        ));
        let root = def.roots.iter().find(|r| r.value.node == call.node);
        let p = p.at(root.map_or(&def.place, |r| &r.place), "asked for here");
        let p = p.at(&node.place, "a node over a list");
        cx.push(inside(p, node).help(format!(
            "let a phase run the view: `refresh = {{ view = \"{}\", every = 1 }}`; or leave the root out",
            view.name
        )));
    }
}

/// The view has to read the phase's lists, and to run.
fn same_videos(cx: &Cx, phase: &PhaseDef, refresh: &RefreshDef) {
    let Some(view) = cx.graph.views.get(&refresh.view.value) else {
        return;
    };
    let here =
        |what: String| Problem::error(what).at(&refresh.view.place, format!("refreshes phase {} here", phase.name));
    if view.split.value != phase.split.value {
        let p = here(format!(
            "view {} reads the split `{}`, and phase {} trains on `{}`",
            view.name, view.split.value, phase.name, phase.split.value
        ))
        .at(&view.split.place, "other videos than those of the steps");
        cx.push(p.help(format!("write `split = \"{}\"` in the view", phase.split.value)));
    }
    if view.optional {
        let p = here(format!("view {} may be left out", view.name)).at(&view.place, "`optional`");
        cx.push(p.help("leave `optional` out: the phase needs it"));
    }
}

/// Rows are by the place of a video in its list, so the lists of the streams whose rows a phase takes have to be the view's.
fn same_lists(cx: &Cx, phase: &PhaseDef, refresh: &RefreshDef, (program, view): (&Program, &Program)) {
    let of = |p: &Program, stream: &str| {
        let source = &p.calls[p.sources[p.streams.iter().position(|s| s == stream)?]];
        Some((source.node.clone(), source.params.clone()))
    };
    let taken = program.calls.iter().filter(|c| c.over_list).filter_map(|c| c.stream);
    let taken: BTreeSet<&str> = taken.map(|s| program.streams[s].as_str()).collect();
    for stream in taken {
        let (Some((node, steps)), Some((_, pass))) = (of(program, stream), of(view, stream)) else {
            continue;
        };
        // Another split is reported as such.
        if steps == pass || program.split != view.split {
            continue;
        }
        let differs = |own: &IndexMap<String, _>| own.contains_key(&node);
        let def = &cx.graph.views[&view.name];
        let mut p = Problem::error(format!(
            "view {} reads other videos of {stream} than phase {} trains on: rows are kept by the place of a video in its list",
            view.name, phase.name
        ))
        .at(&refresh.view.place, "the pass");
        if differs(&def.nodes) {
            p = p.at(&def.nodes[&node].place, "the view has parameters of its own");
        }
        if differs(&phase.nodes) {
            p = p.at(&phase.nodes[&node].place, "the phase has parameters of its own");
        }
        cx.push(p.help(format!("give `{node}` the same parameters in both")));
    }
}

/// Warns of more passes than steps.
fn often(cx: &Cx, phase: &PhaseDef, refresh: &RefreshDef) {
    let (Often::Times(times), Some(steps)) = (refresh.often.value, &phase.steps) else {
        return;
    };
    if times > steps.value {
        let p = Problem::warning(format!(
            "phase {} has {} steps, so there are no {times} passes: each step has one",
            phase.name, steps.value
        ))
        .at(&refresh.often.place, "passes of a phase")
        .at(&steps.place, "its steps");
        cx.push(p.help("`times` counts the passes of the whole phase, `steps` the steps from one to the next"));
    }
}

/// Reports passes of which a phase takes nothing.
fn unused(cx: &Cx, phase: &PhaseDef, refresh: &RefreshDef, program: &Program) {
    if program.calls.iter().any(|c| c.over_list) {
        return;
    }
    let view = &cx.graph.views[&refresh.view.value];
    let p = Problem::error(format!("phase {} takes nothing of view {}", phase.name, view.name))
        .at(&refresh.view.place, "a pass for nothing")
        .at(&view.place, "what it computes over the list is in no loss of the phase");
    let help = "use an output of a node over a list, such as `centroid_labels` or `per_video`, in a loss; or leave `refresh` out";
    cx.push(p.help(help));
}
