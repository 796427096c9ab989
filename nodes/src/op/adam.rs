//! Adam and AdamW over all weights of a phase at once.

pub use super::types::{Adam, AdamParameter as Parameter};
use crate::kernel::{change, floats};
use anyhow::{Context, Result};

/// One step: see [`glad_ops::adam::Adam`], with PyTorch's semantics. Returns the first parameter whose weight or second moment
/// has a value that is not finite afterwards (not checked on a GPU: the next loss, or the next save, shows it).
///
/// # Errors
/// Tensors of another kind, or a device that failed.
pub fn step(adam: &Adam, parameters: &[Parameter<'_>]) -> Result<Option<usize>> {
    let Some(_first) = parameters.first() else {
        return Ok(None);
    };
    on_gpu!(_first.weight, gpu => super::gpu::adam::step(gpu, adam, parameters).map(|()| None));
    let mut broken = None;
    for (i, p) in parameters.iter().enumerate() {
        let (settings, grad) = (adam.of(p.lr_scale, p.weight_decay), floats(p.grad)?);
        let mut finite = true;
        change(p.weight, |weight| {
            change(p.first, |first| {
                change(p.second, |second| {
                    finite = settings.step(p.t, &grad, first, second, weight)?;
                    Ok(())
                })
            })
        })
        .with_context(|| format!("update of `{}`", p.name))?;
        if !finite {
            broken = broken.or(Some(i));
        }
    }
    Ok(broken)
}
