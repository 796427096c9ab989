//! The implementations behind calls: built once for the same node, parameters and types.

use super::cx::inside;
use super::draft::Draft;
use super::prune::Edge;
use super::typing::Node;
use super::{params, weights};
use crate::diag::Problem;
use crate::program::ValueId;
use glad_nodes::{Body, BuildCx, Contract, Gradient, Head, HeadExpr, Output, Side, Type, WeightSpec};
use indexmap::IndexMap;

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
        // What cannot be known, because what it is made from is not needed, has its head and no sizes.
        let head = |o: &Output| match &o.ty.head {
            HeadExpr::Is(h) => h.clone(),
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
                    self.scene.push(params::placed(at.node, at.written, p, None));
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
            self.weights(at, c.weights())?;
        }
        self.program.bodies.push(body);
        self.bodies.insert(key, self.program.bodies.len() - 1);
        Some(self.program.bodies.len() - 1)
    }

    /// All calls of a node share its weights, so they must agree on them.
    fn weights(&mut self, at: &Node<'_, 's, 'c, 'g>, specs: Vec<WeightSpec>) -> Option<()> {
        if specs.is_empty() {
            return Some(());
        }
        let path = &at.node.path;
        match self.program.weights.get(path) {
            None => {
                self.program.weights.insert(path.clone(), specs);
            }
            Some(old) => {
                if let Some(difference) = weights::difference(old, &specs) {
                    let p = Problem::error(format!(
                        "`{path}` would have other weights in one stream than in another"
                    ))
                    .at(&at.node.place, difference)
                    .help("a node has the same weights in all streams: make its inputs the same, or make two nodes");
                    self.scene.push(inside(p, at.node));
                    return None;
                }
            }
        }
        Some(())
    }
}

fn fits(body: &Body, c: &Contract) -> bool {
    let whole = c.inputs.iter().any(|i| i.whole_list);
    match body {
        Body::Source(_) => c.side == Side::Host && c.inputs.is_empty(),
        Body::Stage(_) => c.side == Side::Host && !c.inputs.is_empty() && !whole,
        Body::Resource(_) => c.side == Side::Host && whole,
        Body::Boundary => c.side == Side::Boundary,
        Body::Compute(_) => c.side == Side::Device,
        Body::Metric(_) => c.side == Side::Device && c.gradient == Gradient::Stops,
    }
}
