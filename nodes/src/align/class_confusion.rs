//! `class_confusion`: how much a classifier confuses its classes.

use super::bounds;
use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{entropy, softmax, through};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Scheduled, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Minimum class confusion (Jin et al., ECCV 2020): with `p = softmax(z/temperature)` and row weights `w = 1 + e^(−H(p))`
/// of mean 1, constants to the gradient, the confusion of classes is `C = Σ wᵣ pᵣ pᵣᵀ` with rows divided by their sums,
/// and the loss is the mean over classes of what is off its diagonal. On the target; labels are not needed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassConfusion {
    /// What the scores are divided by before the softmax.
    #[serde(default = "paper")]
    pub temperature: Scheduled,
}

fn paper() -> Scheduled {
    Scheduled::Number(2.5)
}

impl Kind for ClassConfusion {
    const NAME: &'static str = "class_confusion";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        self.temperature.problems("temperature", bounds::not_above_zero)
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .output("loss", "Loss[]", "the share of confusion, in [0, 1)")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for ClassConfusion {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let logits = inputs.one("logits")?;
        let (rows, classes) = logits.dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let temperature = self.temperature.at(step);
        let z = (logits * (1.0 / temperature))?;
        let p = softmax(&z)?;
        let weight = (entropy(&z, 1e-5)?.0.neg()?.exp()? + 1.0)?;
        let weight = (weight.broadcast_div(&weight.sum_keepdim(0)?)? * rows as f64)?;
        // Probabilities sum to 1, so that a row of C sums to s = Σ w p, and its diagonal element is a = Σ w p²: the loss is
        // 1 − mean a/s. What is added to s matters for a class that no row gives a probability.
        let weighted = p.broadcast_mul(&weight)?;
        let s = (weighted.sum_keepdim(0)? + 1e-30)?;
        let share = ((&weighted * &p)?.sum_keepdim(0)? / &s)?;
        let loss = share.mean_all()?.affine(-1.0, 1.0)?;
        let dp = (&p * 2.0)?.broadcast_sub(&share)?.broadcast_div(&s)?;
        let dp = (dp.broadcast_mul(&weight)? * (-1.0 / (classes as f64 * temperature)))?;
        Ok(Found::loss(loss, vec![Some(through(&p, &dp)?)]))
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
        Probe::new("class_confusion", params, &types, &[]).unwrap()
    }

    fn probabilities(z: &[f64], k: usize, temperature: f64) -> Vec<f64> {
        let z: Vec<f64> = z.iter().map(|v| v / temperature).collect();
        log_softmax(&z, k).iter().map(|l| l.exp()).collect()
    }

    #[test]
    fn golden_values() {
        golden("mcc").check(&mut probe(json!({}), 4), &[("logits", &["logits"])], "loss");
    }

    /// By the whole matrix, as the paper has it.
    #[test]
    fn matches_the_reference() {
        for (rows, k, temperature) in [(4, 3, 2.5), (1, 2, 1.0), (5, 6, 0.7)] {
            let z = (normal(5, &[rows, k]) * 2.0).unwrap();
            let p = probabilities(&f64s(&z), k, temperature);
            let h = |p: &[f64]| -p.iter().map(|p| p * (p + 1e-5).ln()).sum::<f64>();
            let w: Vec<f64> = p.chunks(k).map(|p| 1.0 + (-h(p)).exp()).collect();
            let x = Args::default().with("logits", vec![z]);
            probe(json!({ "temperature": temperature }), k).check(&x, |x, _| {
                let p = probabilities(&x[0], k, temperature);
                let c = |i: usize, j: usize| p.chunks(k).zip(&w).map(|(p, w)| w * p[i] * p[j]).sum::<f64>();
                let off = |i: usize| {
                    let row: f64 = (0..k).map(|j| c(i, j)).sum();
                    (row - c(i, i)) / row
                };
                vec![vec![(0..k).map(off).sum::<f64>() / k as f64]]
            });
        }
    }

    #[test]
    fn sure_rows_confuse_nothing() {
        let z = Tensor::new(&[[300f32, 0., 0.], [0., 300., 0.]], &device()).unwrap();
        let x = Args::default().with("logits", vec![z]);
        let mut p = probe(json!({ "temperature": 1.0 }), 3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        // The third class is given by no row: all of its probability is off the diagonal.
        assert!((scalar(&out[0]) - 1.0 / 3.0).abs() < 1e-6, "{}", scalar(&out[0]));
        let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert!(f64s(g[0].as_ref().unwrap()).iter().all(|v| v.abs() < 1e-6));
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
            rejected("class_confusion", json!({ "temperature": 0.0 }), &types),
            ["temperature: 0 is not a number above zero"]
        );
    }
}
