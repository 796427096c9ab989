//! From the outputs that are needed to a program: calls in order, typed, with bodies.

use super::order::{Group, groups, in_order};
use super::prune::{Edge, Needs};
use super::scene::{Inst, Out, Scene};
use super::typing::{Node, Typer};
use crate::diag::{Problem, Spanned};
use crate::graph::Ref;
use crate::program::{Call, Program, ProgramKind, ValueId, ValueInfo};
use glad_nodes::{Body, Contract, Gradient, Side, Size, WeightSpec, Wiring};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap};

/// A program with the context that messages about it need.
pub(super) struct Draft<'s, 'c, 'g> {
    /// The phase or view that it comes from.
    pub scene: &'s Scene<'c, 'g>,
    /// The program so far.
    pub program: Program,
    /// The origin of each call.
    pub sites: Vec<Site<'g>>,
    /// The value of each output.
    pub ids: HashMap<Out, ValueId>,
    /// Whether everything that is needed was built; what was not has been reported.
    pub complete: bool,
    /// Indices of bodies, by what they are built from.
    pub bodies: HashMap<String, usize>,
    /// The node that first used the weights of each owner.
    pub first_user: HashMap<String, &'g str>,
    typer: Typer<'g>,
    /// The program's index of a stream that runs.
    pub(super) running: BTreeMap<usize, usize>,
}

/// The origin of a call.
pub(super) struct Site<'g> {
    /// Its instances: one, or for a joint node one per stream.
    pub insts: Vec<Inst>,
    /// Its contract.
    pub contract: Contract,
    /// The references behind its inputs, parallel to [`Call::inputs`].
    pub refs: Vec<Vec<&'g Spanned<Ref>>>,
}

impl<'s, 'c, 'g> Draft<'s, 'c, 'g> {
    /// Types everything that is needed, in order.
    pub(super) fn new(
        scene: &'s Scene<'c, 'g>,
        needs: &mut Needs<'s, 'c, 'g>,
        program: Program,
        roots: &[Out],
    ) -> Self {
        let mut d = Draft {
            scene,
            program,
            sites: vec![],
            ids: HashMap::new(),
            complete: true,
            bodies: HashMap::new(),
            first_user: HashMap::new(),
            typer: Typer::default(),
            running: BTreeMap::new(),
        };
        let groups = groups(scene, needs);
        d.find_streams(needs, roots);
        for g in in_order(scene, needs, &groups) {
            if d.call(needs, &groups[g]).is_none() {
                d.complete = false;
            }
        }
        d.find_sources();
        d.owners_run();
        d.own_weights();
        d
    }

    /// Weights that start from what their owner says need the owner in the same program.
    fn owners_run(&mut self) {
        for call in self.program.calls.iter().filter(|c| c.owner != c.node) {
            let starts = matches!(&self.program.bodies[call.body], Body::Compute(c) if c.starts_from().is_some());
            if !starts || self.program.calls.iter().any(|c| c.node == call.owner) {
                continue;
            }
            let (node, owner) = (
                &self.scene.cx.graph.nodes[&call.node],
                &self.scene.cx.graph.nodes[&call.owner],
            );
            let place = node.weights.as_ref().map_or(&node.place, |w| &w.place);
            let p = Problem::error(format!(
                "`{}` uses the weights of `{}`, which does not run",
                node.path, owner.path
            ))
            .at(place, "shared here")
            .at(&owner.place, "their owner states what they start from");
            self.scene
                .push(p.help("let a loss or root there need the owner, too, or make this node the owner"));
            self.complete = false;
        }
    }

    /// Adds the weights of which each stream has its own, after those that they start as.
    fn own_weights(&mut self) {
        for (call, site) in self.program.calls.iter().zip(&self.sites) {
            if call.per_stream.is_empty() {
                continue;
            }
            let Some(stream) = call.stream else {
                let node = self.scene.node(site.insts[0]);
                let p = Problem::error(format!(
                    "`{}` has statistics of each stream, and its rows are of no single one",
                    node.path
                ))
                .at(&node.place, "rows of several streams");
                self.scene.push(
                    super::cx::inside(p, node)
                        .help("place it before the rows of streams are joined, or leave `running` out"),
                );
                self.complete = false;
                continue;
            };
            let Some(specs) = self.program.weights.get_mut(&call.owner) else {
                continue;
            };
            let stream = &self.program.streams[stream];
            let own = |s: &&WeightSpec| s.starts_as().is_none() && call.per_stream.contains(&s.role);
            for spec in specs
                .iter()
                .filter(own)
                .map(|s| s.of_stream(stream))
                .collect::<Vec<_>>()
            {
                if specs.iter().all(|s| s.name != spec.name) {
                    specs.push(spec);
                }
            }
        }
    }

    /// The streams that run: those whose single samples are used.
    fn find_streams(&mut self, needs: &mut Needs<'s, 'c, 'g>, roots: &[Out]) {
        let mut runs: Vec<usize> = roots.iter().filter_map(|o| o.inst.stream).collect();
        for inst in needs.ports.keys().copied().collect::<Vec<_>>() {
            if self.scene.is_kept(inst) {
                // Its rows are of videos of this stream.
                let left = self.scene.left_of(inst).map(|left| left.stream.as_str());
                runs.extend(left.and_then(|stream| self.scene.stream_index(stream)));
            }
            let Some(c) = self.scene.contract(inst) else { continue };
            for input in needs.taken(inst, &c).into_iter().filter(|i| !i.whole_list) {
                let edges = needs.kept(inst, input).unwrap_or_default();
                let samples = edges.iter().filter(|e| !self.of_whole_list(e.out.inst));
                runs.extend(samples.filter_map(|e| e.out.inst.stream));
            }
        }
        runs.retain(|s| *s < self.scene.own);
        runs.sort();
        runs.dedup();
        self.program.streams = runs.iter().map(|s| self.scene.streams[*s].to_string()).collect();
        self.running = runs.into_iter().enumerate().map(|(i, s)| (s, i)).collect();
        let phase = self.scene.cx.graph.phases.get(self.scene.name);
        let phase = phase.filter(|_| self.scene.kind == ProgramKind::Phase);
        let batch = phase.map(|p| &p.micro_batch.as_ref().unwrap_or(&p.batch).value);
        let of = |stream: &String| batch.map_or(self.scene.batch.0, |b| b.of(stream));
        self.program.batches = self.program.streams.iter().map(of).collect();
        self.program.batch = (self.program.batches.iter().copied().max()).unwrap_or(self.scene.batch.0);
    }

    /// Whether the outputs of an instance are computed from a whole list, before the phase: no sample of its stream, so
    /// any stream may use them.
    fn of_whole_list(&self, inst: Inst) -> bool {
        self.scene
            .contract(inst)
            .is_some_and(|c| c.inputs.iter().any(|i| i.whole_list))
    }

    /// How many videos the list of a stream has; ragged where it is not there yet.
    fn videos(&self, stream: Option<usize>) -> Size {
        let of_stream = self.program.calls.iter().filter(|c| c.stream == stream);
        let source = of_stream.into_iter().find_map(|c| match &self.program.bodies[c.body] {
            Body::Source(source) => Some(source),
            _ => None,
        });
        let count = source.and_then(|s| s.count(&self.program.split));
        count.map_or(Size::Ragged, Size::Known)
    }

    /// One source per stream.
    fn find_sources(&mut self) {
        for s in 0..self.program.streams.len() {
            let is_source = |i: &usize| {
                let c = &self.program.calls[*i];
                c.stream == Some(s) && c.side == Side::Host && self.sites[*i].contract.inputs.is_empty()
            };
            let all: Vec<usize> = (0..self.program.calls.len()).filter(is_source).collect();
            match all.as_slice() {
                [one] => self.program.sources.push(*one),
                [] => self.complete = false,
                [a, b, ..] => {
                    let (a, b) = (
                        self.scene.node(self.sites[*a].insts[0]),
                        self.scene.node(self.sites[*b].insts[0]),
                    );
                    self.scene.push(
                        Problem::error("two lists give videos to one stream")
                            .at(&a.place, "one")
                            .at(&b.place, "the other")
                            .help("a sample is one video: give one of them a stream of its own"),
                    );
                    self.complete = false;
                }
            }
        }
    }

    /// Adds the call of `group`. `None` where something that it needs is wrong (already reported).
    fn call(&mut self, needs: &mut Needs<'s, 'c, 'g>, group: &Group) -> Option<()> {
        let scene = self.scene;
        let inst = group.insts[0];
        if scene.is_kept(inst) {
            return self.kept(needs, inst);
        }
        let node = scene.node(inst);
        let parsed = scene.parsed(inst)?;
        let plain = scene.contract(inst)?;
        // Values and references by port: for a joint node those of the first stream, then of the next.
        let mut inputs: IndexMap<String, Vec<(Edge<'g>, ValueId)>> = IndexMap::new();
        let (mut wiring, mut ok) = (Wiring::default(), true);
        for input in needs.taken(inst, &plain) {
            for (n, one) in group.insts.iter().enumerate() {
                let edges = needs.kept(*one, input)?;
                let mut kept = vec![];
                for e in edges {
                    let Some(id) = self.ids.get(&e.out) else {
                        ok = false;
                        continue;
                    };
                    if self.program.values[id.0].ty.is_empty() {
                        self.empty(node, &input.name, &e, *id);
                        ok = false;
                    } else {
                        kept.push((e, *id));
                    }
                }
                if n == 0 {
                    wiring.count.insert(input.name.clone(), kept.len());
                }
                if !kept.is_empty() {
                    inputs.entry(input.name.clone()).or_default().extend(kept);
                }
            }
        }
        if !ok {
            return None;
        }
        let contract = scene.contract_with(inst, &wiring)?;
        let stream = self.meet(node, &contract, group, &inputs)?;
        let at = Node {
            scene,
            inst,
            node,
            contract: &contract,
            written: &parsed.written,
        };
        let videos = match contract.side == Side::Boundary && needs.ports[&inst].contains("index") {
            true => Some(self.videos(stream)),
            false => None,
        };
        let values = &self.program.values;
        let typed = self
            .typer
            .node(&at, group.insts.len(), &inputs, videos, |id: ValueId| &values[id.0].ty)?;
        let index = self.program.calls.len();
        let mut call = Call {
            node: node.path.clone(),
            owner: node.owner().to_string(),
            kind: scene.cx.registry.get(&node.kind.value)?.name,
            stream,
            batch: match stream {
                Some(s) => self.program.batches[s],
                None => self
                    .program
                    .batch_of_inputs(inputs.values().flatten().map(|(_, id)| *id)),
            },
            joint: contract.joint.then(|| {
                group
                    .insts
                    .iter()
                    .filter_map(|i| self.running.get(&i.stream?).copied())
                    .collect()
            }),
            side: contract.side,
            inputs: inputs
                .iter()
                .map(|(p, v)| (p.clone(), v.iter().map(|(_, id)| *id).collect()))
                .collect(),
            outputs: vec![],
            ports: vec![],
            body: self.body(&at, &parsed.params, &inputs, &typed)?,
            // What has a copy of weights is a teacher: no gradient passes it.
            gradient: match scene.cx.graph.copied(node.owner()) {
                Some(_) => Gradient::Stops,
                None => contract.gradient,
            },
            per_stream: contract.per_stream.clone(),
            whole_list: whole_list(scene, &contract, &inputs),
            over_list: contract.over_list,
            trains: false,
            params: parsed.params.clone(),
        };
        for one in &group.insts {
            for (output, ty) in contract.outputs.iter().zip(&typed) {
                let out = Out {
                    inst: *one,
                    port: output.name.clone(),
                };
                let ty = ty.clone().filter(|_| needs.ports[one].contains(&output.name));
                call.ports.push(output.name.clone());
                call.outputs.push(ty.map(|ty| {
                    let id = ValueId(self.program.values.len());
                    self.program.values.push(ValueInfo {
                        name: scene.out_name(&out),
                        ty,
                        stream: match contract.joint {
                            true => one.stream.and_then(|s| self.running.get(&s).copied()),
                            false if call.whole_list.is_some() => None,
                            // A row for each row of its first input.
                            false if call.over_list => {
                                let first = inputs.values().next().and_then(|v| v.first());
                                first.and_then(|(_, id)| self.program.values[id.0].stream)
                            }
                            false => stream.or_else(|| self.only_stream(&inputs)),
                        },
                        side: if contract.side == Side::Host {
                            Side::Host
                        } else {
                            Side::Device
                        },
                        held_out: false,
                        needs_grad: false,
                        call: index,
                    });
                    self.ids.insert(out, id);
                    id
                }));
            }
        }
        for (id, origins) in call.outputs.iter().zip(self.typer.origins(&at, group.insts.len())) {
            if let Some(id) = id {
                self.typer.made(*id, origins);
            }
        }
        self.program.calls.push(call);
        let refs = inputs.values().map(|v| v.iter().map(|(e, _)| e.r).collect()).collect();
        self.sites.push(Site {
            insts: group.insts.clone(),
            contract,
            refs,
        });
        Some(())
    }

    fn only_stream(&self, inputs: &IndexMap<String, Vec<(Edge<'g>, ValueId)>>) -> Option<usize> {
        let mut all = inputs
            .values()
            .flatten()
            .map(|(_, id)| self.program.values[id.0].stream);
        let first = all.next()??;
        all.all(|s| s == Some(first)).then_some(first)
    }

    /// The stream of a call. On the data side, values of several streams cannot be combined: a sample belongs to one
    /// video.
    fn meet(
        &self,
        node: &crate::graph::NodeDef,
        c: &Contract,
        group: &Group,
        inputs: &IndexMap<String, Vec<(Edge<'g>, ValueId)>>,
    ) -> Option<Option<usize>> {
        let own = group.insts[0].stream.and_then(|s| self.running.get(&s).copied());
        let mut place_of_own: Option<(&'g Spanned<Ref>, usize)> = None;
        let mut ok = true;
        for input in c.inputs.iter().filter(|i| !i.whole_list) {
            for (e, id) in inputs.get(&input.name).into_iter().flatten() {
                let info = &self.program.values[id.0];
                let from = self.scene.node(e.out.inst);
                let side = self.program.calls[info.call].side;
                if let Some(p) =
                    super::wiring::sides(node, c.side, &input.name, e.r, (from, side), &info.ty.to_string())
                {
                    self.scene.push(p);
                    ok = false;
                } else if c.side != Side::Device
                    && let Some(s) = info.stream
                {
                    match place_of_own {
                        None if own.is_none_or(|o| o == s) => place_of_own = Some((e.r, s)),
                        Some((_, first)) if first == s => {}
                        first => {
                            self.two_streams(node, e.r, s, first, own);
                            ok = false;
                        }
                    }
                }
            }
        }
        if !ok {
            return None;
        }
        let whole = c.inputs.iter().any(|i| i.whole_list);
        if c.side == Side::Device || whole || c.joint {
            return Some(if c.joint { None } else { own });
        }
        match own.or(place_of_own.map(|p| p.1)) {
            Some(s) => Some(Some(s)),
            // The list of a stream that does not run: only the whole list is used.
            None if c.inputs.is_empty() => Some(None),
            None => {
                self.scene.push(
                    Problem::error(format!("`{}` works on samples, and nothing gives it any", node.path))
                        .at(&node.place, "no input of it belongs to a stream")
                        .help("connect it to something that is made for each video"),
                );
                None
            }
        }
    }

    fn two_streams(
        &self,
        node: &crate::graph::NodeDef,
        r: &Spanned<Ref>,
        stream: usize,
        first: Option<(&Spanned<Ref>, usize)>,
        own: Option<usize>,
    ) {
        let name = |s: usize| self.program.streams[s].as_str();
        let other = first.map(|f| f.1).or(own).map_or("another", name);
        let p = Problem::error(format!(
            "`{}` would need samples of {} and of {other} at once",
            node.path,
            name(stream)
        ))
        .at(&r.place, format!("a sample of {}", name(stream)));
        let p = match first {
            Some((f, s)) => p.at(&f.place, format!("a sample of {}", name(s))),
            None => p.at(&node.place, format!("here in stream {other}")),
        };
        self.scene.push(super::cx::inside(p, node).help(
            "on the data side each sample is one video of one stream: let streams meet on the device, after `batch`",
        ));
    }

    fn empty(&self, node: &crate::graph::NodeDef, port: &str, e: &Edge<'g>, id: ValueId) {
        let ty = &self.program.values[id.0].ty;
        let p = Problem::error(format!("input `{port}` of `{}` is empty: {ty}", node.path))
            .at(&e.r.place, format!("`{}` has nothing in it here", e.r.value));
        let (p, globals) = self.typer.zero(p, id, ty);
        let dims = self.scene.dims_text(globals.iter().map(String::as_str));
        let advice = "drop what needs it from this phase or view, or give it clips";
        let p = super::cx::inside(p, node);
        self.scene
            .push(p.help(dims.map_or(advice.to_string(), |d| format!("{d}: {advice}"))));
    }
}

fn whole_list(scene: &Scene, c: &Contract, inputs: &IndexMap<String, Vec<(Edge<'_>, ValueId)>>) -> Option<String> {
    let input = c.inputs.iter().find(|i| i.whole_list)?;
    let (e, _) = inputs.get(&input.name)?.first()?;
    Some(scene.streams[e.out.inst.stream?].to_string())
}

#[cfg(test)]
mod tests {
    use crate::check::check;
    use crate::check::testing::graph;

    #[test]
    fn what_a_whole_list_gives_may_go_into_any_stream() {
        let bank = "[set.nodes.backgrounds.inputs]\nvideo = \"videos.video@target\"\n";
        let of = |overlay: &str| check(&graph(overlay), &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        for (phase, streams) in [
            ("", &["source", "target"][..]),
            (
                "[replace.phases.main]\nstreams = [\"source\"]\nsteps = 5\nbatch = 4\nlosses = { ce = 1.0 }\n\
              optimizer = { lr = 0.1 }",
                &["source"][..],
            ),
        ] {
            let checked = of(&format!("{bank}{phase}"));
            let program = &checked.phases["main"];
            assert_eq!(program.streams, streams);
            let whole = program.calls.iter().find(|c| c.node == "backgrounds").unwrap();
            assert_eq!(whole.whole_list.as_deref(), Some("target"));
            let mix = program.calls.iter().find(|c| c.node == "bg_mix").unwrap();
            assert_eq!(mix.stream, Some(0));
        }
    }
}
