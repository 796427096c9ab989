//! A round of a step, as the scheduler walks it.

use super::Program;

/// A round of a step: a forward pass of its calls, a backward pass of its losses, an update.
#[derive(Clone, Debug)]
pub struct Round {
    /// Its name; empty where the phase has no rounds, and in a view.
    pub name: String,
    /// How often it is taken in a step.
    pub repeat: usize,
    /// Whether each call runs in it.
    pub runs: Vec<bool>,
    /// Whether it trains the weights of each call.
    pub trains: Vec<bool>,
    /// Whether it computes a gradient for each value.
    pub grads: Vec<bool>,
}

impl Round {
    /// What a number of this round is called in logs: `ROUND/NAME`, or the name alone in a phase without rounds.
    pub fn label(&self, name: &str) -> String {
        match self.name.as_str() {
            "" => name.to_owned(),
            round => format!("{round}/{name}"),
        }
    }

    /// What it is called in phase `phase`: `main/features`, or the phase's name alone where that has no rounds.
    pub fn whole(&self, phase: &str) -> String {
        match self.name.as_str() {
            "" => phase.to_owned(),
            round => format!("{phase}/{round}"),
        }
    }
}

impl Program {
    /// The passes of a step in order: each a round, as an index, and which of its repetitions.
    pub fn passes(&self) -> impl Iterator<Item = (usize, usize)> {
        let rounds = self.rounds.iter().enumerate();
        rounds.flat_map(|(round, r)| (0..r.repeat).map(move |time| (round, time)))
    }

    /// Whether weights of `owner` are trained: in one round, or in any.
    pub fn trains(&self, owner: &str, round: Option<usize>) -> bool {
        let of = |r: &Round| {
            self.calls
                .iter()
                .zip(&r.trains)
                .any(|(c, trains)| *trains && c.owner == owner)
        };
        match round {
            Some(round) => of(&self.rounds[round]),
            None => self.rounds.iter().any(of),
        }
    }
}
