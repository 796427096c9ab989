//! `squared_error`: how far a reconstruction is from what it is of.

use super::scalar::{Found, Scalar, Term, total};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The squared distance of two values of each row, `Σ (a − b)²`, and its mean over rows: the reconstruction term of a
/// variational autoencoder (TranSVAE, Wei et al., NeurIPS 2023). The sum is over everything but the rows. A weight of
/// 1/numbers of a row makes it the mean squared error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SquaredError {}

impl Kind for SquaredError {
    const NAME: &'static str = "squared_error";
    const GROUP: Group = Group::Loss;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("a", "?A[R,*S]", "values, such as a reconstruction")
            .input("b", "?B[R,*S]", "what they are to be")
            .output("loss", "Loss[]", "the mean over rows of their squared distance")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for SquaredError {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (a, b) = (inputs.one("a")?, inputs.one("b")?);
        if a.elem_count() == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let rows = a.dim(0)? as f64;
        let gap = (a - b)?;
        let loss = (total(&gap.sqr()?)? / rows)?;
        let slope = (gap * (2.0 / rows))?;
        let back = slope.neg()?;
        Ok(Found::loss(loss, vec![Some(slope), Some(back)]))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, normal, scalar, ty};
    use serde_json::json;

    fn probe(dims: &str) -> Probe {
        let types = ["a", "b"].map(|port| (port, vec![ty("Feature", dims)]));
        Probe::new("squared_error", json!({}), &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        golden("vae_terms").check(&mut probe("B,3,4"), &[("a", &["x"]), ("b", &["recon"])], "mse");
    }

    #[test]
    fn matches_the_reference() {
        for shape in [&[3, 2][..], &[1, 2, 2], &[4, 1]] {
            let dims: Vec<String> = shape[1..].iter().map(|n| format!(",{n}")).collect();
            let x = Args::default()
                .with("a", vec![normal(1, shape)])
                .with("b", vec![normal(2, shape)]);
            probe(&format!("B{}", dims.concat())).check(&x, |x, _| {
                let sum: f64 = x[0].iter().zip(&x[1]).map(|(a, b)| (a - b).powi(2)).sum();
                vec![vec![sum / shape[0] as f64]]
            });
        }
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default()
            .with("a", vec![normal(1, &[0, 2])])
            .with("b", vec![normal(1, &[0, 2])]);
        assert_eq!(scalar(&probe("B,2").forward(&x).unwrap()[0]), 0.0);
    }
}
