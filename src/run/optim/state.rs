//! What an optimiser keeps from step to step.

use crate::graph::OptimizerKind;
use candle_core::Tensor;
use indexmap::IndexMap;

/// What an optimiser keeps, by weight.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    /// Whose it is.
    pub kind: OptimizerKind,
    /// By the weight's name.
    pub weights: IndexMap<String, Kept>,
}

/// What is kept of a weight.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As [`OptimizerKind::buffers`] names them: `f32`, in one dimension, with as many numbers as the weight.
    pub buffers: Vec<Tensor>,
    /// How many steps it was updated in.
    pub steps: u64,
}

impl OptimizerState {
    /// Of an optimiser that has taken no step.
    pub fn new(kind: OptimizerKind) -> OptimizerState {
        OptimizerState {
            kind,
            weights: IndexMap::new(),
        }
    }
}
