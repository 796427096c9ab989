//! Losses whose gradient is computed together with their value.

use crate::{Args, Compute, Saved, Step, arrived, kept};
use anyhow::Result;
use candle_core::{DType, Tensor};

/// A loss, and what else the node gives, with the gradient of the loss.
pub(crate) struct Found {
    /// The outputs in the contract's order, the loss first.
    pub outputs: Vec<Tensor>,
    /// The gradient of the loss with respect to each of the flattened inputs; `None` where there is none.
    pub grads: Vec<Option<Tensor>>,
}

impl Found {
    /// A loss with nothing else.
    pub(crate) fn loss(loss: Tensor, grads: Vec<Option<Tensor>>) -> Found {
        Found {
            outputs: vec![loss],
            grads,
        }
    }

    /// Of inputs without rows: 0, without a gradient.
    pub(crate) fn nothing(step: &Step<'_>, inputs: &Args<Tensor>, outputs: usize) -> Result<Found> {
        Ok(Found {
            outputs: vec![Tensor::new(0f32, step.device)?; outputs],
            grads: vec![None; inputs.flat().count()],
        })
    }

    /// Of inputs among whose rows there is no pair: 0, with a gradient of 0, so that which weights are moved does not depend on
    /// the rows.
    pub(crate) fn zero(step: &Step<'_>, inputs: &Args<Tensor>, outputs: usize) -> Result<Found> {
        let of = |x: &Tensor| (x.elem_count() > 0).then(|| x.zeros_like()).transpose();
        Ok(Found {
            grads: inputs.flat().map(of).collect::<candle_core::Result<_>>()?,
            ..Found::nothing(step, inputs, outputs)?
        })
    }
}

/// The sum of all numbers of `[R, …]`: those of a row, and of rows in double precision.
pub(super) fn total(each: &Tensor) -> Result<Tensor> {
    let rows = each.flatten_from(1)?.sum(1)?;
    Ok(rows.to_dtype(DType::F64)?.sum_all()?.to_dtype(DType::F32)?)
}

/// What a kind of loss computes.
pub(crate) trait Term: Send + Sync {
    /// The value and the gradient.
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found>;
}

/// A node of a [`Term`].
pub(crate) struct Scalar<T>(pub T);

impl<T: Term> Compute for Scalar<T> {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let Found { outputs, grads } = self.0.term(step, inputs)?;
        Ok((outputs, Box::new(grads)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = *kept::<Vec<Option<Tensor>>>(saved)?;
        let Some(g) = arrived(&mut grads, 0) else {
            return Ok(vec![None; kept.len()]);
        };
        let of = |(grad, want): (Option<Tensor>, &bool)| match grad.filter(|_| *want) {
            Some(grad) => Ok(Some(grad.broadcast_mul(&g)?)),
            None => Ok(None),
        };
        kept.into_iter().zip(step.wants).map(of).collect()
    }
}
