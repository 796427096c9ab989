//! The Inception module, inflated.

use super::conv_bn::{self, ConvBn};
use super::counter::Counter;
use super::sequence::Part;
use crate::op::conv::Dx;
use crate::op::pool::{MaxPool, Maxima};
use crate::sizes::kept;
use crate::{Saved, Step, WeightSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

const POOL: MaxPool = MaxPool::same([3, 3, 3], [1, 1, 1]);

/// Four branches side by side, their channels one behind the other: 1×1×1; 1×1×1 then 3×3×3, twice; 3×3×3 max pooling
/// then 1×1×1 (Carreira and Zisserman, CVPR 2017, Fig. 3). Weights are named as in pytorch-i3d: `b0`, `b1a`, `b1b`, `b2a`,
/// `b2b`, `b3b`.
pub(crate) struct Mixed {
    /// The units of each branch, in order; the last branch has a max pooling in front.
    branches: [Vec<ConvBn>; 4],
}

struct Kept {
    branches: Vec<Vec<conv_bn::Kept>>,
    maxima: Maxima,
}

impl Mixed {
    /// `widths`: channels of b0, b1a, b1b, b2a, b2b and b3b.
    pub fn new(name: &str, ci: usize, widths: [usize; 6]) -> Mixed {
        let [b0, b1a, b1b, b2a, b2b, b3b] = widths;
        let unit = |what: &str, ci, co, kernel| ConvBn::inception(&format!("{name}.{what}"), ci, co, kernel, 1);
        Mixed {
            branches: [
                vec![unit("b0", ci, b0, 1)],
                vec![unit("b1a", ci, b1a, 1), unit("b1b", b1a, b1b, 3)],
                vec![unit("b2a", ci, b2a, 1), unit("b2b", b2a, b2b, 3)],
                vec![unit("b3b", ci, b3b, 1)],
            ],
        }
    }

    /// Channels of each branch's output.
    fn widths(&self) -> impl Iterator<Item = usize> {
        self.branches.iter().map(|units| units[units.len() - 1].shape().co)
    }

    /// Channels of the output.
    pub fn channels(&self) -> usize {
        self.widths().sum()
    }
}

impl Part for Mixed {
    fn weights(&self) -> Vec<WeightSpec> {
        self.branches.iter().flatten().flat_map(ConvBn::weights).collect()
    }

    fn forward(&self, step: &mut Step<'_>, x: &Tensor, _: bool) -> Result<(Tensor, Saved)> {
        let (pooled, maxima) = POOL.forward(x)?;
        let (mut outputs, mut kept) = (vec![], vec![]);
        for (i, units) in self.branches.iter().enumerate() {
            let mut y = if i == 3 { pooled.clone() } else { x.clone() };
            let mut branch = vec![];
            for unit in units {
                let (out, saved) = unit.forward(step, &y, None, true)?;
                y = out;
                if step.backward {
                    branch.push(saved);
                }
            }
            outputs.push(y);
            kept.push(branch);
        }
        let kept = Kept { branches: kept, maxima };
        Ok((Tensor::cat(&outputs, 4)?, Box::new(kept)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, _: bool) -> Result<Option<Tensor>> {
        let Kept { mut branches, maxima } = *kept::<Kept>(saved)?;
        let mut end = self.channels();
        // The last branch is the first to go back: its gradient is a new tensor, to which the others add theirs.
        let mut dx: Option<Tensor> = None;
        let widths: Vec<usize> = self.widths().collect();
        for (units, width) in self.branches.iter().zip(widths).rev() {
            let mut kept = branches.pop().context("an Inception module kept too little")?;
            end -= width;
            let mut of_branch = grad.narrow(4, end, width)?.contiguous()?;
            for (i, unit) in units.iter().enumerate().rev() {
                let kept = kept.pop().context("an Inception module kept too little")?;
                let into = match &dx {
                    Some(sum) if i == 0 => Dx::AddTo(sum),
                    _ => Dx::New,
                };
                if let Some(found) = unit.backward(step, kept, &of_branch, into)?.0 {
                    of_branch = found;
                }
            }
            if dx.is_none() {
                dx = Some(maxima.backward(&of_branch)?);
            }
        }
        Ok(dx)
    }

    fn count(&self, count: &mut Counter) {
        let input = count.clone();
        for units in &self.branches[..3] {
            count.beside(&input, |c| units.iter().for_each(|u| c.unit(u)));
        }
        count.pool(&POOL);
        self.branches[3].iter().for_each(|u| count.unit(u));
        count.channels = self.channels();
        // All branches one behind the other.
        count.keep(count.values());
    }
}
