//! Stochastic gradient descent over all weights of a phase at once.

use crate::kernel::{change, floats};
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_ops::sgd;

/// What all weights of a step have in common.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// The momentum.
    pub momentum: f64,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// What gradients are multiplied with, to clip them by their norm; else 1.
    pub clip_scale: f64,
}

/// A weight and what belongs to it: contiguous f32 tensors of one shape on one device, of which nobody else reads or writes
/// the first and the third meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// The weight's name, for errors.
    pub name: &'a str,
    /// What is updated.
    pub weight: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its momentum, which is updated too.
    pub momentum: &'a Tensor,
    /// Whether this is its first step: then what the momentum holds does not matter.
    pub first: bool,
    /// What the learning rate is multiplied with.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// The L2 norm of all gradients (contiguous f32 tensors of one device) together. Waits for the device.
///
/// # Errors
/// Tensors of another kind, or a device that failed.
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

/// One step: see [`glad_ops::sgd::Sgd`], which has PyTorch's meaning. Gives the first parameter whose weight holds a number
/// that is not finite afterwards (on a GPU it is not looked for: the next loss tells).
///
/// # Errors
/// Tensors of another kind, or a device that failed.
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
