//! `mean`: the mean over clips.

use super::parts::nothing;
use crate::input::{input, known};
use crate::kernel::marks;
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
        Over::contract("the mean over the clips; 0 for a video of which none counts")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        known(input(cx, "x")?, 1)?;
        Ok(Body::Compute(Box::new(Over { mean: true })))
    }
}

/// The sum over dimension 1, or the mean.
pub(super) struct Over {
    pub mean: bool,
}

struct Kept {
    shape: Shape,
    /// What each clip counts, `[R, N, 1, …]`, where a mask says so.
    weights: Option<Tensor>,
}

impl Over {
    pub(super) fn contract(output: &'static str) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,*S]", "one for each clip")
            .input(
                "keep",
                "Mask[R,N]",
                "1 for a clip that counts, 0 for one that does not; by default all count",
            )
            .optional()
            .constant()
            .output("y", "?X[R,*S]", output)
    }

    fn weights(&self, x: &Tensor, keep: &Tensor) -> Result<Tensor> {
        let clips = x.dim(1)?;
        let mut weights = marks(keep, x.dim(0)? * clips)?;
        if self.mean {
            for row in weights.chunks_mut(clips.max(1)) {
                let count: f32 = row.iter().sum();
                row.iter_mut().for_each(|w| *w /= count.max(1.0));
            }
        }
        let shape: Vec<usize> = x
            .dims()
            .iter()
            .enumerate()
            .map(|(i, n)| if i < 2 { *n } else { 1 })
            .collect();
        Ok(Tensor::from_vec(weights, shape, x.device())?)
    }
}

impl Compute for Over {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let mut kept = Kept {
            shape: x.shape().clone(),
            weights: None,
        };
        if x.elem_count() == 0 {
            let mut shape = x.dims().to_vec();
            shape.remove(1);
            return Ok((vec![nothing(x, shape)?], Box::new(kept)));
        }
        let y = match inputs.all("keep") {
            [] if self.mean => x.mean(1)?,
            [] => x.sum(1)?,
            [keep, ..] => {
                let weights = self.weights(x, keep)?;
                let y = x.broadcast_mul(&weights)?.sum(1)?;
                kept.weights = Some(weights);
                y
            }
        };
        Ok((vec![y], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = kept::<Kept>(saved)?;
        let mut out = vec![None; step.wants.len()];
        let Some(g) = arrived(&mut grads, 0) else {
            return Ok(out);
        };
        out[0] = Some(match (&kept.weights, kept.shape.dims()[1]) {
            _ if kept.shape.elem_count() == 0 => nothing(&g, &kept.shape)?,
            (Some(weights), _) => g.unsqueeze(1)?.broadcast_mul(weights)?,
            (None, n) => {
                let all = g.unsqueeze(1)?.broadcast_as(&kept.shape)?.contiguous()?;
                if self.mean { (all / n as f64)? } else { all }
            }
        });
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, mask, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (n, d) in [(1, 3), (3, 2), (5, 1)] {
            let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
            let mut p = Probe::new("mean", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{d}]"));
            for rows in [2, 0] {
                let x = Args::default().with("x", vec![normal(n as u64, &[rows, n, d])]);
                p.check(&x, |x, _| {
                    let rows = x[0].chunks(n * d);
                    vec![
                        rows.flat_map(|r| {
                            (0..d)
                                .map(|j| r[j..].iter().step_by(d).sum::<f64>() / n as f64)
                                .collect::<Vec<_>>()
                        })
                        .collect(),
                    ]
                });
            }
        }
    }

    #[test]
    fn clips_that_do_not_count_are_left_out() {
        let types = [("x", vec![ty("Feature", "B,3,2")]), ("keep", vec![ty("Mask", "B,3")])];
        let keep = [1f32, 0., 1., 0., 0., 0., 1., 1., 1.];
        let x = Args::default()
            .with("x", vec![normal(1, &[3, 3, 2])])
            .with("keep", vec![mask(&keep).reshape((3, 3)).unwrap()]);
        for (kind, mean) in [("mean", true), ("sum", false)] {
            let mut p = Probe::new(kind, json!({}), &types, &[]).unwrap();
            p.check(&x, |x, _| {
                let of = |(x, keep): (&[f64], &[f32])| {
                    let count: f32 = if mean { keep.iter().sum() } else { 1.0 };
                    let at = |j: usize| {
                        let clips = x[j..].iter().step_by(2).zip(keep);
                        clips.map(|(v, k)| v * f64::from(*k)).sum::<f64>() / f64::from(count.max(1.0))
                    };
                    [at(0), at(1)]
                };
                vec![x[0].chunks(6).zip(keep.chunks(3)).flat_map(of).collect()]
            });
        }
    }
}
