//! Pooling, channels-last: activations are `[N, T, H, W, C]`.

use super::taps::same_padding;
use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{Pool, buffer, pool};

/// A max pooling layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxPool {
    /// Window along (time, height, width).
    kernel: [usize; 3],
    /// Its step.
    stride: [usize; 3],
    /// Padding on both sides; `None` is TensorFlow's "same".
    pad: Option<[usize; 3]>,
}

impl MaxPool {
    pub const fn new(kernel: [usize; 3], stride: [usize; 3], pad: [usize; 3]) -> MaxPool {
        MaxPool {
            kernel,
            stride,
            pad: Some(pad),
        }
    }

    /// With TensorFlow's "same" padding: the output has `⌈size / stride⌉` positions.
    pub const fn same(kernel: [usize; 3], stride: [usize; 3]) -> MaxPool {
        MaxPool {
            kernel,
            stride,
            pad: None,
        }
    }

    /// The pooling's shape on an input of `n` samples. Along an axis that is shorter than the window, the window is as
    /// long as the axis.
    pub fn on(&self, n: usize, input: [usize; 3], channels: usize) -> Pool {
        let (pad, pad_end) = match self.pad {
            Some(pad) => (pad, pad),
            None => same_padding(input, self.kernel, self.stride),
        };
        let kernel = std::array::from_fn(|a| self.kernel[a].min(input[a] + pad[a] + pad_end[a]));
        Pool {
            pad_end,
            ..Pool::new(n, input, channels, kernel, self.stride, pad)
        }
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

/// What the backward pass of a max pooling layer needs.
pub(crate) struct Maxima {
    shape: Pool,
    index: Vec<u8>,
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
