//! `margin_disparity`: two classifiers that should agree on the source and disagree on the target.

use super::bounds;
use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{one_hot_of_best, softmax, through};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Margin disparity discrepancy (Zhang et al., ICML 2019), negated as it is minimised: with the best class
/// `ŷ` of the classifier and the probabilities `σ` of the adversarial head,
/// `−margin · mean ln σ(source)[ŷ] − mean ln(1 − σ(target)[ŷ] + 1e-6)`. The head minimises it; a `grl` between the features
/// and the head makes the features maximise it. The classifier gets no gradient from here. A domain without rows adds 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarginDisparity {
    /// γ of the paper, `e` to the power of its margin: the weight of the source.
    #[serde(default = "four")]
    pub margin: f64,
}

fn four() -> f64 {
    4.0
}

impl Kind for MarginDisparity {
    const NAME: &'static str = "margin_disparity";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        bounds::not_negative("margin", self.margin).into_iter().collect()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.margin == 0.0 {
            false => vec![],
            true => vec![ParamProblem::new(
                "margin",
                "with 0 the source counts for nothing: the head need not agree anywhere",
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "Logits[S,K]", "the classifier's scores of the source")
            .constant()
            .input("target", "Logits[T,K]", "the classifier's scores of the target")
            .constant()
            .input(
                "head_source",
                "Logits[S,K]",
                "the adversarial head's scores of the source",
            )
            .input(
                "head_target",
                "Logits[T,K]",
                "the adversarial head's scores of the target",
            )
            .output("loss", "Loss[]", "the negative discrepancy")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "source")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for MarginDisparity {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let mut loss = Tensor::new(0f32, step.device)?;
        let mut grads = vec![None; 4];
        let (z, a) = (inputs.one("source")?, inputs.one("head_source")?);
        if z.dim(0)? > 0 {
            let best = one_hot_of_best(z)?;
            let log_p = candle_nn::ops::log_softmax(a, D::Minus1)?;
            let share = self.margin / z.dim(0)? as f64;
            loss = (loss - ((&log_p * &best)?.sum_all()? * share)?)?;
            grads[2] = Some(((log_p.exp()? - best)? * share)?);
        }
        let (z, a) = (inputs.one("target")?, inputs.one("head_target")?);
        if z.dim(0)? > 0 {
            let best = one_hot_of_best(z)?;
            let p = softmax(a)?;
            let share = 1.0 / z.dim(0)? as f64;
            // 1 − p of the best as the sum of the others: no cancellation.
            let rest = ((&p * best.affine(-1.0, 1.0)?)?.sum_keepdim(D::Minus1)? + 1e-6)?;
            loss = (loss - (rest.minimum(1.0)?.log()?.sum_all()? * share)?)?;
            let counts = rest.lt(1f32)?.to_dtype(rest.dtype())?;
            let dp = best.broadcast_mul(&(counts / rest)?)?;
            grads[3] = Some((through(&p, &dp)? * share)?);
        }
        Ok(Found::loss(loss, grads))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, log_softmax, normal, rejected, remarks, scalar, ty};
    use serde_json::{Value, json};

    fn types(k: usize) -> [(&'static str, Vec<crate::Type>); 4] {
        ["source", "target", "head_source", "head_target"].map(|p| (p, vec![ty("Logits", &format!("B,{k}"))]))
    }

    fn probe(params: Value, k: usize) -> Probe {
        Probe::new("margin_disparity", params, &types(k), &[]).unwrap()
    }

    fn inputs(s: usize, t: usize, k: usize) -> Args<candle_core::Tensor> {
        let of = |seed, n| vec![(normal(seed, &[n, k]) * 2.0).unwrap()];
        Args::default()
            .with("source", of(1, s))
            .with("target", of(2, t))
            .with("head_source", of(3, s))
            .with("head_target", of(4, t))
    }

    #[test]
    fn golden_values() {
        let ports: [(&str, &[&str]); 4] = [
            ("source", &["y_s"]),
            ("target", &["y_t"]),
            ("head_source", &["a_s"]),
            ("head_target", &["a_t"]),
        ];
        golden("mdd").check(&mut probe(json!({}), 3), &ports, "loss");
    }

    #[test]
    fn matches_the_reference() {
        let best = |z: &[f64]| (0..z.len()).fold(0, |b, i| if z[i] > z[b] { i } else { b });
        for (k, margin) in [(2, 4.0), (5, 1.5)] {
            probe(json!({ "margin": margin }), k).check(&inputs(3, 3, k), |x, _| {
                let of = |z: &[f64], a: &[f64], f: &dyn Fn(f64) -> f64| -> f64 {
                    let rows = z.chunks(k).zip(a.chunks(k));
                    rows.map(|(z, a)| f(log_softmax(a, k)[best(z)])).sum::<f64>() / 3.0
                };
                let source = of(&x[0], &x[2], &|l| -margin * l);
                vec![vec![
                    source + of(&x[1], &x[3], &|l| -(1.0 - l.exp() + 1e-6).min(1.0).ln()),
                ]]
            });
        }
    }

    #[test]
    fn a_domain_without_rows_adds_nothing() {
        let both = scalar(&probe(json!({}), 3).forward(&inputs(2, 2, 3)).unwrap()[0]);
        let source = scalar(&probe(json!({}), 3).forward(&inputs(2, 0, 3)).unwrap()[0]);
        let target = scalar(&probe(json!({}), 3).forward(&inputs(0, 2, 3)).unwrap()[0]);
        assert!((source + target - both).abs() < 1e-5 && source > 0.0 && target > 0.0);
        assert_eq!(scalar(&probe(json!({}), 3).forward(&inputs(0, 0, 3)).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("margin_disparity", json!({ "margin": -1.0 }), &types(3)),
            ["margin: -1 is not a number of zero or more"]
        );
        assert_eq!(
            rejected("margin_disparity", json!({}), &types(1)),
            ["`source` are scores of a single class, so there is nothing to tell apart"]
        );
        assert_eq!(
            remarks("margin_disparity", json!({ "margin": 0.0 })),
            ["margin: with 0 the source counts for nothing: the head need not agree anywhere"]
        );
    }
}
