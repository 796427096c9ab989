//! Batch normalisation, fused with the residual and the ReLU after it.

use super::types::{Affine, Grads, Stats};
use crate::kernel::{change, floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::norm::{self, BatchNorm, Residual};
use glad_ops::{Moments, buffer};

/// The constants of a batch norm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    /// Added to the variance.
    pub eps: f32,
    /// The fraction of a batch in the running statistics.
    pub momentum: f32,
}

impl Norm {
    /// PyTorch's.
    pub(crate) const TORCH: Norm = Norm {
        eps: 1e-5,
        momentum: 0.1,
    };
}

/// `relu(γ (x − mean) / √(var + ε) + β + residual)`, the ReLU if requested.
pub(crate) fn forward(
    x: &Tensor,
    stats: &Stats,
    affine: &Affine<'_>,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    on_gpu!(x, gpu => super::gpu::batch_norm::forward(gpu, x, stats, affine, residual, relu));
    let mut y = buffer(x.elem_count());
    let residual = residual.map(floats).transpose()?;
    BatchNorm {
        mean: &floats(&stats.mean)?,
        var: &floats(&stats.var)?,
        gamma: &floats(affine.gamma)?,
        beta: &floats(affine.beta)?,
        eps: affine.eps,
        relu,
    }
    .forward(&floats(x)?, residual.as_deref(), &mut y)?;
    tensor(y, x.shape(), x.device())
}

/// The gradients, in the memory of `dy`, which must have no other owner. `batch`: the statistics are those of `x` itself.
/// `y` is the output if a residual was added.
pub(crate) fn backward(
    batch: bool,
    x: &Tensor,
    dy: Tensor,
    stats: &Stats,
    affine: &Affine<'_>,
    y: Option<&Tensor>,
    relu: bool,
) -> Result<Grads> {
    on_gpu!(x, gpu => super::gpu::batch_norm::backward(gpu, batch, x, dy, stats, affine, y, relu));
    let channels = affine.gamma.elem_count();
    let (mut dgamma, mut dbeta) = (buffer(channels), buffer(channels));
    let y = y.map(floats).transpose()?;
    let mut dx = y.as_ref().map(|y| buffer(y.len()));
    let dy = dy.contiguous()?;
    change(&dy, |grad| {
        let residual = match (&y, &mut dx) {
            (Some(y), Some(dx)) => Some(Residual { y, dx }),
            _ => None,
        };
        let norm = BatchNorm {
            mean: &floats(&stats.mean)?,
            var: &floats(&stats.var)?,
            gamma: &floats(affine.gamma)?,
            beta: &floats(affine.beta)?,
            eps: affine.eps,
            relu,
        };
        Ok(norm.backward(batch, &floats(x)?, grad, residual, &mut dgamma, &mut dbeta)?)
    })?;
    let device = x.device();
    let (of_x, of_residual) = match dx {
        Some(dx) => (tensor(dx, x.shape(), device)?, Some(dy)),
        None => (dy, None),
    };
    Ok(Grads {
        x: of_x,
        residual: of_residual,
        gamma: tensor(dgamma, channels, device)?,
        beta: tensor(dbeta, channels, device)?,
    })
}

/// Mean and biased variance of each channel of `x` `[rows, channels]`, of one row at least.
pub(crate) fn moments(x: &Tensor, channels: usize) -> Result<Stats> {
    on_gpu!(x, gpu => super::gpu::batch_norm::moments(gpu, x, channels));
    let (mut mean, mut var) = (buffer(channels), buffer(channels));
    let found = Moments {
        mean: &mut mean,
        var: &mut var,
    };
    norm::moments(&floats(x)?, channels, found)?;
    Ok(Stats {
        mean: tensor(mean, channels, x.device())?,
        var: tensor(var, channels, x.device())?,
    })
}

/// Updates running statistics, in place, with those of a batch of `rows` values per channel.
pub(crate) fn update_running(running: &Stats, batch: &Stats, rows: usize, momentum: f32) -> Result<()> {
    on_gpu!(&batch.mean, gpu => super::gpu::batch_norm::update_running(gpu, running, batch, rows, momentum));
    let (of_batch, var_of_batch) = (floats(&batch.mean)?, floats(&batch.var)?);
    change(&running.mean, |mean| {
        change(&running.var, |var| {
            Ok(norm::update_running(
                &of_batch,
                &var_of_batch,
                rows,
                momentum,
                mean,
                var,
            )?)
        })
    })
}
