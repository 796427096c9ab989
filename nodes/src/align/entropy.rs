//! `entropy`: how uncertain a classifier is.

use super::bounds;
use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::entropy;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over rows of the Shannon entropy of the softmax, `−Σ p ln(p + eps)` in nats (Grandvalet and Bengio, NeurIPS
/// 2004): as a loss on the target it favours confident predictions. With `weight` each row's entropy is multiplied by it
/// first; the divisor stays the number of rows (the attentive entropy of TA3N, Chen et al., ICCV 2019).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entropy {
    /// Added to the probability inside the logarithm; several released codes have 1e-5.
    #[serde(default)]
    pub eps: f64,
}

impl Kind for Entropy {
    const NAME: &'static str = "entropy";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        bounds::eps("eps", self.eps).into_iter().collect()
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .input("weight", "Feature[R,1]", "what each row counts; 1 without it")
            .optional()
            .output("loss", "Loss[]", "the mean entropy in nats")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for Entropy {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let logits = inputs.one("logits")?;
        let rows = logits.dim(0)? as f64;
        if rows == 0.0 {
            return Found::nothing(step, inputs, 1);
        }
        let (h, dz) = entropy(logits, self.eps)?;
        let (loss, dz, dw) = match inputs.all("weight") {
            [weight] => ((&h * weight)?, dz.broadcast_mul(weight)?, Some((h / rows)?)),
            _ => (h, dz, None),
        };
        let mut grads = vec![Some((dz / rows)?)];
        grads.extend(dw.map(Some));
        Ok(Found::loss((loss.sum_all()? / rows)?, grads))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, device, f64s, log_softmax, normal, rejected, scalar, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn probe(params: Value, k: usize) -> Probe {
        let types = [("logits", vec![ty("Logits", &format!("B,{k}"))])];
        Probe::new("entropy", params, &types, &[]).unwrap()
    }

    #[test]
    fn matches_the_reference() {
        for (k, eps) in [(2, 0.0), (5, 0.0), (5, 0.01)] {
            let x = Args::default().with("logits", vec![(normal(3, &[4, k]) * 2.0).unwrap()]);
            probe(json!({ "eps": eps }), k).check(&x, |x, _| {
                let terms = log_softmax(&x[0], k)
                    .into_iter()
                    .map(|l| l.exp() * (l.exp() + eps).ln());
                vec![vec![-terms.sum::<f64>() / 4.0]]
            });
        }
    }

    #[test]
    fn golden_values() {
        golden("entropy").check(&mut probe(json!({}), 5), &[("logits", &["logits"])], "loss");
    }

    /// `entropy` of the classes weighted by `row_entropy` of the domains.
    #[test]
    fn attentive_entropy() {
        let case = golden("attentive_entropy");
        let of_domain = Args::default().with("logits", vec![case.input("domain")]);
        let types = [("logits", vec![ty("Logits", "B,2")])];
        let mut rows = Probe::new("row_entropy", json!({ "shift": 1.0 }), &types, &[]).unwrap();
        let (weight, kept_rows) = rows.forward_kept(&of_domain).unwrap();

        let types = [
            ("logits", vec![ty("Logits", "B,5")]),
            ("weight", vec![ty("Feature", "B,1")]),
        ];
        let mut p = Probe::new("entropy", json!({}), &types, &[]).unwrap();
        let x = Args::default()
            .with("logits", vec![case.input("logits")])
            .with("weight", weight);
        let (loss, kept) = p.forward_kept(&x).unwrap();
        crate::testing::losses_golden::agree("loss", &f64s(&loss[0]), &case.output("loss"));
        let one = Tensor::new(1f32, &device()).unwrap();
        let grads = p.backward(&x, kept, vec![Some(one)]).unwrap();
        let of_logits = f64s(grads[0].as_ref().unwrap());
        crate::testing::losses_golden::agree("logits", &of_logits, &case.grad("logits").unwrap());
        let grads = rows.backward(&of_domain, kept_rows, vec![grads[1].clone()]).unwrap();
        let found = f64s(grads[0].as_ref().unwrap());
        crate::testing::losses_golden::agree("domain", &found, &case.grad("domain").unwrap());
    }

    #[test]
    fn even_scores_have_the_largest_entropy() {
        let even = Tensor::zeros((3, 4), candle_core::DType::F32, &device()).unwrap();
        let h = probe(json!({}), 4)
            .forward(&Args::default().with("logits", vec![even]))
            .unwrap();
        assert!((scalar(&h[0]) - 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("logits", vec![normal(1, &[0, 3])]);
        assert_eq!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("logits", vec![ty("Logits", "B,5")])];
        assert_eq!(
            rejected("entropy", json!({ "eps": 0.2 }), &types),
            ["eps: 0.2 is not in 0 to 0.1"]
        );
    }
}
