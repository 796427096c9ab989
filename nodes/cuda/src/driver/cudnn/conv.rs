//! Convolution on a card: forward, and the gradients of input and weights.
//!
//! Layouts are those of the CPU's kernels except for the weights: activations `[n, t, h, w, c]`, weights
//! `[co, kt, kh, kw, ci / groups]` (channels last, where PyTorch's files and `glad_ops` have `[co, ci / groups, kt, kh, kw]`).

use super::super::card::Card;
use crate::{In, Out, Result};
use glad_ops::Conv;

/// The numbers that a convolution works on, and how it multiplies them. Sums are always kept in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// bfloat16 in memory and as factors.
    Bf16,
    /// 32 bits in memory, factors rounded to 10 bits of mantissa (TF32), which tensor cores take.
    Tf32,
    /// 32 bits throughout.
    F32,
}

/// The output `[n, t', h', w', co]` of an input `[n, t, h, w, ci]` and weights `[co, kt, kh, kw, ci / groups]`.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver refuse.
pub fn forward(card: &Card, shape: &Conv, precision: Precision, x: In<'_>, w: In<'_>, y: Out<'_>) -> Result<()> {
    todo!()
}

/// The gradient `[n, t, h, w, ci]` of the input; with `accumulate` it is added to what `dx` holds.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver refuse.
pub fn backward_input(
    card: &Card,
    shape: &Conv,
    precision: Precision,
    dy: In<'_>,
    w: In<'_>,
    dx: Out<'_>,
    accumulate: bool,
) -> Result<()> {
    todo!()
}

/// The gradient `[co, kt, kh, kw, ci / groups]` of the weights, in the precision's type of number.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver refuse.
pub fn backward_weight(
    card: &Card,
    shape: &Conv,
    precision: Precision,
    x: In<'_>,
    dy: In<'_>,
    dw: Out<'_>,
) -> Result<()> {
    todo!()
}
