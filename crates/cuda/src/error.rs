//! What can be wrong with a call.

use thiserror::Error;

/// A call that cannot be made, or that the device refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A shape or length that does not fit, in the words of the CPU's operations.
    #[error(transparent)]
    Shape(#[from] glad_ops::Error),
    /// An operand of another type of number than the operation takes.
    #[error("{op}: `{name}` holds {got:?}, and {expected:?} is needed")]
    Number {
        /// The operation.
        op: &'static str,
        /// The operand.
        name: &'static str,
        /// What it holds.
        got: crate::Number,
        /// What it should hold.
        expected: crate::Number,
    },
    /// The device, its driver or a library of it failed.
    #[error("{0}")]
    Device(String),
}

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;
