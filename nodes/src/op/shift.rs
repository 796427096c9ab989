//! The temporal shift of TSM.

use crate::kernel::{change, floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{Shift, buffer};

/// Shifts the frames of clips `[clips, T, H, W, C]`: the first 1/`fold` of the channels take the next frame's value, the
/// next 1/`fold` that of the frame before, zero at the ends of a clip.
pub(crate) fn forward(x: &Tensor, fold: usize) -> Result<Tensor> {
    on_gpu!(x, gpu => super::gpu::shift::forward(gpu, &shape(x, fold)?, x));
    let mut y = buffer(x.elem_count());
    shape(x, fold)?.forward(&floats(x)?, &mut y)?;
    tensor(y, x.shape(), x.device())
}

/// The gradient of the input.
pub(crate) fn backward(dy: &Tensor, fold: usize) -> Result<Tensor> {
    on_gpu!(dy, gpu => super::gpu::shift::backward(gpu, &shape(dy, fold)?, dy));
    let mut dx = buffer(dy.elem_count());
    shape(dy, fold)?.backward(&floats(dy)?, &mut dx)?;
    tensor(dx, dy.shape(), dy.device())
}

/// Adds the gradient of the input to `dx`, which the caller created and does not share.
pub(crate) fn backward_add(dy: &Tensor, fold: usize, dx: &Tensor) -> Result<()> {
    on_gpu!(dy, gpu => super::gpu::shift::backward_add(gpu, &shape(dy, fold)?, dy, dx));
    let (shape, dy) = (shape(dy, fold)?, floats(dy)?);
    change(dx, |dx| Ok(shape.backward_add(&dy, dx)?))
}

fn shape(x: &Tensor, fold: usize) -> Result<Shift> {
    let (n, t, h, w, channels) = x.dims5()?;
    Ok(Shift {
        n,
        t,
        pixels: h * w,
        channels,
        fold,
    })
}
