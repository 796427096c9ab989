//! Recurrent layers: one cell for all steps of a sequence, in its order or in both.

use super::dense::width;
use crate::input::{input, known, rows_per_sample};
use crate::op::linear::{LinearOp, product};
use crate::tensor::parts::{join, nothing, part};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Init, ParamProblem, Precision, Role, Saved, Side, Step,
    WeightSpec, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use std::marker::PhantomData;

/// What a step computes from the sum of both products.
pub(super) trait Cell: Send + Sync + 'static {
    /// Sums for each value of the output.
    const GATES: usize;
    /// What a step leaves for the next one, and for its backward pass.
    type State: Send + Sync;

    /// Before the first step, with outputs as `like`: zeros.
    fn start(like: &Tensor) -> Result<Self::State>;

    /// A step from its sums `[rows, GATES·width]`.
    fn step(z: &Tensor, before: &Self::State) -> Result<Self::State>;

    /// The output of a step, `[rows, width]`.
    fn output(state: &Self::State) -> &Tensor;

    /// The gradients of the sums and of the memory before, from that of the output and that of the memory.
    fn back(
        state: &Self::State,
        before: &Self::State,
        dh: &Tensor,
        memory: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>)>;
}

/// A layer whose step that reads `x_t` may not be the one that gives `y_t`.
pub(super) fn validate(bidirectional: bool, delayed: bool) -> Vec<ParamProblem> {
    match bidirectional && delayed {
        false => vec![],
        true => vec![
            ParamProblem::new("delayed", "the backward direction has read the later steps already")
                .help("leave out `delayed` or `bidirectional`"),
        ],
    }
}

/// The ports of a layer.
pub(super) fn contract(outputs: &Count, bidirectional: bool) -> Contract {
    let width = match bidirectional {
        true => format!("2*{outputs}"),
        false => outputs.to_string(),
    };
    Contract::on(Side::Device)
        .input(
            "x",
            "?X[R,N,D]",
            "the steps of a sequence, such as features of clips in order",
        )
        .output(
            "y",
            &format!("Feature[R,N,{width}]"),
            "what each step gives; of both directions the forward one first",
        )
        .output(
            "last",
            &format!("Feature[R,{width}]"),
            "what the last step of each direction gives",
        )
}

/// A layer of `C`.
pub(super) fn build<C: Cell>(
    cx: &BuildCx<'_>,
    outputs: &Count,
    bidirectional: bool,
    delayed: bool,
) -> Result<Body, Vec<ParamProblem>> {
    let x = input(cx, "x")?;
    let (steps, inputs) = (known(x, 1)?, known(x, 2)?);
    let width = width("outputs", outputs, cx.dims)?;
    let direction = |backward: bool| {
        let name = |what: &str| {
            if backward {
                format!("backward.{what}")
            } else {
                what.to_string()
            }
        };
        let op = |of: &str, inputs| {
            let (weight, bias) = (name(&format!("weight_{of}")), name(&format!("bias_{of}")));
            LinearOp::new(inputs, C::GATES * width, weight, Some(bias))
        };
        Direction {
            of_x: op("ih", inputs),
            of_h: op("hh", width),
            backward,
        }
    };
    let directions = [false, true].into_iter().filter(|b| bidirectional || !b);
    Ok(Body::Compute(Box::new(Layer::<C> {
        directions: directions.map(direction).collect(),
        delayed,
        width,
        steps,
        rows: rows_per_sample(x),
        cell: PhantomData,
    })))
}

/// A cell's weights as it walks one way, with PyTorch's names.
struct Direction {
    of_x: LinearOp,
    of_h: LinearOp,
    backward: bool,
}

impl Direction {
    /// The steps in its order.
    fn order(&self, steps: usize) -> Vec<usize> {
        match self.backward {
            false => (0..steps).collect(),
            true => (0..steps).rev().collect(),
        }
    }
}

struct Layer<C> {
    directions: Vec<Direction>,
    delayed: bool,
    width: usize,
    /// Steps of a sequence.
    steps: usize,
    /// Sequences for each sample.
    rows: usize,
    cell: PhantomData<C>,
}

struct Kept<S> {
    /// What was read, `[N·R, D]`, a step after the other.
    x: Tensor,
    /// Of each direction the state before its first step and those after each, in its order.
    states: Vec<Vec<S>>,
}

impl<C: Cell> Layer<C> {
    /// The steps as they are read, `[N, R, D]`.
    fn read(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.transpose(0, 1)?.contiguous()?;
        if !self.delayed {
            return Ok(x);
        }
        let first = part(&x, 0, 0, 1)?.zeros_like()?;
        join(&[&first, &part(&x, 0, 0, self.steps - 1)?], 0)
    }

    /// The gradient of `x` from that of the steps as they were read.
    fn unread(&self, dx: Tensor) -> Result<Tensor> {
        let dx = match self.delayed {
            false => dx,
            true => {
                let last = part(&dx, 0, 0, 1)?.zeros_like()?;
                join(&[&part(&dx, 0, 1, self.steps - 1)?, &last], 0)?
            }
        };
        Ok(dx.transpose(0, 1)?.contiguous()?)
    }

    /// The states of a direction.
    fn walk(&self, step: &Step<'_>, direction: &Direction, x: &Tensor, rows: usize) -> Result<Vec<C::State>> {
        let of_x = direction.of_x.forward(step, x, false)?;
        let mut states = vec![C::start(
            &part(&of_x, 0, 0, rows)?.narrow(1, 0, self.width)?.contiguous()?,
        )?];
        for t in direction.order(self.steps) {
            let before = &states[states.len() - 1];
            let z = (part(&of_x, 0, t * rows, rows)? + direction.of_h.forward(step, C::output(before), false)?)?;
            states.push(C::step(&z, before)?);
        }
        Ok(states)
    }

    /// The gradient of what a direction read, from those of its outputs `[N, R, W]` and of the last one.
    fn walk_back(
        &self,
        step: &mut Step<'_>,
        direction: &Direction,
        (x, states): (&Tensor, &[C::State]),
        dy: Option<&Tensor>,
        last: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let turned = step.weights.value(&direction.of_h.weight)?.t()?.contiguous()?;
        let (mut sums, mut carried, mut memory) = (vec![None; self.steps], last.cloned(), None);
        for (n, t) in direction.order(self.steps).into_iter().enumerate().rev() {
            let own = dy
                .map(|dy| Ok::<_, anyhow::Error>(part(dy, 0, t, 1)?.squeeze(0)?))
                .transpose()?;
            let dh = match (own, carried.take()) {
                (Some(own), Some(later)) => (own + later)?,
                (one, other) => match one.or(other) {
                    Some(dh) => dh,
                    None => return Ok(None),
                },
            };
            let (dz, before) = C::back(&states[n + 1], &states[n], &dh, memory.as_ref())?;
            memory = before;
            if n > 0 {
                carried = Some(product(&dz, &turned)?);
            }
            sums[t] = Some(dz);
        }
        let sums: Vec<Tensor> = sums.into_iter().flatten().collect();
        let sums = Tensor::cat(&sums, 0)?;
        // The states before each step, in the order of the steps.
        let mut before: Vec<&Tensor> = states[..self.steps].iter().map(C::output).collect();
        if direction.backward {
            before.reverse();
        }
        let before = Tensor::cat(&before, 0)?;
        direction.of_h.backward(&mut step.weights, &before, &sums, false)?;
        direction.of_x.backward(&mut step.weights, x, &sums, step.wants[0])
    }
}

impl<C: Cell> Compute for Layer<C> {
    fn weights(&self) -> Vec<WeightSpec> {
        let mut all = vec![];
        for op in self.directions.iter().flat_map(|d| [&d.of_x, &d.of_h]) {
            let init = Init::torch(self.width);
            all.push(WeightSpec::new(
                &op.weight,
                &[op.outputs, op.inputs],
                init,
                Role::Weight,
            ));
            let bias = op
                .bias
                .iter()
                .map(|b| WeightSpec::new(b, &[op.outputs], init, Role::Bias));
            all.extend(bias);
        }
        all
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let (rows, steps, values) = x.dims3()?;
        let all = self.directions.len() * self.width;
        if x.elem_count() == 0 {
            let out = vec![nothing(x, (rows, steps, all))?, nothing(x, (rows, all))?];
            return Ok((out, Box::new(None::<Kept<C::State>>)));
        }
        let x = self.read(x)?.reshape((steps * rows, values))?;
        let (mut outputs, mut last, mut kept) = (vec![], vec![], vec![]);
        for direction in &self.directions {
            let states = self.walk(step, direction, &x, rows)?;
            let mut own: Vec<&Tensor> = states[1..].iter().map(C::output).collect();
            last.extend(own.last().map(|h| (*h).clone()));
            if direction.backward {
                own.reverse();
            }
            outputs.push(Tensor::stack(&own, 1)?);
            kept.push(states);
        }
        let y = join(&outputs.iter().collect::<Vec<_>>(), 2)?;
        let last = join(&last.iter().collect::<Vec<_>>(), 1)?;
        Ok((vec![y, last], Box::new(Some(Kept { x, states: kept }))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (dy, dlast) = (arrived(&mut grads, 0), arrived(&mut grads, 1));
        let Some(Kept { x, states }) = *kept::<Option<Kept<C::State>>>(saved)? else {
            let shape = (0, self.steps, self.directions[0].of_x.inputs);
            return Ok(vec![dy.or(dlast).map(|g| nothing(&g, shape)).transpose()?]);
        };
        let dy = dy.map(|dy| dy.transpose(0, 1)?.contiguous()).transpose()?;
        let mut dx: Option<Tensor> = None;
        for (i, direction) in self.directions.iter().enumerate() {
            let own = |all: &Option<Tensor>, dim: usize| {
                let own = all.as_ref().map(|all| part(all, dim, i * self.width, self.width));
                own.transpose()
            };
            let (dy, dlast) = (own(&dy, 2)?, own(&dlast, 1)?);
            let read = self.walk_back(step, direction, (&x, &states[i]), dy.as_ref(), dlast.as_ref())?;
            dx = match (dx, read) {
                (Some(sum), Some(read)) => Some((sum + read)?),
                (one, other) => one.or(other),
            };
        }
        let Some(dx) = dx else { return Ok(vec![None]) };
        let (rows, values) = (dx.dim(0)? / self.steps, dx.dim(1)?);
        Ok(vec![Some(self.unread(dx.reshape((self.steps, rows, values))?)?)])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let rows = batch * self.rows * self.steps;
        let inputs = self.directions[0].of_x.inputs;
        let layers = self.directions.iter().flat_map(|d| [&d.of_x, &d.of_h]);
        Cost {
            macs: layers.map(|op| op.macs(rows)).sum(),
            // Sums of gates, and outputs with the two forms of the memory.
            kept: 4 * (rows * (inputs + self.directions.len() * self.width * (C::GATES + 3))) as u64,
            scratch: 0,
        }
    }
}
