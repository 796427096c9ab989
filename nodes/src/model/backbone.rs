//! Shared by the backbones: clips in, one feature per clip out, and which clips share the statistics of batch norm.

use super::init::{self, Start};
#[cfg(feature = "cuda")]
use super::recorded::{self, Recordings};
use super::sequence::{self, Sequence};
use crate::input::known;
use crate::tensor::parts::by_rows;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, FLOW, LoadedWeights, ParamProblem, Precision, RGB, Role,
    Saved, Side, StartsFrom, Step, Type, WeightSpec, kept,
};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which clips share the statistics of batch norm in training. Running statistics are updated once for each such batch, in
/// order; evaluation uses them, whatever the choice here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchStats {
    /// All clips of all streams: one call for all of them. Where each stream has running statistics of its own, all clips of a
    /// stream.
    Joint,
    /// All clips of a stream.
    PerStream,
    /// The clips of one view of a stream, as in the released code, which calls the backbone once for each.
    PerStreamView,
}

/// Whether all streams have the same of something, or each its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// All have the same.
    #[default]
    Shared,
    /// Each has its own.
    PerStream,
}

/// Which weights of batch norms each stream has of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norms {
    /// Running statistics.
    pub running: Sharing,
    /// Scales and shifts.
    pub affine: Sharing,
}

impl Norms {
    /// Checks `affine`.
    pub(super) fn check(self) -> Option<ParamProblem> {
        (self.affine == Sharing::PerStream && self.running == Sharing::Shared).then(|| {
            ParamProblem::new(
                "affine",
                "scales and shifts of each stream need running statistics of each stream",
            )
            .help("write `running = \"per_stream\"`, too (DSBN has both)")
        })
    }

    /// The roles of what each stream has of its own.
    pub(super) fn roles(self) -> Vec<Role> {
        let own = |sharing, role| (sharing == Sharing::PerStream).then_some(role);
        own(self.running, Role::Buffer)
            .into_iter()
            .chain(own(self.affine, Role::Norm))
            .collect()
    }
}

/// Checks `views`.
pub(crate) fn check_views(stats: BatchStats, views: Option<&[Count]>) -> Option<ParamProblem> {
    ((stats == BatchStats::PerStreamView) != views.is_some()).then(|| {
        ParamProblem::new(
            "views",
            "`views` and `batch_stats = \"per_stream_view\"` belong together",
        )
        .help("the views' sizes, such as `views = [\"G\", \"L\"]`")
    })
}

/// Checks `width`.
pub(crate) fn check_width(width: usize) -> Option<ParamProblem> {
    (!(1..=1024).contains(&width)).then(|| {
        ParamProblem::new("width", format!("{width} channels in the stem"))
            .help("use 1 to 1024; the published network has 64")
    })
}

/// The contract of a backbone with features of `features` values.
pub(crate) fn contract(features: usize, stats: BatchStats, norms: Norms) -> Contract {
    Contract::on(Side::Device)
        .input(
            "clips",
            "Clip[B,N,T,H,W,C]",
            "normalised frames, channels last: RGB, or optical flow",
        )
        .output(
            "feature",
            &format!("Feature[B,N,{features}]"),
            "the feature of each clip",
        )
        .joint(stats == BatchStats::Joint && norms.running == Sharing::Shared)
        .per_stream(norms.roles())
}

/// The node around a network from clips `[clips, T, H, W, C]` to features `[clips, D]`, by the clips' channels.
pub(crate) fn build(
    network: impl Fn(usize) -> Sequence,
    cx: &BuildCx<'_>,
    views: Option<&[Count]>,
    init: Option<&Start>,
) -> Result<Body, Vec<ParamProblem>> {
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
    let channels = known(first, 5)?;
    if ![RGB, FLOW].contains(&channels) {
        return Err(vec![
            ParamProblem::new("", format!("clips of {channels} channels arrive (`{first}`)"))
                .help("a backbone takes RGB, which has 3, or optical flow, which has 2"),
        ]);
    }
    Ok(Body::Compute(Box::new(Backbone {
        network: network(channels),
        views: view_sizes(views, cx, clips)?,
        clips: types.len() * clips,
        size: [known(first, 2)?, known(first, 3)?, known(first, 4)?],
        init: init.map(|start| start.in_folder(&cx.folder)),
        #[cfg(feature = "cuda")]
        recordings: Recordings::default(),
    })))
}

/// Clips of each view, which must add up to all clips; `None` if views do not matter.
fn view_sizes(
    views: Option<&[Count]>,
    cx: &BuildCx<'_>,
    clips: usize,
) -> Result<Option<Vec<usize>>, Vec<ParamProblem>> {
    let Some(views) = views else {
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

struct Backbone {
    network: Sequence,
    /// Clips of each batch of statistics, if a call has several.
    views: Option<Vec<usize>>,
    /// Clips of a sample of every stream.
    clips: usize,
    /// Time, height and width of a clip.
    size: [usize; 3],
    /// The initial weights.
    init: Option<Start>,
    /// Recorded passes on a GPU.
    #[cfg(feature = "cuda")]
    recordings: Recordings,
}

/// What one pass through the network saved.
struct Pass {
    kept: Inside,
    /// Shape and type of the clips.
    dims: Vec<usize>,
    ty: DType,
}

enum Inside {
    Kept(Option<sequence::Kept>),
    #[cfg(feature = "cuda")]
    Recorded(recorded::Open),
}

struct Passes {
    passes: Vec<Pass>,
    /// Samples of each stream.
    rows: Vec<usize>,
}

impl Backbone {
    /// Clips `[rows, N, T, H, W, C]` → features `[rows, N, D]`.
    fn pass(&self, step: &mut Step<'_>, clips: &Tensor) -> Result<(Tensor, Pass)> {
        let dims = clips.dims().to_vec();
        let [rows, n, t, h, w, c] = dims[..] else {
            bail!("clips have shape {dims:?}, and [B, N, T, H, W, C] is needed");
        };
        let ty = clips.dtype();
        let clips = clips.contiguous()?.reshape((rows * n, t, h, w, c))?;
        let (feature, kept) = self.run(step, &clips)?;
        Ok((
            feature.reshape((rows, n, self.network.features))?,
            Pass { kept, dims, ty },
        ))
    }

    /// Clips `[rows · N, T, H, W, C]` → features `[rows · N, D]`.
    fn run(&self, step: &mut Step<'_>, clips: &Tensor) -> Result<(Tensor, Inside)> {
        #[cfg(feature = "cuda")]
        if let Some((feature, open)) = self.recordings.forward(&self.network, step, clips)? {
            return Ok((feature, Inside::Recorded(open)));
        }
        let clips = clips.to_dtype(step.precision.activations())?;
        let (feature, kept) = self.network.forward(step, &clips)?;
        Ok((feature, Inside::Kept(kept)))
    }

    /// The gradient of the clips, if `want`.
    fn pass_back(&self, step: &mut Step<'_>, pass: Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let grad = grad.flatten(0, 1)?;
        let kept = match pass.kept {
            Inside::Kept(kept) => kept.context("a backward pass was asked of a forward pass that kept nothing")?,
            #[cfg(feature = "cuda")]
            Inside::Recorded(open) => {
                open.backward(&self.network, step, &grad)?;
                return Ok(None);
            }
        };
        let dx = self.network.backward(step, kept, &grad, want)?;
        #[cfg(feature = "cuda")]
        self.recordings.ran(&self.network, step, &pass.dims)?;
        Ok(dx.map(|dx| dx.to_dtype(pass.ty)?.reshape(pass.dims)).transpose()?)
    }
}

impl Compute for Backbone {
    fn weights(&self) -> Vec<WeightSpec> {
        self.network.weights()
    }

    fn starts_from(&self) -> Option<StartsFrom<'_>> {
        Some(Start::source(self.init.as_ref()))
    }

    fn examine(&self) -> Result<(), ParamProblem> {
        match &self.init {
            Some(Start::File(file)) => init::examine(file, &self.network.weights()),
            _ => Ok(()),
        }
    }

    fn load(&self, device: &Device) -> Result<Option<LoadedWeights>> {
        match &self.init {
            Some(Start::File(file)) => init::load(file, &self.network.weights(), device).map(Some),
            _ => Ok(None),
        }
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let streams = inputs.all("clips");
        let all = match streams {
            [one] => one.clone(),
            several => Tensor::cat(several, 0)?,
        };
        let whole = vec![all.dim(1)?];
        let (mut at, mut passes, mut features) = (0, vec![], vec![]);
        // Statistics that are computed anew are those of all clips.
        let views = self.views.as_ref().filter(|_| step.average.is_none()).unwrap_or(&whole);
        for n in views.iter().filter(|n| **n > 0) {
            let (feature, pass) = self.pass(step, &all.narrow(1, at, *n)?)?;
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
            None => Tensor::zeros((*rows, clips, self.network.features), DType::F32, step.device),
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

    fn cost(&self, batch: usize, precision: Precision) -> Cost {
        self.network.cost(batch * self.clips, self.size, precision)
    }
}
