//! Which rows of a [`Contrastive`](super::Contrastive) are compared.

use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

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

/// What rows are compared by.
pub(super) struct Compared<'a> {
    /// The rows of each view.
    pub views: &'a [usize],
    /// Rows that follow one another are of one video.
    pub clips: usize,
    pub pairs: Pairs,
    /// Whether a row is a candidate of itself.
    pub keep_self: bool,
    /// What belongs together, and which rows count, for all rows.
    pub label: &'a [u32],
    pub counts: &'a [bool],
}

/// The candidates and positives of all rows, as matrices `[rows, rows]`.
pub(super) struct Choice {
    /// Rows with a positive.
    pub anchors: usize,
    /// 0 for a candidate, and a number far below every score for what is none.
    pub closed: Vec<f32>,
    /// scale / (positives of the row · anchors) for a positive, else 0.
    pub weights: Vec<f32>,
}

/// Far below every score, with room for a score to be added.
const CLOSED: f32 = -1e30;

impl Compared<'_> {
    /// The candidates of a row other than itself, if all count: its view is `view`.
    fn ranges(&self, row: usize, view: &Range<usize>) -> [Range<usize>; 4] {
        let video = view.start + (row - view.start) / self.clips * self.clips;
        let own = match self.pairs {
            Pairs::All => [view.start..video, (video + self.clips).min(view.end)..view.end],
            Pairs::Across => [0..0, 0..0],
        };
        let [before, after] = own;
        [0..view.start, before, after, view.end..self.label.len()]
    }

    /// The candidates and positives, with `scale` in the weights.
    pub(super) fn choose(&self, scale: f64) -> Choice {
        let rows = self.label.len();
        let open: Vec<f32> = self.counts.iter().map(|c| if *c { 0.0 } else { CLOSED }).collect();
        let one: Vec<f32> = self.counts.iter().map(|c| f32::from(u8::from(*c))).collect();
        let (mut closed, mut weights) = (vec![CLOSED; rows * rows], vec![0f32; rows * rows]);
        let mut positives = vec![0u32; rows];
        let mut start = 0;
        for n in self.views {
            let view = start..start + n;
            start = view.end;
            for r in view.clone().filter(|r| self.counts[*r]) {
                let (closed, weights) = (&mut closed[r * rows..][..rows], &mut weights[r * rows..][..rows]);
                for range in self.ranges(r, &view) {
                    closed[range.clone()].copy_from_slice(&open[range.clone()]);
                    let others = self.label[range.clone()].iter().zip(&one[range.clone()]);
                    for (w, (label, one)) in weights[range].iter_mut().zip(others) {
                        *w = if *label == self.label[r] { *one } else { 0.0 };
                    }
                }
                if self.keep_self {
                    closed[r] = 0.0;
                }
                positives[r] = weights.iter().map(|w| *w as u32).sum();
            }
        }
        let anchors = positives.iter().filter(|n| **n > 0).count();
        for (row, n) in weights.chunks_mut(rows.max(1)).zip(&positives).filter(|(_, n)| **n > 0) {
            let share = (scale / (*n as usize * anchors) as f64) as f32;
            row.iter_mut().for_each(|w| *w *= share);
        }
        Choice {
            anchors,
            closed,
            weights,
        }
    }
}
