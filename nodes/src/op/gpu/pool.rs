//! Pooling on a GPU.

use super::Gpu;
use anyhow::Result;
use candle_core::{DType, Tensor};
use glad_cuda::Memory;
use glad_cuda::pool;
use glad_ops::Pool;

/// The maxima, and the position of each in its window, as bytes.
pub(crate) fn max_forward(gpu: &Gpu, shape: &Pool, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let len = shape.output_len();
    let (mut y, mut index) = (gpu.fresh(len, x.dtype())?, gpu.fresh(len, DType::U8)?);
    pool::max_forward(&gpu.cuda, shape, gpu.lend(x)?.input()?, y.output(), index.output())?;
    let [t, h, w] = shape.output();
    let dims = (shape.n, t, h, w, shape.channels);
    Ok((gpu.tensor(y, dims), gpu.tensor(index, dims)))
}

pub(crate) fn max_backward(gpu: &Gpu, shape: &Pool, dy: &Tensor, index: &Tensor) -> Result<Tensor> {
    let mut dx = gpu.fresh(shape.input_len(), dy.dtype())?;
    let (dy, index) = (gpu.lend(dy)?, gpu.lend(index)?);
    pool::max_backward(&gpu.cuda, shape, dy.input()?, index.input()?, dx.output())?;
    let [t, h, w] = shape.input;
    Ok(gpu.tensor(dx, (shape.n, t, h, w, shape.channels)))
}

pub(crate) fn mean(gpu: &Gpu, x: &Tensor, rows: usize, positions: usize, channels: usize) -> Result<Tensor> {
    let mut y = gpu.fresh(rows * channels, DType::F32)?;
    pool::global_mean(&gpu.cuda, rows, positions, channels, gpu.lend(x)?.input()?, y.output())?;
    Ok(gpu.tensor(y, (rows, channels)))
}

pub(crate) fn mean_backward(gpu: &Gpu, dy: &Tensor, shape: &[usize], ty: DType) -> Result<Tensor> {
    let (rows, channels) = dy.dims2()?;
    let len: usize = shape.iter().product();
    let positions = len / (rows * channels).max(1);
    let mut dx = gpu.fresh(len, ty)?;
    pool::global_mean_backward(
        &gpu.cuda,
        rows,
        positions,
        channels,
        gpu.lend(dy)?.input()?,
        dx.output(),
    )?;
    Ok(gpu.tensor(dx, shape))
}
