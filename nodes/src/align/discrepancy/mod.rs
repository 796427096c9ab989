//! `discrepancy`: how far two predictions of the same rows are apart.

mod sliced;
#[cfg(test)]
mod tests;

use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{softmax, through};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The discrepancy of two predictions `p` (of `a`) and `q` (of `b`) of the same rows, with a gradient to both; a teacher's
/// is stopped by a `detach` before `b`.
///
/// - `l1`: the mean over rows and classes of `|p − q|` (MCD, Saito et al., CVPR 2018);
/// - `l2`: the mean over rows of `Σ (p − q)²` (the consistency of Laine and Aila, ICLR 2017);
/// - `kl`: the mean over rows of `Σ q ln(q/p)`: `b` is the teacher (Hinton et al., 2015);
/// - `swd`: the mean squared gap of both sorted along random directions, drawn anew in each step (sliced Wasserstein
///   discrepancy, Lee et al., CVPR 2019).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discrepancy {
    /// The measure.
    #[serde(default)]
    pub form: Form,
    /// How many directions `swd` draws; 128 by default.
    #[serde(default)]
    pub projections: Option<u32>,
}

/// A measure between predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Mean absolute difference.
    #[default]
    L1,
    /// Squared distance.
    L2,
    /// Kullback–Leibler divergence.
    Kl,
    /// Sliced Wasserstein distance.
    Swd,
}

impl Kind for Discrepancy {
    const NAME: &'static str = "discrepancy";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        match (self.form, self.projections) {
            (Form::Swd, Some(n)) if !(1..=4096).contains(&n) => {
                vec![ParamProblem::new("projections", format!("{n} is not in 1 to 4096"))]
            }
            (Form::Swd, _) | (_, None) => vec![],
            (_, Some(_)) => vec![
                ParamProblem::new("projections", "only the form `swd` has projections")
                    .help("write form = \"swd\", or leave `projections` out"),
            ],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let c = Contract::on(Side::Device)
            .input("a", "Logits[R,K]", "scores of one classifier or view")
            .input("b", "Logits[R,K]", "scores of the other, or of the teacher")
            .output("loss", "Loss[]", "the discrepancy");
        if self.form == Form::Swd {
            c.random().whole_step()
        } else {
            c
        }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "a")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for Discrepancy {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (a, b) = (inputs.one("a")?, inputs.one("b")?);
        let (rows, classes) = a.dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        if self.form == Form::Kl {
            return kl(a, b);
        }
        let (p, q) = (softmax(a)?, softmax(b)?);
        let gap = (&p - &q)?;
        let (loss, dp, dq) = match self.form {
            Form::L1 => {
                let dp = (gap.sign()? / (rows * classes) as f64)?;
                let dq = dp.neg()?;
                (gap.abs()?.mean_all()?, dp, dq)
            }
            Form::Swd => {
                let directions = self.projections.unwrap_or(128) as usize;
                let directions = sliced::directions(step.key, directions, classes, step.device)?;
                sliced::discrepancy(&p, &q, &directions)?
            }
            _ => {
                let dp = (&gap * (2.0 / rows as f64))?;
                let dq = dp.neg()?;
                ((gap.sqr()?.sum_all()? / rows as f64)?, dp, dq)
            }
        };
        Ok(Found::loss(
            loss,
            vec![Some(through(&p, &dp)?), Some(through(&q, &dq)?)],
        ))
    }
}

fn kl(a: &Tensor, b: &Tensor) -> Result<Found> {
    let log = |z: &Tensor| candle_nn::ops::log_softmax(z, D::Minus1);
    let share = 1.0 / a.dim(0)? as f64;
    let (log_p, log_q) = (log(a)?, log(b)?);
    let (p, q) = (log_p.exp()?, log_q.exp()?);
    let ratio = (log_q - log_p)?;
    let loss = ((&q * &ratio)?.sum_all()? * share)?;
    let db = (through(&q, &ratio)? * share)?;
    let da = ((p - q)? * share)?;
    Ok(Found::loss(loss, vec![Some(da), Some(db)]))
}
