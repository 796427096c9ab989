//! Residual networks on frames: stem, blocks, mean; forward and backward block by block, so that what a block kept is
//! freed as soon as the backward pass has passed it.

use super::block::{self, Block, Shift};
use super::conv_bn::{self, ConvBn};
use super::counter::Counter;
use crate::op::conv::Dx;
use crate::op::pool::{self, MaxPool, Maxima};
use crate::{Cost, Step, WeightSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// A residual network from `[clips · frames, 1, H, W, 3]` to `[clips, features]`, the mean over space and frames.
pub(crate) struct ResNet {
    stem: ConvBn,
    pool: Option<MaxPool>,
    blocks: Vec<Block>,
    features: usize,
}

/// How many blocks of which kind a network has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Side and stride of the stem.
    pub stem: usize,
    /// Whether a 3×3/2 max pooling follows the stem.
    pub pool: bool,
    /// Whether blocks are bottlenecks.
    pub bottleneck: bool,
    /// Blocks of each of the four layers.
    pub blocks: [usize; 4],
    /// Stride of each layer's first block.
    pub strides: [usize; 4],
}

/// What a backward pass needs of a forward pass.
pub(crate) struct Kept {
    x: Tensor,
    stem: conv_bn::Kept,
    pool: Option<Maxima>,
    blocks: Vec<block::Kept>,
    /// Shape before the mean.
    last: Vec<usize>,
}

impl ResNet {
    /// `widths`: channels of the stem and of the four layers (of a bottleneck: inside; outside they are four times as
    /// many).
    pub fn new(layout: Layout, widths: [usize; 5]) -> ResNet {
        let mut blocks = vec![];
        let mut channels = widths[0];
        for layer in 0..4 {
            for i in 0..layout.blocks[layer] {
                let name = format!("layer{}.{i}", layer + 1);
                let stride = if i == 0 { layout.strides[layer] } else { 1 };
                let width = widths[layer + 1];
                let block = match layout.bottleneck {
                    true => Block::bottleneck(&name, channels, width, stride),
                    false => Block::basic(&name, channels, width, stride),
                };
                channels = width * if layout.bottleneck { 4 } else { 1 };
                blocks.push(block);
            }
        }
        ResNet {
            stem: ConvBn::flat("conv1", 3, widths[0], layout.stem, 2, true),
            pool: layout.pool.then_some(MaxPool::new([1, 3, 3], [1, 2, 2], [0, 1, 1])),
            blocks,
            features: channels,
        }
    }

    /// Numbers of a feature.
    pub fn features(&self) -> usize {
        self.features
    }

    pub fn weights(&self) -> Vec<WeightSpec> {
        let blocks = self.blocks.iter().flat_map(Block::weights);
        self.stem.weights().into_iter().chain(blocks).collect()
    }

    /// The features of `x`, and what the backward pass needs if there is to be one.
    pub fn forward(&self, step: &mut Step<'_>, x: &Tensor, by: Shift) -> Result<(Tensor, Option<Kept>)> {
        let (mut y, stem) = self.stem.forward(step, x, None)?;
        let mut stem = step.backward.then_some(stem);
        let mut maxima = None;
        if let Some(pool) = &self.pool {
            let (pooled, found) = pool.forward(&y)?;
            y = pooled;
            maxima = step.backward.then_some(found);
        }
        let mut blocks = vec![];
        for block in &self.blocks {
            let (out, kept) = block.forward(step, &y, Some(by))?;
            y = out;
            if step.backward {
                blocks.push(kept);
            }
        }
        let clips = x.dim(0)? / by.frames;
        let feature = pool::mean(&y, clips)?;
        let kept = stem.take().map(|stem| Kept {
            x: x.clone(),
            stem,
            pool: maxima,
            blocks,
            last: y.dims().to_vec(),
        });
        Ok((feature, kept))
    }

    /// Adds the gradients of the weights; gives that of `x` if wanted.
    pub fn backward(
        &self,
        step: &mut Step<'_>,
        kept: Kept,
        grad: &Tensor,
        by: Shift,
        want: bool,
    ) -> Result<Option<Tensor>> {
        let Kept {
            x,
            stem,
            pool: maxima,
            mut blocks,
            last,
        } = kept;
        let mut grad = pool::mean_backward(&grad.contiguous()?, &last)?;
        for block in self.blocks.iter().rev() {
            let kept = blocks.pop().context("a network kept too little")?;
            grad = block.backward(step, kept, grad, Some(by))?;
        }
        if let Some(maxima) = maxima {
            grad = maxima.backward(&grad)?;
        }
        let dx = if want { Dx::New } else { Dx::Unwanted };
        Ok(self.stem.backward(step, stem, &x, grad, dx)?.0)
    }

    /// What `frames` frames of `height × width` cost.
    pub fn cost(&self, frames: usize, [height, width]: [usize; 2]) -> Cost {
        let mut count = Counter::new(frames, [1, height, width]);
        count.unit(&self.stem);
        if let Some(pool) = &self.pool {
            count.pool(pool);
        }
        for block in &self.blocks {
            // The shifted input.
            count.keep(count.values());
            block.count(&mut count);
        }
        count.cost
    }
}
