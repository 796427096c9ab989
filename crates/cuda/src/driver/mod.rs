//! A GPU: memory, launches, copies and timers through the CUDA driver, and convolutions by cuDNN.
//!
//! Everything runs on the stream of a Candle device, so that tensors pass between Candle and these kernels without copies
//! or waiting:
//!
//! ```ignore
//! let device = Device::new_cuda_with_stream(0)?;          // not `new_cuda`: see `CudaGpu::of`
//! let GPU = CudaGpu::of(&device.as_cuda_device()?.cuda_stream())?;
//! ```
//!
//! `cudarc`'s safe interface does not cover the whole driver; the `unsafe` code here calls the driver and
//! cuDNN, and each call states what it requires of its arguments.

mod cudnn;
mod fault;
mod gpu;
mod memory;
mod modules;
mod pool;
mod queue;
mod record;
mod timer;
mod upload;

pub use cudnn::conv;
pub use gpu::CudaGpu;
pub use memory::{CudaMemory, Element};
pub use record::Recorded;
pub use timer::{Span, Timer};
pub use upload::{Pinned, Sent, Upload};
