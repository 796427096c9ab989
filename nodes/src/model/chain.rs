//! Units in sequence.

use super::conv_bn::{ConvBn, Kept};
use crate::op::types::Dx;
use crate::{Step, WeightSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// Units, each on the output of the one before. Between them only the convolutions' outputs are kept for
/// the backward pass: the units' outputs are recomputed there.
pub(crate) struct Chain(pub Vec<ConvBn>);

/// Where the gradient of a chain's input goes.
pub(crate) enum Input<'a> {
    /// Into a new tensor.
    New,
    /// Added to this tensor, which the caller created and does not share.
    AddTo(&'a Tensor),
    /// Added to the gradient of the residual, which is the input itself.
    Residual,
}

/// The gradients that a chain returns.
pub(crate) struct Grads {
    /// Of the input, if it went into a new tensor.
    pub input: Option<Tensor>,
    /// Of the residual, if there was one.
    pub residual: Option<Tensor>,
}

impl Chain {
    pub(super) fn weights(&self) -> impl Iterator<Item = WeightSpec> {
        self.0.iter().flat_map(ConvBn::weights)
    }

    /// Channels of the output.
    pub(super) fn channels(&self) -> usize {
        self.0.last().map_or(0, |unit| unit.shape().co)
    }

    /// The output for `x`; `residual` is added before the last unit's ReLU.
    pub(super) fn forward(
        &self,
        step: &mut Step<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<(Tensor, Vec<Kept>)> {
        let (mut y, mut all) = (x.clone(), vec![]);
        for (i, unit) in self.0.iter().enumerate() {
            let last = i + 1 == self.0.len();
            let (out, kept) = unit.forward(step, &y, residual.filter(|_| last))?;
            y = out;
            if step.backward {
                all.push(kept);
            }
        }
        Ok((y, all))
    }

    /// Adds the gradients of the weights. `x` returns the input; takes `grad` by unique ownership and overwrites it.
    pub(super) fn backward(
        &self,
        step: &mut Step<'_>,
        mut kept: Vec<Kept>,
        x: impl FnOnce() -> Result<Tensor>,
        mut grad: Tensor,
        input: Input<'_>,
    ) -> Result<Grads> {
        let [first, others @ ..] = &self.0[..] else {
            return Ok(Grads {
                input: Some(grad),
                residual: None,
            });
        };
        const LITTLE: &str = "units kept too little";
        let mut residual = None;
        for (i, unit) in others.iter().enumerate().rev() {
            let own = kept.pop().context(LITTLE)?;
            let x = self.0[i].output_again(step, kept.last().context(LITTLE)?)?;
            let (dx, dres) = unit.backward(step, own, &x, grad, Dx::New)?;
            grad = dx.context("a convolution gave no gradient")?;
            residual = residual.or(dres);
        }
        let own = kept.pop().context(LITTLE)?;
        let dx = match (input, &residual) {
            (Input::AddTo(sum), _) => Dx::AddTo(sum),
            (Input::Residual, Some(sum)) => Dx::AddTo(sum),
            _ => Dx::New,
        };
        let (input, dres) = first.backward(step, own, &x()?, grad, dx)?;
        Ok(Grads {
            input,
            residual: residual.or(dres),
        })
    }
}
