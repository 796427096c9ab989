//! Training operations on a GPU: kernels in CUDA C++ (`kernels/`), and for each a function that launches it.
//!
//! The functions are written against [`Gpu`], a device that gives memory and runs kernels. There are two: a card, and (for
//! tests, on any machine) this process itself, for which the same kernel sources are compiled as C++ and their grids are run
//! in loops. So all but the driver's own work is tested without a GPU.

#[cfg(feature = "driver")]
pub mod driver;
mod error;
mod gpu;

pub use error::{Error, Result};
pub use gpu::{Arg, Gpu, In, Launch, Memory, Number, Out};
