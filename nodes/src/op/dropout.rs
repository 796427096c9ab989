//! Dropout whose mask is a function of a key and of each value's index.

use crate::Key;
use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{buffer, dropout};

/// `x / (1 − p)` where kept, else 0; the gradient is the same function of the gradient. With `p = 0` it is `x` itself.
pub(crate) fn dropout(key: Key, p: f64, x: &Tensor) -> Result<Tensor> {
    if p == 0.0 {
        return Ok(x.clone());
    }
    let x = x.contiguous()?;
    on_gpu!(&x, gpu => super::gpu::dropout::dropout(gpu, key, p, &x));
    let mut y = buffer(x.elem_count());
    dropout::dropout(key.word(), p as f32, &floats(&x)?, &mut y)?;
    tensor(y, x.shape(), x.device())
}
