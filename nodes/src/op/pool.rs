//! Pooling, channels-last: activations are `[N, T, H, W, C]`.

use crate::kernel::{buffer, floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{Pool, pool};

/// A max pooling layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxPool {
    /// Window along (time, height, width).
    pub kernel: [usize; 3],
    /// Its step.
    pub stride: [usize; 3],
    /// Padding on both sides.
    pub pad: [usize; 3],
}

/// What the backward pass of a max pooling layer needs.
pub(crate) struct Maxima {
    shape: Pool,
    index: Vec<u8>,
}

impl MaxPool {
    /// The pooling's shape on an input of `n` samples.
    pub fn on(&self, n: usize, input: [usize; 3], channels: usize) -> Pool {
        Pool::new(n, input, channels, self.kernel, self.stride, self.pad)
    }

    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Maxima)> {
        let (n, t, h, w, c) = x.dims5()?;
        let shape = self.on(n, [t, h, w], c);
        let mut y = buffer(shape.output_len());
        let mut index = vec![0; shape.output_len()];
        pool::max_forward(&shape, &floats(x)?, &mut y, &mut index)?;
        let [t, h, w] = shape.output();
        Ok((tensor(y, (n, t, h, w, c), x.device())?, Maxima { shape, index }))
    }
}

impl Maxima {
    pub fn backward(&self, dy: &Tensor) -> Result<Tensor> {
        let Pool {
            n,
            input: [t, h, w],
            channels,
            ..
        } = self.shape;
        let mut dx = buffer(self.shape.input_len());
        pool::max_backward(&self.shape, &floats(dy)?, &self.index, &mut dx)?;
        tensor(dx, (n, t, h, w, channels), dy.device())
    }
}

/// The mean over `[rows, positions, C]` → `[rows, C]`.
pub(crate) fn mean(x: &Tensor, rows: usize) -> Result<Tensor> {
    let channels = x.dim(x.rank() - 1)?;
    let mut y = buffer(rows * channels);
    pool::global_mean(
        rows,
        x.elem_count() / (rows * channels).max(1),
        channels,
        &floats(x)?,
        &mut y,
    )?;
    tensor(y, (rows, channels), x.device())
}

/// The gradient of [`mean`] for an input of shape `shape`.
pub(crate) fn mean_backward(dy: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let (rows, channels) = dy.dims2()?;
    let len: usize = shape.iter().product();
    let mut dx = buffer(len);
    pool::global_mean_backward(rows, len / (rows * channels).max(1), channels, &floats(dy)?, &mut dx)?;
    tensor(dx, shape, dy.device())
}
