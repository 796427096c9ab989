//! The batch of any step, as it reaches the device: to look at, and to compare experiments by.

use super::phase::PhaseRun;
use super::setup::Setup;
use crate::graph::PhaseDef;
use crate::program::Program;
use anyhow::Result;
use candle_core::{Device, Tensor};

/// The values that cross to the device at `step` of a phase, by `node.port@stream`: of all its parts together.
///
/// # Errors
/// As in a run: no usable video is left, or clips do not stack.
pub fn batch_at(
    program: &Program,
    def: &PhaseDef,
    setup: Setup,
    seed: u64,
    step: u64,
) -> Result<Vec<(String, Tensor)>> {
    let run = PhaseRun::new(program, def, setup, seed, &Device::Cpu)?;
    let batch = run
        .batch(step, &run.order.lengths(step).into_iter().map(|n| 0..n).collect())?
        .arrive()?;
    let mut values: Vec<(String, Tensor)> = batch
        .into_iter()
        .map(|(id, t)| (program.values[id.0].name.clone(), t))
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(values)
}
