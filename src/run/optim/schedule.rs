//! Learning rates over a phase.

use crate::graph::{CosineDef, InverseDef, LinearDef, Over, Per, ScheduleDef, StepDef};
use std::f64::consts::PI;

/// Lengths that a schedule refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Steps of the phase.
    pub steps: u64,
    /// Steps in an epoch, where the phase is given in epochs.
    pub per_epoch: Option<u64>,
}

impl ScheduleDef {
    /// The factor of the learning rate at `step`, counted from 0.
    pub(super) fn share(&self, step: u64, length: Length) -> f64 {
        let epoch = length.per_epoch.unwrap_or(1).max(1);
        let now = match self.per() {
            Some(Per::Epoch) => step / epoch * epoch,
            _ => step,
        };
        let done = now as f64 / length.steps.max(1) as f64;
        match self {
            ScheduleDef::Constant => 1.0,
            ScheduleDef::Step(StepDef { at, gamma, per }) => {
                let now = match per {
                    Some(Per::Step) => step,
                    _ => step / epoch,
                };
                gamma.powi(at.0.iter().filter(|a| **a as u64 <= now).count() as i32)
            }
            ScheduleDef::Cosine(CosineDef { end, .. }) => end + (1.0 - end) * 0.5 * (1.0 + (PI * done).cos()),
            ScheduleDef::Linear(LinearDef { end, .. }) => 1.0 + (end - 1.0) * done,
            ScheduleDef::Inverse(InverseDef { gamma, power, over, .. }) => {
                let x = match over {
                    Over::Phase => done,
                    Over::Steps => now as f64,
                };
                (1.0 + gamma * x).powf(-power)
            }
        }
    }
}
