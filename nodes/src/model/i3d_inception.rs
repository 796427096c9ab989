//! `i3d_inception`: Inception-v1 inflated to three dimensions.

use super::backbone::{self, BatchStats, Norms, Sharing};
use super::conv_bn::ConvBn;
use super::init::Start;
use super::mixed::Mixed;
use super::sequence::{Part, Sequence};
use crate::op::pool::MaxPool;
use crate::{Body, BuildCx, Contract, Count, Group, Kind, ParamProblem, RGB, Wiring};
use schemars::JsonSchema;
use serde::Deserialize;

/// A stage of Inception modules: the pooling before it, and the channels of b0, b1a, b1b, b2a, b2b and b3b by module.
type Stage = (MaxPool, &'static [(&'static str, [usize; 6])]);

/// The modules, by stage (Szegedy et al., CVPR 2015, Table 1).
const STAGES: [Stage; 3] = [
    (
        MaxPool::same([1, 3, 3], [1, 2, 2]),
        &[
            ("Mixed_3b", [64, 96, 128, 16, 32, 32]),
            ("Mixed_3c", [128, 128, 192, 32, 96, 64]),
        ],
    ),
    (
        MaxPool::same([3, 3, 3], [2, 2, 2]),
        &[
            ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
            ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
            ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
            ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
            ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
        ],
    ),
    (
        MaxPool::same([2, 2, 2], [2, 2, 2]),
        &[
            ("Mixed_5b", [256, 160, 320, 32, 128, 128]),
            ("Mixed_5c", [384, 192, 384, 48, 128, 128]),
        ],
    ),
];

/// Inception-v1 inflated to three dimensions (Carreira and Zisserman, CVPR 2017), in the form of pytorch-i3d: TensorFlow's
/// "same" padding, batch norms with ε 1e-3 and momentum 0.01. The feature of a clip is the mean over time and space. Takes
/// clips of any size. Weights are named as in pytorch-i3d (`Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.weight`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct I3dInception {
    /// Channels of the stem; all others are in proportion, rounded up: a feature has 16 times as many.
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
    /// program or pytorch-i3d. It must fit completely; a table names what it may lack:
    /// `{ file = "…", partial = ["Mixed_5c"] }`. Without it no run starts. For
    /// clips of optical flow a stem for RGB is averaged over its channels, and one for flow is taken as it is.
    #[serde(default)]
    pub init: Option<Start>,
}

fn sixty_four() -> usize {
    64
}

impl I3dInception {
    fn norms(&self) -> Norms {
        Norms {
            running: self.running,
            affine: self.affine,
        }
    }

    pub(super) fn network(&self, channels: usize) -> Sequence {
        let scaled = |channels: usize| (channels * self.width).div_ceil(64);
        let (stem, wide) = (scaled(64), scaled(192));
        let mut parts: Vec<Box<dyn Part>> = vec![
            Box::new(ConvBn::inception("Conv3d_1a_7x7", channels, stem, 7, 2)),
            Box::new(MaxPool::same([1, 3, 3], [1, 2, 2])),
            Box::new(ConvBn::inception("Conv3d_2b_1x1", stem, stem, 1, 1)),
            Box::new(ConvBn::inception("Conv3d_2c_3x3", stem, wide, 3, 1)),
        ];
        let mut features = wide;
        for (pool, modules) in STAGES {
            parts.push(Box::new(pool));
            for (name, widths) in modules {
                let module = Mixed::new(name, features, widths.map(scaled));
                features = module.channels();
                parts.push(Box::new(module));
            }
        }
        Sequence {
            parts,
            channels,
            features,
            recompute: self.recompute,
        }
    }
}

impl Kind for I3dInception {
    const NAME: &'static str = "i3d_inception";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems: Vec<_> = backbone::check_width(self.width).into_iter().collect();
        problems.extend(backbone::check_views(self.batch_stats, self.views.as_deref()));
        problems.extend(self.norms().check());
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        backbone::contract(self.network(RGB).features, self.batch_stats, self.norms())
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
