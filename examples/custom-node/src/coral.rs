//! `coral`: correlation alignment.

use anyhow::Result;
use candle_core::Tensor;
use glad_nodes::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Deep CORAL (Sun and Saenko, ECCV 2016): the squared distance of the domains' covariances, ‖C_S − C_T‖² / 4D².
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coral {
    /// What the loss is multiplied by.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl Kind for Coral {
    const NAME: &'static str = "coral";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        // `D` must be equal on both sides; the numbers of rows may differ.
        Contract::on(Side::Device)
            .input("source", "Feature[S,D]", "features of the source")
            .input("target", "Feature[T,D]", "features of the target")
            .output("loss", "Loss[]", "the distance of the covariances")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

/// What the backward pass needs: the centred features, and C_S − C_T.
struct Kept {
    centred: [Tensor; 2],
    difference: Tensor,
}

/// Features minus their mean, and their covariance.
fn covariance(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    let c = (centred.t()?.matmul(&centred)? / freedom(x)?)?;
    Ok((centred, c))
}

fn freedom(x: &Tensor) -> Result<f64> {
    Ok(x.dim(0)?.saturating_sub(1).max(1) as f64)
}

impl Compute for Coral {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (s, cs) = covariance(inputs.one("source")?)?;
        let (t, ct) = covariance(inputs.one("target")?)?;
        let d = s.dim(1)? as f64;
        let difference = (cs - ct)?;
        let loss = (difference.sqr()?.sum_all()? * (self.scale / (4.0 * d * d)))?;
        Ok((
            vec![loss],
            Box::new(Kept {
                centred: [s, t],
                difference,
            }),
        ))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = kept::<Kept>(saved)?;
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None, None]);
        };
        let d = kept.difference.dim(0)? as f64;
        // ∂L/∂X = ± X̂ (C_S − C_T) / (D² (n − 1)), with X̂ the centred features.
        let of = |i: usize, sign: f64| -> Result<Option<Tensor>> {
            let x = &kept.centred[i];
            let g = (x.matmul(&kept.difference)? * (sign * self.scale / (d * d * freedom(x)?)))?;
            Ok(Some(g.broadcast_mul(&grad)?))
        };
        Ok(vec![
            if step.wants[0] { of(0, 1.0)? } else { None },
            if step.wants[1] { of(1, -1.0)? } else { None },
        ])
    }
}
