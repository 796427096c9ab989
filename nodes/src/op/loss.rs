//! The two classification losses with their gradients.

use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{buffer, loss};

/// The mean loss over rows of weight one and its gradient with respect to the logits.
pub(crate) struct LossGrad {
    pub loss: f32,
    pub grad: Tensor,
}

/// Cross-entropy of `logits` `[rows, classes]` with labels and label smoothing; `weights` masks rows.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    labels: &[u32],
    smoothing: f64,
    weights: Option<&[f32]>,
) -> Result<LossGrad> {
    let logits = logits.contiguous()?;
    let classes = logits.dim(1)?;
    let mut grad = buffer(logits.elem_count());
    let found = loss::cross_entropy(
        &floats(&logits)?,
        classes,
        labels,
        smoothing as f32,
        weights,
        Some(&mut grad),
    )?;
    Ok(LossGrad {
        loss: found.mean,
        grad: tensor(grad, logits.shape(), logits.device())?,
    })
}

/// Binary cross-entropy with logits of `logits` (any shape of one number per target) against targets in [0, 1].
pub(crate) fn bce_with_logits(logits: &Tensor, targets: &[f32]) -> Result<LossGrad> {
    let logits = logits.contiguous()?;
    let mut grad = buffer(logits.elem_count());
    let found = loss::bce_with_logits(&floats(&logits)?, targets, None, Some(&mut grad))?;
    Ok(LossGrad {
        loss: found.mean,
        grad: tensor(grad, logits.shape(), logits.device())?,
    })
}
