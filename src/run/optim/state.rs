//! The state of an optimiser between steps.

use crate::graph::OptimizerKind;
use candle_core::Tensor;
use indexmap::IndexMap;

/// The state of an optimiser, by weight.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    /// The optimiser.
    pub kind: OptimizerKind,
    /// By the weight's name.
    pub weights: IndexMap<String, Kept>,
}

/// The state of a weight.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As [`OptimizerKind::buffers`] names them: `f32`, in one dimension, with as many values as the weight.
    pub buffers: Vec<Tensor>,
    /// The number of steps that updated it.
    pub steps: u64,
}

impl OptimizerState {
    /// Before the first step.
    pub fn new(kind: OptimizerKind) -> OptimizerState {
        OptimizerState {
            kind,
            weights: IndexMap::new(),
        }
    }
}
