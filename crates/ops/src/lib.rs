//! CPU kernels for training video networks, on plain `f32` slices, and one on bytes ([`rank`]).
//!
//! Activations are **channels-last**: `[N, T, H, W, C]`, and a 2-D layer is `T = 1`. Weights come in, and their
//! gradients go out, in PyTorch's layout `[co, ci / groups, kt, kh, kw]`.
//!
//! * The caller supplies every output buffer; scratch is kept per thread and reused.
//! * Work is spread over the current rayon pool, and every result has **the same bits for any number of threads**:
//!   reductions are cut into chunks that depend on the shape alone and are summed in a fixed order.
//! * Each kernel exists for AVX-512, for AVX2 with FMA and in portable Rust; [`isa`] chooses at run time.
//!   Results differ between instruction sets in the last bits.
//! * A length or a shape that does not fit is an [`Error`], never a panic.

pub mod adam;
pub mod contrast;
pub mod conv;
pub mod directions;
pub mod dropout;
pub mod elementwise;
pub mod ema;
mod error;
pub mod isa;
pub mod linear;
pub mod loss;
pub mod norm;
mod parallel;
pub mod pool;
pub mod rank;
mod scratch;
pub mod sgd;
pub mod shift;
mod simd;

pub use adam::Adam;
pub use conv::{Conv, Epilogue, Moments, PackedWeights};
pub use error::{Error, Result};
pub use isa::Isa;
pub use linear::Linear;
pub use loss::Loss;
pub use norm::{BatchNorm, Residual};
pub use pool::Pool;
pub use scratch::buffer;
pub use sgd::Sgd;
pub use shift::Shift;
