//! `stack`: views or branches as a dimension.

use super::parts::{join, part};
use crate::input::per_reference;
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes a dimension of several values of the same shape, `[R,*S]` each: `[R,M,*S]`, as if they were the clips of a video.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stack {}

impl Kind for Stack {
    const NAME: &'static str = "stack";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("x"), |_| "?X[R,*S]".into());
        Contract::on(Side::Device)
            .many("x", &types, "what becomes the dimension, in order")
            .output("y", &format!("?X[R,{},*S]", types.len()), "all of it")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Beside)))
    }
}

struct Beside;

impl Compute for Beside {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let parts = inputs.flat().map(|x| x.unsqueeze(1));
        let parts = parts.collect::<candle_core::Result<Vec<_>>>()?;
        Ok((vec![join(&parts.iter().collect::<Vec<_>>(), 1)?], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = arrived(&mut grads, 0);
        let of = |(i, want): (usize, &bool)| match (&grad, want) {
            (Some(g), true) => Ok(Some(part(g, 1, i, 1)?.squeeze(1)?)),
            _ => Ok(None),
        };
        step.wants.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, labels, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (count, rows) in [(1, 2), (3, 4), (2, 0)] {
            let types = [("x", vec![ty("Logits", "B,2"); count])];
            let mut p = Probe::new("stack", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Logits[B,{count},2]"));
            let x = (0..count).map(|i| normal(i as u64, &[rows, 2])).collect();
            p.check(&Args::default().with("x", x), |x, _| {
                let row = |r: usize| x.iter().flat_map(move |x| x[2 * r..2 * r + 2].to_vec());
                vec![(0..rows).flat_map(row).collect()]
            });
        }
    }

    #[test]
    fn labels_stack_too() {
        let types = [("x", vec![ty("Label", "B"); 2])];
        let mut p = Probe::new("stack", json!({}), &types, &[]).unwrap();
        let x = Args::default().with("x", vec![labels(&[1, 2, 3]), labels(&[4, 5, 6])]);
        let y = p.forward(&x).unwrap().remove(0);
        assert_eq!(y.to_vec2::<u32>().unwrap(), [[1, 4], [2, 5], [3, 6]]);
    }
}
