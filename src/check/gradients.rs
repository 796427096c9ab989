//! The gradient audit: which loss reaches whose weights, with which sign, and which weights no loss reaches.

use super::cx::inside;
use super::draft::Draft;
use super::prune::comes_from;
use super::rounds;
use crate::diag::{Problem, Spanned};
use crate::graph::RoundDef;
use crate::program::{LossTerm, Reach, ValueId};
use glad_nodes::{Gradient, Input, Output, Role, Side};
use std::collections::{BTreeMap, HashMap};

/// The signs with which a gradient arrives.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signs {
    plus: bool,
    minus: bool,
}

impl Signs {
    /// The sign of a term with this weight.
    pub(super) fn of(weight: f64) -> Signs {
        Signs {
            plus: weight >= 0.0,
            minus: weight < 0.0,
        }
    }
    fn or(self, o: Signs) -> Signs {
        Signs {
            plus: self.plus || o.plus,
            minus: self.minus || o.minus,
        }
    }
    fn turned(self) -> Signs {
        Signs {
            plus: self.minus,
            minus: self.plus,
        }
    }
    /// +1, −1, or 0 where both arrive.
    pub(super) fn sign(self) -> i8 {
        self.plus as i8 - self.minus as i8
    }
}

/// Fills in the audit of a phase, round by round, and which values need a gradient; refuses losses that train nothing and
/// weights that no loss trains.
pub(super) fn check(draft: &mut Draft) {
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    frozen(draft, &phase.frozen);
    let trainable = |draft: &Draft, node: &str| {
        let has = draft
            .program
            .weights
            .get(node)
            .is_some_and(|w| w.iter().any(|s| s.role != Role::Buffer));
        has && !draft.program.frozen.iter().any(|f| f == node)
    };
    let mut trains: BTreeMap<String, bool> = BTreeMap::new();
    for call in &draft.program.calls {
        if !trains.contains_key(&call.owner) {
            trains.insert(call.owner.clone(), trainable(draft, &call.owner));
        }
    }
    let mut touched = Touched::new();
    for index in 0..phase.rounds.len() {
        round(draft, index, &trains, &mut touched);
    }
    for (i, v) in draft.program.values.iter_mut().enumerate() {
        v.needs_grad = draft.program.rounds.iter().any(|r| r.grads[i]);
    }
    for (i, call) in draft.program.calls.iter_mut().enumerate() {
        call.trains = draft.program.rounds.iter().any(|r| r.trains[i]);
    }
    unreached(draft, &trains, &touched);
}

/// A loss that reaches the weights of a node, whether its round trains them or not.
type Touched = BTreeMap<String, String>;

/// The audit of one round. `trainable` are the owners of weights that a round may train.
fn round(draft: &mut Draft, index: usize, trainable: &BTreeMap<String, bool>, touched: &mut Touched) {
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    let def = &phase.rounds[index];
    let trains: BTreeMap<String, bool> = (trainable.iter())
        .map(|(owner, may)| (owner.clone(), *may && rounds::trains(def, owner)))
        .collect();
    let above = above(draft, &trains);
    let terms: Vec<LossTerm> = (draft.program.losses.iter())
        .filter(|t| t.round == index)
        .cloned()
        .collect();
    let mut reached: HashMap<usize, Signs> = HashMap::new();
    let mut arrives: HashMap<ValueId, Signs> = HashMap::new();
    for term in &terms {
        let (values, calls) = back(draft, &term.values, Signs::of(term.weight));
        let mut by_node: BTreeMap<Option<usize>, (String, Signs)> = BTreeMap::new();
        for (call, signs) in &calls {
            let c = &draft.program.calls[*call];
            if draft.program.weights.contains_key(&c.owner) {
                let order = draft.scene.cx.graph.nodes.get_index_of(&c.owner);
                let entry = by_node.entry(order).or_insert((c.owner.clone(), Signs::default()));
                entry.1 = entry.1.or(*signs);
            }
            if trains[&c.owner] {
                let r = reached.entry(*call).or_default();
                *r = r.or(*signs);
            }
        }
        for (node, _) in by_node.values() {
            touched.entry(node.clone()).or_insert_with(|| term.name.clone());
        }
        if !by_node.values().any(|(n, _)| trains[n]) {
            let nodes: Vec<&str> = by_node.values().map(|(n, _)| n.as_str()).collect();
            useless(draft, term, def, &nodes, trainable);
        }
        let turned = by_node.values().any(|(n, s)| s.plus && trains[n]) && term.weight < 0.0;
        if turned {
            let weight = &phase.losses[&term.name].weight;
            draft.scene.push(
                Problem::note(format!(
                    "loss `{}` has a negative weight and passes a gradient reversal",
                    term.name
                ))
                .at(&weight.place, "negative")
                .help("the two cancel: what is behind the reversal descends on the loss, its head ascends on it"),
            );
        }
        for (node, signs) in by_node.into_values().filter(|(n, _)| trains[n]) {
            draft.program.reach.push(Reach {
                loss: term.name.clone(),
                node,
                sign: signs.sign(),
            });
        }
        for (v, s) in values {
            let a = arrives.entry(v).or_default();
            *a = a.or(s);
        }
    }
    let program = &mut draft.program;
    let grads = (above.iter().enumerate()).map(|(i, above)| *above && arrives.contains_key(&ValueId(i)));
    program.rounds[index].grads = grads.collect();
    let trained = (program.calls.iter().enumerate()).map(|(i, c)| trains[&c.owner] && reached.contains_key(&i));
    program.rounds[index].trains = trained.collect();
    rounds::reached(draft, index);
}

/// Refuses a loss whose gradient reaches, of weights, those of `nodes` alone, none of which its round trains.
fn useless(draft: &Draft, term: &LossTerm, round: &RoundDef, nodes: &[&str], trainable: &BTreeMap<String, bool>) {
    let target = &draft.scene.cx.graph.phases[draft.scene.name].losses[&term.name].target;
    let p = Problem::error(format!("loss `{}` trains nothing", term.name))
        .at(&target.place, "its gradient reaches no weight that is trained");
    let elsewhere: Vec<&str> = nodes.iter().copied().filter(|n| trainable[*n]).collect();
    draft.scene.push(match (nodes, elsewhere.as_slice(), &round.train) {
        ([], ..) => p.help("nothing differentiable leads from weights to it: is there a `detach` between?"),
        (_, [_, ..], Some(names)) => match names.first() {
            Some(first) => p
                .at(&first.place, format!("round `{}` trains these", round.name))
                .help(format!(
                    "it reaches {}: name one of them in `train`, or drop the loss from the round",
                    elsewhere.join(", ")
                )),
            // That nothing is named has been reported.
            None => return,
        },
        _ => p.help(format!("all that it reaches is frozen here: {}", nodes.join(", "))),
    });
}

/// The nodes listed in `frozen`.
fn frozen(draft: &mut Draft, names: &[Spanned<String>]) {
    let cx = draft.scene.cx;
    for name in names {
        let nodes = cx.named(&name.value);
        if nodes.is_empty() {
            continue;
        }
        let here: Vec<String> = nodes
            .iter()
            .map(|n| n.path.clone())
            .filter(|n| draft.program.weights.contains_key(n))
            .collect();
        let runs = nodes
            .iter()
            .any(|n| draft.program.calls.iter().any(|c| c.node == n.path));
        // Nodes without weights of their own are reported for the phase.
        if here.is_empty() && nodes.iter().all(|n| n.weights.is_none()) {
            let p = match runs {
                true => Problem::error(format!("`{}` has no weights to freeze", name.value)),
                false => Problem::note(format!("`{}` is frozen and does not run here", name.value)),
            };
            draft.scene.push(p.at(&name.place, "in `frozen`"));
        }
        for node in here {
            if !draft.program.frozen.contains(&node) {
                draft.program.frozen.push(node);
            }
        }
    }
}

/// Whether something that trains is in or before the call that computes each value, on a differentiable path.
fn above(draft: &Draft, trains: &BTreeMap<String, bool>) -> Vec<bool> {
    let mut above = vec![false; draft.program.values.len()];
    for (call, site) in draft.program.calls.iter().zip(&draft.sites) {
        let n = site.contract.outputs.len();
        for (i, id) in call.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let output = &site.contract.outputs[i % n];
            let mut inputs = site.contract.inputs.iter().filter(|p| passes(output, p));
            let from_above = inputs.any(|p| {
                let values = call.inputs.iter().find(|(n, _)| *n == p.name);
                values.is_some_and(|(_, v)| v.iter().any(|v| above[v.0]))
            });
            let passes = call.side == Side::Device && call.gradient != Gradient::Stops;
            above[id.0] = passes && (trains[&call.owner] || from_above);
        }
    }
    above
}

/// Whether the gradient of an output goes on to an input.
fn passes(output: &Output, input: &Input) -> bool {
    output.passes && input.differentiable && comes_from(output, input)
}

pub(super) type Arrived = (HashMap<ValueId, Signs>, BTreeMap<usize, Signs>);

/// The signs with which the gradient of a loss arrives at values, and at the weights of calls.
pub(super) fn back(draft: &Draft, from: &[ValueId], sign: Signs) -> Arrived {
    let mut values: HashMap<ValueId, Signs> = from.iter().map(|v| (*v, sign)).collect();
    let mut calls = BTreeMap::new();
    for (i, (call, site)) in draft.program.calls.iter().zip(&draft.sites).enumerate().rev() {
        if call.side != Side::Device || call.gradient == Gradient::Stops {
            continue;
        }
        let n = site.contract.outputs.len();
        let streams = site.insts.len();
        let mut at_weights = Signs::default();
        for (o, id) in call.outputs.iter().enumerate() {
            let Some(signs) = id.and_then(|id| values.get(&id).copied()) else {
                continue;
            };
            at_weights = at_weights.or(signs);
            let down = if call.gradient == Gradient::Reverses {
                signs.turned()
            } else {
                signs
            };
            let output = &site.contract.outputs[o % n];
            for port in site.contract.inputs.iter().filter(|p| passes(output, p)) {
                let Some((_, ids)) = call.inputs.iter().find(|(n, _)| *n == port.name) else {
                    continue;
                };
                // In a joint call the gradient of one stream reaches all streams through the batch statistics.
                debug_assert!(ids.len().is_multiple_of(streams));
                for v in ids {
                    let s = values.entry(*v).or_default();
                    *s = s.or(down);
                }
            }
        }
        if at_weights != Signs::default() {
            calls.insert(i, at_weights);
        }
    }
    (values, calls)
}

/// Weights that are used and not frozen, but that no loss reaches.
fn unreached(draft: &mut Draft, trains: &BTreeMap<String, bool>, touched: &Touched) {
    let nodes: Vec<String> = draft.program.weights.keys().filter(|n| trains[*n]).cloned().collect();
    for path in nodes {
        let calls: Vec<&crate::program::Call> = draft.program.calls.iter().filter(|c| c.owner == path).collect();
        // Only metrics need it, so it is not part of the training.
        let for_scores = calls.iter().all(|c| !feeds_loss(draft, c));
        if calls.iter().any(|c| c.trains) || for_scores {
            continue;
        }
        let node = &draft.scene.cx.graph.nodes[&path];
        let top = node.inside.first().map_or(&path, |s| &s.value);
        if let Some(loss) = touched.get(&path) {
            let target = &draft.scene.cx.graph.phases[draft.scene.name].losses[loss].target;
            let p = Problem::error(format!("`{path}` has weights, and no round trains them"))
                .at(&node.place, format!("in no `train` of {}", draft.scene.title()))
                .at(&target.place, "reached by this loss")
                .at(draft.scene.place, "this phase");
            draft.scene.push(inside(p, node).help(format!(
                "name `{top}` in the `train` of a round, or say `frozen = [\"{top}\"]` in the phase if its weights are to stay \
                 as they are"
            )));
            continue;
        }
        let p = Problem::error(format!("`{path}` has weights, and no loss reaches them"))
            .at(&node.place, format!("trained by nothing in {}", draft.scene.title()))
            .at(draft.scene.place, "this phase");
        draft.scene.push(inside(p, node).help(format!(
            "say `frozen = [\"{top}\"]` in the phase if its weights are to stay as they are; else look for a `detach`, or a \
             port that takes no gradient, between it and the losses"
        )));
    }
}

fn feeds_loss(draft: &Draft, call: &crate::program::Call) -> bool {
    let mut asked: Vec<ValueId> = call.outputs.iter().flatten().copied().collect();
    let mut seen = asked.clone();
    while let Some(v) = asked.pop() {
        if draft.program.losses.iter().any(|l| l.values.contains(&v)) {
            return true;
        }
        for c in &draft.program.calls {
            if c.inputs.iter().any(|(_, ids)| ids.contains(&v)) {
                for o in c
                    .outputs
                    .iter()
                    .flatten()
                    .filter(|o| !seen.contains(o))
                    .copied()
                    .collect::<Vec<_>>()
                {
                    seen.push(o);
                    asked.push(o);
                }
            }
        }
    }
    false
}
