//! What is wrong with a node's parameters.

use std::ops::Range;

/// Something wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Which: `schedule.kind`; empty for the node as a whole.
    pub path: String,
    /// Which bytes of it, where it is a text and not all of it is wrong.
    pub span: Option<Range<usize>>,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ParamProblem {
    /// A problem without further help.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        ParamProblem {
            path: path.into(),
            span: None,
            message: message.into(),
            help: None,
        }
    }

    /// Only these bytes of the parameter, which is a text.
    #[must_use]
    pub fn within(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
