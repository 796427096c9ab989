//! `domain_bce`: the loss of a domain classifier.

use crate::kernel::labels;
use crate::op::loss::{bce_with_logits, binary_accuracy};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::{Result, bail};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Binary cross-entropy with logits of a domain classifier, the mean over rows: ℓ_adv of eq. 4. 1 is the source,
/// 0 the target. Its accuracy shows what the loss does not: near 50 % with a large loss is a failure to train, near 50 %
/// with a loss of ln 2 is alignment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainBce {}

impl Kind for DomainBce {
    const NAME: &'static str = "domain_bce";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,1]", "above 0 for the source")
            .input("domain", "Label[R]", "1 for the source, 0 for the target")
            .constant()
            .output("loss", "Loss[]", "the mean over rows")
            .output("accuracy", "Metric[]", "the share of rows whose domain is told right")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Bce)))
    }
}

struct Bce;

impl Compute for Bce {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let logits = inputs.one("logits")?;
        let domain = labels(inputs.one("domain")?)?;
        if let Some(d) = domain.iter().find(|d| **d > 1) {
            bail!("a domain is 1 (source) or 0 (target), and {d} came");
        }
        let targets: Vec<f32> = domain.iter().map(|d| *d as f32).collect();
        let found = bce_with_logits(logits, &targets)?;
        let accuracy = binary_accuracy(logits, &targets)?;
        Ok((vec![found.loss, accuracy], Box::new(found.grad)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = kept::<Tensor>(saved)?;
        Ok(vec![
            match arrived(&mut grads, 0) {
                Some(g) => Some(grad.broadcast_mul(&g)?),
                None => None,
            },
            None,
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, device, labels, normal, scalar, ty};
    use candle_core::Tensor;
    use serde_json::json;

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
