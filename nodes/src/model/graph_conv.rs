//! `graph_conv`: clips of a video exchange what they know.

use super::dense::{Head, width};
use crate::input::{input, known, rows_per_sample};
use crate::kernel::marks;
use crate::op::linear::LinearOp;
use crate::op::matmul::{ab, abt, atb};
use crate::tensor::parts::nothing;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Init, Kind, ParamProblem, Precision, Role, Saved, Side,
    Step, WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// A graph convolution over the clips of a video, whose graph is learned from them (CoMix, Sahoo et al., NeurIPS 2021):
/// `y_i = Σ_j A_ij x_j Wᵀ + b`, where A is the softmax over i of `S_ij = ⟨W₁ x_i, W₂ x_j⟩`, so that every clip j gives away
/// shares that add up to 1. A clip that `keep` leaves out gives and takes nothing, and its y is 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "outputs": 256 }]))]
pub struct GraphConv {
    /// Values per clip of the output.
    pub outputs: Count,
    /// What the output is: a `Feature`, or `Logits`.
    #[serde(default)]
    pub head: Head,
}

impl Kind for GraphConv {
    const NAME: &'static str = "graph_conv";
    const GROUP: Group = Group::Model;

    fn contract(&self, _: &Wiring) -> Contract {
        let c = Contract::on(Side::Device)
            .input("x", "?X[R,N,D]", "clip features")
            .input(
                "keep",
                "Mask[R,N]",
                "1 for a clip that is there, 0 for one that is not; by default all are",
            )
            .optional()
            .constant();
        match self.head {
            Head::Feature => c.output("y", &format!("Feature[R,N,{}]", self.outputs), "a feature of each clip"),
            Head::Logits => c.output(
                "logits",
                &format!("Logits[R,N,{}]", self.outputs),
                "scores of each clip",
            ),
        }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let x = input(cx, "x")?;
        let (clips, inputs) = (known(x, 1)?, known(x, 2)?);
        let outputs = width("outputs", &self.outputs, cx.dims)?;
        let layer = |name: &str, outputs| LinearOp::new(inputs, outputs, name.into(), None);
        Ok(Body::Compute(Box::new(Graph {
            values: layer("weight", outputs),
            to: layer("w_one", inputs),
            from: layer("w_two", inputs),
            rows: rows_per_sample(x) * clips,
            clips,
        })))
    }
}

struct Graph {
    /// W, W₁ and W₂.
    values: LinearOp,
    to: LinearOp,
    from: LinearOp,
    /// Clips of each sample, and of each video.
    rows: usize,
    clips: usize,
}

struct Kept {
    /// `[R·N, D]`.
    x: Tensor,
    /// x Wᵀ, x W₁ᵀ and x W₂ᵀ, `[R, N, …]`.
    values: Tensor,
    to: Tensor,
    from: Tensor,
    /// Aᵀ, `[R, N, N]`.
    shares: Tensor,
    /// `[R, N, 1]`.
    keep: Option<Tensor>,
}

/// Far below every score, with room for a score to be added.
const ABSENT: f32 = -1e30;

impl Graph {
    /// Aᵀ of `S` transposed, and the mask as a factor of clips.
    fn shares(&self, scores: Tensor, keep: &[Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let (rows, n, _) = scores.dims3()?;
        let [keep, ..] = keep else {
            return Ok((candle_nn::ops::softmax(&scores, D::Minus1)?, None));
        };
        let there = marks(keep, rows * n)?;
        let absent = there.iter().map(|m| if *m == 0.0 { ABSENT } else { 0.0 }).collect();
        let absent = Tensor::from_vec(absent, (rows, 1, n), scores.device())?;
        let there = Tensor::from_vec(there, (rows, n, 1), scores.device())?;
        let shares = candle_nn::ops::softmax(&scores.broadcast_add(&absent)?, D::Minus1)?;
        Ok((shares.broadcast_mul(&there)?, Some(there)))
    }
}

impl Compute for Graph {
    fn weights(&self) -> Vec<WeightSpec> {
        let square = |op: &LinearOp, bound: usize| {
            let shape = [op.outputs, op.inputs];
            WeightSpec::new(&op.weight, &shape, Init::torch(bound), Role::Weight)
        };
        let (inputs, outputs) = (self.values.inputs, self.values.outputs);
        vec![
            square(&self.values, outputs),
            WeightSpec::new("bias", &[outputs], Init::torch(outputs), Role::Bias),
            square(&self.to, inputs),
            square(&self.from, inputs),
        ]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let (rows, n, d) = x.dims3()?;
        let outputs = self.values.outputs;
        if x.elem_count() == 0 {
            return Ok((vec![nothing(x, (rows, n, outputs))?], Box::new(None::<Kept>)));
        }
        let x = x.contiguous()?.reshape((rows * n, d))?;
        let each = |op: &LinearOp| Ok::<_, anyhow::Error>(op.forward(step, &x, false)?.reshape((rows, n, op.outputs))?);
        let (values, to, from) = (each(&self.values)?, each(&self.to)?, each(&self.from)?);
        let (shares, keep) = self.shares(abt(&from, &to)?, inputs.all("keep"))?;
        let mut y = atb(&shares, &values)?.broadcast_add(step.weights.value("bias")?)?;
        if let Some(keep) = &keep {
            y = y.broadcast_mul(keep)?;
        }
        let kept = Kept {
            x,
            values,
            to,
            from,
            shares,
            keep,
        };
        Ok((vec![y], Box::new(Some(kept))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let mut out = vec![None; step.wants.len()];
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(out);
        };
        let Some(kept) = *kept::<Option<Kept>>(saved)? else {
            out[0] = Some(nothing(&grad, (0, self.clips, self.values.inputs))?);
            return Ok(out);
        };
        let grad = match &kept.keep {
            Some(keep) => grad.broadcast_mul(keep)?,
            None => grad.contiguous()?,
        };
        let (rows, n, outputs) = grad.dims3()?;
        if step.weights.trains("bias") {
            step.weights
                .add_grad("bias", grad.reshape((rows * n, outputs))?.sum(0)?)?;
        }
        let d_values = ab(&kept.shares, &grad)?;
        let d_shares = abt(&kept.values, &grad)?;
        let mean = (&kept.shares * &d_shares)?.sum_keepdim(D::Minus1)?;
        let d_scores = (&kept.shares * d_shares.broadcast_sub(&mean)?)?;
        let d_from = ab(&d_scores, &kept.to)?;
        let d_to = atb(&d_scores, &kept.from)?;
        let mut dx: Option<Tensor> = None;
        for (op, grad) in [(&self.values, d_values), (&self.to, d_to), (&self.from, d_from)] {
            let grad = grad.reshape((rows * n, op.outputs))?;
            let Some(part) = op.backward(&mut step.weights, &kept.x, &grad, step.wants[0])? else {
                continue;
            };
            dx = Some(match dx {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        out[0] = dx.map(|dx| dx.reshape((rows, n, self.values.inputs))).transpose()?;
        Ok(out)
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let rows = batch * self.rows;
        let (inputs, outputs) = (self.values.inputs, self.values.outputs);
        let layers = [&self.values, &self.to, &self.from];
        Cost {
            macs: layers.iter().map(|op| op.macs(rows)).sum::<u64>() + (rows * self.clips * (inputs + outputs)) as u64,
            kept: 4 * (rows * (outputs + 2 * inputs + self.clips)) as u64,
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests;
