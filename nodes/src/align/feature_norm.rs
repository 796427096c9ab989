//! `feature_norm`: features that grow by a step.

use super::bounds;
use crate::input::per_reference;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Stepwise adaptive feature norm (Xu et al., ICCV 2019): for each reference (a reference that names no stream is
/// one for each) the mean over rows of `(‖f‖ − (‖f‖ + Δ))²`, where the second norm is a constant to the gradient. The value
/// is `Δ²` in every step, so look at `norm` instead; the gradient `−2Δ/n · f/‖f‖` lengthens the features of both domains.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureNorm {
    /// Δ: how much longer than it is each feature should be.
    #[serde(default = "one")]
    pub delta: f64,
}

fn one() -> f64 {
    1.0
}

impl Kind for FeatureNorm {
    const NAME: &'static str = "feature_norm";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        bounds::positive("delta", self.delta).into_iter().collect()
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("x"), |i| format!("?X{i}[R{i},D{i}]"));
        Contract::on(Side::Device)
            .many("x", &types, "features")
            .all_streams()
            .output("loss", "Loss[]", "Δ² for each reference")
            .output("norm", "Metric[]", "the mean length of all rows")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for FeatureNorm {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let mut found = Found::nothing(step, inputs, 2)?;
        let (mut sum, mut rows) = (found.outputs[1].clone(), 0);
        let mut parts = 0.0;
        for (x, grad) in inputs.all("x").iter().zip(&mut found.grads) {
            let n = x.dim(0)?;
            if n == 0 {
                continue;
            }
            let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
            // A feature of length 0 has no direction to grow in.
            let unit = x.broadcast_div(&(&norm + 1e-30)?)?;
            *grad = Some((unit * (-2.0 * self.delta / n as f64))?);
            sum = (sum + norm.sum_all()?)?;
            rows += n;
            parts += 1.0;
        }
        found.outputs = vec![
            Tensor::new((parts * self.delta * self.delta) as f32, step.device)?,
            (sum / rows.max(1) as f64)?,
        ];
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, f64s, normal, rejected, scalar, ty};
    use serde_json::json;

    #[test]
    fn golden_values() {
        let mut p = Probe::new(
            "feature_norm",
            json!({ "delta": 0.5 }),
            &[("x", vec![ty("Feature", "B,3")])],
            &[],
        );
        golden("afn_step").check(p.as_mut().unwrap(), &[("x", &["x"])], "loss");
    }

    #[test]
    fn matches_the_reference() {
        let types = [("x", vec![ty("Feature", "B,3"), ty("Feature", "B,3")])];
        let mut p = Probe::new("feature_norm", json!({ "delta": 0.7 }), &types, &[]).unwrap();
        let x = Args::default().with("x", vec![normal(1, &[2, 3]), normal(2, &[2, 3])]);
        let norms = |x: &[f64]| -> Vec<f64> {
            x.chunks(3)
                .map(|r| r.iter().map(|v| v * v).sum::<f64>().sqrt())
                .collect()
        };
        let target: Vec<Vec<f64>> = x
            .flat()
            .map(|t| norms(&f64s(t)).iter().map(|n| n + 0.7).collect())
            .collect();
        p.check(&x, |x, _| {
            let of = |(x, goal): (&Vec<f64>, &Vec<f64>)| {
                norms(x).iter().zip(goal).map(|(n, g)| (n - g) * (n - g)).sum::<f64>() / 2.0
            };
            let all = [norms(&x[0]), norms(&x[1])].concat();
            vec![
                vec![x.iter().zip(&target).map(of).sum()],
                vec![all.iter().sum::<f64>() / 4.0],
            ]
        });
    }

    #[test]
    fn nothing_and_zero_do_not_grow() {
        let types = [("x", vec![ty("Feature", "B,3"), ty("Feature", "B,3")])];
        let mut p = Probe::new("feature_norm", json!({}), &types, &[]).unwrap();
        let zero = (normal(1, &[2, 3]) * 0.0).unwrap();
        let x = Args::default().with("x", vec![normal(1, &[0, 3]), zero]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!((scalar(&out[0]), scalar(&out[1])), (1.0, 0.0));
        let one = out[0].ones_like().unwrap();
        let g = p.backward(&x, saved, vec![Some(one), None]).unwrap();
        assert!(g[0].is_none());
        assert_eq!(f64s(g[1].as_ref().unwrap()), [0.0; 6]);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("x", vec![ty("Feature", "B,3")])];
        assert_eq!(
            rejected("feature_norm", json!({ "delta": 0.0 }), &types),
            ["delta: 0 is not a number above zero"]
        );
    }
}
