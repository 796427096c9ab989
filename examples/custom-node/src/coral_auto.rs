//! `coral_auto`: the same loss, of which only the forward pass is written.

use crate::Coral;
use anyhow::Result;
use candle_core::Tensor;
use glad_nodes::{
    Args, Autodiff, Body, BuildCx, Contract, Differentiable, Group, Kind, ParamProblem, Step, Tracked, Wiring,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Deep CORAL (Sun and Saenko, ECCV 2016), with the gradient of automatic differentiation.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoralAuto {}

impl Kind for CoralAuto {
    const NAME: &'static str = "coral_auto";
    const GROUP: Group = Group::Align;

    fn contract(&self, wiring: &Wiring) -> Contract {
        Coral { scale: 1.0 }.contract(wiring)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Autodiff(self.clone()))))
    }
}

fn covariance(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    Ok((centred.t()?.matmul(&centred)? / x.dim(0)?.saturating_sub(1).max(1) as f64)?)
}

impl Differentiable for CoralAuto {
    fn forward(&self, _: &Step<'_>, _: &Tracked, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let (s, t) = (inputs.one("source")?, inputs.one("target")?);
        let d = s.dim(1)? as f64;
        let difference = (covariance(s)? - covariance(t)?)?;
        Ok(vec![(difference.sqr()?.sum_all()? / (4.0 * d * d))?])
    }
}
