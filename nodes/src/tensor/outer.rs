//! `outer`: products of every pair of features.

use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The outer product of two features of a sample, flattened: `y[i·E + j] = a[i]·b[j]`. With class probabilities as `a`
/// and a feature as `b` it is the multilinear map of CDAN (Long et al., NeurIPS 2018, eq. 5).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outer {}

impl Kind for Outer {
    const NAME: &'static str = "outer";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("a", "?X[R,D]", "the slower index")
            .input("b", "?Y[R,E]", "the faster index")
            .output("y", "Feature[R,D*E]", "all products")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Products)))
    }
}

struct Products;

impl Compute for Products {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (a, b) = (inputs.one("a")?, inputs.one("b")?);
        let y = a.unsqueeze(2)?.broadcast_mul(&b.unsqueeze(1)?)?.flatten_from(1)?;
        Ok((vec![y], Box::new((a.clone(), b.clone()))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = *kept::<(Tensor, Tensor)>(saved)?;
        let Some(dy) = arrived(&mut grads, 0) else {
            return Ok(vec![None, None]);
        };
        let dy = dy.reshape((a.dim(0)?, a.dim(1)?, b.dim(1)?))?;
        let da = match step.wants[0] {
            true => Some(dy.broadcast_mul(&b.unsqueeze(1)?)?.sum(D::Minus1)?),
            false => None,
        };
        let db = match step.wants[1] {
            true => Some(dy.broadcast_mul(&a.unsqueeze(2)?)?.sum(1)?),
            false => None,
        };
        Ok(vec![da, db])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (d, e) in [(3, 4), (1, 5), (2, 1)] {
            let types = [
                ("a", vec![ty("Feature", &format!("B,{d}"))]),
                ("b", vec![ty("Logits", &format!("B,{e}"))]),
            ];
            let mut p = Probe::new("outer", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{}]", d * e));
            let x = Args::default()
                .with("a", vec![normal(1, &[3, d])])
                .with("b", vec![normal(2, &[3, e])]);
            p.check(&x, |x, _| {
                let rows = x[0].chunks(d).zip(x[1].chunks(e));
                vec![
                    rows.flat_map(|(a, b)| a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect::<Vec<_>>())
                        .collect(),
                ]
            });
        }
    }
}
