//! Errors of a call.

use thiserror::Error;

/// A call whose shapes do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A buffer's length is not the one that the shape requires.
    #[error("{op}: `{name}` holds {got} values, but {expected} are expected")]
    Length {
        /// The operation.
        op: &'static str,
        /// The argument.
        name: &'static str,
        /// Its length.
        got: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A shape, or a number, that the operation cannot work with.
    #[error("{op}: {message}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn check_len(op: &'static str, name: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Length {
            op,
            name,
            got,
            expected,
        })
    }
}

pub(crate) fn shape(op: &'static str, message: impl Into<String>) -> Error {
    Error::Shape {
        op,
        message: message.into(),
    }
}
