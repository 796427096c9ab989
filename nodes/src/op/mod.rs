//! The operations of the kinds on tensors, one function for each, whatever the device: the CPU's kernels are those of
//! `glad-ops`, a GPU's those of `glad-cuda` (`gpu/`). The choice depends on the tensors' device.

/// Returns the result of `body` from the function if the tensor is on a GPU.
macro_rules! on_gpu {
    ($tensor:expr, $gpu:ident => $body:expr) => {
        #[cfg(feature = "cuda")]
        {
            if let Some($gpu) = &crate::op::gpu::Gpu::of($tensor)? {
                return $body;
            }
        }
    };
}

pub mod adam;
pub(crate) mod batch_norm;
pub(crate) mod channels;
pub(crate) mod contrast;
pub(crate) mod conv;
pub(crate) mod directions;
pub(crate) mod dropout;
pub mod ema;
#[cfg(feature = "cuda")]
pub(crate) mod gpu;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod normalize;
pub(crate) mod pool;
pub(crate) mod scale;
pub mod sgd;
pub(crate) mod shift;
pub(crate) mod softmax;
pub(crate) mod svd;
pub(crate) mod taps;
#[cfg(test)]
mod tests;
pub(crate) mod types;
