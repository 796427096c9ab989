//! The two classification losses with their gradients, and accuracies. Labels, targets and the
//! weights of rows stay on the host, where they come from.

use super::types::LossGrad;
use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::{D, DType, Tensor};
use glad_ops::{buffer, loss};

/// Cross-entropy of `logits` `[rows, classes]` with labels and label smoothing; `weights` masks rows.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    labels: &[u32],
    smoothing: f64,
    weights: Option<&[f32]>,
) -> Result<LossGrad> {
    let logits = logits.contiguous()?;
    on_gpu!(&logits, gpu => super::gpu::loss::cross_entropy(gpu, &logits, labels, smoothing, weights));
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
        loss: Tensor::new(found.mean, logits.device())?,
        grad: tensor(grad, logits.shape(), logits.device())?,
    })
}

/// Binary cross-entropy with logits of `logits` (any shape with one value per target) against targets in [0, 1].
pub(crate) fn bce_with_logits(logits: &Tensor, targets: &[f32]) -> Result<LossGrad> {
    let logits = logits.contiguous()?;
    on_gpu!(&logits, gpu => super::gpu::loss::bce_with_logits(gpu, &logits, targets));
    let mut grad = buffer(logits.elem_count());
    let found = loss::bce_with_logits(&floats(&logits)?, targets, None, Some(&mut grad))?;
    Ok(LossGrad {
        loss: Tensor::new(found.mean, logits.device())?,
        grad: tensor(grad, logits.shape(), logits.device())?,
    })
}

/// The weighted fraction of rows whose largest logit is that of the label; 0 if all weights are zero.
pub(crate) fn accuracy(logits: &Tensor, labels: &[u32], weights: Option<&[f32]>) -> Result<Tensor> {
    let device = logits.device();
    let total: f64 = match weights {
        Some(w) => w.iter().map(|w| f64::from(*w)).sum(),
        None => labels.len() as f64,
    };
    if total == 0.0 {
        return Ok(Tensor::new(0f32, device)?);
    }
    let labels = Tensor::from_slice(labels, labels.len(), device)?;
    let right = logits.argmax(D::Minus1)?.eq(&labels)?.to_dtype(DType::F32)?;
    let right = match weights {
        Some(w) => (right * Tensor::from_slice(w, w.len(), device)?)?,
        None => right,
    };
    Ok((right.sum_all()? / total)?)
}

/// The fraction of logits (any shape with one value per target) that are above 0 exactly if the target is above ½.
pub(crate) fn binary_accuracy(logits: &Tensor, targets: &[f32]) -> Result<Tensor> {
    let logits = logits.flatten_all()?;
    let targets = Tensor::from_slice(targets, targets.len(), logits.device())?;
    let right = logits.gt(0f32)?.eq(&targets.gt(0.5f32)?)?.to_dtype(DType::F32)?;
    Ok((right.sum_all()? / right.elem_count().max(1) as f64)?)
}
