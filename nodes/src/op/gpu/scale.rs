//! Multiplication by a factor on a GPU.

use super::Gpu;
use anyhow::Result;
use candle_core::Tensor;
use glad_cuda::{Memory, Value, pointwise};

pub(crate) fn scale(gpu: &Gpu, x: &Tensor, factor: f64) -> Result<Tensor> {
    let mut y = gpu.fresh(x.elem_count(), x.dtype())?;
    let factor = Value::Host(factor as f32);
    pointwise::scale(&gpu.cuda, factor, gpu.lend(x)?.input()?, y.output())?;
    Ok(gpu.tensor(y, x.shape()))
}
