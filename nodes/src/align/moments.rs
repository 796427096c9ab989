//! `moments`: the gap between the means and covariances of two domains.

use super::bounds;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::linear::product;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// `mean · ‖μₛ − μₜ‖² / D + covariance · ‖Cₛ − Cₜ‖²_F / D²` of features of width D, with covariances over n − 1. The
/// defaults are CORAL's (Sun and Saenko, ECCV Workshops 2016, eq. 1: `‖Cₛ − Cₜ‖²_F / 4D²`); some released codes have 1
/// for both. Means count where both domains have rows, covariances where both have two.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// The weight of the means' gap, averaged over features.
    #[serde(default)]
    pub mean: f64,
    /// The weight of the covariances' gap, averaged over pairs of features.
    #[serde(default = "quarter")]
    pub covariance: f64,
}

fn quarter() -> f64 {
    0.25
}

impl Kind for Moments {
    const NAME: &'static str = "moments";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        let weights = [("mean", self.mean), ("covariance", self.covariance)];
        weights
            .iter()
            .filter_map(|(n, v)| bounds::not_negative(n, *v))
            .collect()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.mean == 0.0 && self.covariance == 0.0 {
            false => vec![],
            true => vec![ParamProblem::new(
                "",
                "with `mean` and `covariance` 0 the loss is 0: nothing is aligned",
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "?X[S,D]", "features of the source")
            .input("target", "?Y[T,D]", "features of the target")
            .output("loss", "Loss[]", "the weighted gaps")
            .whole_step()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for Moments {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (source, target) = (inputs.one("source")?, inputs.one("target")?);
        let ((ns, width), nt) = (source.dims2()?, target.dim(0)?);
        if ns == 0 || nt == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let (of_source, of_target) = (source.mean_keepdim(0)?, target.mean_keepdim(0)?);
        let (s, t) = (source.broadcast_sub(&of_source)?, target.broadcast_sub(&of_target)?);
        let gap = (of_source - of_target)?;
        let per_mean = self.mean / width as f64;
        let mut loss = (gap.sqr()?.sum_all()? * per_mean)?;
        // A term of a mean has the same gradient in each of its rows.
        let slope = (gap * (2.0 * per_mean))?;
        let mut ds = (&slope / ns as f64)?.broadcast_as(s.shape())?.contiguous()?;
        let mut dt = (slope / -(nt as f64))?.broadcast_as(t.shape())?.contiguous()?;
        if self.covariance > 0.0 && ns > 1 && nt > 1 {
            let per_pair = self.covariance / (width * width) as f64;
            let covariance = |x: &Tensor, n: usize| -> Result<Tensor> {
                let turned = x.t()?.contiguous()?;
                Ok((product(&turned, &turned)? / (n - 1) as f64)?)
            };
            let gap = (covariance(&s, ns)? - covariance(&t, nt)?)?;
            loss = (loss + (gap.sqr()?.sum_all()? * per_pair)?)?;
            // Centring takes nothing from these: their columns have mean 0 already.
            let part = |x: &Tensor, n: usize| -> Result<Tensor> {
                Ok((product(x, &gap)? * (4.0 * per_pair / (n - 1) as f64))?)
            };
            ds = (ds + part(&s, ns)?)?;
            dt = (dt - part(&t, nt)?)?;
        }
        Ok(Found::loss(loss, vec![Some(ds), Some(dt)]))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, f64s, normal, rejected, remarks, scalar, ty};
    use serde_json::{Value, json};

    fn types(d: usize) -> [(&'static str, Vec<crate::Type>); 2] {
        [
            ("source", vec![ty("Feature", &format!("B,{d}"))]),
            ("target", vec![ty("Feature", &format!("2*B,{d}"))]),
        ]
    }

    fn probe(params: Value, d: usize) -> Probe {
        Probe::new("moments", params, &types(d), &[]).unwrap()
    }

    fn inputs(s: usize, t: usize, d: usize) -> Args<candle_core::Tensor> {
        Args::default()
            .with("source", vec![normal(1, &[s, d])])
            .with("target", vec![(normal(2, &[t, d]) + 0.5).unwrap()])
    }

    #[test]
    fn golden_values() {
        let ports: [(&str, &[&str]); 2] = [("source", &["source"]), ("target", &["target"])];
        golden("coral_paper").check(&mut probe(json!({}), 3), &ports, "loss");
        let both = json!({ "mean": 1.0, "covariance": 1.0 });
        golden("coral_tll").check(&mut probe(both, 3), &ports, "loss");
    }

    #[test]
    fn matches_the_reference() {
        for (s, t, d, mean, covariance) in [
            (2, 4, 3, 0.0, 0.25),
            (3, 6, 1, 0.5, 2.0),
            (3, 6, 4, 1.0, 0.0),
            (1, 3, 2, 1.0, 1.0),
        ] {
            let params = json!({ "mean": mean, "covariance": covariance });
            probe(params, d).check(&inputs(s, t, d), |x, _| {
                let mu = |x: &[f64], j: usize| x.iter().skip(j).step_by(d).sum::<f64>() / (x.len() / d) as f64;
                let c = |x: &[f64], i: usize, j: usize| {
                    let rows = x.chunks(d).map(|r| (r[i] - mu(x, i)) * (r[j] - mu(x, j)));
                    rows.sum::<f64>() / (x.len() / d - 1) as f64
                };
                let means = (0..d).map(|j| (mu(&x[0], j) - mu(&x[1], j)).powi(2)).sum::<f64>();
                let pairs = (0..d * d).map(|p| (c(&x[0], p / d, p % d) - c(&x[1], p / d, p % d)).powi(2));
                let pairs = if s > 1 { pairs.sum::<f64>() } else { 0.0 };
                vec![vec![mean * means / d as f64 + covariance * pairs / (d * d) as f64]]
            });
        }
    }

    #[test]
    fn equal_domains_have_no_gap() {
        let a = normal(1, &[3, 4]);
        let x = Args::default().with("source", vec![a.clone()]).with("target", vec![a]);
        let out = probe(json!({ "mean": 1.0 }), 4).forward(&x).unwrap();
        assert_eq!(f64s(&out[0]), [0.0]);
    }

    #[test]
    fn no_rows_are_no_loss() {
        for (s, t) in [(0, 2), (2, 0)] {
            assert_eq!(
                scalar(&probe(json!({ "mean": 1.0 }), 2).forward(&inputs(s, t, 2)).unwrap()[0]),
                0.0
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("moments", json!({ "mean": -1.0, "covariance": -0.5 }), &types(2)),
            [
                "mean: -1 is not a number of zero or more",
                "covariance: -0.5 is not a number of zero or more"
            ]
        );
        assert_eq!(
            remarks("moments", json!({ "covariance": 0.0 })),
            ["with `mean` and `covariance` 0 the loss is 0: nothing is aligned"]
        );
    }
}
