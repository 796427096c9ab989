//! `domain_bce`: the loss of a domain classifier.

use crate::kernel::labels;
use crate::op::loss::{bce_with_logits, binary_accuracy};
use crate::op::types::LossGrad;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::{Result, bail};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Binary cross-entropy with logits of a domain classifier, the mean over rows: ℓ_adv of eq. 4. 1 is the source,
/// 0 the target. Its accuracy shows what the loss does not: near 50 % with a large loss is a failure to train, near 50 %
/// with a loss of ln 2 is alignment. With `weight` a row counts as much as its weight, a constant to the gradient: CDAN+E
/// (Long et al., NeurIPS 2018) has `1 + e^(−H)` of the row's prediction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainBce {
    /// The rows over which weights have a mean of 1; `all` by default.
    #[serde(default)]
    pub normalise: Option<Normalise>,
}

/// The rows over which the weights of a [`DomainBce`] have a mean of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Those of both domains together.
    All,
    /// Those of each domain.
    PerDomain,
    /// None: weights are taken as they are.
    None,
}

impl Kind for DomainBce {
    const NAME: &'static str = "domain_bce";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,1]", "above 0 for the source")
            .input("domain", "Label[R]", "1 for the source, 0 for the target")
            .constant()
            .input(
                "weight",
                "Feature[R,1]",
                "what each row counts, above 0; alike without it",
            )
            .optional()
            .constant()
            .output("loss", "Loss[]", "the mean over rows")
            .output(
                "accuracy",
                "Metric[]",
                "the share of rows whose domain is predicted right",
            )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        if self.normalise.is_some() && cx.input("weight").is_none() {
            return Err(vec![
                ParamProblem::new("normalise", "there are no weights to normalise")
                    .help("connect `weight`, or leave `normalise` out"),
            ]);
        }
        Ok(Body::Compute(Box::new(Bce {
            normalise: self.normalise.unwrap_or(Normalise::All),
        })))
    }
}

struct Bce {
    normalise: Normalise,
}

impl Bce {
    /// The weighted mean, and its gradient with respect to the logits.
    fn weighted(&self, z: &Tensor, targets: &[f32], weight: &Tensor) -> Result<LossGrad> {
        let rows = targets.len();
        let t = Tensor::from_slice(targets, (rows, 1), z.device())?;
        let sums_to =
            |w: &Tensor, n: usize| -> Result<Tensor> { Ok((w.broadcast_div(&w.sum_keepdim(0)?)? * n as f64)?) };
        let of_source = targets.iter().filter(|t| **t == 1.0).count();
        let weight = match self.normalise {
            Normalise::None => weight.clone(),
            Normalise::PerDomain if of_source > 0 && of_source < rows => {
                let source = sums_to(&(weight * &t)?, of_source)?;
                let target = sums_to(&(weight * t.affine(-1.0, 1.0)?)?, rows - of_source)?;
                (source + target)?
            }
            _ => sums_to(weight, rows)?,
        };
        let share = 1.0 / rows as f64;
        // ln(1 + e^z) without an overflow.
        let soft = (z.relu()? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        let loss = ((soft - (z * &t)?)? * &weight)?.sum_all()?;
        let sigmoid = (z.neg()?.exp()? + 1.0)?.recip()?;
        Ok(LossGrad {
            loss: (loss * share)?,
            grad: (((sigmoid - t)? * weight)? * share)?,
        })
    }
}

impl Compute for Bce {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let logits = inputs.one("logits")?;
        let domain = labels(inputs.one("domain")?)?;
        if let Some(d) = domain.iter().find(|d| **d > 1) {
            bail!("a domain is 1 (source) or 0 (target), and {d} came");
        }
        let targets: Vec<f32> = domain.iter().map(|d| *d as f32).collect();
        let found = match inputs.all("weight") {
            [weight] if !targets.is_empty() => self.weighted(logits, &targets, weight)?,
            _ => bce_with_logits(logits, &targets)?,
        };
        let accuracy = binary_accuracy(logits, &targets)?;
        let inputs = inputs.flat().count();
        Ok((vec![found.loss, accuracy], Box::new((found.grad, inputs))))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let (grad, inputs) = *kept::<(Tensor, usize)>(saved)?;
        let mut out = vec![None; inputs];
        if let Some(g) = arrived(&mut grads, 0) {
            out[0] = Some(grad.broadcast_mul(&g)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::{agree, golden, tensor};
    use crate::testing::{Probe, dense, device, f64s, labels, log_softmax, normal, rejected, scalar, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn weighted(params: Value) -> Probe {
        let types = [
            ("logits", vec![ty("Logits", "2*B,1")]),
            ("domain", vec![ty("Label", "2*B")]),
            ("weight", vec![ty("Feature", "2*B,1")]),
        ];
        Probe::new("domain_bce", params, &types, &[]).unwrap()
    }

    #[test]
    fn weights_match_the_reference() {
        for (params, domain) in [
            (json!({}), [1u32, 1, 0, 0, 0, 0]),
            (json!({ "normalise": "all" }), [1, 0, 1, 0, 1, 0]),
            (json!({ "normalise": "per_domain" }), [1, 1, 0, 0, 0, 0]),
            (json!({ "normalise": "per_domain" }), [1; 6]),
            (json!({ "normalise": "per_domain" }), [0; 6]),
            (json!({ "normalise": "none" }), [1, 1, 0, 0, 0, 0]),
        ] {
            let x = Args::default()
                .with("logits", vec![(normal(1, &[6, 1]) * 2.0).unwrap()])
                .with("domain", vec![labels(&domain)])
                .with("weight", vec![(normal(2, &[6, 1]).abs().unwrap() + 0.1).unwrap()]);
            weighted(params.clone()).check(&x, |x, _| {
                let (t, w) = (&x[1], &x[2]);
                let mean = |of: &dyn Fn(f64) -> bool| {
                    let those = || t.iter().zip(w).filter(|(t, _)| of(**t));
                    those().map(|(_, w)| w).sum::<f64>() / those().count() as f64
                };
                let own = |t: f64| match params["normalise"].as_str() {
                    Some("none") => 1.0,
                    Some("per_domain") => mean(&|u| u == t),
                    _ => mean(&|_| true),
                };
                let rows = || x[0].iter().zip(t).zip(w);
                let loss = rows()
                    .map(|((z, t), w)| w / own(*t) * ((1.0 + z.exp()).ln() - z * t))
                    .sum::<f64>();
                let right = rows().filter(|((z, t), _)| (**z > 0.0) == (**t == 1.0)).count();
                vec![vec![loss / 6.0], vec![right as f64 / 6.0]]
            });
        }
    }

    /// CDAN+E: here the layer behind the products of features and probabilities is written out.
    #[test]
    fn golden_values_of_weights() {
        let case = golden("cdan_e");
        let mut rows: Vec<Vec<f64>> = vec![];
        let mut weights = vec![];
        for (g, f) in [("g_s", "f_s"), ("g_t", "f_t")] {
            let p: Vec<f64> = log_softmax(&case.values(g).0, 2).iter().map(|l| l.exp()).collect();
            for (p, f) in p.chunks(2).zip(case.values(f).0.chunks(3)) {
                let h = -p.iter().map(|p| p * (p + 1e-5).ln()).sum::<f64>();
                weights.push(1.0 + (-h).exp());
                rows.push(p.iter().flat_map(|p| f.iter().map(move |f| p * f)).collect());
            }
        }
        let z = dense(&rows.concat(), &case.values("w").0, &case.values("b").0, 6);
        let x = Args::default()
            .with("logits", vec![tensor(&z, &[8, 1])])
            .with("domain", vec![labels(&[1, 1, 1, 1, 0, 0, 0, 0])])
            .with("weight", vec![tensor(&weights, &[8, 1])]);
        let mut p = weighted(json!({}));
        let (out, saved) = p.forward_kept(&x).unwrap();
        agree("loss", &f64s(&out[0]), &case.output("loss"));
        let grads = p
            .backward(&x, saved, vec![Some(out[0].ones_like().unwrap()), None])
            .unwrap();
        let dz = f64s(grads[0].as_ref().unwrap());
        let dw = |j: usize| rows.iter().zip(&dz).map(|(r, d)| r[j] * d).sum::<f64>();
        agree("w", &(0..6).map(dw).collect::<Vec<_>>(), &case.grad("w").unwrap());
        agree("b", &[dz.iter().sum::<f64>()], &case.grad("b").unwrap());
    }

    #[test]
    fn large_logits_are_no_infinity() {
        let x = Args::default()
            .with("logits", vec![Tensor::new(&[[1e4f32], [-1e4]], &device()).unwrap()])
            .with("domain", vec![labels(&[0, 0])])
            .with("weight", vec![Tensor::new(&[[1f32], [1.]], &device()).unwrap()]);
        let mut p = weighted(json!({}));
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(scalar(&out[0]), 5e3);
        let grads = p
            .backward(&x, saved, vec![Some(out[0].ones_like().unwrap()), None])
            .unwrap();
        assert_eq!(f64s(grads[0].as_ref().unwrap()), [0.5, 0.0]);
    }

    #[test]
    fn weights_that_are_not_there() {
        let types = [
            ("logits", vec![ty("Logits", "B,1")]),
            ("domain", vec![ty("Label", "B")]),
        ];
        assert_eq!(
            rejected("domain_bce", json!({ "normalise": "all" }), &types),
            ["normalise: there are no weights to normalise"]
        );
    }

    fn probe() -> Probe {
        let types = [
            ("logits", vec![ty("Logits", "2*B,1")]),
            ("domain", vec![ty("Label", "2*B")]),
        ];
        Probe::new("domain_bce", json!({}), &types, &[]).unwrap()
    }

    #[test]
    fn matches_the_reference() {
        let domain = labels(&[1, 1, 1, 0, 0, 0]);
        let x = Args::default()
            .with("logits", vec![(normal(1, &[6, 1]) * 2.0).unwrap()])
            .with("domain", vec![domain]);
        probe().check(&x, |x, _| {
            let rows = || x[0].iter().zip(&x[1]);
            let loss = rows().map(|(z, t)| (1.0 + z.exp()).ln() - z * t).sum::<f64>() / 6.0;
            let right = rows().filter(|(z, t)| (**z > 0.0) == (**t == 1.0)).count();
            vec![vec![loss], vec![right as f64 / 6.0]]
        });
    }

    #[test]
    fn golden_values() {
        let logits = Tensor::new(&[[0f32], [0.], [2.], [-2.]], &device()).unwrap();
        let x = Args::default()
            .with("logits", vec![logits])
            .with("domain", vec![labels(&[1, 0, 1, 0])]);
        let out = probe().forward(&x).unwrap();
        assert!((scalar(&out[0]) - (2f64.ln() + 0.126928011) / 2.0).abs() < 1e-6);
        assert_eq!(scalar(&out[1]), 0.75);
        let wrong = Args::default()
            .with("logits", vec![normal(1, &[2, 1])])
            .with("domain", vec![labels(&[2, 0])]);
        assert!(probe().forward(&wrong).unwrap_err().to_string().contains("and 2 came"));
    }
}
