//! Pooling, channels-last: activations are `[N, T, H, W, C]`.

use super::taps::same_padding;
use crate::kernel::{floats, tensor};
use anyhow::{Result, bail};
use candle_core::{DType, Tensor};
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
    pub(crate) const fn new(kernel: [usize; 3], stride: [usize; 3], pad: [usize; 3]) -> MaxPool {
        MaxPool {
            kernel,
            stride,
            pad: Some(pad),
        }
    }

    /// With TensorFlow's "same" padding: the output has `⌈size / stride⌉` positions.
    pub(crate) const fn same(kernel: [usize; 3], stride: [usize; 3]) -> MaxPool {
        MaxPool {
            kernel,
            stride,
            pad: None,
        }
    }

    /// The pooling's shape on an input of `n` samples. Along an axis that is shorter than the window, the window is as
    /// long as the axis.
    pub(crate) fn on(&self, n: usize, input: [usize; 3], channels: usize) -> Pool {
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

    pub(crate) fn forward(&self, x: &Tensor) -> Result<(Tensor, Maxima)> {
        let (n, t, h, w, c) = x.dims5()?;
        let shape = self.on(n, [t, h, w], c);
        on_gpu!(x, gpu => {
            let (y, index) = super::gpu::pool::max_forward(gpu, &shape, x)?;
            Ok((y, Maxima { shape, index: Index::Gpu(index) }))
        });
        let mut y = buffer(shape.output_len());
        let mut index = vec![0; shape.output_len()];
        pool::max_forward(&shape, &floats(x)?, &mut y, &mut index)?;
        let [t, h, w] = shape.output();
        Ok((
            tensor(y, (n, t, h, w, c), x.device())?,
            Maxima {
                shape,
                index: Index::Host(index),
            },
        ))
    }
}

/// The position of each maximum in its window.
enum Index {
    Host(Vec<u8>),
    #[cfg(feature = "cuda")]
    Gpu(Tensor),
}

/// What the backward pass of a max pooling layer needs.
pub(crate) struct Maxima {
    shape: Pool,
    index: Index,
}

impl Maxima {
    pub(crate) fn backward(&self, dy: &Tensor) -> Result<Tensor> {
        match &self.index {
            Index::Host(index) => {
                let Pool { n, channels, .. } = self.shape;
                let [t, h, w] = self.shape.input;
                let mut dx = buffer(self.shape.input_len());
                pool::max_backward(&self.shape, &floats(dy)?, index, &mut dx)?;
                tensor(dx, (n, t, h, w, channels), dy.device())
            }
            #[cfg(feature = "cuda")]
            Index::Gpu(index) => {
                on_gpu!(dy, gpu => super::gpu::pool::max_backward(gpu, &self.shape, dy, index));
                bail!("a gradient of the CPU came to a pooling of the GPU")
            }
        }
    }
}

/// The mean over `[rows, positions, C]` → `[rows, C]`, in f32 for any type of `x`.
pub(crate) fn mean(x: &Tensor, rows: usize) -> Result<Tensor> {
    let channels = x.dim(x.rank() - 1)?;
    let positions = x.elem_count() / (rows * channels).max(1);
    on_gpu!(x, gpu => super::gpu::pool::mean(gpu, x, rows, positions, channels));
    let mut y = buffer(rows * channels);
    pool::global_mean(rows, positions, channels, &floats(x)?, &mut y)?;
    tensor(y, (rows, channels), x.device())
}

/// The gradient of [`mean`] for an input of shape `shape` and type `ty`.
pub(crate) fn mean_backward(dy: &Tensor, shape: &[usize], ty: DType) -> Result<Tensor> {
    on_gpu!(dy, gpu => super::gpu::pool::mean_backward(gpu, dy, shape, ty));
    if ty != DType::F32 {
        bail!("the CPU computes in f32, and a gradient in {} is wanted", ty.as_str());
    }
    let (rows, channels) = dy.dims2()?;
    let len: usize = shape.iter().product();
    let mut dx = buffer(len);
    pool::global_mean_backward(rows, len / (rows * channels).max(1), channels, &floats(dy)?, &mut dx)?;
    tensor(dx, shape, dy.device())
}
