//! A card: memory, launches, copies and clocks through the CUDA driver, and convolutions by cuDNN.
//!
//! All of it works on the stream of a Candle device, so that tensors pass between Candle and these kernels without copies
//! or waiting:
//!
//! ```ignore
//! let device = Device::new_cuda_with_stream(0)?;          // not `new_cuda`: see `Card::of`
//! let card = Card::of(&device.as_cuda_device()?.cuda_stream())?;
//! ```
//!
//! Not everything in the driver's interface is in `cudarc`'s safe part; what is `unsafe` here is calls of the driver and of
//! cuDNN, and what they need of their arguments stands at each.

mod card;
mod cudnn;
mod fault;
mod memory;
mod modules;
mod pool;
mod record;
mod timer;
mod upload;

pub use card::Card;
pub use cudnn::conv;
pub use memory::{CardMemory, Element};
pub use record::Recorded;
pub use timer::{Span, Timer};
pub use upload::{Pinned, Sent, Upload};
