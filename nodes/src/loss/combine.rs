//! `combine`: a weighted sum of losses.

use crate::input::per_reference;
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The weighted sum of losses as one loss, for composites that train several things together; a phase's `losses` are
/// summed without it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Combine {
    /// A weight for each reference of `loss`, in order; by default all are 1.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
}

impl Kind for Combine {
    const NAME: &'static str = "combine";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        let weights = self.weights.iter().flatten().enumerate();
        weights
            .filter(|(_, w)| !w.is_finite())
            .map(|(i, w)| ParamProblem::new(format!("weights[{i}]"), format!("{w} is not a number")))
            .collect()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let zero = self.weights.iter().flatten().enumerate().filter(|(_, w)| **w == 0.0);
        zero.map(|(i, _)| {
            ParamProblem::new(
                format!("weights[{i}]"),
                "a loss of weight 0 is computed and trains nothing",
            )
        })
        .collect()
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .many(
                "loss",
                &per_reference(wiring.of("loss"), |_| "Loss[]".into()),
                "the losses",
            )
            .output("loss", "Loss[]", "their weighted sum")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let n = cx.inputs.get("loss").map_or(0, Vec::len);
        let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; n]);
        if weights.len() != n {
            return Err(vec![
                ParamProblem::new("weights", format!("there are {} weights and {n} losses", weights.len()))
                    .help("give one weight for each reference of `loss`"),
            ]);
        }
        Ok(Body::Compute(Box::new(Sum { weights })))
    }
}

struct Sum {
    weights: Vec<f64>,
}

impl Compute for Sum {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let mut sum = Tensor::new(0f32, step.device)?;
        for (loss, weight) in inputs.all("loss").iter().zip(&self.weights) {
            sum = (sum + (loss * *weight)?)?;
        }
        Ok((vec![sum], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = arrived(&mut grads, 0);
        let of = |(weight, want): (&f64, &bool)| match (&grad, want) {
            (Some(g), true) => Ok(Some((g * *weight)?)),
            _ => Ok(None),
        };
        self.weights.iter().zip(step.wants).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, remarks, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        let types = [("loss", vec![ty("Loss", ""); 3])];
        let x = || Args::default().with("loss", (0..3).map(|i| normal(i, &[])).collect());
        let mut p = Probe::new("combine", json!({ "weights": [1.0, -0.5, 2.0] }), &types, &[]).unwrap();
        p.check(&x(), |x, _| vec![vec![x[0][0] - 0.5 * x[1][0] + 2.0 * x[2][0]]]);
        let mut p = Probe::new("combine", json!({}), &types, &[]).unwrap();
        p.check(&x(), |x, _| vec![vec![x[0][0] + x[1][0] + x[2][0]]]);
    }

    #[test]
    fn a_weight_for_each_loss() {
        let types = [("loss", vec![ty("Loss", ""); 3])];
        let e = Probe::new("combine", json!({ "weights": [1.0] }), &types, &[])
            .err()
            .unwrap();
        assert_eq!(
            (e[0].path.as_str(), e[0].message.as_str()),
            ("weights", "there are 1 weights and 3 losses")
        );
    }

    #[test]
    fn a_weight_of_0_is_remarked() {
        let of = |weights: serde_json::Value| remarks("combine", json!({ "weights": weights }));
        assert_eq!(
            of(json!([1.0, 0.0])),
            ["weights[1]: a loss of weight 0 is computed and trains nothing"]
        );
        assert_eq!(of(json!([1.0, -0.5])), [""; 0]);
    }
}
