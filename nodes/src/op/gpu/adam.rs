//! Adam and AdamW on a GPU: all weights in a few launches.

use super::Gpu;
use super::sgd::writable;
use crate::op::types::{Adam, AdamParameter};
use anyhow::{Context, Result};
use glad_cuda::adam;

pub(crate) fn step(gpu: &Gpu, settings: &Adam, parameters: &[AdamParameter<'_>]) -> Result<()> {
    let lent = parameters
        .iter()
        .map(|p| {
            Ok([
                gpu.lend(p.weight)?,
                gpu.lend(p.grad)?,
                gpu.lend(p.first)?,
                gpu.lend(p.second)?,
            ])
        })
        .collect::<Result<Vec<_>>>()?;
    let mut all = Vec::with_capacity(parameters.len());
    for (p, [weight, grad, first, second]) in parameters.iter().zip(&lent) {
        let inside = || -> Result<adam::Parameter<'_>> {
            Ok(adam::Parameter {
                weights: writable(weight.input()?),
                grad: grad.input()?,
                first: writable(first.input()?),
                second: writable(second.input()?),
                t: p.t,
                lr_scale: p.lr_scale,
                weight_decay: p.weight_decay,
            })
        };
        all.push(inside().with_context(|| format!("update of `{}`", p.name))?);
    }
    Ok(adam::step(&gpu.cuda, &settings.of(1.0, 0.0), &mut all)?)
}
