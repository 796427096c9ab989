//! `triplet`: nearer to the one than to the other.

use super::scalar::{Found, Scalar, Term};
use crate::input::as_many_rows;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over rows of `max(0, margin + ‖a − p + ε‖ − ‖a − n + ε‖)` (Schroff et al., CVPR 2015, with distances that are not
/// squared, as PyTorch has it, ε = 1e-6 added to each difference): an anchor is to be nearer to its positive than to its
/// negative, by a margin. Negatives may be of another stream; they are paired by place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Triplet {
    /// By how much nearer.
    #[serde(default = "one")]
    pub margin: f64,
}

fn one() -> f64 {
    1.0
}

/// Added to each difference, so that distances have a slope where rows are equal.
const EPS: f64 = 1e-6;

impl Kind for Triplet {
    const NAME: &'static str = "triplet";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.margin.is_finite() && self.margin > 0.0 {
            true => vec![],
            false => vec![ParamProblem::new(
                "margin",
                format!("{} is not a number above zero", self.margin),
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("anchor", "?X[R,D]", "features")
            .input("positive", "?Y[R,D]", "what each is to be near to")
            .input("negative", "?Z[Q,D]", "what each is to be away from")
            .output("loss", "Loss[]", "the mean over rows of what is missing of the margin")
            .by_place("anchor", "negative")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        as_many_rows(cx, "anchor", "negative")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

/// The distance of each row, `[R, 1]`, and its slope.
fn distance(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let gap = ((a - b)? + EPS)?;
    let distance = gap.sqr()?.sum_keepdim(1)?.sqrt()?;
    // Of equal rows, as PyTorch: 0.
    let slope = gap.broadcast_div(&distance.maximum(f32::MIN_POSITIVE)?)?;
    Ok((distance, slope))
}

impl Term for Triplet {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (a, p, n) = (inputs.one("anchor")?, inputs.one("positive")?, inputs.one("negative")?);
        let rows = a.dim(0)?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let ((near, to_p), (far, to_n)) = (distance(a, p)?, distance(a, n)?);
        let missing = ((near - far)? + self.margin)?;
        let counts = (missing.gt(0f32)?.to_dtype(DType::F32)? / rows as f64)?;
        let (to_p, to_n) = (to_p.broadcast_mul(&counts)?, to_n.broadcast_mul(&counts)?);
        let loss = missing.relu()?.mean_all()?;
        let grads = vec![Some((&to_p - &to_n)?), Some(to_p.neg()?), Some(to_n)];
        Ok(Found::loss(loss, grads))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, f64s, normal, rejected, scalar, ty};
    use serde_json::{Value, json};

    fn types(d: usize) -> [(&'static str, Vec<crate::Type>); 3] {
        ["anchor", "positive", "negative"].map(|p| (p, vec![ty("Feature", &format!("B,{d}"))]))
    }

    fn probe(params: Value, d: usize) -> Probe {
        Probe::new("triplet", params, &types(d), &[]).unwrap()
    }

    fn args(rows: usize, d: usize) -> Args<candle_core::Tensor> {
        let of = |seed: u64| vec![normal(seed, &[rows, d])];
        let x = Args::default().with("anchor", of(1)).with("positive", of(2));
        x.with("negative", of(3))
    }

    #[test]
    fn golden_values() {
        let ports: [(&str, &[&str]); 3] = [("anchor", &["a"]), ("positive", &["p"]), ("negative", &["n"])];
        golden("triplet").check(&mut probe(json!({}), 4), &ports, "loss");
    }

    #[test]
    fn matches_the_reference() {
        for (rows, d, margin) in [(4, 3, 1.0), (5, 2, 0.3), (1, 1, 4.0)] {
            probe(json!({ "margin": margin }), d).check(&args(rows, d), |x, _| {
                let distance = |a: &[f64], b: &[f64]| {
                    let sum = a.iter().zip(b).map(|(a, b)| (a - b + 1e-6).powi(2)).sum::<f64>();
                    sum.sqrt()
                };
                let rows_of = |i: usize| x[i].chunks(d);
                let all = rows_of(0).zip(rows_of(1)).zip(rows_of(2));
                let each =
                    |((a, p), n): ((&[f64], &[f64]), &[f64])| (margin + distance(a, p) - distance(a, n)).max(0.0);
                vec![vec![all.map(each).sum::<f64>() / rows as f64]]
            });
        }
    }

    #[test]
    fn equal_rows_have_finite_gradients_and_no_rows_no_loss() {
        let one = || vec![normal(1, &[2, 3])];
        let x = Args::default().with("anchor", one()).with("positive", one());
        let x = x.with("negative", one());
        let mut p = probe(json!({ "margin": 0.5 }), 3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert!((scalar(&out[0]) - 0.5).abs() < 1e-6);
        let grads = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert!(grads.iter().flat_map(|g| f64s(g.as_ref().unwrap())).all(f64::is_finite));
        assert_eq!(scalar(&probe(json!({}), 3).forward(&args(0, 3)).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("triplet", json!({ "margin": 0.0 }), &types(3)),
            ["margin: 0 is not a number above zero"]
        );
        let mut uneven = types(3);
        uneven[2].1 = vec![ty("Feature", "2*B,3")];
        assert_eq!(
            rejected("triplet", json!({}), &uneven),
            ["`anchor` is Feature[B,3] and `negative` Feature[2*B,3]: each row of one goes with one of the other"]
        );
    }
}
