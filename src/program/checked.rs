//! The result of the checks: the programs of all phases and views.

use super::Program;
use crate::diag::Problems;
use indexmap::IndexMap;

/// The view that scores a run, unless `run` lists views itself.
pub const RESULT_VIEW: &str = "infer";

/// A graph that passed its checks.
pub struct Checked {
    /// Programs of the phases, in the order of the graph.
    pub phases: IndexMap<String, Program>,
    /// Programs of the views, in the order of the graph.
    pub views: IndexMap<String, Program>,
    /// Warnings and notes.
    pub notes: Problems,
}
