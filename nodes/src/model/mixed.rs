//! The Inception module, inflated.

use super::chain::{Chain, Input};
use super::conv_bn::{self, ConvBn};
use super::counter::Counter;
use super::sequence::Part;
use crate::op::channels;
use crate::op::pool::{MaxPool, Maxima};
use crate::{Saved, Step, WeightSpec, kept};
use anyhow::{Context, Result};
use candle_core::Tensor;

const POOL: MaxPool = MaxPool::same([3, 3, 3], [1, 1, 1]);

/// Four parallel branches whose channels are concatenated: 1×1×1; 1×1×1 then 3×3×3, twice; 3×3×3 max pooling
/// then 1×1×1 (Carreira and Zisserman, CVPR 2017, Fig. 3). Weights are named as in pytorch-i3d: `b0`, `b1a`, `b1b`, `b2a`,
/// `b2b`, `b3b`.
pub(crate) struct Mixed {
    /// The units of each branch, in order; a max pooling precedes the last branch.
    branches: [Chain; 4],
}

struct Kept {
    x: Tensor,
    pooled: Tensor,
    branches: Vec<Vec<conv_bn::Kept>>,
    maxima: Maxima,
}

impl Mixed {
    /// `widths`: channels of b0, b1a, b1b, b2a, b2b and b3b.
    pub(super) fn new(name: &str, ci: usize, widths: [usize; 6]) -> Mixed {
        let [b0, b1a, b1b, b2a, b2b, b3b] = widths;
        let unit = |what: &str, ci, co, kernel| ConvBn::inception(&format!("{name}.{what}"), ci, co, kernel, 1);
        Mixed {
            branches: [
                vec![unit("b0", ci, b0, 1)],
                vec![unit("b1a", ci, b1a, 1), unit("b1b", b1a, b1b, 3)],
                vec![unit("b2a", ci, b2a, 1), unit("b2b", b2a, b2b, 3)],
                vec![unit("b3b", ci, b3b, 1)],
            ]
            .map(Chain),
        }
    }

    /// Channels of the output.
    pub(super) fn channels(&self) -> usize {
        self.branches.iter().map(Chain::channels).sum()
    }
}

impl Part for Mixed {
    fn weights(&self) -> Vec<WeightSpec> {
        self.branches.iter().flat_map(Chain::weights).collect()
    }

    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (pooled, maxima) = POOL.forward(x)?;
        let (mut outputs, mut branches) = (vec![], vec![]);
        for (i, units) in self.branches.iter().enumerate() {
            let (y, kept) = units.forward(step, if i == 3 { &pooled } else { x }, None)?;
            outputs.push(y);
            branches.push(kept);
        }
        let y = channels::join(&outputs)?;
        let kept = Kept {
            x: x.clone(),
            pooled,
            branches,
            maxima,
        };
        Ok((y, Box::new(kept)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, _: bool) -> Result<Option<Tensor>> {
        let Kept {
            x,
            pooled,
            mut branches,
            maxima,
        } = *kept::<Kept>(saved)?;
        let mut end = self.channels();
        // The last branch runs backwards first: its gradient is a new tensor, to which the others add theirs.
        let mut dx: Option<Tensor> = None;
        for units in self.branches.iter().rev() {
            let kept = branches.pop().context("an Inception module kept too little")?;
            end -= units.channels();
            let of_branch = channels::part(&grad, end, units.channels())?;
            match &dx {
                Some(sum) => {
                    units.backward(step, kept, || Ok(x.clone()), of_branch, Input::AddTo(sum))?;
                }
                None => {
                    let grads = units.backward(step, kept, || Ok(pooled.clone()), of_branch, Input::New)?;
                    dx = Some(maxima.backward(&grads.input.context("a convolution gave no gradient")?)?);
                }
            }
        }
        Ok(dx)
    }

    fn count(&self, count: &mut Counter) {
        count.own.input = true;
        let input = count.clone();
        for units in &self.branches[..3] {
            count.beside(&input, |c| units.0.iter().for_each(|u| u.count_unit(c)));
        }
        count.pool(&POOL);
        // The pooled input, and the gradient of the input.
        count.keep(count.values());
        count.own.moving = input.bytes();
        self.branches[3].0.iter().for_each(|u| u.count_unit(count));
        count.channels = self.channels();
    }
}
