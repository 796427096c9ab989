//! `cross_correlation`: features of several views, alike in each dimension and apart between dimensions.

use super::bounds;
use crate::input::per_reference;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::linear::product;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over pairs of references of `½ (Σᵢ (Cᵢᵢ − 1)² + off · Σᵢ≠ⱼ Cᵢⱼ²)` with `C = FᵀG / rows`: Barlow Twins (Zbontar et
/// al., ICML 2021) as ATCoN uses it on the features of its temporal scales (Xu et al., ECCV 2022): columns are not
/// standardised.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossCorrelation {
    /// The weight of what is off the diagonal.
    #[serde(default = "released")]
    pub off: f64,
}

fn released() -> f64 {
    0.0039
}

impl Kind for CrossCorrelation {
    const NAME: &'static str = "cross_correlation";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        bounds::not_negative("off", self.off).into_iter().collect()
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("x"), |i| format!("?X{i}[R,D]"));
        Contract::on(Side::Device)
            .many("x", &types, "features of the same rows, two at least")
            .output("loss", "Loss[]", "how far correlations are from the identity")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        bounds::several(cx, "x", "features to correlate")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for CrossCorrelation {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let all = inputs.all("x");
        let (rows, width) = all[0].dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let diagonal = |on: f64, off: f64| -> Result<Tensor> {
            let at = |i: usize| if i / width == i % width { on } else { off };
            let all: Vec<f32> = (0..width * width).map(|i| at(i) as f32).collect();
            Ok(Tensor::from_vec(all, (width, width), step.device)?)
        };
        let (weights, one) = (diagonal(1.0, self.off)?, diagonal(1.0, 0.0)?);
        let pairs = (all.len() * (all.len() - 1) / 2) as f64;
        let turned = all
            .iter()
            .map(|x| Ok(x.t()?.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        let mut loss = Tensor::new(0f32, step.device)?;
        let mut grads: Vec<Tensor> = all.iter().map(Tensor::zeros_like).collect::<candle_core::Result<_>>()?;
        for i in 0..all.len() {
            for j in i + 1..all.len() {
                let gap = ((product(&turned[i], &turned[j])? / rows as f64)? - &one)?;
                let slope = (&gap * &weights)?;
                loss = (loss + ((&slope * gap)?.sum_all()? * (0.5 / pairs))?)?;
                let slope = (slope * (1.0 / (pairs * rows as f64)))?;
                grads[i] = (&grads[i] + product(&all[j], &slope)?)?;
                grads[j] = (&grads[j] + product(&all[i], &slope.t()?)?)?;
            }
        }
        Ok(Found::loss(loss, grads.into_iter().map(Some).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, normal, rejected, scalar, ty};
    use serde_json::{Value, json};

    fn types(count: usize, d: usize) -> [(&'static str, Vec<crate::Type>); 1] {
        [("x", vec![ty("Feature", &format!("B,{d}")); count])]
    }

    fn probe(params: Value, count: usize, d: usize) -> Probe {
        Probe::new("cross_correlation", params, &types(count, d), &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        golden("atcon_correlation").check(&mut probe(json!({}), 3, 3), &[("x", &["a", "b", "d"])], "loss");
    }

    #[test]
    fn matches_the_reference() {
        for (count, rows, d, off) in [(2, 4, 3, 0.5), (3, 1, 2, 0.0), (4, 3, 1, 1.0)] {
            let x = (0..count).map(|i| normal(i as u64, &[rows, d])).collect();
            probe(json!({ "off": off }), count, d).check(&Args::default().with("x", x), |x, _| {
                let mut sum = 0.0;
                for (i, f) in x.iter().enumerate() {
                    for g in &x[i + 1..] {
                        for p in 0..d * d {
                            let c: f64 =
                                (0..rows).map(|r| f[r * d + p / d] * g[r * d + p % d]).sum::<f64>() / rows as f64;
                            sum += if p / d == p % d { (c - 1.0).powi(2) } else { off * c * c };
                        }
                    }
                }
                vec![vec![0.5 * sum / (count * (count - 1) / 2) as f64]]
            });
        }
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("x", vec![normal(1, &[0, 3]); 2]);
        assert_eq!(scalar(&probe(json!({}), 2, 3).forward(&x).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("cross_correlation", json!({ "off": -1.0 }), &types(2, 3)),
            ["off: -1 is not a number of zero or more"]
        );
        assert_eq!(
            rejected("cross_correlation", json!({}), &types(1, 3)),
            ["`x` has 1 reference, and features to correlate are two or more"]
        );
    }
}
