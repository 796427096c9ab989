//! Training operations on a GPU: kernels in CUDA C++ (`kernels/`), and for each a function that launches it.
//!
//! The functions are written against [`Gpu`], a device that allocates memory and runs kernels. There are two: a GPU, and (for
//! tests, on any machine) this process itself, for which the same kernel sources are compiled as C++ and their grids run
//! in loops (`host/`). So all but the driver's own work is tested without a GPU.
//!
//! To add an operation: its kernels in a file of `kernels/` (each an `ENTRY`; the file's name is the module's), its function in
//! one of the same name here, and its test next to the others in `host/tests`, which also runs on a GPU. Nothing lists the
//! files: both builds compile every file they find.
//!
//! * Operations, names and shapes are those of `glad-ops`. Activations are channels-last and hold f32 or bf16, depending on the
//!   operand; all operands that are called activations hold the same. Sums are taken in f32 or f64.
//! * **Same shape, same bits**: reductions are split by shape alone and combined in a fixed order, without atomics.
//! * Nothing waits for the device. What depends on the step (a learning rate, a key) can lie in device memory
//!   ([`Value::Device`]), so that recorded launches can be run again for another step.
//! * A length, shape or type that does not fit is an [`Error`]; nothing is launched then. What only the values show (a label
//!   that is no class) cannot be checked: it makes the result NaN, and never causes an out-of-bounds access.

#[cfg(feature = "driver")]
pub mod driver;
mod error;
mod gpu;
mod launch;
mod table;

pub mod adam;
pub mod channels;
pub mod dropout;
pub mod layout;
pub mod loss;
pub mod norm;
pub mod normalize;
pub mod pointwise;
pub mod pool;
pub mod sgd;
pub mod shift;

pub use error::{Error, Result};
pub use gpu::{Arg, Gpu, In, Launch, Memory, Number, Out, Value};
