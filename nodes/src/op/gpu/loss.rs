//! The classification losses on a GPU.

use super::Gpu;
use crate::op::types::LossGrad;
use anyhow::Result;
use candle_core::{DType, Tensor};
use glad_cuda::{In, Memory, Out, loss};

pub(crate) fn cross_entropy(
    gpu: &Gpu,
    logits: &Tensor,
    labels: &[u32],
    smoothing: f64,
    weights: Option<&[f32]>,
) -> Result<LossGrad> {
    let classes = logits.dim(1)?;
    let labels = gpu.upload(labels)?;
    let labels = gpu.lend(&labels)?;
    with_weights(gpu, logits, weights, |logits, weights, mean, grad| {
        let (labels, smoothing) = (labels.input()?, smoothing as f32);
        let cuda = &gpu.cuda;
        Ok(loss::cross_entropy(
            cuda,
            logits,
            classes,
            labels,
            smoothing,
            weights,
            mean,
            Some(grad),
        )?)
    })
}

pub(crate) fn bce_with_logits(gpu: &Gpu, logits: &Tensor, targets: &[f32]) -> Result<LossGrad> {
    let targets = gpu.upload(targets)?;
    let targets = gpu.lend(&targets)?;
    with_weights(gpu, logits, None, |logits, weights, mean, grad| {
        Ok(loss::bce_with_logits(
            &gpu.cuda,
            logits,
            targets.input()?,
            weights,
            mean,
            Some(grad),
        )?)
    })
}

/// Runs `body` with the logits, the rows' weights, and memory for the loss and its gradient.
fn with_weights(
    gpu: &Gpu,
    logits: &Tensor,
    weights: Option<&[f32]>,
    body: impl FnOnce(In<'_>, Option<In<'_>>, Out<'_>, Out<'_>) -> Result<()>,
) -> Result<LossGrad> {
    let mut mean = gpu.fresh(1, DType::F32)?;
    let mut grad = gpu.fresh(logits.elem_count(), logits.dtype())?;
    let weights = weights.map(|w| gpu.upload(w)).transpose()?;
    let weights = weights.as_ref().map(|w| gpu.lend(w)).transpose()?;
    let weights = weights.as_ref().map(|w| w.input()).transpose()?;
    body(gpu.lend(logits)?.input()?, weights, mean.output(), grad.output())?;
    Ok(LossGrad {
        loss: gpu.tensor(mean, ()),
        grad: gpu.tensor(grad, logits.shape()),
    })
}
