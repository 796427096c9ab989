//! `mean`: the mean over clips.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{Shape, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean over dimension 1, the clips of a video: ψᵍ and ψˡ of eq. 3, and the consensus of inference.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mean {}

impl Kind for Mean {
    const NAME: &'static str = "mean";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,*S]", "one for each clip")
            .output("y", "?X[R,*S]", "the mean over the clips")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        known(input(cx, "x")?, 1)?;
        Ok(Body::Compute(Box::new(Over)))
    }
}

struct Over;

impl Compute for Over {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        Ok((vec![x.mean(1)?], Box::new(x.shape().clone())))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let shape = kept::<Shape>(saved)?;
        let n = shape.dims()[1];
        Ok(vec![match arrived(&mut grads, 0) {
            Some(g) => Some((g.unsqueeze(1)?.broadcast_as(&*shape)?.contiguous()? / n as f64)?),
            None => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (n, d) in [(1, 3), (3, 2), (5, 1)] {
            let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
            let mut p = Probe::new("mean", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{d}]"));
            p.check(
                &Args::default().with("x", vec![normal(n as u64, &[2, n, d])]),
                |x, _| {
                    let rows = x[0].chunks(n * d);
                    vec![
                        rows.flat_map(|r| {
                            (0..d)
                                .map(|j| r[j..].iter().step_by(d).sum::<f64>() / n as f64)
                                .collect::<Vec<_>>()
                        })
                        .collect(),
                    ]
                },
            );
        }
    }
}
