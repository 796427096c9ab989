//! Which rows of a [`Contrastive`](super::Contrastive) are compared.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which rows are the candidates of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pairs {
    /// All others.
    #[default]
    All,
    /// Those of the other views or domains.
    Across,
}

/// The candidates and positives of all rows, as matrices `[rows, rows]`.
pub(super) struct Choice {
    pub rows: usize,
    /// Rows with a positive.
    pub anchors: usize,
    /// 0 for a candidate, and a number far below every score for what is none.
    pub closed: Vec<f32>,
    /// 1 / (positives of the row · anchors) for a positive, else 0.
    pub weights: Vec<f32>,
}

/// Far below every score, with room for a score to be added.
const CLOSED: f32 = -1e30;

impl Choice {
    /// Of the rows that count, by functions of two rows.
    pub(super) fn new(
        rows: usize,
        counts: impl Fn(usize) -> bool,
        candidate: impl Fn(usize, usize) -> bool,
        alike: impl Fn(usize, usize) -> bool,
    ) -> Choice {
        let mut closed = vec![CLOSED; rows * rows];
        let mut positives = vec![0usize; rows];
        let mut weights = vec![0f32; rows * rows];
        for r in (0..rows).filter(|r| counts(*r)) {
            for q in (0..rows).filter(|q| counts(*q) && candidate(r, *q)) {
                closed[r * rows + q] = 0.0;
                if q != r && alike(r, q) {
                    weights[r * rows + q] = 1.0;
                    positives[r] += 1;
                }
            }
        }
        let anchors = positives.iter().filter(|n| **n > 0).count();
        for (row, n) in weights.chunks_mut(rows.max(1)).zip(&positives) {
            let share = 1.0 / (n * anchors).max(1) as f32;
            row.iter_mut().for_each(|w| *w *= share);
        }
        Choice {
            rows,
            anchors,
            closed,
            weights,
        }
    }
}
