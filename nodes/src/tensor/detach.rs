//! `detach`: values without their gradient.

use crate::{Args, Body, BuildCx, Compute, Contract, Gradient, Group, Kind, ParamProblem, Saved, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Passes values on and stops the gradient.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detach {}

impl Kind for Detach {
    const NAME: &'static str = "detach";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "values")
            .constant()
            .output("y", "?X[R,*S]", "the same values")
            .gradient(Gradient::Stops)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Stop)))
    }
}

struct Stop;

impl Compute for Stop {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        Ok((vec![inputs.one("x")?.clone()], Box::new(())))
    }

    fn backward(&self, _: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, f64s, normal, ty};
    use crate::{Args, Gradient};
    use serde_json::json;

    #[test]
    fn values_pass_and_gradients_do_not() {
        let mut p = Probe::new("detach", json!({}), &[("x", vec![ty("Feature", "B,2")])], &[]).unwrap();
        assert_eq!(p.contract.gradient, Gradient::Stops);
        let x = Args::default().with("x", vec![normal(1, &[3, 2])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(f64s(&out[0]), f64s(x.one("x").unwrap()));
        assert!(p.backward(&x, saved, vec![Some(out[0].clone())]).unwrap()[0].is_none());
    }
}
