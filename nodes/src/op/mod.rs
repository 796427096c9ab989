//! The operations of the kinds on tensors, one function for each, whatever the device: today the CPU kernels of
//! `glad-ops`.

pub(crate) mod batch_norm;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod pool;
pub(crate) mod shift;
pub(crate) mod taps;
