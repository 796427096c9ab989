//! The optimiser on a GPU: all weights in a few launches.

use super::Gpu;
use crate::op::types::{Parameter, Sgd};
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use glad_cuda::{In, Memory, Out, Value, sgd};

pub(crate) fn norm(gpu: &Gpu, grads: &[&Tensor]) -> Result<f64> {
    let (mut norm, mut scale) = (gpu.fresh(1, DType::F32)?, gpu.fresh(1, DType::F32)?);
    let lent = grads.iter().map(|g| gpu.lend(g)).collect::<Result<Vec<_>>>()?;
    let inputs = lent.iter().map(|g| g.input()).collect::<Result<Vec<_>>>()?;
    sgd::clip(&gpu.cuda, &inputs, None, norm.output(), scale.output())?;
    Ok(f64::from(gpu.tensor(norm, ()).to_scalar::<f32>()?))
}

pub(crate) fn step(gpu: &Gpu, settings: &Sgd, parameters: &[Parameter<'_>]) -> Result<()> {
    let scale = gpu.upload(&[settings.clip_scale as f32])?;
    let scale = gpu.lend(&scale)?;
    let settings = sgd::Sgd {
        lr: Value::Host(settings.lr as f32),
        clip_scale: Some(scale.input()?),
        momentum: settings.momentum as f32,
        nesterov: settings.nesterov,
    };
    let lent = parameters
        .iter()
        .map(|p| Ok([gpu.lend(p.weight)?, gpu.lend(p.grad)?, gpu.lend(p.momentum)?]))
        .collect::<Result<Vec<_>>>()?;
    let mut all = Vec::with_capacity(parameters.len());
    for (p, [weight, grad, momentum]) in parameters.iter().zip(&lent) {
        let inside = || -> Result<sgd::Parameter<'_>> {
            Ok(sgd::Parameter {
                weights: writable(weight.input()?),
                grad: grad.input()?,
                buffer: writable(momentum.input()?),
                lr_scale: p.lr_scale as f32,
                weight_decay: p.weight_decay as f32,
                first: p.first,
            })
        };
        all.push(inside().with_context(|| format!("update of `{}`", p.name))?);
    }
    Ok(sgd::step(&gpu.cuda, &settings, &mut all)?)
}

/// The same memory, for writing: of tensors that an optimiser's parameter gives exclusively to the step. (Candle lends one
/// tensor at a time for writing, and this changes all in one launch.)
#[allow(unsafe_code)]
pub(super) fn writable(lent: In<'_>) -> Out<'_> {
    // SAFETY: a parameter's weight and optimiser state are not used elsewhere meanwhile, as its documentation requires, and all
    // outlive the borrow that this belongs to.
    unsafe { Out::new(lent.address(), lent.len(), lent.number()) }
}
