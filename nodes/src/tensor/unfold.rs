//! `unfold`: rows as clips.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{Shape, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Undoes `fold`: `[R·N,*S]` becomes `[R,N,*S]`, with the videos and clips of `like`, which is what was folded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unfold {}

impl Kind for Unfold {
    const NAME: &'static str = "unfold";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("like", "?Y[R,N,*T]", "what was folded: only its first two sizes count")
            .constant()
            .input("x", "?X[R*N,*S]", "a row for each clip")
            .output("x", "?X[R,N,*S]", "the rows of each video")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        known(input(cx, "like")?, 1)?;
        Ok(Body::Compute(Box::new(Clips)))
    }
}

struct Clips;

impl Compute for Clips {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (like, x) = (inputs.one("like")?, inputs.one("x")?);
        let shape = [&like.dims()[..2], &x.dims()[1..]].concat();
        Ok((vec![x.contiguous()?.reshape(shape)?], Box::new(x.shape().clone())))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let shape = kept::<Shape>(saved)?;
        let grad = arrived(&mut grads, 0).map(|g| g.contiguous()?.reshape(*shape));
        Ok(vec![None, grad.transpose()?])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, labels, normal, ty};
    use serde_json::json;

    #[test]
    fn undoes_fold() {
        for rows in [2, 0] {
            let types = [
                ("like", vec![ty("Feature", "2*B,3,7")]),
                ("x", vec![ty("Logits", "6*B,4")]),
            ];
            let mut p = Probe::new("unfold", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), "Logits[2*B,3,4]");
            let x = Args::default()
                .with("like", vec![normal(1, &[rows, 3, 7])])
                .with("x", vec![normal(2, &[rows * 3, 4])]);
            p.check(&x, |x, _| vec![x[1].clone()]);
        }
    }

    #[test]
    fn labels_unfold_too() {
        let types = [("like", vec![ty("Feature", "B,2,3")]), ("x", vec![ty("Label", "2*B")])];
        let mut p = Probe::new("unfold", json!({}), &types, &[]).unwrap();
        assert_eq!(p.outputs[0].to_string(), "Label[B,2]");
        let x = Args::default()
            .with("like", vec![normal(1, &[2, 2, 3])])
            .with("x", vec![labels(&[1, 2, 3, 4])]);
        assert_eq!(p.forward(&x).unwrap()[0].to_vec2::<u32>().unwrap(), [[1, 2], [3, 4]]);
    }
}
