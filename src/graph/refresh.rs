//! Passes over a phase's lists between its steps.

use crate::diag::Spanned;
use crate::keys::table;

table! {
    /// A view that a phase runs over its lists before its first step and now and then again. What its nodes over whole lists
    /// give each video, such as a label by clusters, stays until the next pass, and steps get it for their videos.
    pub struct RefreshKeys as "refresh" {
        /// The view.
        view: Option<Spanned<String>>;
        /// Epochs from one pass to the next; 1 by default.
        every: Option<Spanned<usize>>, [least = 1.0];
        /// In place of `every`: optimiser steps from one pass to the next.
        steps: Option<Spanned<usize>>, [least = 1.0];
        /// In place of `every`: how many passes the phase has, as many steps apart as they can be.
        times: Option<Spanned<usize>>, [least = 1.0];
    }
}

/// A view that a phase runs over its lists, and when.
#[derive(Clone, Debug)]
pub struct RefreshDef {
    /// The view.
    pub view: Spanned<String>,
    /// When.
    pub often: Spanned<Often>,
}

/// When a phase runs a pass again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// After so many epochs.
    Epochs(usize),
    /// After so many steps.
    Steps(usize),
    /// So many times a phase: pass i of n before step ⌊i·steps/n⌋.
    Times(usize),
}

impl Often {
    /// Whether there is a pass before step `step` of a phase of `steps` steps, `per_epoch` of them an epoch.
    pub fn due(self, step: u64, steps: u64, per_epoch: u64) -> bool {
        match self {
            Often::Epochs(n) => step.is_multiple_of((n as u64).saturating_mul(per_epoch)),
            Often::Steps(n) => step.is_multiple_of(n as u64),
            Often::Times(n) => {
                let (step, steps, n) = (u128::from(step), u128::from(steps.max(1)), n as u128);
                // The first pass that is not before this step.
                let pass = (step * n).div_ceil(steps);
                pass < n && pass * steps / n == step
            }
        }
    }

    /// How many passes such a phase has.
    pub fn passes(self, steps: u64, per_epoch: u64) -> u64 {
        match self {
            Often::Epochs(n) => steps.div_ceil((n as u64).saturating_mul(per_epoch).max(1)),
            Often::Steps(n) => steps.div_ceil(n as u64),
            Often::Times(n) => (n as u64).min(steps),
        }
    }
}

/// As people say it: `every epoch`, `every 10 steps`, `15 times`.
impl std::fmt::Display for Often {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Often::Epochs(1) => f.write_str("every epoch"),
            Often::Epochs(n) => write!(f, "every {n} epochs"),
            Often::Steps(1) => f.write_str("every step"),
            Often::Steps(n) => write!(f, "every {n} steps"),
            Often::Times(1) => f.write_str("once"),
            Often::Times(n) => write!(f, "{n} times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(often: Often, steps: u64, per_epoch: u64) -> Vec<u64> {
        let due: Vec<u64> = (0..steps).filter(|k| often.due(*k, steps, per_epoch)).collect();
        assert_eq!(due.len() as u64, often.passes(steps, per_epoch), "{often:?}");
        due
    }

    #[test]
    fn passes_come_before_these_steps() {
        assert_eq!(passes(Often::Epochs(1), 10, 4), [0, 4, 8]);
        assert_eq!(passes(Often::Epochs(2), 17, 4), [0, 8, 16]);
        assert_eq!(passes(Often::Steps(3), 10, 4), [0, 3, 6, 9]);
        assert_eq!(passes(Often::Times(1), 10, 4), [0]);
        // ⌊10 i / 4⌋, and ⌊7 i / 5⌋.
        assert_eq!(passes(Often::Times(4), 10, 4), [0, 2, 5, 7]);
        assert_eq!(passes(Often::Times(5), 7, 1), [0, 1, 2, 4, 5]);
        // No more than steps.
        assert_eq!(passes(Often::Times(9), 3, 1), [0, 1, 2]);
        assert_eq!(passes(Often::Times(15), 300, 9).len(), 15);
    }
}
