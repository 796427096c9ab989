//! `row_entropy`: how uncertain each prediction is.

use crate::input::several_classes;
use crate::op::softmax::entropy;
use crate::tensor::parts::part;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Scheduled, Side, Step, Wiring, arrived,
    kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The entropy of each row's softmax, `H = −Σ p ln(p + eps)` in nats, or with `exp` its certainty `e^(−H)`, plus `shift`.
/// CDAN+E weights rows by `1 + e^(−H)` (Long et al., NeurIPS 2018), TA3N attends by `1 + (1 − H)` and weights by
/// `1 + H` (Chen et al., ICCV 2019). Differentiable: where the published method takes it as a constant, put a `detach`
/// behind it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowEntropy {
    /// Added to the probability inside the logarithm; several released codes have 1e-5.
    #[serde(default)]
    pub eps: f64,
    /// What the scores are divided by before the softmax.
    #[serde(default = "one")]
    pub temperature: Scheduled,
    /// Gives `e^(−H)` instead of `H`.
    #[serde(default)]
    pub exp: bool,
    /// Added to the result.
    #[serde(default)]
    pub shift: f64,
}

fn one() -> Scheduled {
    Scheduled::Number(1.0)
}

impl Kind for RowEntropy {
    const NAME: &'static str = "row_entropy";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        problems.extend(super::bounds::eps("eps", self.eps));
        problems.extend(self.temperature.problems("temperature", super::bounds::not_above_zero));
        problems.extend(super::bounds::finite("shift", self.shift));
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .output("y", "Feature[R,1]", "the entropy of each row in nats, or its certainty")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Compute for RowEntropy {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let logits = inputs.one("logits")?;
        if logits.dim(0)? == 0 {
            return Ok((vec![part(logits, 1, 0, 1)?], Box::new(None::<Tensor>)));
        }
        let temperature = self.temperature.at(step);
        let (h, dz) = entropy(&(logits * (1.0 / temperature))?, self.eps)?;
        let dz = (dz * (1.0 / temperature))?;
        let (y, slope) = match self.exp {
            true => {
                let y = h.neg()?.exp()?;
                let slope = dz.broadcast_mul(&y)?.neg()?;
                (y, slope)
            }
            false => (h, dz),
        };
        Ok((vec![(y + self.shift)?], Box::new(Some(slope))))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let slope = *kept::<Option<Tensor>>(saved)?;
        Ok(vec![match (slope, arrived(&mut grads, 0)) {
            (Some(slope), Some(g)) => Some(slope.broadcast_mul(&g)?),
            _ => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, log_softmax, normal, rejected, ty};
    use serde_json::{Value, json};

    fn probe(params: Value) -> Probe {
        Probe::new("row_entropy", params, &[("logits", vec![ty("Logits", "B,5")])], &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        golden("row_entropy").check(&mut probe(json!({})), &[("logits", &["logits"])], "y");
    }

    #[test]
    fn matches_the_reference() {
        for (eps, temperature, exp, shift) in [(0.0, 1.0, false, 0.0), (0.01, 0.5, false, 1.0), (1e-5, 2.0, true, 1.0)]
        {
            let params = json!({ "eps": eps, "temperature": temperature, "exp": exp, "shift": shift });
            let x = Args::default().with("logits", vec![(normal(3, &[4, 5]) * 2.0).unwrap()]);
            probe(params).check(&x, |x, _| {
                let z: Vec<f64> = x[0].iter().map(|v| v / temperature).collect();
                let p: Vec<f64> = log_softmax(&z, 5).iter().map(|l| l.exp()).collect();
                let h = |p: &[f64]| -p.iter().map(|p| p * (p + eps).ln()).sum::<f64>();
                let y = |p: &[f64]| shift + if exp { (-h(p)).exp() } else { h(p) };
                vec![p.chunks(5).map(y).collect()]
            });
        }
    }

    #[test]
    fn no_rows_are_no_values() {
        let x = Args::default().with("logits", vec![normal(1, &[0, 5])]);
        let mut p = probe(json!({}));
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(out[0].dims(), [0, 1]);
        assert!(p.backward(&x, saved, vec![Some(out[0].clone())]).unwrap()[0].is_none());
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("logits", vec![ty("Logits", "B,5")])];
        assert_eq!(
            rejected("row_entropy", json!({ "eps": -1.0, "temperature": 0.0 }), &types),
            [
                "eps: -1 is not in 0 to 0.1",
                "temperature: 0 is not a number above zero"
            ]
        );
        let one = [("logits", vec![ty("Logits", "B,1")])];
        assert_eq!(
            rejected("row_entropy", json!({}), &one),
            ["`logits` are scores of a single class, so there is nothing to tell apart"]
        );
    }
}
