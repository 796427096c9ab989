//! Losses.

mod combine;
mod cross_entropy;
pub(crate) mod scalar;

pub use combine::Combine;
pub use cross_entropy::{CrossEntropy, Reduction};
