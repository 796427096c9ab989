//! `resnet`: a residual network on single frames.

use super::backbone::{self, BatchStats, Norms, Sharing};
use super::init::Start;
use super::resnet;
use super::sequence::Sequence;
use super::tsm::Depth;
use crate::{Body, BuildCx, Contract, Group, Kind, ParamProblem, RGB, Wiring};
use schemars::JsonSchema;
use serde::Deserialize;

/// A 2-D residual network (He et al., CVPR 2016), frame by frame; the feature of a clip is the mean over space and
/// frames. With the weights of ResNet-50 on Places365 it is the scene network of eq. 1.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "depth": 50 }]))]
pub struct ResNet2d {
    /// 18, 34 or 50 as in torchvision, or `"small"` (see `tsm`).
    pub depth: Depth,
    /// Channels of the stem and of the four layers, as in `tsm`.
    #[serde(default)]
    pub widths: Option<[usize; 5]>,
    /// Which clips share a batch's statistics in training.
    #[serde(default = "per_stream")]
    pub batch_stats: BatchStats,
    /// Whether all streams have the same running statistics of batch norms, or each moves and uses its own, which start as
    /// those of all.
    #[serde(default)]
    pub running: Sharing,
    /// Whether each stream also has scales and shifts of batch norms of its own (domain-specific batch normalisation, Chang et
    /// al., CVPR 2019); needs `running = "per_stream"`.
    #[serde(default)]
    pub affine: Sharing,
    /// Whether the backward pass computes the inside of each block again instead of keeping it, as in `tsm`.
    #[serde(default)]
    pub recompute: bool,
    /// The initial weights: `"random"`, or a file, `.pth` or `.safetensors`, relative to the graph's file, with names
    /// as in torchvision, such as those of Places365, or of this program. It must fit completely; a table names what it
    /// may lack: `{ file = "…", partial = ["layer4"] }`. Without it no run starts. For
    /// clips of optical flow a stem for RGB is averaged over its channels, and one for flow is taken as it is.
    #[serde(default)]
    pub init: Option<Start>,
}

fn per_stream() -> BatchStats {
    BatchStats::PerStream
}

impl ResNet2d {
    fn norms(&self) -> Norms {
        Norms {
            running: self.running,
            affine: self.affine,
        }
    }

    fn network(&self, channels: usize) -> Sequence {
        let widths = self.widths.unwrap_or(self.depth.widths());
        Sequence {
            recompute: self.recompute,
            ..resnet::network(self.depth.layout(), channels, widths, None)
        }
    }
}

impl Kind for ResNet2d {
    const NAME: &'static str = "resnet";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.widths.is_some_and(|w| w.contains(&0)) {
            problems.push(ParamProblem::new("widths", "a layer needs at least one channel"));
        }
        problems.extend(backbone::check_views(self.batch_stats, None));
        problems.extend(self.norms().check());
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        backbone::contract(self.network(RGB).features, self.batch_stats, self.norms())
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        backbone::build(|channels| self.network(channels), cx, None, self.init.as_ref())
    }
}
