//! Errors of a call.

use thiserror::Error;

/// A call that is invalid, or that failed on the device.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A shape or length that does not fit, with the CPU operations' message.
    #[error(transparent)]
    Shape(#[from] glad_ops::Error),
    /// An operand whose number type the operation does not take.
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
