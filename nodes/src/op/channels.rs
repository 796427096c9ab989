//! Concatenation of channels.

use anyhow::Result;
use candle_core::Tensor;

/// Tensors `[…, channels]` of otherwise equal sizes, concatenated along channels.
pub(crate) fn join(parts: &[Tensor]) -> Result<Tensor> {
    if let Some(_first) = parts.first() {
        on_gpu!(_first, gpu => super::gpu::channels::join(gpu, parts));
    }
    Ok(Tensor::cat(parts, candle_core::D::Minus1)?)
}

/// The channels `first..first + n` of a tensor `[…, channels]`, in new memory.
pub(crate) fn part(all: &Tensor, first: usize, n: usize) -> Result<Tensor> {
    on_gpu!(all, gpu => super::gpu::channels::part(gpu, all, first, n));
    Ok(all.narrow(candle_core::D::Minus1, first, n)?.contiguous()?)
}
