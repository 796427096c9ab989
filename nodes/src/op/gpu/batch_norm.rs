//! Batch normalisation on a GPU.

use super::Gpu;
use crate::op::types::{Affine, Grads, Stats};
use anyhow::Result;
use candle_core::{DType, Tensor};
use glad_cuda::Memory;
use glad_cuda::norm::{self, BatchNorm, Residual};

/// Runs `body` with the norm of these statistics and parameters.
fn with<R>(
    gpu: &Gpu,
    stats: &Stats,
    affine: &Affine<'_>,
    relu: bool,
    body: impl FnOnce(&BatchNorm<'_>) -> Result<R>,
) -> Result<R> {
    let (mean, var) = (gpu.lend(&stats.mean)?, gpu.lend(&stats.var)?);
    let (gamma, beta) = (gpu.lend(affine.gamma)?, gpu.lend(affine.beta)?);
    body(&BatchNorm {
        mean: mean.input()?,
        var: var.input()?,
        gamma: gamma.input()?,
        beta: beta.input()?,
        eps: affine.eps,
        relu,
    })
}

pub(crate) fn forward(
    gpu: &Gpu,
    x: &Tensor,
    stats: &Stats,
    affine: &Affine<'_>,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let mut y = gpu.fresh(x.elem_count(), x.dtype())?;
    let values = gpu.lend(x)?;
    let residual = residual.map(|r| gpu.lend(r)).transpose()?;
    let residual = residual.as_ref().map(|r| r.input()).transpose()?;
    with(gpu, stats, affine, relu, |norm| {
        Ok(norm.forward(&gpu.cuda, values.input()?, residual, y.output())?)
    })?;
    Ok(gpu.tensor(y, x.shape()))
}

#[allow(clippy::too_many_arguments, reason = "as the CPU's, and the device")]
pub(crate) fn backward(
    gpu: &Gpu,
    batch: bool,
    x: &Tensor,
    dy: Tensor,
    stats: &Stats,
    affine: &Affine<'_>,
    y: Option<&Tensor>,
    relu: bool,
) -> Result<Grads> {
    let channels = affine.gamma.elem_count();
    let mut dgamma = gpu.fresh(channels, DType::F32)?;
    let mut dbeta = gpu.fresh(channels, DType::F32)?;
    let mut dx = y.map(|y| gpu.fresh(y.elem_count(), y.dtype())).transpose()?;
    let dy = dy.contiguous()?;
    let values = gpu.lend(x)?;
    let y = y.map(|y| gpu.lend(y)).transpose()?;
    with(gpu, stats, affine, relu, |norm| {
        gpu.change(&dy, |grad| {
            let residual = match (&y, &mut dx) {
                (Some(y), Some(dx)) => Some(Residual {
                    y: y.input()?,
                    dx: dx.output(),
                }),
                _ => None,
            };
            let (dgamma, dbeta) = (dgamma.output(), dbeta.output());
            Ok(norm.backward(&gpu.cuda, batch, values.input()?, grad, residual, dgamma, dbeta)?)
        })
    })?;
    let (of_x, of_residual) = match dx {
        Some(dx) => (gpu.tensor(dx, x.shape()), Some(dy)),
        None => (dy, None),
    };
    Ok(Grads {
        x: of_x,
        residual: of_residual,
        gamma: gpu.tensor(dgamma, channels),
        beta: gpu.tensor(dbeta, channels),
    })
}

/// Mean and biased variance of each channel of `x` `[…, channels]`.
pub(crate) fn moments(gpu: &Gpu, x: &Tensor, channels: usize) -> Result<Stats> {
    let mut mean = gpu.fresh(channels, DType::F32)?;
    let mut var = gpu.fresh(channels, DType::F32)?;
    norm::moments(&gpu.cuda, gpu.lend(x)?.input()?, channels, mean.output(), var.output())?;
    Ok(Stats {
        mean: gpu.tensor(mean, channels),
        var: gpu.tensor(var, channels),
    })
}

pub(crate) fn update_running(gpu: &Gpu, running: &Stats, batch: &Stats, rows: usize, momentum: f32) -> Result<()> {
    let (of_batch, var_of_batch) = (gpu.lend(&batch.mean)?, gpu.lend(&batch.var)?);
    let (of_batch, var_of_batch) = (of_batch.input()?, var_of_batch.input()?);
    gpu.change(&running.mean, |mut mean| {
        gpu.change(&running.var, |var| {
            let mean = mean.lend();
            Ok(norm::update_running(
                &gpu.cuda,
                of_batch,
                var_of_batch,
                rows,
                momentum,
                mean,
                var,
            )?)
        })
    })
}
