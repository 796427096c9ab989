//! The temporal shift of TSM (Lin, Gan and Han, 2019), as [`glad_ops::shift`] has it: the first `1 / fold` of the channels
//! take the value of the next frame, the next `1 / fold` that of the frame before, zero at the ends, the rest stay.
//!
//! Operands are activations `[n, t, pixels, channels]`, all f32 or all bf16.

use crate::{Gpu, In, Out, Result};
pub use glad_ops::Shift;

/// Shifts `x` into `y`.
///
/// # Errors
/// Fewer than two parts to fold into, or operands that do not fit the shape.
pub fn forward<G: Gpu>(gpu: &G, shift: &Shift, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, shift, x, y);
    todo!()
}

/// Shifts the gradient back: `dy` into `dx`.
///
/// # Errors
/// As [`forward`].
pub fn backward<G: Gpu>(gpu: &G, shift: &Shift, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    let _ = (gpu, shift, dy, dx);
    todo!()
}

/// Adds the gradient, shifted back, to `dx`.
///
/// # Errors
/// As [`forward`].
pub fn backward_add<G: Gpu>(gpu: &G, shift: &Shift, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    let _ = (gpu, shift, dy, dx);
    todo!()
}
