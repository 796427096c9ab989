//! Winograd's minimal filtering F(4×4, 3×3) for kernels of 3×3 pixels (and any length along time) with stride 1
//! (Lavin and Gray, CVPR 2016): a tile of 4×4 outputs takes 36 products per pair of channels instead of 144.
//!
//! With the points 0, ±a, ±b and ∞, an output tile is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, and the gradient of the filter
//! `Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G`. The products are 36 matrix products over the tiles of a block, which the kernels of
//! the direct convolution do. `a = 11/16`, `b = 3/2` make every constant of `A` and `B` exact in `f32`, and the error
//! half of that with the usual 1 and 2: about twice that of the direct sum, where the usual points have four times.
//!
//! Kernels of 4×4 pixels use F(3×3, 4×4) with the same points, and so with the same transform of the input.
//! Kernels of 3×1×1 use F(4, 3) along time in the same way: 6 products instead of 12 for 4 frames of a pixel.
//!
//! The input gradient is a pass of the same kind (a [`Gather`] of the output gradient). Transformed filters are four
//! times as long as the filters, so they are recomputed for every pass instead of being kept.

mod axis;
mod filter;
mod multiply;
mod tiles;
mod transform;
mod weight;

pub(super) use multiply::multiply;
pub(super) use tiles::Tiles;
pub(super) use weight::Sums;

#[cfg(doc)]
use super::gather::Gather;

/// Values of a transformed tile, and of one along time.
const POINTS: usize = 36;
const POINTS_OF_A_LINE: usize = 6;
