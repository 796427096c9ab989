//! `mmd`: maximum mean discrepancy with several Gaussian kernels.

mod estimate;
mod kernels;
#[cfg(test)]
mod tests;

pub use estimate::Estimate;
pub use kernels::{Kernels, Mean};

use crate::input::per_reference;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::linear::product;
use crate::tensor::parts::{join, part};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::{Result, ensure};
use candle_core::{D, DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The squared maximum mean discrepancy between the features of two domains: `mean k(s,s') + mean k(t,t') − 2 mean k(s,t)`,
/// with `k(x,y) = Σᵢ exp(−‖x−y‖² / bᵢ)` (Gretton et al., JMLR 2012; DAN, Long et al., ICML 2015). The bandwidths are `bᵢ =
/// b·factor^(i − ⌊kernels/2⌋)`, where `b` is the mean of `‖x−y‖²` over pairs of rows of both domains, a constant to the
/// gradient, unless `bandwidth` or `bandwidths` fix them. With several references on each side (the same layers in the
/// same order) the kernel is the product of the layers' kernels (JAN, Long et al., ICML 2017). Where a domain has no rows, or for
/// an estimate over different rows only one, it is 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmd {
    /// How many kernels are summed; 5 by default.
    #[serde(default)]
    pub kernels: Option<u32>,
    /// The ratio of one bandwidth to the next; 2 by default.
    #[serde(default)]
    pub factor: Option<f64>,
    /// The middle bandwidth `b`, in units of squared distance; by default it is computed from the features.
    #[serde(default)]
    pub bandwidth: Option<f64>,
    /// Fixed bandwidths, with a kernel for each, in the place of the three above.
    #[serde(default)]
    pub bandwidths: Option<Vec<f64>>,
    /// For each layer its own `kernels`, `factor`, `bandwidth` or `bandwidths`.
    #[serde(default)]
    pub layers: Option<Vec<Kernels>>,
    /// The pairs over which a bandwidth is computed.
    #[serde(default)]
    pub mean: Mean,
    /// How the means of the kernel are estimated.
    #[serde(default)]
    pub estimate: Estimate,
    /// Takes the absolute value: an estimate that is not biased may be negative.
    #[serde(default)]
    pub absolute: bool,
}

impl Mmd {
    /// The kernels of all layers, where they have the same.
    fn own(&self) -> Kernels {
        Kernels {
            kernels: self.kernels,
            factor: self.factor,
            bandwidth: self.bandwidth,
            bandwidths: self.bandwidths.clone(),
        }
    }
}

impl Kind for Mmd {
    const NAME: &'static str = "mmd";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = self.own().problems("");
        let layers = self.layers.iter().flatten().enumerate();
        problems.extend(layers.flat_map(|(i, k)| k.problems(&format!("layers[{i}]."))));
        if self.layers.is_some() && self.own() != Kernels::default() {
            problems.push(
                ParamProblem::new("layers", "kernels are given for each layer, and once more for all")
                    .help("write them in `layers` alone"),
            );
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let mut remarks = vec![];
        if self.absolute && self.estimate == Estimate::Biased {
            remarks.push(ParamProblem::new(
                "absolute",
                "the biased estimate is never negative: this changes nothing",
            ));
        }
        let all = self.layers.clone().unwrap_or_else(|| vec![self.own()]);
        if self.mean == Mean::All && all.iter().all(Kernels::fixed) {
            remarks.push(ParamProblem::new(
                "mean",
                "all bandwidths are fixed: this changes nothing",
            ));
        }
        remarks
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let side = |port: &str, head: char, rows: char| {
            let several = wiring.of(port) > 1;
            per_reference(wiring.of(port), |i| match several {
                true => format!("?{head}{i}[{rows},D{i}]"),
                false => format!("?{head}[{rows},D]"),
            })
        };
        let c = Contract::on(Side::Device)
            .many(
                "source",
                &side("source", 'X', 'S'),
                "features of the source, one for each layer",
            )
            .many(
                "target",
                &side("target", 'Y', 'T'),
                "features of the target, of the same layers",
            )
            .output("loss", "Loss[]", "the squared discrepancy")
            .whole_step();
        match self.estimate {
            Estimate::Linear => c.by_place("source", "target"),
            _ => c,
        }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let of = |port: &str| cx.inputs.get(port).map_or(&[][..], Vec::as_slice);
        let (source, target) = (of("source"), of("target"));
        if source.len() != target.len() {
            let text = format!("`source` has {} layers and `target` {}", source.len(), target.len());
            return Err(vec![
                ParamProblem::new("", text).help("connect the same layers of both, in the same order"),
            ]);
        }
        if let Some(layers) = self.layers.as_ref().filter(|l| l.len() != source.len()) {
            let text = format!(
                "there are kernels for {} layers, and {} are connected",
                layers.len(),
                source.len()
            );
            return Err(vec![ParamProblem::new("layers", text)]);
        }
        if let ([s, ..], [t, ..]) = (source, target)
            && self.estimate == Estimate::Linear
            && s.dims[0] != t.dims[0]
        {
            let text = format!(
                "the linear estimate pairs rows: there are {} of the source and {} of the target",
                s.dims[0], t.dims[0]
            );
            return Err(vec![
                ParamProblem::new("estimate", text).help("give both as many rows, or take another estimate"),
            ]);
        }
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

/// A layer of both domains.
struct Layer {
    /// All rows, centred.
    rows: Tensor,
    /// The kernel of all pairs.
    kernel: Tensor,
    /// Its derivative in the squared distance.
    slope: Tensor,
}

impl Layer {
    fn of(source: &Tensor, target: &Tensor, kernels: &Kernels, mean: Mean) -> Result<Layer> {
        let z = join(&[source, target], 0)?;
        // Distances do not change, and centring minimises cancellation.
        let rows = z.broadcast_sub(&z.mean_keepdim(0)?)?;
        let squares = rows.sqr()?.sum_keepdim(D::Minus1)?;
        let cross = product(&rows, &rows)?;
        let distance = squares.broadcast_add(&squares.t()?)?.sub(&(cross * 2.0)?)?.relu()?;
        let (kernel, slope) = kernels.of(&distance, mean)?;
        Ok(Layer { rows, kernel, slope })
    }

    /// The gradients of both domains' rows, with `weight` that of the kernel's derivative for each pair. It is symmetric.
    fn gradient(&self, weight: &Tensor, of_source: usize) -> Result<[Tensor; 2]> {
        let slope = (weight * &self.slope)?;
        // Each pair is in the sum twice, and ∂‖zᵢ−zⱼ‖²/∂zᵢ = 2 (zᵢ − zⱼ).
        let own = self.rows.broadcast_mul(&slope.sum_keepdim(D::Minus1)?)?;
        let others = product(&slope, &self.rows.t()?)?;
        let dz = ((own - others)? * 4.0)?;
        let of_target = dz.dim(0)? - of_source;
        Ok([part(&dz, 0, 0, of_source)?, part(&dz, 0, of_source, of_target)?])
    }
}

impl Term for Mmd {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (source, target) = (inputs.all("source"), inputs.all("target"));
        let (ns, nt) = (source[0].dim(0)?, target[0].dim(0)?);
        if ns + nt == 0 {
            return Found::nothing(step, inputs, 1);
        }
        ensure!(
            self.estimate != Estimate::Linear || ns == nt,
            "the linear estimate pairs rows: {ns} of the source and {nt} of the target came"
        );
        // Without a pair of any kind that the estimate compares there is none.
        if ns.min(nt) < if self.estimate == Estimate::Biased { 1 } else { 2 } {
            return Found::zero(step, inputs, 1);
        }
        let own = self.own();
        let layers = source.iter().zip(target).enumerate().map(|(i, (s, t))| {
            let kernels = self.layers.as_ref().map_or(&own, |l| &l[i]);
            Layer::of(s, t, kernels, self.mean)
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let weights = self.estimate.weights(ns, nt, step.device)?;
        // The product of the weights with the kernels of all layers but `left_out`.
        let others = |left_out: Option<usize>| -> Result<Tensor> {
            let mut all = weights.clone();
            for (_, layer) in layers.iter().enumerate().filter(|(i, _)| Some(*i) != left_out) {
                all = (all * &layer.kernel)?;
            }
            Ok(all)
        };
        let loss = others(None)?.to_dtype(DType::F64)?.sum_all()?.to_dtype(DType::F32)?;
        let mut sides = [vec![], vec![]];
        for (i, layer) in layers.iter().enumerate() {
            for (side, grad) in sides.iter_mut().zip(layer.gradient(&others(Some(i))?, ns)?) {
                side.push(match self.absolute {
                    true => Some(grad.broadcast_mul(&loss.sign()?)?),
                    false => Some(grad),
                });
            }
        }
        let loss = if self.absolute { loss.abs()? } else { loss };
        Ok(Found::loss(loss, sides.concat()))
    }
}
