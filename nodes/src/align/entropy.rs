//! `entropy`: how uncertain a classifier is.

use crate::input::several_classes;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over rows of the Shannon entropy of the softmax, `−Σ p ln p` in nats (Grandvalet and Bengio, NeurIPS 2004):
/// as a loss on the target it favours confident predictions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entropy {}

impl Kind for Entropy {
    const NAME: &'static str = "entropy";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .output("loss", "Loss[]", "the mean entropy in nats")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(Shannon)))
    }
}

struct Shannon;

impl Compute for Shannon {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let logits = inputs.one("logits")?;
        let log_p = candle_nn::ops::log_softmax(logits, D::Minus1)?;
        let p = log_p.exp()?;
        let entropy = (&p * &log_p)?.sum_keepdim(D::Minus1)?.neg()?;
        // ∂H/∂z = −p (ln p + H)
        let grad = (p * log_p.broadcast_add(&entropy)?)?.neg()?;
        let rows = logits.dim(0)?.max(1) as f64;
        Ok((vec![(entropy.sum_all()? / rows)?], Box::new((grad / rows)?)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = kept::<Tensor>(saved)?;
        Ok(vec![match arrived(&mut grads, 0) {
            Some(g) => Some(grad.broadcast_mul(&g)?),
            None => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, device, log_softmax, normal, scalar, ty};
    use candle_core::Tensor;
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for k in [2, 5] {
            let types = [("logits", vec![ty("Logits", &format!("B,{k}"))])];
            let mut p = Probe::new("entropy", json!({}), &types, &[]).unwrap();
            p.check(
                &Args::default().with("logits", vec![(normal(3, &[4, k]) * 2.0).unwrap()]),
                |x, _| {
                    vec![vec![
                        -log_softmax(&x[0], k).iter().map(|l| l.exp() * l).sum::<f64>() / 4.0,
                    ]]
                },
            );
        }
    }

    #[test]
    fn even_scores_have_the_largest_entropy() {
        let mut p = Probe::new("entropy", json!({}), &[("logits", vec![ty("Logits", "B,4")])], &[]).unwrap();
        let even = Tensor::zeros((3, 4), candle_core::DType::F32, &device()).unwrap();
        let h = p.forward(&Args::default().with("logits", vec![even])).unwrap();
        assert!((scalar(&h[0]) - 4f64.ln()).abs() < 1e-6);
    }
}
