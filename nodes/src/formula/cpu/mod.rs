//! Formulas on the CPU: lowered to few loops and products of matrices for the sizes that arrive (`graph`, `lower`,
//! `matrices`), differentiated in that form (`reverse`), ordered (`plan`, `access`) and carried out (`run`). The lowered form
//! is kept for the next steps (`recent`).
//!
//! Sums are split by shape, so bits do not depend on the number of threads.

mod access;
mod graph;
mod lower;
mod matrices;
mod plan;
mod recent;
mod reverse;
mod run;
mod sources;
#[cfg(test)]
mod tests;

use super::host::Arrived;
use super::numbers::numbers;
use super::program::Program;
use crate::kernel::tensor;
use crate::tensor::parts::nothing;
use crate::{Args, Step};
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use graph::{Graph, Kind, Val};
use lower::Lowering;
use plan::Plan;
use recent::Recent;
use run::Slot;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a lowered form depends on.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    /// The size of each axis.
    sizes: Vec<usize>,
    /// Which inputs want a gradient; none where no backward pass follows.
    wants: Vec<bool>,
}

/// A formula lowered for inputs of certain sizes.
struct Lowered {
    graph: Graph,
    /// The value of each operation.
    values: Vec<Option<Val>>,
    forward: Plan,
    /// The value of each output; `None` where it has no elements.
    outputs: Vec<Option<Val>>,
    /// What a backward pass needs.
    kept: BTreeSet<Val>,
}

/// How gradients are computed from those of certain outputs.
struct Backward {
    graph: Graph,
    plan: Plan,
    /// The gradient of each input; `None` where none arrives.
    inputs: Vec<Option<Val>>,
}

/// Evaluates formulas on the CPU.
pub(super) struct Cpu {
    lowered: Recent<Key, Lowered>,
    /// By the lowered form, and by the outputs whose gradient arrives.
    backward: Recent<(Key, Vec<bool>), Backward>,
}

/// What a forward pass keeps.
pub(super) struct Tape {
    key: Key,
    lowered: Arc<Lowered>,
    inputs: Vec<Tensor>,
    outputs: Vec<Vec<usize>>,
    /// The numbers of the formula that no input has to do with.
    numbers: Vec<f64>,
    values: Vec<(Val, Vec<f32>)>,
    /// For each flattened input its place among those of the formula, if it wants a gradient.
    wanted: Vec<Option<usize>>,
}

impl Cpu {
    /// Nothing is lowered yet.
    pub(super) fn new() -> Cpu {
        Cpu {
            lowered: Recent::new(),
            backward: Recent::new(),
        }
    }

    /// The outputs, in the contract's order, and what a backward pass needs.
    ///
    /// # Errors
    /// Sizes do not agree, or a label has no class.
    pub(super) fn forward(
        &self,
        program: &Program,
        step: &Step<'_>,
        inputs: &Args<Tensor>,
    ) -> Result<(Vec<Tensor>, Tape)> {
        let arrived = Arrived::new(program, inputs)?;
        let wanted = wanted(program, step, inputs)?;
        let axes = 0..program.typed.axes.names.len();
        let mut key = Key {
            sizes: axes.map(|a| arrived.size(a)).collect(),
            wants: vec![],
        };
        if step.backward {
            let some = |i: usize| wanted.contains(&Some(i)) && arrived.inputs[i].elem_count() > 0;
            key.wants = (0..arrived.inputs.len()).map(some).collect();
        }
        let lowered = self.lowered.get(&key, || Lowered::new(program, &arrived, &key.wants))?;
        let numbers = numbers(program, &arrived, step.progress);
        let contiguous = arrived.inputs.iter().map(|t| t.contiguous());
        let tensors = contiguous.collect::<candle_core::Result<Vec<Tensor>>>()?;
        let graph = &lowered.graph;
        let (mut outputs, mut values) = (vec![], vec![]);
        {
            let lent = sources::lent(program, graph, &lowered.forward.sources, &tensors)?;
            let mut slots = sources::slots(graph, &lent, &numbers);
            let made = sources::made(program, graph, &lowered.forward.sources, &arrived, &numbers, &mut slots)?;
            lowered.forward.run(&mut slots)?;
            for (output, v) in program.typed.outputs.iter().zip(&lowered.outputs) {
                let shape = arrived.shape(&output.axes)?;
                outputs.push(match v {
                    None => nothing(&Tensor::full(0f32, (1,), &Device::Cpu)?, shape)?,
                    Some(v) => tensor(slots.numbers(graph.storage(*v)).to_vec(), shape, &Device::Cpu)?,
                });
            }
            for v in lowered.kept.iter().chain(made.iter().filter(|_| step.backward)) {
                if matches!(slots.0[*v], Slot::Own(_)) {
                    values.push((*v, slots.take(*v)));
                }
            }
        }
        let tape = Tape {
            key,
            outputs: outputs.iter().map(|t| t.dims().to_vec()).collect(),
            inputs: if step.backward { tensors } else { vec![] },
            numbers,
            values,
            wanted,
            lowered,
        };
        Ok((outputs, tape))
    }

    /// The gradients of the flattened inputs, from those of the outputs.
    ///
    /// # Errors
    /// A gradient has another shape than its output.
    pub(super) fn backward(
        &self,
        program: &Program,
        tape: Tape,
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let mut given = vec![];
        for (shape, grad) in tape.outputs.iter().zip(grads) {
            let grad = grad.as_ref().filter(|g| g.elem_count() > 0);
            let same = grad.is_none_or(|g| g.dims() == shape);
            ensure!(
                same,
                "a gradient of shape {:?} arrived at an output of {shape:?}",
                grad.map(|g| g.dims())
            );
            given.push(grad.map(|g| g.contiguous()).transpose()?);
        }
        if given.iter().all(Option::is_none) {
            return Ok(vec![None; tape.wanted.len()]);
        }
        let arrives: Vec<bool> = given.iter().map(Option::is_some).collect();
        let key = (tape.key.clone(), arrives);
        let make = || Backward::new(program, &tape.lowered, &tape.key.wants, &key.1);
        let backward = self.backward.get(&key, make)?;
        let lent = sources::lent(program, &backward.graph, &backward.plan.sources, &tape.inputs)?;
        let grads = sources::given(&backward.graph, &backward.plan.sources, &given)?;
        let mut slots = sources::slots(&backward.graph, lent.iter().chain(&grads), &tape.numbers);
        for (v, numbers) in tape.values {
            slots.0[v] = Slot::Own(numbers);
        }
        backward.plan.run(&mut slots)?;
        // Inputs may have the same gradient, as those of a sum have: the last one takes it.
        let of = |input: &Option<usize>| {
            input
                .and_then(|i| backward.inputs[i])
                .map(|v| backward.graph.storage(v))
        };
        let stored: Vec<Option<Val>> = tape.wanted.iter().map(of).collect();
        let mut found = vec![];
        for (at, input) in tape.wanted.iter().enumerate() {
            let Some(i) = input else {
                found.push(None);
                continue;
            };
            let numbers = match stored[at] {
                None => {
                    found.push(Some(tape.inputs[*i].zeros_like()?));
                    continue;
                }
                Some(v) if stored[at + 1..].contains(&Some(v)) => slots.numbers(v).to_vec(),
                Some(v) => slots.take(v),
            };
            found.push(Some(tensor(numbers, tape.inputs[*i].dims(), &Device::Cpu)?));
        }
        Ok(found)
    }
}

impl Lowered {
    /// Lowers a formula for what arrived; `wants` is empty where no backward pass follows.
    fn new(program: &Program, arrived: &Arrived<'_>, wants: &[bool]) -> Result<Lowered> {
        let mut lowering = Lowering::new(program, arrived)?;
        let mut outputs = vec![];
        for output in &program.typed.outputs {
            let axes = lowering.longer(&output.axes);
            outputs.push(lowering.values[output.value].map(|v| lowering.graph.ordered(v, &axes)));
        }
        let mut kept = BTreeSet::new();
        if !wants.is_empty() {
            // Whatever the gradients of all outputs need of what the forward pass computes.
            let mut whole = lowering.clone();
            let given = vec![true; outputs.len()];
            let targets: Vec<Val> = whole.reverse(&given, wants)?.into_iter().flatten().collect();
            let computed = (0..lowering.graph.nodes.len()).filter(|v| is_computed(&lowering.graph, *v));
            kept.extend(Plan::new(&whole.graph, &targets, &computed.collect()).sources);
            kept.retain(|v| *v < lowering.graph.nodes.len() && is_computed(&lowering.graph, *v));
        }
        let targets: Vec<Val> = outputs.iter().flatten().chain(&kept).copied().collect();
        Ok(Lowered {
            forward: Plan::new(&lowering.graph, &targets, &BTreeSet::new()),
            graph: lowering.graph,
            values: lowering.values,
            outputs,
            kept,
        })
    }
}

impl Backward {
    fn new(program: &Program, lowered: &Lowered, wants: &[bool], given: &[bool]) -> Result<Backward> {
        let mut lowering = Lowering {
            program,
            graph: lowered.graph.clone(),
            values: lowered.values.clone(),
        };
        let inputs = lowering.reverse(given, wants)?;
        let targets: Vec<Val> = inputs.iter().flatten().copied().collect();
        Ok(Backward {
            plan: Plan::new(&lowering.graph, &targets, &lowered.kept),
            graph: lowering.graph,
            inputs,
        })
    }
}

/// Whether a value has numbers that are computed.
fn is_computed(graph: &Graph, v: Val) -> bool {
    !matches!(
        graph.nodes[v].kind,
        Kind::Input(_)
            | Kind::Labels(_)
            | Kind::Host(_)
            | Kind::Given(_)
            | Kind::Constant(_)
            | Kind::Number(_)
            | Kind::Same(_, false)
    )
}

/// For each flattened input its place among those of the formula, if it wants a gradient.
fn wanted(program: &Program, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Vec<Option<usize>>> {
    let mut wanted = vec![];
    for (port, values) in inputs.ports() {
        for value in values {
            let wants = step.backward && step.wants.get(wanted.len()).copied().unwrap_or(false);
            let place = program.typed.inputs.iter().position(|i| i.name == *port);
            let place = place.with_context(|| format!("a formula has no input `{port}`"))?;
            wanted.push((wants && value.dtype().is_float()).then_some(place));
        }
    }
    Ok(wanted)
}
