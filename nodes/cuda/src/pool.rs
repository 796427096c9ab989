//! Maximum, average and global average pooling, channels-last, as [`glad_ops::pool`] has them.
//!
//! `x` and `dx` are activations `[n, t, h, w, channels]`, `y` and `dy` `[n, t', h', w', channels]`, of f32 or bf16.

use crate::{Gpu, In, Out, Result};
pub use glad_ops::Pool;

/// `y = max` over windows; `index`, u8 and as long as `y`, takes the place of the maximum in its window (time-major), for the
/// backward pass. The first of equals wins; what is not a number wins over all.
///
/// # Errors
/// The shape makes no sense, or operands that do not fit it.
pub fn max_forward<G: Gpu>(gpu: &G, pool: &Pool, x: In<'_>, y: Out<'_>, index: Out<'_>) -> Result<()> {
    let _ = (gpu, pool, x, y, index);
    todo!()
}

/// `dx`: each output's gradient goes to its maximum, that `index` from [`max_forward`] names.
///
/// # Errors
/// As [`max_forward`].
pub fn max_backward<G: Gpu>(gpu: &G, pool: &Pool, dy: In<'_>, index: In<'_>, dx: Out<'_>) -> Result<()> {
    let _ = (gpu, pool, dy, index, dx);
    todo!()
}

/// `y = Σ x / window` over windows; the padding counts as zeros, as is PyTorch's default.
///
/// # Errors
/// As [`max_forward`].
pub fn average_forward<G: Gpu>(gpu: &G, pool: &Pool, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, pool, x, y);
    todo!()
}

/// `dx` of [`average_forward`].
///
/// # Errors
/// As [`max_forward`].
pub fn average_backward<G: Gpu>(gpu: &G, pool: &Pool, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    let _ = (gpu, pool, dy, dx);
    todo!()
}

/// The mean over all positions: activations `x` `[n, positions, channels]`, of f32 or bf16, to f32 `y` `[n, channels]`.
///
/// # Errors
/// An empty shape, or operands that do not fit it.
pub fn global_mean<G: Gpu>(gpu: &G, n: usize, positions: usize, channels: usize, x: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, n, positions, channels, x, y);
    todo!()
}

/// `dx` of [`global_mean`], f32 or bf16, from f32 `dy`.
///
/// # Errors
/// As [`global_mean`].
pub fn global_mean_backward<G: Gpu>(
    gpu: &G,
    n: usize,
    positions: usize,
    channels: usize,
    dy: In<'_>,
    dx: Out<'_>,
) -> Result<()> {
    let _ = (gpu, n, positions, channels, dy, dx);
    todo!()
}
