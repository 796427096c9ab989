//! The temporal shift on a GPU.

use super::Gpu;
use anyhow::Result;
use candle_core::Tensor;
use glad_cuda::{Memory, shift};
use glad_ops::Shift;

pub(crate) fn forward(gpu: &Gpu, shape: &Shift, x: &Tensor) -> Result<Tensor> {
    let mut y = gpu.fresh(x.elem_count(), x.dtype())?;
    shift::forward(&gpu.cuda, shape, gpu.lend(x)?.input()?, y.output())?;
    Ok(gpu.tensor(y, x.shape()))
}

pub(crate) fn backward(gpu: &Gpu, shape: &Shift, dy: &Tensor) -> Result<Tensor> {
    let mut dx = gpu.fresh(dy.elem_count(), dy.dtype())?;
    shift::backward(&gpu.cuda, shape, gpu.lend(dy)?.input()?, dx.output())?;
    Ok(gpu.tensor(dx, dy.shape()))
}

pub(crate) fn backward_add(gpu: &Gpu, shape: &Shift, dy: &Tensor, dx: &Tensor) -> Result<()> {
    let dy = gpu.lend(dy)?;
    gpu.change(dx, |dx| Ok(shift::backward_add(&gpu.cuda, shape, dy.input()?, dx)?))
}
