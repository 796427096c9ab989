//! Stochastic gradient descent over all weights of a phase at once.

pub use super::types::{Parameter, Sgd};
use crate::kernel::{change, floats};
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_ops::sgd;

/// The L2 norm of all gradients (contiguous f32 tensors of one device) together. Waits for the device.
///
/// # Errors
/// Tensors of another kind, or a device failure.
pub fn norm(grads: &[&Tensor]) -> Result<f64> {
    let Some(_first) = grads.first() else {
        return Ok(0.0);
    };
    on_gpu!(_first, gpu => super::gpu::sgd::norm(gpu, grads));
    let mut sum = 0.0;
    for grad in grads {
        sum += sgd::squared_norm(&floats(grad)?);
    }
    Ok(f64::sqrt(sum))
}

/// One step: see [`glad_ops::sgd::Sgd`], which has PyTorch's semantics. Returns the first parameter whose weight has a value
/// that is not finite afterwards (not checked on a GPU, where the next loss shows it).
///
/// # Errors
/// Tensors of another kind, or a device failure.
pub fn step(sgd: &Sgd, parameters: &[Parameter<'_>]) -> Result<Option<usize>> {
    let Some(_first) = parameters.first() else {
        return Ok(None);
    };
    on_gpu!(_first.weight, gpu => super::gpu::sgd::step(gpu, sgd, parameters).map(|()| None));
    let mut broken = None;
    for (i, p) in parameters.iter().enumerate() {
        let settings = sgd::Sgd {
            lr: (sgd.lr * p.lr_scale) as f32,
            momentum: sgd.momentum as f32,
            weight_decay: p.weight_decay as f32,
            nesterov: sgd.nesterov,
            clip_scale: sgd.clip_scale as f32,
        };
        let grad = floats(p.grad)?;
        let mut finite = true;
        change(p.weight, |weight| {
            change(p.momentum, |momentum| {
                finite = settings.step(p.first, &grad, momentum, weight)?;
                Ok(())
            })
        })
        .with_context(|| format!("update of `{}`", p.name))?;
        if !finite {
            broken = broken.or(Some(i));
        }
    }
    Ok(broken)
}
