//! A typed formula in a graph: with the sizes that arrive.

use super::cpu::{Cpu, Tape};
use super::eval::Evaluation;
use super::fault::{Fault, listed, suggest};
use super::numbers::moving;
use super::typed::{Axis, Id, Op, Typed};
use crate::{
    Args, Autodiff, BuildCx, Compute, Cost, Differentiable, Head, ParamProblem, Precision, Saved, Size, Step, Tracked,
    Type, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// A formula that can be evaluated.
pub(super) struct Program {
    pub typed: Typed,
    /// Which operations the outputs need.
    pub needed: Vec<bool>,
    /// Which operations are numbers that change from step to step.
    pub moves: Vec<bool>,
    /// The graph's `dims` that it uses.
    pub dims: BTreeMap<String, usize>,
    /// The sizes of the declared axes.
    sizes: BTreeMap<Axis, Size>,
}

impl Program {
    /// The formula, given what arrives.
    ///
    /// # Errors
    /// What arrives is something else than the formula is written for.
    pub(super) fn new(typed: Typed, cx: &BuildCx<'_>) -> Result<Program, Vec<ParamProblem>> {
        let mut problems = vec![];
        let mut sizes = BTreeMap::new();
        for input in &typed.inputs {
            let Some(ty) = cx.input(&input.name) else { continue };
            sizes.extend(input.axes.iter().copied().zip(ty.dims.iter().copied()));
            let undeclared = match ty.head {
                Head::Label => !input.is_label(),
                Head::Mask => !input.is_mask(),
                _ => false,
            };
            if undeclared {
                let message = format!("`{}` is {ty}", input.name);
                let axes: Vec<&str> = input.axes.iter().map(|a| typed.axes.name(*a)).collect();
                problems.push(ParamProblem::new(format!("axes.{}", input.name), message).help(format!(
                    "say so: `{} = \"{}[{}]\"`",
                    input.name,
                    ty.head,
                    axes.join(",")
                )));
            }
        }
        let needed = typed.needed();
        let mut dims = BTreeMap::new();
        for (id, node) in typed.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            let path = &typed.texts[node.text].path;
            if let Op::Dim(name) = &node.op {
                match cx.dims.globals.get(name) {
                    Some(n) => {
                        dims.insert(name.clone(), *n);
                    }
                    None => {
                        let axes = typed.axes.names.iter().map(|a| a.name.as_str());
                        let known: Vec<&str> = axes.chain(cx.dims.globals.keys().map(String::as_str)).collect();
                        let all = format!("axes and `dims` here: {}", listed(known.iter().copied()));
                        let fault = Fault::new(&node.span, format!("there is no axis or dimension `{name}`"));
                        problems.push(fault.help(suggest(name, known, all)).of(path));
                    }
                }
            }
            let ty = Type {
                head: Head::Feature,
                dims: node
                    .axes
                    .iter()
                    .filter_map(|a| sizes.get(&typed.axes.of(*a)).copied())
                    .collect(),
            };
            if !ty.fits(1) && !matches!(typed.nodes[id].op, Op::Renamed(_)) {
                let shown = typed.axes.show(&node.axes);
                let message = format!("{shown} would be {ty}, which fits into no memory");
                problems.push(Fault::new(&node.span, message).of(path));
            }
        }
        match problems.is_empty() {
            true => Ok(Program {
                moves: moving(&typed),
                typed,
                needed,
                dims,
                sizes,
            }),
            false => Err(problems),
        }
    }

    /// Elements of an operation's value for a batch of `batch`.
    fn elements(&self, id: Id, batch: usize) -> u64 {
        let axes = self.typed.nodes[id].axes.iter().map(|a| self.typed.axes.of(*a));
        let dims = axes.filter_map(|a| self.sizes.get(&a).copied()).collect();
        let head = Head::Feature;
        Type { head, dims }.elements(batch).unwrap_or(0) as u64
    }
}

impl Differentiable for Program {
    fn forward(&self, step: &Step<'_>, _: &Tracked, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        Evaluation::new(self, step, inputs)?.outputs()
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let mut cost = Cost::default();
        for id in (0..self.needed.len()).filter(|id| self.needed[*id]) {
            let elements = self.elements(id, batch);
            cost.macs = cost.macs.saturating_add(elements);
            match &self.typed.nodes[id].op {
                Op::Renamed(_) | Op::Number(_) => continue,
                Op::Product(..) | Op::Distance(..) => {
                    let below = self.typed.below(id).into_iter().map(|b| self.elements(b, batch));
                    let below = below.max().unwrap_or(0);
                    // A product of [i,k] and [j,k] takes i·j·k multiplications: about the root of all sizes multiplied.
                    let macs = (elements as f64).sqrt() * below as f64;
                    cost.macs = cost.macs.saturating_add(macs as u64);
                }
                _ => {}
            }
            // The value, and about as much inside the operation.
            cost.kept = cost.kept.saturating_add(elements.saturating_mul(8));
        }
        // Backward, gradients of the same sizes.
        cost.scratch = cost.kept;
        cost
    }
}

/// A formula as a node: on the CPU by loops of its own, elsewhere in Candle's operations.
pub(super) struct Evaluated {
    program: Autodiff<Program>,
    cpu: Cpu,
}

impl Evaluated {
    pub(super) fn new(program: Program) -> Evaluated {
        Evaluated {
            program: Autodiff(program),
            cpu: Cpu::new(),
        }
    }
}

impl Compute for Evaluated {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        if !step.device.is_cpu() {
            return self.program.forward(step, inputs);
        }
        let (outputs, tape) = self.cpu.forward(&self.program.0, step, inputs)?;
        Ok((outputs, Box::new(tape)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        if !step.device.is_cpu() {
            return self.program.backward(step, saved, grads);
        }
        self.cpu.backward(&self.program.0, *kept::<Tape>(saved)?, &grads)
    }

    fn cost(&self, batch: usize, precision: Precision) -> Cost {
        self.program.cost(batch, precision)
    }
}
