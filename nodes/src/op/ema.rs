//! Moving averages of weights.

use crate::kernel::{change, floats};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::ema;

/// `average = decay · average + (1 − decay) · weight`, in place, since recorded work of a GPU knows weights by their addresses.
/// Both are contiguous f32 tensors of one shape.
///
/// # Errors
/// Tensors of another kind, or a device that failed.
pub fn follow(decay: f64, weight: &Tensor, average: &Tensor) -> Result<()> {
    if !weight.device().is_cpu() {
        let next = ((average * decay)? + (weight * (1.0 - decay))?)?;
        return Ok(average.flatten_all()?.slice_set(&next.flatten_all()?, 0, 0)?);
    }
    let weight = floats(weight)?;
    change(average, |average| Ok(ema::follow(decay, &weight, average)?))
}
