//! The implementations behind calls: built once for equal nodes, parameters and types.

use super::cx::inside;
use super::draft::Draft;
use super::prune::Edge;
use super::typing::Node;
use super::{params, weights};
use crate::diag::Problem;
use crate::program::ValueId;
use crate::tree::{Tree, TreeValue};
use glad_nodes::{Body, BuildCx, Contract, Gradient, Head, HeadExpr, Output, Side, StartsFrom, Type, WeightSpec};
use indexmap::IndexMap;

/// Weights of the largest node: 64 GiB of 32-bit numbers.
const MOST_WEIGHTS: u64 = 1 << 34;
/// Elements of the largest activation.
const MOST_ACTIVATIONS: u64 = 1 << 46;

impl<'s, 'c, 'g> Draft<'s, 'c, 'g> {
    /// The implementation, shared by calls of the same node, parameters and types.
    pub(super) fn body(
        &mut self,
        at: &Node<'_, 's, 'c, 'g>,
        params: &serde_json::Value,
        inputs: &IndexMap<String, Vec<(Edge<'g>, ValueId)>>,
        outputs: &[Option<Type>],
    ) -> Option<usize> {
        let types = inputs
            .iter()
            .map(|(p, v)| {
                (
                    p.clone(),
                    v.iter().map(|(_, id)| self.program.values[id.0].ty.clone()).collect(),
                )
            })
            .collect::<IndexMap<String, Vec<Type>>>();
        let key = format!("{}\n{params}\n{types:?}\n{outputs:?}", at.node.path);
        if let Some(i) = self.bodies.get(&key) {
            return Some(*i);
        }
        // An output whose type is unknown, because its inputs are not needed, keeps its head and has no sizes.
        let head = |o: &Output| match &o.ty.head {
            HeadExpr::Is(h) => h.clone(),
            HeadExpr::OneOf(heads) => heads[0].clone(),
            HeadExpr::Any(v) => Head::Other(v.clone()),
        };
        let outputs = at.contract.outputs.iter().zip(outputs);
        let cx = BuildCx {
            inputs: types,
            outputs: outputs
                .map(|(o, t)| {
                    t.clone().unwrap_or(Type {
                        head: head(o),
                        dims: vec![],
                    })
                })
                .collect(),
            dims: &self.scene.dims,
            folder: at.node.folder.clone(),
        };
        let body = match self.scene.parsed(at.inst)?.node.build(&cx) {
            Ok(b) => b,
            Err(problems) => {
                for p in &problems {
                    let files = &self.scene.cx.graph.files;
                    self.scene.push(params::placed(files, at.node, at.written, p, None));
                }
                return None;
            }
        };
        if !fits(&body, at.contract) {
            let what = format!(
                "kind `{}` is built as something else than its contract says",
                at.node.kind.value
            );
            self.scene
                .push(Problem::error(what).at(&at.node.kind.place, "a mistake in the kind itself"));
            return None;
        }
        if let Body::Compute(c) = &body {
            let weights = c.weights();
            self.borrowed(at, &weights, c.starts_from())?;
            self.countable(at, &weights, inputs)?;
            self.weights(at, weights)?;
        }
        self.program.bodies.push(body);
        self.bodies.insert(key, self.program.bodies.len() - 1);
        Some(self.program.bodies.len() - 1)
    }

    /// The cost of a node must be finite and countable: its weights, and the work on its inputs.
    fn countable(
        &self,
        at: &Node<'_, 's, 'c, 'g>,
        weights: &[WeightSpec],
        inputs: &IndexMap<String, Vec<(Edge<'g>, ValueId)>>,
    ) -> Option<()> {
        let batch = self.scene.batch.0;
        let arrives = inputs.values().flatten().map(|(_, id)| {
            let elements = self.program.values[id.0].ty.elements(batch);
            elements.unwrap_or(0) as u64
        });
        let arrives = arrives.fold(0, u64::saturating_add);
        let all = weights.iter().map(|w| w.elements() as u64).fold(0, u64::saturating_add);
        let widest = weights.iter().flat_map(|w| &w.shape).max().copied().unwrap_or(1) as u64;
        let too_many = |what: String| {
            let p = Problem::error(format!("`{}` {what}", at.node.path)).at(&at.node.place, "this node");
            let large = |t: &&Tree| matches!(t.value, TreeValue::Integer(n) if n >= 4096);
            let places = at.written.values().copied().filter(large).map(|t| &t.place);
            let p = places.take(3).fold(p, |p, place| p.at(place, "a large number"));
            let p = p.at(self.scene.batch.1, format!("B is {batch} here"));
            self.scene.push(inside(p, at.node));
        };
        if all > MOST_WEIGHTS {
            too_many(format!("would have {all} weights, which fit into no memory"));
            return None;
        }
        if arrives.checked_mul(widest).is_none_or(|n| n > MOST_ACTIVATIONS) || arrives.checked_mul(all).is_none() {
            too_many(format!(
                "would make up to {widest} numbers of each of the {arrives} that arrive, which fit into no memory"
            ));
            return None;
        }
        Some(())
    }

    /// What a node that uses or copies another's weights may not have: no weights at all, or a start of its own for them.
    fn borrowed(&self, at: &Node<'_, 's, 'c, 'g>, weights: &[WeightSpec], from: Option<StartsFrom<'_>>) -> Option<()> {
        let copy = at.node.copy.as_ref().map(|c| &c.of);
        let Some(owner) = at.node.weights.as_ref().or(copy) else {
            return Some(());
        };
        let (verb, shared) = match copy {
            Some(_) => ("copy", "copied here"),
            None => ("use", "shared here"),
        };
        let place = &self.scene.cx.graph.nodes[&owner.value].place;
        let path = &at.node.path;
        // A composite's `weights` holds for all nodes inside, of which some have none.
        let p = if weights.is_empty() && at.node.inside.is_empty() {
            Problem::error(format!(
                "`{path}` has no weights, so it cannot {verb} those of `{}`",
                owner.value
            ))
            .at(&owner.place, format!("a `{}` learns nothing", at.node.kind.value))
            .help("leave `weights` out")
        } else if from.is_some_and(|f| f != StartsFrom::NotGiven) {
            let init = at.written.get("init").map_or(&at.node.place, |t| &t.place);
            Problem::error(match copy {
                Some(_) => format!(
                    "the weights of `{path}` are a copy of those of `{}`, and start as they are",
                    owner.value
                ),
                None => format!(
                    "the weights of `{path}` are those of `{}`, and start there",
                    owner.value
                ),
            })
            .at(init, "a start of its own")
            .at(&owner.place, shared)
            .at(place, if copy.is_some() { "the original" } else { "their owner" })
            .help(format!("write `init` in `{}` alone", owner.value))
        } else {
            return Some(());
        };
        self.scene.push(inside(p, at.node));
        None
    }

    /// All calls that use the weights of a node must agree on them.
    fn weights(&mut self, at: &Node<'_, 's, 'c, 'g>, specs: Vec<WeightSpec>) -> Option<()> {
        if specs.is_empty() {
            return Some(());
        }
        let owner = at.node.owner();
        let Some(old) = self.program.weights.get(owner) else {
            self.program.weights.insert(owner.to_string(), specs);
            self.first_user.insert(owner.to_string(), &at.node.path);
            return Some(());
        };
        let Some(difference) = weights::difference(old, &specs) else {
            return Some(());
        };
        let (path, first) = (&at.node.path, self.first_user[owner]);
        let p = if first == path {
            Problem::error(format!(
                "`{path}` would have other weights in one stream than in another"
            ))
            .at(&at.node.place, difference)
            .help("a node has the same weights in all streams: make its inputs the same, or make two nodes")
        } else {
            let p = Problem::error(format!(
                "`{path}` and `{first}` cannot have the same weights: they differ"
            ))
            .at(&at.node.place, format!("with its inputs and parameters {difference}"))
            .at(&self.scene.cx.graph.nodes[first].place, "first used here");
            let tie = [at.node, &self.scene.cx.graph.nodes[first]]
                .into_iter()
                .find_map(|n| n.weights.as_ref());
            let p = match tie {
                Some(tie) => p.at(&tie.place, "shared here"),
                None => p,
            };
            p.help("give both the same parameters and inputs of the same size, or weights of their own")
        };
        self.scene.push(inside(p, at.node));
        None
    }
}

fn fits(body: &Body, c: &Contract) -> bool {
    let whole = c.inputs.iter().any(|i| i.whole_list);
    match body {
        Body::Source(_) => c.side == Side::Host && c.inputs.is_empty(),
        Body::Stage(_) => c.side == Side::Host && !c.inputs.is_empty() && !whole,
        Body::Resource(_) => c.side == Side::Host && whole,
        Body::Boundary => c.side == Side::Boundary,
        Body::Compute(_) => c.side == Side::Device && !c.over_list,
        Body::OverList(_) => c.side == Side::Device && c.over_list && c.gradient == Gradient::Stops,
        Body::Metric(_) => c.side == Side::Device && c.gradient == Gradient::Stops,
    }
}
