//! The contract of a glad node ([`contract`]), and the library of node kinds (feature `kinds`, on by default).
#![deny(clippy::print_stdout, clippy::print_stderr, unsafe_code)]

pub mod contract;

#[cfg(feature = "kinds")]
pub mod align;
#[cfg(feature = "kinds")]
pub mod data;
/// Parsers of untrusted input, for fuzz targets and tests.
#[cfg(feature = "kinds")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::model::{features, weights};
}
#[cfg(feature = "kinds")]
pub mod formula;
#[cfg(feature = "kinds")]
mod input;
#[cfg(feature = "kinds")]
mod kernel;
#[cfg(feature = "kinds")]
mod kinds;
#[cfg(feature = "kinds")]
pub mod loss;
#[cfg(feature = "kinds")]
pub mod metric;
#[cfg(feature = "kinds")]
pub mod model;
#[cfg(feature = "kinds")]
mod op;
#[cfg(feature = "kinds")]
pub mod order;
#[cfg(feature = "kinds")]
pub mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use contract::*;
#[cfg(feature = "kinds")]
pub use kinds::registry;
#[cfg(feature = "kinds")]
pub use op::{adam, ema, sgd};
