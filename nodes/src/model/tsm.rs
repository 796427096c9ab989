//! `tsm`: a residual network with temporal shift.

use super::block::Shift;
use super::resnet::{self, Layout, ResNet};
use crate::sizes::{kept, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Kind, ParamProblem, Saved, Side, Step, Type,
    WeightSpec, Wiring,
};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The temporal shift module on a 2-D residual network (Lin, Gan and Han, ICCV 2019): in every residual block, before its
/// first convolution, 1/8 of the channels take the value of the next frame and 1/8 that of the frame before. The feature
/// of a clip is the mean over space and frames. Weights are named as in mmaction (`conv1.conv.weight`,
/// `layer1.0.conv1.bn.running_mean`, `layer1.0.downsample.conv.weight`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
}

fn eight() -> usize {
    8
}

/// How deep a [`Tsm`] is.
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

/// Which clips share the statistics of batch norm in training. Running statistics move once for each such batch, in
/// order; evaluation uses them, whatever is chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchStats {
    /// All clips of all streams: one call for all of them.
    Joint,
    /// All clips of a stream.
    PerStream,
    /// The clips of one view of a stream, as in the released code, which calls the backbone once for each.
    PerStreamView,
}

impl Tsm {
    fn layout(&self) -> Layout {
        let small = self.depth == Depth::Small;
        Layout {
            stem: if small { 5 } else { 7 },
            pool: !small,
            bottleneck: self.depth == Depth::D50,
            blocks: match self.depth {
                Depth::Small => [1; 4],
                Depth::D18 => [2; 4],
                Depth::D34 | Depth::D50 => [3, 4, 6, 3],
            },
            strides: if small { [2, 2, 1, 2] } else { [1, 2, 2, 2] },
        }
    }

    fn network(&self) -> ResNet {
        let usual = match self.depth {
            Depth::Small => [16, 24, 32, 48, 64],
            _ => [64, 64, 128, 256, 512],
        };
        ResNet::new(self.layout(), self.widths.unwrap_or(usual))
    }

    /// Clips of each view, which must be all there are; `None` where views do not matter.
    fn view_sizes(&self, cx: &BuildCx<'_>, clips: usize) -> Result<Option<Vec<usize>>, Vec<ParamProblem>> {
        let Some(views) = self.views.as_ref() else {
            return Ok(None);
        };
        let mut sizes = vec![];
        for (i, view) in views.iter().enumerate() {
            let at = |p: ParamProblem| ParamProblem {
                path: format!("views[{i}]"),
                ..p
            };
            sizes.push(view.get(cx.dims).map_err(|p| vec![at(p)])?);
        }
        let sum: usize = sizes.iter().sum();
        if sum != clips {
            return Err(vec![
                ParamProblem::new("views", format!("the views have {sum} clips, and {clips} arrive"))
                    .help("name the number of clips of every view, in the order of the clips"),
            ]);
        }
        Ok(Some(sizes))
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
        if (self.batch_stats == BatchStats::PerStreamView) != self.views.is_some() {
            problems.push(
                ParamProblem::new(
                    "views",
                    "`views` and `batch_stats = \"per_stream_view\"` belong together",
                )
                .help("the views' sizes, such as `views = [\"G\", \"L\"]`"),
            );
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let features = self.network().features();
        Contract::on(Side::Device)
            .input("clips", "Clip[B,N,T,H,W,3]", "normalised frames, channels last")
            .output(
                "feature",
                &format!("Feature[B,N,{features}]"),
                "the feature of each clip",
            )
            .joint(self.batch_stats == BatchStats::Joint)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let types: &[Type] = cx.inputs.get("clips").map_or(&[], Vec::as_slice);
        let [first, others @ ..] = types else {
            return Err(vec![ParamProblem::new("", "nothing is connected to `clips`")]);
        };
        if let Some(other) = others.iter().find(|t| *t != first) {
            return Err(vec![
                ParamProblem::new("batch_stats", format!("joint statistics of `{first}` and `{other}`"))
                    .help("give all streams clips of the same shape, or use \"per_stream\""),
            ]);
        }
        let clips = known(first, 1)?;
        Ok(Body::Compute(Box::new(Backbone {
            network: self.network(),
            fold: self.shift_div,
            views: self.view_sizes(cx, clips)?,
            clips: types.len() * clips,
            frames: known(first, 2)?,
            size: [known(first, 3)?, known(first, 4)?],
        })))
    }
}

struct Backbone {
    network: ResNet,
    fold: usize,
    /// Clips of each batch of statistics, where a call has several.
    views: Option<Vec<usize>>,
    /// Clips of a sample of every stream.
    clips: usize,
    frames: usize,
    size: [usize; 2],
}

/// What one pass through the network kept.
struct Pass {
    kept: Option<resnet::Kept>,
    shift: Shift,
    dims: Vec<usize>,
}

struct Passes {
    passes: Vec<Pass>,
    /// Samples of each stream.
    rows: Vec<usize>,
}

/// Cuts the rows of `all` into tensors of so many rows each.
fn by_rows(all: &Tensor, rows: &[usize]) -> Result<Vec<Tensor>> {
    let mut at = 0;
    let cut = |n: &usize| {
        at += n;
        Ok(all.narrow(0, at - n, *n)?.contiguous()?)
    };
    rows.iter().map(cut).collect()
}

impl Backbone {
    /// Clips `[rows, N, T, H, W, C]` → features `[rows, N, D]`.
    fn pass(&self, step: &mut Step<'_>, clips: &Tensor, dx: bool) -> Result<(Tensor, Pass)> {
        let dims = clips.dims().to_vec();
        let [rows, n, t, h, w, c] = dims[..] else {
            bail!("clips have shape {dims:?}, and [B, N, T, H, W, C] is needed");
        };
        let frames = clips.contiguous()?.reshape((rows * n * t, 1, h, w, c))?;
        let shift = Shift {
            frames: t,
            fold: self.fold,
        };
        let (feature, kept) = self.network.forward(step, &frames, shift, dx)?;
        Ok((
            feature.reshape((rows, n, self.network.features()))?,
            Pass { kept, shift, dims },
        ))
    }

    /// The gradient of the clips, if wanted.
    fn pass_back(&self, step: &mut Step<'_>, pass: Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass
            .kept
            .context("a backward pass was asked of a forward pass that kept nothing")?;
        let grad = grad.flatten(0, 1)?;
        let dx = self.network.backward(step, kept, &grad, pass.shift, want)?;
        Ok(dx.map(|dx| dx.reshape(pass.dims)).transpose()?)
    }
}

impl Compute for Backbone {
    fn weights(&self) -> Vec<WeightSpec> {
        self.network.weights()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let streams = inputs.all("clips");
        let dx = step.wants.contains(&true);
        let all = match streams {
            [one] => one.clone(),
            several => Tensor::cat(several, 0)?,
        };
        let whole = vec![all.dim(1)?];
        let (mut at, mut passes, mut features) = (0, vec![], vec![]);
        for n in self.views.as_ref().unwrap_or(&whole).iter().filter(|n| **n > 0) {
            let (feature, pass) = self.pass(step, &all.narrow(1, at, *n)?, dx)?;
            passes.push(pass);
            features.push(feature);
            at += n;
        }
        let rows = streams
            .iter()
            .map(|s| s.dim(0))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let outputs = by_rows(&Tensor::cat(&features, 1)?, &rows)?;
        Ok((outputs, Box::new(Passes { passes, rows })))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Passes { passes, rows } = *kept::<Passes>(saved)?;
        if grads.iter().all(Option::is_none) {
            return Ok(vec![None; rows.len()]);
        }
        let clips: usize = passes.iter().map(|p| p.dims[1]).sum();
        let of_stream = |(grad, rows): (Option<Tensor>, &usize)| match grad {
            Some(g) => Ok(g),
            None => Tensor::zeros((*rows, clips, self.network.features()), DType::F32, step.device),
        };
        let grads = grads
            .into_iter()
            .zip(&rows)
            .map(of_stream)
            .collect::<candle_core::Result<Vec<_>>>()?;
        let all = Tensor::cat(&grads, 0)?;
        let want = step.wants.contains(&true);
        let (mut end, mut parts) = (clips, vec![]);
        for pass in passes.into_iter().rev() {
            let n = pass.dims[1];
            end -= n;
            parts.push(self.pass_back(step, pass, &all.narrow(1, end, n)?.contiguous()?, want)?);
        }
        let Some(parts) = parts.into_iter().rev().collect::<Option<Vec<_>>>() else {
            return Ok(vec![None; rows.len()]);
        };
        let all = by_rows(&Tensor::cat(&parts, 1)?, &rows)?;
        Ok(all
            .into_iter()
            .zip(step.wants)
            .map(|(dx, want)| want.then_some(dx))
            .collect())
    }

    fn cost(&self, batch: usize) -> Cost {
        self.network.cost(batch * self.clips * self.frames, self.size)
    }
}

#[cfg(test)]
mod tests;
