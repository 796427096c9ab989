//! Multiplication by a factor.

use anyhow::Result;
use candle_core::Tensor;

/// `factor · x`.
pub(crate) fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
    let x = x.contiguous()?;
    on_gpu!(&x, gpu => super::gpu::scale::scale(gpu, &x, factor));
    Ok((x * factor)?)
}
