//! `i3d_r50`: ResNet-50 inflated to three dimensions.

use super::backbone::{self, BatchStats, Norms, Sharing};
use super::block::Block;
use super::conv_bn::ConvBn;
use super::init::Start;
use super::non_local::NonLocal;
use super::sequence::{Part, Sequence};
use crate::op::pool::MaxPool;
use crate::{Body, BuildCx, Contract, Count, Group, Kind, ParamProblem, Wiring};
use glad_ops::Conv;
use schemars::JsonSchema;
use serde::Deserialize;

/// Frames that the first convolution of each bottleneck covers, by layer.
const INFLATE: [&[usize]; 4] = [&[3, 3, 3], &[3, 1, 3, 1], &[3, 1, 3, 1, 3, 1], &[1, 3, 1]];
/// Blocks that a non-local block follows, by layer.
const NON_LOCAL: [&[usize]; 4] = [&[], &[1, 3], &[1, 3, 5], &[]];

/// ResNet-50 inflated to three dimensions (Carreira and Zisserman, CVPR 2017), in mmaction's form: stem 5×7×7 with stride
/// 2 along time too, 1×3×3 max pooling with stride 2, halved once more along time after the first layer; in every other
/// bottleneck the first convolution is 3×1×1. With non-local blocks (Wang et al., CVPR 2018; dot product, keys and values at
/// half the resolution, starting as the identity) after blocks 1 and 3 of layer 2 and 1, 3 and 5 of layer 3. The feature of
/// a clip is the mean over time and space. Takes clips of any size; along an axis of one position there is no pooling.
/// Weights are named as in mmaction (`conv1.conv.weight`, `layer2.1.non_local_block.theta.conv.weight`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct I3dR50 {
    /// Whether there are non-local blocks.
    #[serde(default = "yes")]
    pub non_local: bool,
    /// Channels of the stem and of the first layer's inner convolutions; the next layers have 2, 4 and 8 times as many,
    /// and a feature 32 times.
    #[serde(default = "sixty_four")]
    pub width: usize,
    /// Which clips share a batch's statistics in training.
    pub batch_stats: BatchStats,
    /// With `batch_stats = "per_stream_view"`: how many clips each view has, in order, such as `["G", "L"]`.
    #[serde(default)]
    pub views: Option<Vec<Count>>,
    /// Whether all streams have the same running statistics of batch norms, or each moves and uses its own, which start as
    /// those of all.
    #[serde(default)]
    pub running: Sharing,
    /// Whether each stream also has scales and shifts of batch norms of its own (domain-specific batch normalisation, Chang et
    /// al., CVPR 2019); needs `running = "per_stream"`.
    #[serde(default)]
    pub affine: Sharing,
    /// Whether the backward pass computes the inside of each block again instead of keeping it: a third more time for a
    /// fraction of the memory, and the same bits.
    #[serde(default)]
    pub recompute: bool,
    /// The initial weights: `"random"`, or a file, `.pth` or `.safetensors`, relative to the graph's file, of this
    /// program or mmaction; 2-D kernels (torchvision's ResNet-50) are inflated. It must fit completely; a
    /// table names what it may lack: `{ file = "…", partial = ["*.non_local_block"] }`. Without it no run starts. For
    /// clips of optical flow a stem for RGB is averaged over its channels, and one for flow is taken as it is.
    #[serde(default)]
    pub init: Option<Start>,
}

fn yes() -> bool {
    true
}

fn sixty_four() -> usize {
    64
}

impl I3dR50 {
    fn norms(&self) -> Norms {
        Norms {
            running: self.running,
            affine: self.affine,
        }
    }

    pub(super) fn network(&self, channels: usize) -> Sequence {
        let stem = Conv::new_3d(1, [1; 3], channels, self.width, [5, 7, 7], [2; 3], [2, 3, 3]);
        let mut parts: Vec<Box<dyn Part>> = vec![
            Box::new(ConvBn::solid("conv1", stem, true)),
            Box::new(MaxPool::new([1, 3, 3], [2; 3], [0, 1, 1])),
        ];
        let mut wide = self.width;
        for layer in 0..4 {
            let width = self.width << layer;
            for (i, frames) in INFLATE[layer].iter().enumerate() {
                let name = format!("layer{}.{i}", layer + 1);
                let stride = if i == 0 && layer > 0 { 2 } else { 1 };
                parts.push(Box::new(Block::inflated(&name, wide, width, stride, *frames)));
                wide = 4 * width;
                if self.non_local && NON_LOCAL[layer].contains(&i) {
                    parts.push(Box::new(NonLocal::new(&format!("{name}.non_local_block"), wide)));
                }
            }
            if layer == 0 {
                parts.push(Box::new(MaxPool::new([2, 1, 1], [2, 1, 1], [0; 3])));
            }
        }
        Sequence {
            parts,
            channels,
            features: wide,
            recompute: self.recompute,
        }
    }
}

impl Kind for I3dR50 {
    const NAME: &'static str = "i3d_r50";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems: Vec<_> = backbone::check_width(self.width).into_iter().collect();
        problems.extend(backbone::check_views(self.batch_stats, self.views.as_deref()));
        problems.extend(self.norms().check());
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        backbone::contract(32 * self.width, self.batch_stats, self.norms())
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        backbone::build(
            |channels| self.network(channels),
            cx,
            self.views.as_deref(),
            self.init.as_ref(),
        )
    }
}

#[cfg(test)]
mod tests;
