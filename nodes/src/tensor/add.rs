//! `add`: the sum of values of the same shape.

use crate::input::per_reference;
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::{Context, Result};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Adds values of the same shape, such as a branch to what it goes around. Losses are added by `combine`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {}

impl Kind for Add {
    const NAME: &'static str = "add";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("x"), |_| "?X[R,*S]".into());
        Contract::on(Side::Device)
            .many("x", &types, "what is added")
            .output("y", "?X[R,*S]", "the sum")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Sum)))
    }
}

struct Sum;

impl Compute for Sum {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (first, others) = inputs.all("x").split_first().context("nothing to add")?;
        let mut sum = first.clone();
        for x in others.iter().filter(|x| x.elem_count() > 0) {
            sum = (sum + x)?;
        }
        Ok((vec![sum], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = arrived(&mut grads, 0);
        // A backward pass may write over the gradient that it is given, so no two inputs have the same one.
        let of = |want: &bool| match (&grad, want) {
            (Some(g), true) if g.elem_count() > 0 => Ok(Some(g.copy()?)),
            (Some(g), true) => Ok(Some(g.clone())),
            _ => Ok(None),
        };
        step.wants.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, f64s, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (count, rows) in [(1, 3), (3, 2), (2, 0)] {
            let types = [("x", vec![ty("Feature", "B,2,3"); count])];
            let mut p = Probe::new("add", json!({}), &types, &[]).unwrap();
            let x = (0..count).map(|i| normal(i as u64, &[rows, 2, 3])).collect();
            p.check(&Args::default().with("x", x), |x, _| {
                vec![(0..6 * rows).map(|i| x.iter().map(|x| x[i]).sum()).collect()]
            });
        }
    }

    #[test]
    fn every_input_has_a_gradient_of_its_own() {
        let types = [("x", vec![ty("Feature", "B,2"); 2])];
        let mut p = Probe::new("add", json!({}), &types, &[]).unwrap();
        let x = Args::default().with("x", vec![normal(1, &[3, 2]), normal(2, &[3, 2])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        let g = p.backward(&x, saved, vec![Some(out[0].clone())]).unwrap();
        let (a, b) = (g[0].as_ref().unwrap(), g[1].as_ref().unwrap());
        let before = f64s(b);
        a.zero_set().unwrap();
        assert!(f64s(a).iter().all(|v| *v == 0.0));
        assert_eq!(f64s(b), before);
    }
}
