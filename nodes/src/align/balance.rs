//! `balance`: whether predictions use all classes.

use super::bounds;
use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{softmax, through};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// A loss of the mean prediction `p̄` over the rows, least where all classes are predicted equally often.
///
/// - `entropy`: `Σ p̄ ln(p̄ + eps)`, the diversity of information maximisation (Liang et al., ICML 2020);
/// - `log`: `−mean ln(p̄ + eps)` over classes (the released code of Saito et al., CVPR 2018);
/// - `uniform`: the mean binary cross-entropy of `p̄` against `1/K` (French et al., ICLR 2018).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// The function of the mean prediction.
    #[serde(default)]
    pub form: Form,
    /// Added to the probability inside the logarithm; by default 1e-5 for `entropy` and 1e-6 for `log`, as released.
    #[serde(default)]
    pub eps: Option<f64>,
}

/// A function of the mean prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Its negative entropy.
    #[default]
    Entropy,
    /// The negative mean of its logarithms.
    Log,
    /// Binary cross-entropy against equal shares.
    Uniform,
}

impl Kind for Balance {
    const NAME: &'static str = "balance";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        match (self.form, self.eps) {
            (Form::Uniform, Some(_)) => vec![
                ParamProblem::new(
                    "eps",
                    "the form `uniform` has none: its logarithms are cut off where a share is 0",
                )
                .help("leave `eps` out"),
            ],
            (_, eps) => eps.and_then(|v| bounds::eps("eps", v)).into_iter().collect(),
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .output("loss", "Loss[]", "the function of the mean prediction")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

/// The least probability of a logarithm that nothing is added in.
const LEAST: f64 = 1e-37;

impl Term for Balance {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let logits = inputs.one("logits")?;
        let (rows, classes) = logits.dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let p = softmax(logits)?;
        let mean = p.mean_keepdim(0)?;
        let k = classes as f64;
        let (loss, slope) = match self.form {
            Form::Entropy => {
                let shifted = mean.affine(1.0, self.eps.unwrap_or(1e-5).max(LEAST))?;
                let log = shifted.log()?;
                ((&mean * &log)?.sum_all()?, (log + (&mean / shifted)?)?)
            }
            Form::Log => {
                let shifted = mean.affine(1.0, self.eps.unwrap_or(1e-6).max(LEAST))?;
                (shifted.log()?.mean_all()?.neg()?, (shifted.recip()? * (-1.0 / k))?)
            }
            Form::Uniform => {
                // A mean of others than the class itself: 1 − p̄ would cancel.
                let others = mean.broadcast_sub(&mean.sum_keepdim(1)?)?.neg()?;
                let (own, others) = ((&mean + LEAST)?, (others.relu()? + LEAST)?);
                let log = ((own.log()? * (1.0 / k))? + (others.log()? * (1.0 - 1.0 / k))?)?;
                let slope = ((own.recip()? * (1.0 / k))? - (others.recip()? * (1.0 - 1.0 / k))?)?;
                (log.mean_all()?.neg()?, (slope * (-1.0 / k))?)
            }
        };
        let dp = (slope / rows as f64)?.broadcast_as(p.shape())?.contiguous()?;
        Ok(Found::loss(loss, vec![Some(through(&p, &dp)?)]))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::{agree, golden};
    use crate::testing::{Probe, device, f64s, log_softmax, normal, rejected, scalar, ty};
    use candle_core::{DType, Tensor};
    use serde_json::{Value, json};

    fn probe(params: Value, k: usize) -> Probe {
        let types = [("logits", vec![ty("Logits", &format!("B,{k}"))])];
        Probe::new("balance", params, &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        let uniform = json!({ "form": "uniform" });
        golden("class_balance").check(&mut probe(uniform, 5), &[("logits", &["logits"])], "loss");
    }

    /// The mean entropy of rows and the negative entropy of the mean row: both nodes, summed as a phase sums losses.
    #[test]
    fn information_maximisation() {
        let case = golden("information_max");
        let x = Args::default().with("logits", vec![case.input("logits")]);
        let types = [("logits", vec![ty("Logits", "B,5")])];
        let mut sum = [vec![0.0; 1], vec![0.0; 20]];
        for (kind, params) in [("entropy", json!({ "eps": 1e-5 })), ("balance", json!({}))] {
            let mut p = Probe::new(kind, params, &types, &[]).unwrap();
            let (out, saved) = p.forward_kept(&x).unwrap();
            let grads = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
            for (sum, part) in sum.iter_mut().zip([&out[0], grads[0].as_ref().unwrap()]) {
                sum.iter_mut().zip(f64s(part)).for_each(|(s, v)| *s += v);
            }
        }
        agree("loss", &sum[0], &case.output("loss"));
        agree("logits", &sum[1], &case.grad("logits").unwrap());
    }

    #[test]
    fn matches_the_reference() {
        for (form, eps) in [
            ("entropy", Some(0.01)),
            ("entropy", Some(0.0)),
            ("log", None),
            ("uniform", None),
        ] {
            for k in [2, 5] {
                let mut params = json!({ "form": form });
                if let Some(eps) = eps {
                    params["eps"] = json!(eps);
                }
                let eps = eps.unwrap_or(if form == "log" { 1e-6 } else { 0.0 });
                let x = Args::default().with("logits", vec![(normal(3, &[4, k]) * 2.0).unwrap()]);
                probe(params, k).check(&x, |x, _| {
                    let p: Vec<f64> = log_softmax(&x[0], k).iter().map(|l| l.exp()).collect();
                    let mean = (0..k).map(|j| p.iter().skip(j).step_by(k).sum::<f64>() / 4.0);
                    let n = k as f64;
                    let term = |p: f64| match form {
                        "entropy" => p * (p + eps).ln(),
                        "log" => -(p + eps).ln() / n,
                        _ => -(p.ln() / n + (1.0 - p).ln() * (1.0 - 1.0 / n)) / n,
                    };
                    vec![vec![mean.map(term).sum::<f64>()]]
                });
            }
        }
    }

    #[test]
    fn a_class_that_is_never_predicted_is_no_infinity() {
        for form in ["entropy", "log", "uniform"] {
            let z = Tensor::new(&[[500f32, 0., 0.], [500., 0., 0.]], &device()).unwrap();
            let x = Args::default().with("logits", vec![z]);
            let mut p = probe(json!({ "form": form }), 3);
            let (out, saved) = p.forward_kept(&x).unwrap();
            let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
            let g = f64s(g[0].as_ref().unwrap());
            assert!(
                scalar(&out[0]).is_finite() && g.iter().all(|v| v.is_finite()),
                "{form}: {g:?}"
            );
        }
        let even = Tensor::zeros((3, 4), DType::F32, &device()).unwrap();
        let out = probe(json!({ "eps": 0.0 }), 4).forward(&Args::default().with("logits", vec![even]));
        assert!((scalar(&out.unwrap()[0]) + 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("logits", vec![normal(1, &[0, 3])]);
        assert_eq!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("logits", vec![ty("Logits", "B,3")])];
        assert_eq!(
            rejected("balance", json!({ "eps": -0.1 }), &types),
            ["eps: -0.1 is not in 0 to 0.1"]
        );
        assert_eq!(
            rejected("balance", json!({ "form": "uniform", "eps": 0.0 }), &types),
            ["eps: the form `uniform` has none: its logarithms are cut off where a share is 0"]
        );
    }
}
