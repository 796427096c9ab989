//! Convolution in one to three dimensions, channels-last, forward and backward.
//!
//! One engine does all of it (implicit GEMM, no im2col). A pass is described by a `Gather`: for every output
//! pixel, runs of contiguous input values, one for each row of the kernel. `stage` turns a block of output pixels
//! into a table of pointers to those runs (copying lines into a zero-padded buffer where the convolution pads), and the
//! micro-kernels of `kernels` multiply along them. The input gradient of a strided convolution is one gather
//! for each residue of the input position modulo the stride. Kernels of 3×3 and 4×4 pixels and of 3 frames use `winograd`, and
//! so do strided 7×7 kernels, after `fold` has rewritten them.

mod backward_input;
mod backward_weight;
mod blocks;
mod fold;
mod forward;
mod gather;
mod kernels;
mod pack;
mod shape;
mod stage;
mod turn;
mod winograd;
mod workspace;

pub use backward_input::backward_input;
pub use backward_weight::backward_weight;
pub use forward::{Epilogue, Moments, forward};
pub use pack::{PackedWeights, Source};
pub use shape::Conv;
pub use workspace::workspace;
