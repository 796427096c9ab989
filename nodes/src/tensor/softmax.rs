//! `softmax`: probabilities.

use crate::op::softmax::{softmax, through};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The softmax over the last dimension: class probabilities, as CDAN's conditioning takes them. Its output is a
/// `Feature`, so that it is not mistaken for logits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Softmax {}

impl Kind for Softmax {
    const NAME: &'static str = "softmax";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "scores")
            .output("y", "Feature[R,*S]", "probabilities")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Normalise)))
    }
}

struct Normalise;

impl Compute for Normalise {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let y = softmax(inputs.one("x")?)?;
        Ok((vec![y.clone()], Box::new(y)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let y = kept::<Tensor>(saved)?;
        Ok(vec![match arrived(&mut grads, 0) {
            Some(dy) => Some(through(&y, &dy)?),
            None => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, log_softmax, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for k in [1, 2, 7] {
            let types = [("x", vec![ty("Logits", &format!("B,{k}"))])];
            let mut p = Probe::new("softmax", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].head, crate::Head::Feature);
            p.check(
                &Args::default().with("x", vec![(normal(k, &[3, k as usize]) * 3.0).unwrap()]),
                |x, _| vec![log_softmax(&x[0], k as usize).iter().map(|v| v.exp()).collect()],
            );
        }
    }
}
