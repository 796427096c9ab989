//! Operations on numbers one by one.

use crate::{Gpu, In, Out, Result, Value};

/// `y = x`, each f32 or bf16 (to the nearest, of two equally near ones the even one).
///
/// # Errors
/// Operands that do not fit.
pub fn cast<G: Gpu>(gpu: &G, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, x, y);
    todo!()
}

/// `y += x`; both f32 or both bf16.
///
/// # Errors
/// Operands that do not fit.
pub fn add<G: Gpu>(gpu: &G, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, x, y);
    todo!()
}

/// `y = factor · x`; both f32 or both bf16. A factor on the device is f32 `[1]`. The gradient of a gradient reversal layer is
/// this with −λ.
///
/// # Errors
/// Operands that do not fit.
pub fn scale<G: Gpu>(gpu: &G, factor: Value<'_, f32>, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, factor, x, y);
    todo!()
}

/// `y += bias` for every row of `y` `[rows, channels]`, f32 or bf16, with f32 `bias` `[channels]` where there is one; then
/// what is negative becomes zero if `relu`. What a linear layer or a convolution without a norm ends with.
///
/// # Errors
/// Operands that do not fit.
pub fn bias<G: Gpu>(gpu: &G, channels: usize, bias: Option<In<'_>>, relu: bool, y: Out<'_>) -> Result<()> {
    let _ = (gpu, channels, bias, relu, y);
    todo!()
}

/// The gradient before a ReLU, in place: zero where its output `y` is; both f32 or both bf16.
///
/// # Errors
/// Operands that do not fit.
pub fn relu_backward<G: Gpu>(gpu: &G, y: In<'_>, grad: Out<'_>) -> Result<()> {
    let _ = (gpu, y, grad);
    todo!()
}

/// Sets `flag`, u32 `[1]`, to 1 if any number of `x` (f32 or bf16) is infinite or not a number; else leaves it as it is.
///
/// # Errors
/// Operands that do not fit.
pub fn not_finite<G: Gpu>(gpu: &G, x: In<'_>, flag: Out<'_>) -> Result<()> {
    let _ = (gpu, x, flag);
    todo!()
}
