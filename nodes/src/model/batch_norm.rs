//! `batch_norm`: batch normalisation of features.

use super::backbone::{BatchStats, Norms, Sharing};
use crate::input::known;
use crate::op::batch_norm::{self, Norm, moments, update_running};
use crate::op::types::{Affine, Stats};
use crate::tensor::parts::{by_rows, join};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Group, Init, Kind, ParamProblem, Precision, Role, Saved, Side, Step,
    Type, WeightSpec, Wiring, kept,
};
use anyhow::Result;
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Batch normalisation (Ioffe and Szegedy, ICML 2015) of features: `γ (x − mean) / √(var + 1e-5) + β` of each column, with the
/// mean and biased variance of the rows in training, and running ones outside, which take a tenth of each batch (the unbiased
/// variance), as PyTorch's `BatchNorm1d`. A batch of one row has the variance 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Which rows share a batch's statistics in training: `joint` or `per_stream`.
    #[serde(default = "per_stream")]
    pub batch_stats: BatchStats,
    /// Whether all streams have the same running statistics, or each moves and uses its own, which start as those of all.
    #[serde(default)]
    pub running: Sharing,
    /// Whether each stream also has a scale and shift of its own (domain-specific batch normalisation, Chang et al., CVPR 2019);
    /// needs `running = "per_stream"`.
    #[serde(default)]
    pub affine: Sharing,
}

fn per_stream() -> BatchStats {
    BatchStats::PerStream
}

impl BatchNorm {
    fn norms(&self) -> Norms {
        Norms {
            running: self.running,
            affine: self.affine,
        }
    }
}

impl Kind for BatchNorm {
    const NAME: &'static str = "batch_norm";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let views = (self.batch_stats == BatchStats::PerStreamView).then(|| {
            ParamProblem::new("batch_stats", "rows of features have no views")
                .help("use \"joint\" or \"per_stream\"; a node for each view has statistics of its own")
        });
        views.into_iter().chain(self.norms().check()).collect()
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "Feature[R,D]", "features")
            .output("y", "Feature[R,D]", "normalised features")
            .joint(self.batch_stats == BatchStats::Joint && self.running == Sharing::Shared)
            .per_stream(self.norms().roles())
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let types: &[Type] = cx.inputs.get("x").map_or(&[], Vec::as_slice);
        let [first, others @ ..] = types else {
            return Err(vec![ParamProblem::new("", "nothing is connected to `x`")]);
        };
        let columns = known(first, 1)?;
        if let Some(other) = others.iter().find(|t| t.known(1) != Some(columns)) {
            return Err(vec![
                ParamProblem::new("batch_stats", format!("joint statistics of `{first}` and `{other}`"))
                    .help("give all streams features of the same size, or use \"per_stream\""),
            ]);
        }
        Ok(Body::Compute(Box::new(Rows { columns })))
    }
}

struct Rows {
    columns: usize,
}

/// What a backward pass needs.
struct Kept {
    x: Tensor,
    stats: Stats,
    /// Whether the statistics are those of this batch.
    batch: bool,
    /// Rows of each stream.
    rows: Vec<usize>,
}

const MEAN: &str = "running_mean";
const VAR: &str = "running_var";

impl Compute for Rows {
    fn weights(&self) -> Vec<WeightSpec> {
        let spec = |name: &str, v: f32, role| WeightSpec::new(name, &[self.columns], Init::Constant(v), role);
        vec![
            spec("weight", 1.0, Role::Norm),
            spec("bias", 0.0, Role::Norm),
            spec(MEAN, 0.0, Role::Buffer),
            spec(VAR, 1.0, Role::Buffer),
        ]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let all = inputs.all("x");
        let rows = all.iter().map(|x| x.dim(0)).collect::<candle_core::Result<Vec<_>>>()?;
        let x = match all {
            [one] => one.contiguous()?,
            several => join(&several.iter().collect::<Vec<_>>(), 0)?,
        };
        let running = Stats {
            mean: step.weights.value(MEAN)?.clone(),
            var: step.weights.value(VAR)?.clone(),
        };
        let batch = step.training && x.elem_count() > 0;
        let stats = match batch {
            true => {
                let stats = moments(&x, self.columns)?;
                if !step.again {
                    let momentum = step.average.map_or(Norm::TORCH.momentum, |share| share as f32);
                    update_running(&running, &stats, x.dim(0)?, momentum)?;
                    step.weights.changed(MEAN)?;
                    step.weights.changed(VAR)?;
                }
                stats
            }
            false => running,
        };
        let y = match x.elem_count() {
            0 => x.clone(),
            _ => batch_norm::forward(&x, &stats, &affine(&values(step)?), None, false)?,
        };
        let kept = Kept { x, stats, batch, rows };
        Ok((by_rows(&y, &kept.rows)?, Box::new(kept)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Kept { x, stats, batch, rows } = *kept::<Kept>(saved)?;
        if grads.iter().all(Option::is_none) {
            return Ok(grads);
        }
        if x.elem_count() == 0 {
            for name in ["weight", "bias"]
                .into_iter()
                .filter(|name| step.weights.trains(name))
                .collect::<Vec<_>>()
            {
                let zero = step.weights.value(name)?.zeros_like()?;
                step.weights.add_grad(name, zero)?;
            }
            return Ok(grads);
        }
        let of_stream = |(grad, rows): (Option<Tensor>, &usize)| match grad {
            Some(g) => Ok(g),
            None => Tensor::zeros((*rows, self.columns), DType::F32, step.device),
        };
        let grads = grads.into_iter().zip(&rows).map(of_stream);
        let grads = grads.collect::<candle_core::Result<Vec<_>>>()?;
        // The operation writes in its place.
        let dy = match grads.as_slice() {
            [one] => one.copy()?,
            several => Tensor::cat(several, 0)?,
        };
        drop(grads);
        let found = batch_norm::backward(batch, &x, dy, &stats, &affine(&values(step)?), None, false)?;
        for (name, grad) in [("weight", found.gamma), ("bias", found.beta)] {
            if step.weights.trains(name) {
                step.weights.add_grad(name, grad)?;
            }
        }
        let dx = by_rows(&found.x, &rows)?;
        Ok(dx
            .into_iter()
            .zip(step.wants)
            .map(|(dx, want)| want.then_some(dx))
            .collect())
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        Cost {
            kept: (4 * batch * self.columns) as u64,
            ..Cost::default()
        }
    }
}

/// γ and β.
fn values(step: &Step<'_>) -> Result<[Tensor; 2]> {
    Ok([
        step.weights.value("weight")?.clone(),
        step.weights.value("bias")?.clone(),
    ])
}

fn affine(values: &[Tensor; 2]) -> Affine<'_> {
    Affine {
        gamma: &values[0],
        beta: &values[1],
        eps: Norm::TORCH.eps,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, f64s, normal, rejected, ty};
    use crate::{Args, Init, Role, WeightSpec};
    use serde_json::json;

    fn probe(params: serde_json::Value, streams: usize) -> Probe {
        Probe::new("batch_norm", params, &[("x", vec![ty("Feature", "B,3"); streams])], &[]).unwrap()
    }

    /// Mean and biased variance of each column.
    fn columns(x: &[f64]) -> Vec<(f64, f64)> {
        let rows = (x.len() / 3) as f64;
        (0..3)
            .map(|d| {
                let column = || x.iter().skip(d).step_by(3);
                let mean = column().sum::<f64>() / rows;
                (mean, column().map(|v| (v - mean).powi(2)).sum::<f64>() / rows)
            })
            .collect()
    }

    fn normed(x: &[f64], stats: &[(f64, f64)], w: &[Vec<f64>]) -> Vec<f64> {
        let each = x.iter().enumerate().map(|(i, v)| {
            let (mean, var) = stats[i % 3];
            w[0][i % 3] * (v - mean) / (var + 1e-5).sqrt() + w[1][i % 3]
        });
        each.collect()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_equation() {
        let mut one = probe(json!({}), 1);
        let x = Args::default().with("x", vec![normal(3, &[7, 3])]);
        one.check(&x, |x, w| vec![normed(&x[0], &columns(&x[0]), w)]);
        let mut joint = probe(json!({ "batch_stats": "joint" }), 2);
        assert!(joint.contract.joint);
        let x = Args::default().with("x", vec![normal(3, &[4, 3]), normal(4, &[2, 3])]);
        joint.check(&x, |x, w| {
            let stats = columns(&x.concat());
            x.iter().map(|x| normed(x, &stats, w)).collect()
        });
        // As in a view.
        let mut view = probe(json!({}), 1);
        view.training = false;
        let x = Args::default().with("x", vec![normal(5, &[2, 3])]);
        view.check(&x, |x, w| {
            vec![normed(
                &x[0],
                &[(w[2][0], w[3][0]), (w[2][1], w[3][1]), (w[2][2], w[3][2])],
                w,
            )]
        });
        let none = Args::default().with("x", vec![normal(1, &[0, 3])]);
        probe(json!({}), 1).check(&none, |x, _| x.to_vec());
    }

    #[test]
    fn running_statistics_take_a_tenth_of_each_batch() {
        let mut p = probe(json!({}), 1);
        let (mut mean, mut var) = (vec![0.0; 3], vec![1.0; 3]);
        for seed in 0..3 {
            let x = normal(seed, &[5, 3]);
            for (d, (m, v)) in columns(&f64s(&x)).into_iter().enumerate() {
                mean[d] += 0.1 * (m - mean[d]);
                var[d] += 0.1 * (v * 5.0 / 4.0 - var[d]);
            }
            p.forward(&Args::default().with("x", vec![x])).unwrap();
        }
        let near = |found: Vec<f64>, right: &[f64]| found.iter().zip(right).all(|(f, r)| (f - r).abs() < 1e-6);
        let value = |name: &str| f64s(&p.store.get(&format!("node.{name}")).unwrap().value);
        assert!(near(value("running_mean"), &mean) && near(value("running_var"), &var));
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params| rejected("batch_norm", params, &[("x", vec![ty("Feature", "B,3")])]);
        assert_eq!(
            of(json!({ "batch_stats": "per_stream_view" })),
            ["batch_stats: rows of features have no views"]
        );
        assert_eq!(
            of(json!({ "affine": "per_stream" })),
            ["affine: scales and shifts of each stream need running statistics of each stream"]
        );
        let joint = [("x", vec![ty("Feature", "B,3"), ty("Feature", "B,4")])];
        assert_eq!(
            rejected("batch_norm", json!({ "batch_stats": "joint" }), &joint),
            ["batch_stats: joint statistics of `Feature[B,3]` and `Feature[B,4]`"]
        );
        let spec = WeightSpec::new("bn.weight", &[2], Init::Constant(1.0), Role::Norm);
        let own = spec.of_stream("target");
        assert_eq!(
            (own.name.as_str(), own.starts_as()),
            ("bn.weight@target", Some("bn.weight"))
        );
    }
}
