//! Residual networks on the frames of clips: stem, blocks, mean.

use super::block::Block;
use super::conv_bn::ConvBn;
use super::sequence::{Part, Sequence};
use crate::op::pool::MaxPool;

/// The number and kind of a network's blocks.
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

/// A residual network whose convolutions are within single frames, of so many `channels`. `widths`: channels of the stem and of
/// the four layers (of a bottleneck: inside; outside they are four times as many). `shift`: with a temporal shift before every
/// residual branch, one channel in this many each way.
pub(crate) fn network(layout: Layout, channels: usize, widths: [usize; 5], shift: Option<usize>) -> Sequence {
    let stem = ConvBn::flat("conv1", channels, widths[0], layout.stem, 2, true);
    let mut parts: Vec<Box<dyn Part>> = vec![Box::new(stem)];
    if layout.pool {
        parts.push(Box::new(MaxPool::new([1, 3, 3], [1, 2, 2], [0, 1, 1])));
    }
    let mut wide = widths[0];
    for layer in 0..4 {
        for i in 0..layout.blocks[layer] {
            let name = format!("layer{}.{i}", layer + 1);
            let stride = if i == 0 { layout.strides[layer] } else { 1 };
            let width = widths[layer + 1];
            let block = match layout.bottleneck {
                true => Block::bottleneck(&name, wide, width, stride),
                false => Block::basic(&name, wide, width, stride),
            };
            wide = width * if layout.bottleneck { 4 } else { 1 };
            parts.push(Box::new(match shift {
                Some(fold) => block.shifted(fold),
                None => block,
            }));
        }
    }
    Sequence {
        parts,
        channels,
        features: wide,
        recompute: false,
    }
}
