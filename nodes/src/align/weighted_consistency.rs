//! `weighted_consistency`: several predictions of the same rows should agree, the confident ones most.

use super::bounds;
use crate::input::{per_reference, several_classes};
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{entropy, through};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Scheduled, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over references n and rows of `wₙ · KL(p̄ ‖ pₙ)` with the mean prediction `p̄` (ATCoN, Xu et al., ECCV 2022). The
/// weight of a row is `K − H(softmax(z/temperature))`, divided by its mean over the rows of the reference; the paper writes
/// `1 − H`, its released code sums `1 + p ln p` over classes. Nothing is a constant to the gradient.
/// The released factor of the whole is 18.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedConsistency {
    /// What scores are divided by for the weights.
    #[serde(default = "tenth")]
    pub temperature: Scheduled,
}

fn tenth() -> Scheduled {
    Scheduled::Number(0.1)
}

impl Kind for WeightedConsistency {
    const NAME: &'static str = "weighted_consistency";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        self.temperature.problems("temperature", bounds::not_above_zero)
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("logits"), |_| "Logits[R,K]".into());
        Contract::on(Side::Device)
            .many("logits", &types, "scores of the same rows, two at least")
            .output("loss", "Loss[]", "the weighted mean divergence")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        bounds::several(cx, "logits", "predictions to agree")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for WeightedConsistency {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let all = inputs.all("logits");
        let (rows, classes) = all[0].dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let temperature = self.temperature.at(step);
        let count = all.len() as f64;
        let share = 1.0 / (count * rows as f64);
        let logs = all.iter().map(|z| candle_nn::ops::log_softmax(z, D::Minus1));
        let logs = logs.collect::<candle_core::Result<Vec<_>>>()?;
        let mut mean = logs[0].exp()?;
        for log in &logs[1..] {
            mean = (mean + log.exp()?)?;
        }
        let mean = (mean / count)?;
        // Below the least number of float32 a class adds nothing.
        let log_mean = (&mean + 1e-37)?.log()?;
        let mut loss = Tensor::new(0f32, step.device)?;
        let mut of_mean = mean.zeros_like()?;
        let mut grads = vec![];
        for (z, log) in all.iter().zip(&logs) {
            let ratio = (&log_mean - log)?;
            let divergence = (&mean * &ratio)?.sum_keepdim(D::Minus1)?;
            let (h, slope) = entropy(&(z * (1.0 / temperature))?, 0.0)?;
            let certainty = h.affine(-1.0, classes as f64)?;
            let level = certainty.mean_keepdim(0)?;
            let weight = certainty.broadcast_div(&level)?;
            let weighted = (&weight * &divergence)?;
            loss = (loss + weighted.sum_all()?)?;
            of_mean = (of_mean + ratio.broadcast_mul(&weight)?)?;
            // Of a weight: raised alone, it lowers the others through their mean.
            let dh = divergence
                .broadcast_sub(&weighted.mean_keepdim(0)?)?
                .broadcast_div(&level)?;
            let dz = slope.broadcast_mul(&(dh * (-1.0 / temperature))?)?;
            grads.push((dz + (log.exp()? - &mean)?.broadcast_mul(&weight)?)?);
        }
        let of_mean = (of_mean / count)?;
        let add = |(dz, log): (Tensor, &Tensor)| -> Result<Option<Tensor>> {
            Ok(Some(((dz + through(&log.exp()?, &of_mean)?)? * share)?))
        };
        let grads = grads.into_iter().zip(&logs).map(add).collect::<Result<_>>()?;
        Ok(Found::loss((loss * share)?, grads))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::{agree, golden, tensor};
    use crate::testing::{Probe, f64s, log_softmax, normal, rejected, scalar, ty};
    use serde_json::{Value, json};

    fn types(count: usize, k: usize) -> [(&'static str, Vec<crate::Type>); 1] {
        [("logits", vec![ty("Logits", &format!("B,{k}")); count])]
    }

    fn probe(params: Value, count: usize, k: usize) -> Probe {
        Probe::new("weighted_consistency", params, &types(count, k), &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        let case = golden("atcon_consistency");
        let names = ["a", "b", "d"];
        let x = Args::default().with("logits", names.iter().map(|n| case.input(n)).collect());
        let mut p = probe(json!({}), 3, 4);
        let (out, saved) = p.forward_kept(&x).unwrap();
        agree("loss", &[18.0 * scalar(&out[0])], &case.output("loss"));
        let grads = p.backward(&x, saved, vec![Some(tensor(&[18.0], &[]))]).unwrap();
        for (name, grad) in names.iter().zip(grads) {
            agree(name, &f64s(&grad.unwrap()), &case.grad(name).unwrap());
        }
    }

    #[test]
    fn matches_the_reference() {
        for (count, rows, k, temperature) in [(2, 3, 4, 0.5), (3, 1, 2, 1.0), (4, 2, 5, 0.1)] {
            let x = (0..count).map(|i| normal(i as u64, &[rows, k])).collect();
            let x = Args::default().with("logits", x);
            probe(json!({ "temperature": temperature }), count, k).check(&x, |x, _| {
                let logs: Vec<Vec<f64>> = x.iter().map(|x| log_softmax(x, k)).collect();
                let mean = |i: usize| logs.iter().map(|l| l[i].exp()).sum::<f64>() / count as f64;
                let of = |x: &Vec<f64>, logs: &Vec<f64>| {
                    let sharp: Vec<f64> = x.iter().map(|v| v / temperature).collect();
                    let h = log_softmax(&sharp, k);
                    let w: Vec<f64> = h
                        .chunks(k)
                        .map(|l| k as f64 + l.iter().map(|l| l.exp() * l).sum::<f64>())
                        .collect();
                    let level = w.iter().sum::<f64>() / rows as f64;
                    let kl = |r: usize| {
                        (r * k..(r + 1) * k)
                            .map(|i| mean(i) * (mean(i).ln() - logs[i]))
                            .sum::<f64>()
                    };
                    (0..rows).map(|r| w[r] / level * kl(r)).sum::<f64>()
                };
                let sum: f64 = x.iter().zip(&logs).map(|(x, l)| of(x, l)).sum();
                vec![vec![sum / (count * rows) as f64]]
            });
        }
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("logits", vec![normal(1, &[0, 3]); 2]);
        assert_eq!(scalar(&probe(json!({}), 2, 3).forward(&x).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params, types: &[(&str, Vec<crate::Type>)]| rejected("weighted_consistency", params, types);
        assert_eq!(
            of(json!({ "temperature": -1.0 }), &types(2, 3)),
            ["temperature: -1 is not a number above zero"]
        );
        assert_eq!(
            of(json!({}), &types(1, 3)),
            ["`logits` has 1 reference, and predictions to agree are two or more"]
        );
    }
}
