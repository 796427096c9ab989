//! How a run ends without its result.

use std::fmt;

/// Why a run ended without its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It neither began nor went on, and nothing was changed: the folder that it was to use is another's, or holds what does
    /// not fit.
    #[error("{0}")]
    Refused(String),
    /// It was asked to stop, and has saved its state.
    #[error("stopped")]
    Stopped,
    /// Something failed on the way.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl RunError {
    /// The same, with what was being done put in front of a failure's message.
    #[must_use]
    pub fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> RunError {
        match self {
            RunError::Failed(e) => RunError::Failed(e.context(what)),
            e => e,
        }
    }
}
