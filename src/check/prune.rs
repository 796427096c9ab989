//! What a phase's losses or a view's roots need, port by port, and nothing else.

use super::scene::{Inst, Out, Scene};
use crate::diag::{Problem, Spanned};
use crate::graph::Ref;
use glad_nodes::{Arity, Bindings, Contract, Input, Output, Side, Type, TypeExpr, Wiring};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A reference that is needed, and the output that it resolves to.
#[derive(Clone)]
pub(super) struct Edge<'g> {
    /// As written.
    pub r: &'g Spanned<Ref>,
    /// As resolved here.
    pub out: Out,
}

/// What is needed.
pub(super) struct Needs<'s, 'c, 'g> {
    scene: &'s Scene<'c, 'g>,
    /// Ports that are needed, by instance.
    pub ports: BTreeMap<Inst, BTreeSet<String>>,
    types: HashMap<Out, Option<Type>>,
    targets: HashMap<(Inst, String), Option<Vec<Edge<'g>>>>,
}

impl<'s, 'c, 'g> Needs<'s, 'c, 'g> {
    /// Starts from `roots`.
    pub(super) fn of(scene: &'s Scene<'c, 'g>, roots: impl IntoIterator<Item = Out>) -> Self {
        let mut needs = Needs {
            scene,
            ports: BTreeMap::new(),
            types: HashMap::new(),
            targets: HashMap::new(),
        };
        for r in roots {
            needs.need(&r);
        }
        needs.level_joint();
        needs
    }

    /// Requests an output and everything that it is computed from.
    fn need(&mut self, out: &Out) {
        if self.ports.get(&out.inst).is_some_and(|p| p.contains(&out.port)) {
            return;
        }
        let Some(c) = self.scene.contract(out.inst) else { return };
        let Some(output) = c.outputs.iter().find(|o| o.name == out.port) else {
            return;
        };
        self.ports.entry(out.inst).or_default().insert(out.port.clone());
        if self.scene.is_kept(out.inst) {
            return;
        }
        for input in c.inputs.iter().filter(|i| comes_from(output, i)) {
            for e in self.kept(out.inst, input).unwrap_or_default() {
                self.need(&e.out);
            }
        }
    }

    /// The type of an output, where it can be known; type errors are reported later, for what is needed.
    fn ty(&mut self, out: &Out) -> Option<Type> {
        if let Some(t) = self.types.get(out) {
            return t.clone();
        }
        let ty = self.infer(out);
        self.types.insert(out.clone(), ty.clone());
        ty
    }

    fn infer(&mut self, out: &Out) -> Option<Type> {
        if self.scene.is_kept(out.inst) {
            return Some(self.scene.left(out)?.ty.clone());
        }
        let c = self.scene.contract(out.inst)?;
        let output = c.outputs.iter().find(|o| o.name == out.port)?;
        let mut arrived: Vec<(String, Vec<Option<Type>>)> = vec![];
        for input in c.inputs.iter().filter(|i| comes_from(output, i)) {
            let edges = self.kept(out.inst, input).unwrap_or_default();
            arrived.push((input.name.clone(), edges.iter().map(|e| self.ty(&e.out)).collect()));
        }
        let wiring = Wiring {
            count: arrived.iter().map(|(p, t)| (p.clone(), t.len())).collect(),
        };
        let c = self.scene.contract_with(out.inst, &wiring)?;
        let mut b = Bindings {
            scope: self.scene.dims.clone(),
            ..Bindings::default()
        };
        for (port, types) in &arrived {
            let input = c.inputs.iter().find(|i| i.name == *port)?;
            for (i, t) in types.iter().enumerate() {
                if let Some(t) = t {
                    // Where sizes do not fit, the rest is bound all the same.
                    let _ = pattern(input, i).bind(t, &mut b);
                }
            }
        }
        c.outputs.iter().find(|o| o.name == out.port)?.ty.resolve(&b).ok()
    }

    /// What is connected to an input, without empty views where it accepts that; `None` where a reference is wrong.
    pub(super) fn kept(&mut self, inst: Inst, input: &Input) -> Option<Vec<Edge<'g>>> {
        let edges = self.edges(inst, input)?;
        if input.arity == Arity::One {
            return Some(edges);
        }
        let full: Vec<Edge> = edges
            .iter()
            .filter(|e| !self.ty(&e.out).is_some_and(|t| t.is_empty()))
            .cloned()
            .collect();
        // A list of only empty views is an error, which is reported later.
        Some(if full.is_empty() && input.arity == Arity::Many {
            edges
        } else {
            full
        })
    }

    fn edges(&mut self, inst: Inst, input: &Input) -> Option<Vec<Edge<'g>>> {
        let key = (inst, input.name.clone());
        if let Some(e) = self.targets.get(&key) {
            return e.clone();
        }
        let refs = self
            .scene
            .node(inst)
            .inputs
            .get(&input.name)
            .map_or(&[][..], |r| r.as_slice());
        let mut edges = Some(vec![]);
        for r in refs.iter().take(input.first.unwrap_or(refs.len())) {
            match self.scene.targets(r, inst.stream, input.all_streams, input.whole_list) {
                Ok(outs) => {
                    if let Some(e) = &mut edges {
                        e.extend(outs.into_iter().map(|out| Edge { r, out }));
                    }
                }
                Err(p) => {
                    if let Some(p) = p {
                        self.scene.push(self.scene.inside(p, inst));
                    }
                    edges = None;
                }
            }
        }
        self.targets.insert(key, edges.clone());
        edges
    }

    /// A joint node has one call: what is needed of it in one stream is needed in all its streams.
    fn level_joint(&mut self) {
        loop {
            let mut wanted: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            for (inst, ports) in &self.ports {
                if self.scene.contract(*inst).is_some_and(|c| c.joint) {
                    wanted.entry(inst.node).or_default().extend(ports.iter().cloned());
                }
            }
            let missing: Vec<Out> = self
                .ports
                .iter()
                .filter_map(|(inst, ports)| Some((inst, ports, wanted.get(&inst.node)?)))
                .flat_map(|(inst, ports, all)| {
                    all.difference(ports).map(|p| Out {
                        inst: *inst,
                        port: p.clone(),
                    })
                })
                .collect();
            if missing.is_empty() {
                return;
            }
            for m in missing {
                self.need(&m);
                // Also where the port turned out to be wrong: it is not requested again.
                self.ports.entry(m.inst).or_default().insert(m.port);
            }
        }
    }

    /// The inputs that the needed ports depend on.
    pub(super) fn taken<'i>(&self, inst: Inst, c: &'i Contract) -> Vec<&'i Input> {
        if self.scene.is_kept(inst) {
            return vec![];
        }
        let ports = &self.ports[&inst];
        let needed: Vec<&Output> = c.outputs.iter().filter(|o| ports.contains(&o.name)).collect();
        c.inputs
            .iter()
            .filter(|i| needed.iter().any(|o| comes_from(o, i)))
            .collect()
    }

    /// Adds metrics (domain accuracy) of nodes that run anyway: they cost nothing.
    pub(super) fn free_metrics(&mut self) {
        let insts: Vec<Inst> = self.ports.keys().copied().collect();
        for inst in insts {
            let Some(c) = self.scene.contract(inst).filter(|c| c.side == Side::Device) else {
                continue;
            };
            for o in c.outputs.iter().filter(|o| is_metric(&o.ty)) {
                let mut from = c.inputs.iter().filter(|i| comes_from(o, i));
                let connected = |i: &Input| self.scene.node(inst).inputs.get(&i.name).is_some_and(|r| !r.is_empty());
                let taken = self.taken(inst, &c);
                if from.all(|i| taken.iter().any(|t| t.name == i.name) || !connected(i)) {
                    self.ports.entry(inst).or_default().insert(o.name.clone());
                }
            }
        }
    }

    /// Reports an instance that belongs to no stream although its parameters differ by stream.
    pub(super) fn check_streamless(&self) {
        for inst in self.ports.keys().filter(|i| i.stream.is_none()) {
            let node = self.scene.node(*inst);
            if let Some((stream, params)) = node.per_stream.iter().next() {
                let place = params.values().next().map_or(&node.place, |t| &t.place);
                self.scene.cx.push(
                    Problem::error(format!(
                        "`{}` exists once, and has parameters of stream {stream}",
                        node.path
                    ))
                    .at(place, format!("for stream {stream} only"))
                    .at(&node.place, "all its inputs name their streams, so it belongs to none")
                    .help("write the parameter for the node as a whole"),
                );
            }
        }
    }
}

/// The pattern of the `i`-th reference of an input.
pub(super) fn pattern(input: &Input, i: usize) -> &TypeExpr {
    input.types.get(i).unwrap_or(&input.types[input.types.len() - 1])
}

/// Whether an output is computed from an input.
pub(super) fn comes_from(output: &Output, input: &Input) -> bool {
    output.from.as_ref().is_none_or(|f| f.contains(&input.name))
}

fn is_metric(ty: &TypeExpr) -> bool {
    ty.dims.is_empty() && matches!(&ty.head, glad_nodes::HeadExpr::Is(glad_nodes::Head::Metric))
}
