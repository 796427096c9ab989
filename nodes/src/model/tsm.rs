//! `tsm`: a residual network with temporal shift.

use super::backbone::{self, BatchStats, Norms, Sharing};
use super::init::Start;
use super::resnet::{self, Layout};
use super::sequence::Sequence;
use crate::{Body, BuildCx, Contract, Count, Group, Kind, ParamProblem, RGB, Wiring};
use schemars::JsonSchema;
use serde::Deserialize;

/// The temporal shift module on a 2-D residual network (Lin, Gan and Han, ICCV 2019): in every residual block, before its
/// first convolution, 1/8 of the channels take the value of the next frame and 1/8 that of the previous frame. The feature
/// of a clip is the mean over space and frames. Weights are named as in mmaction (`conv1.conv.weight`,
/// `layer1.0.conv1.bn.running_mean`, `layer1.0.downsample.conv.weight`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "depth": 50, "batch_stats": "joint" }]))]
pub struct Tsm {
    /// `"small"` (stem 5×5/2, one basic block a layer; for frames of about 48×48), or 18, 34 or 50 as in torchvision.
    pub depth: Depth,
    /// Channels of the stem and of the four layers; by default [16, 24, 32, 48, 64] for `"small"` and
    /// [64, 64, 128, 256, 512] for the others (in a bottleneck: of its inner convolutions).
    #[serde(default)]
    pub widths: Option<[usize; 5]>,
    /// One channel in this many moves each way.
    #[serde(default = "eight")]
    pub shift_div: usize,
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
    /// program, mmaction, torchvision or TSM's own code. It must fit completely; a table names what it may lack:
    /// `{ file = "…", partial = ["layer4"] }`. Without it no run starts. For
    /// clips of optical flow a stem for RGB is averaged over its channels, and one for flow is taken as it is.
    #[serde(default)]
    pub init: Option<Start>,
}

fn eight() -> usize {
    8
}

/// The depth of a [`Tsm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "serde_json::Value")]
#[schemars(with = "DepthSchema")]
pub enum Depth {
    /// One basic block a layer, for small frames.
    Small,
    /// ResNet-18: basic blocks 2, 2, 2, 2.
    D18,
    /// ResNet-34: basic blocks 3, 4, 6, 3.
    D34,
    /// ResNet-50: bottlenecks 3, 4, 6, 3.
    D50,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum DepthSchema {
    /// 18, 34 or 50.
    Number(u32),
    /// "small".
    Name(String),
}

impl TryFrom<serde_json::Value> for Depth {
    type Error = String;
    fn try_from(v: serde_json::Value) -> Result<Self, String> {
        match (v.as_u64(), v.as_str()) {
            (_, Some("small")) => Ok(Depth::Small),
            (Some(18), _) => Ok(Depth::D18),
            (Some(34), _) => Ok(Depth::D34),
            (Some(50), _) => Ok(Depth::D50),
            _ => Err(format!("there is no depth {v}: use \"small\", 18, 34 or 50")),
        }
    }
}

impl Depth {
    pub(super) fn layout(self) -> Layout {
        let small = self == Depth::Small;
        Layout {
            stem: if small { 5 } else { 7 },
            pool: !small,
            bottleneck: self == Depth::D50,
            blocks: match self {
                Depth::Small => [1; 4],
                Depth::D18 => [2; 4],
                Depth::D34 | Depth::D50 => [3, 4, 6, 3],
            },
            strides: if small { [2, 2, 1, 2] } else { [1, 2, 2, 2] },
        }
    }

    /// Channels of the stem and of the four layers, by default.
    pub(super) fn widths(self) -> [usize; 5] {
        match self {
            Depth::Small => [16, 24, 32, 48, 64],
            _ => [64, 64, 128, 256, 512],
        }
    }
}

impl Tsm {
    fn norms(&self) -> Norms {
        Norms {
            running: self.running,
            affine: self.affine,
        }
    }

    pub(super) fn network(&self, channels: usize) -> Sequence {
        let widths = self.widths.unwrap_or(self.depth.widths());
        Sequence {
            recompute: self.recompute,
            ..resnet::network(self.depth.layout(), channels, widths, Some(self.shift_div))
        }
    }
}

impl Kind for Tsm {
    const NAME: &'static str = "tsm";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.shift_div < 2 {
            let message = format!("1/{} of the channels cannot move both ways", self.shift_div);
            problems.push(ParamProblem::new("shift_div", message).help("use 2 or more; TSM has 8"));
        }
        if self.widths.is_some_and(|w| w.contains(&0)) {
            problems.push(ParamProblem::new("widths", "a layer needs at least one channel"));
        }
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
