//! Dropout with masks that depend on a key and a value's index alone: those of [`glad_ops::dropout`], bit for bit.

use crate::{Gpu, In, Out, Result, Value};

/// `y = x / (1 − p)` where value `i` of `key` is kept, which has probability `1 − p`, else 0; f32 or bf16. The gradient is
/// the same function of the gradient, with the same `key` and `p`. A key on the device is u32 `[2]`, the lower half first.
///
/// # Errors
/// `p` outside `[0, 1)`, or operands that do not fit.
pub fn dropout<G: Gpu>(gpu: &G, key: Value<'_, u64>, p: f32, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, key, p, x, y);
    todo!()
}
