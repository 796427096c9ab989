//! `order_head`: which order were the clips in?

use super::permutation::factorial;
use super::permute::check_clips;
use crate::input::{input, known, rows_per_sample};
use crate::model::dense::{DenseInit, Layer, LayerInit, relu_backward};
use crate::op::dropout::dropout;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Kind, ParamProblem, Precision, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The classifier of temporal order learning (eq. 7): from N shuffled clip features to the N! orders.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderHead {
    /// How the clips are combined.
    #[serde(default)]
    pub form: Form,
    /// Width of the hidden layer.
    #[serde(default = "hidden")]
    pub hidden: Count,
    /// Fraction of hidden values that dropout sets to zero in training.
    #[serde(default)]
    pub dropout: f64,
    /// The initialisation of the weights.
    #[serde(default)]
    pub init: DenseInit,
}

fn hidden() -> Count {
    Count::number(512)
}

/// How an [`OrderHead`] combines the clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Every pair i < j concatenated → a shared linear layer → ReLU → all pairs concatenated → dropout → linear (VCOPN,
    /// Xu et al., CVPR 2019; the released code).
    #[default]
    Pairwise,
    /// All clips concatenated → linear → dropout → ReLU → linear (the "simple MLP" of the paper).
    Mlp,
}

impl Kind for OrderHead {
    const NAME: &'static str = "order_head";
    const GROUP: Group = Group::Order;

    fn validate(&self) -> Vec<ParamProblem> {
        crate::model::dense::check_dropout(self.dropout)
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let c = Contract::on(Side::Device)
            .input("x", "?X[R,N,D]", "clip features in a random order")
            .output("logits", "Logits[R,N!]", "a score for each order");
        if self.dropout > 0.0 { c.random() } else { c }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let x = input(cx, "x")?;
        let (clips, width) = (known(x, 1)?, known(x, 2)?);
        check_clips(clips)?;
        let hidden = crate::model::dense::width("hidden", &self.hidden, cx.dims)?;
        let (pairs, seen) = match self.form {
            Form::Pairwise => (clips * (clips - 1) / 2, 2 * width),
            Form::Mlp => (1, clips * width),
        };
        Ok(Body::Compute(Box::new(Classifier {
            form: self.form,
            clips,
            pairs,
            dropout: self.dropout,
            rows: rows_per_sample(x),
            first: Layer::new("hidden", seen, hidden, true, LayerInit::of(self.init, false)),
            last: Layer::new(
                "out",
                pairs * hidden,
                factorial(clips),
                true,
                LayerInit::of(self.init, true),
            ),
        })))
    }
}

struct Classifier {
    form: Form,
    clips: usize,
    /// Rows of the first layer for a video.
    pairs: usize,
    dropout: f64,
    /// Rows of the input for each sample.
    rows: usize,
    first: Layer,
    last: Layer,
}

struct Kept {
    rows: usize,
    /// Input of the first layer, its rectified output, and the last layer's input.
    seen: Tensor,
    hidden: Tensor,
    dropped: Tensor,
}

impl Classifier {
    /// The clips of the pairs i < j, in order: 0,1, 0,2, …
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.clips;
        (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
    }

    fn see(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, n, d) = x.dims3()?;
        Ok(match self.form {
            Form::Mlp => x.contiguous()?.reshape((rows, n * d))?,
            Form::Pairwise => {
                let clip = |i: usize| x.narrow(1, i, 1);
                let pairs = self
                    .pairs()
                    .map(|(i, j)| Tensor::cat(&[clip(i)?, clip(j)?], 2))
                    .collect::<candle_core::Result<Vec<_>>>()?;
                Tensor::cat(&pairs, 1)?.reshape((rows * self.pairs, 2 * d))?
            }
        })
    }

    /// The gradient of `x` from that of [`Self::see`].
    fn unsee(&self, grad: &Tensor, rows: usize) -> Result<Tensor> {
        let width = self.first.inputs();
        Ok(match self.form {
            Form::Mlp => grad.reshape((rows, self.clips, width / self.clips))?,
            Form::Pairwise => {
                let d = width / 2;
                let grad = grad.reshape((rows, self.pairs, 2, d))?;
                let mut clips: Vec<Option<Tensor>> = vec![None; self.clips];
                for (p, (i, j)) in self.pairs().enumerate() {
                    let pair = grad.narrow(1, p, 1)?;
                    for (half, clip) in [(0, i), (1, j)] {
                        let g = pair.narrow(2, half, 1)?.reshape((rows, 1, d))?;
                        clips[clip] = Some(match clips[clip].take() {
                            Some(sum) => (sum + g)?,
                            None => g,
                        });
                    }
                }
                let clips: Vec<Tensor> = clips.into_iter().flatten().collect();
                Tensor::cat(&clips, 1)?
            }
        })
    }
}

impl Compute for Classifier {
    fn weights(&self) -> Vec<WeightSpec> {
        [self.first.weights(), self.last.weights()].concat()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let rows = x.dim(0)?;
        let seen = self.see(x)?;
        let hidden = self.first.forward(step, &seen, true)?;
        let all = hidden.reshape((rows, self.last.inputs()))?;
        // ReLU and dropout commute, so this covers both forms.
        let p = if step.training { self.dropout } else { 0.0 };
        let dropped = dropout(step.key, p, &all)?;
        let logits = self.last.forward(step, &dropped, false)?;
        let kept = Kept {
            rows,
            seen,
            hidden,
            dropped,
        };
        Ok((vec![logits], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = kept::<Kept>(saved)?;
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None]);
        };
        let grad = self.last.backward(&mut step.weights, &kept.dropped, &grad, true)?;
        let p = if step.training { self.dropout } else { 0.0 };
        let grad = grad.map(|g| dropout(step.key, p, &g)).transpose()?;
        let grad = grad
            .map(|g| relu_backward(&g.reshape(kept.hidden.shape())?, &kept.hidden))
            .transpose()?;
        let Some(grad) = grad else { return Ok(vec![None]) };
        let grad = self
            .first
            .backward(&mut step.weights, &kept.seen, &grad, step.wants[0])?;
        Ok(vec![grad.map(|g| self.unsee(&g, kept.rows)).transpose()?])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let batch = batch * self.rows;
        let hidden = 4 * batch * (self.pairs * self.first.inputs() + self.last.inputs());
        Cost {
            macs: self.first.macs(batch * self.pairs) + self.last.macs(batch),
            kept: hidden as u64,
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, dense, f64s, normal, ty};
    use crate::{Args, Precision};
    use serde_json::{Value, json};

    fn probe(params: Value, n: usize, d: usize) -> Probe {
        Probe::new(
            "order_head",
            params,
            &[("x", vec![ty("Feature", &format!("B,{n},{d}"))])],
            &[("H", 5)],
        )
        .unwrap()
    }

    fn relu(x: Vec<f64>) -> Vec<f64> {
        x.into_iter().map(|v| v.max(0.0)).collect()
    }

    #[test]
    fn pairwise_matches_the_reference() {
        for (rows, n, d) in [(2, 2, 3), (3, 3, 2), (2, 4, 1)] {
            let mut p = probe(json!({ "hidden": "H" }), n, d).unusual_weights();
            assert_eq!(
                p.outputs[0].to_string(),
                format!("Logits[B,{}]", (1..=n).product::<usize>())
            );
            let x = Args::default().with("x", vec![normal(n as u64, &[rows, n, d])]);
            p.check(&x, |x, w| {
                let logits = x[0].chunks(n * d).flat_map(|x| {
                    let clip = |i: usize| &x[i * d..(i + 1) * d];
                    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
                    let hidden: Vec<f64> = pairs
                        .flat_map(|(i, j)| relu(dense(&[clip(i), clip(j)].concat(), &w[0], &w[1], 2 * d)))
                        .collect();
                    dense(&hidden, &w[2], &w[3], hidden.len())
                });
                vec![logits.collect()]
            });
        }
    }

    #[test]
    fn mlp_matches_the_reference() {
        let mut p = probe(json!({ "hidden": 4, "form": "mlp", "init": "torch" }), 3, 2).unusual_weights();
        p.check(&Args::default().with("x", vec![normal(1, &[4, 3, 2])]), |x, w| {
            vec![dense(&relu(dense(&x[0], &w[0], &w[1], 6)), &w[2], &w[3], 4)]
        });
    }

    #[test]
    fn dropout_acts_in_training_only() {
        let mut p = probe(json!({ "hidden": 16, "dropout": 0.5 }), 3, 4);
        assert!(p.contract.random);
        let x = Args::default().with("x", vec![normal(1, &[4, 3, 4])]);
        let trained = f64s(&p.forward(&x).unwrap()[0]);
        p.training = false;
        assert_ne!(trained, f64s(&p.forward(&x).unwrap()[0]));
    }

    #[test]
    fn the_cost_is_that_of_its_layers() {
        // Three pairs of clips of two values, five of a pair; six orders from fifteen; of each video two rows.
        let types = [("x", vec![ty("Feature", "2*B,3,2")])];
        let p = Probe::new("order_head", json!({ "hidden": 5 }), &types, &[]).unwrap();
        let cost = p.compute.cost(4, Precision::F32);
        assert_eq!(cost.macs, 8 * (3 * 4 * 5 + 15 * 6));
        assert_eq!((cost.kept, cost.scratch), (8 * 4 * (3 * 4 + 15), 0));
    }

    #[test]
    fn too_few_clips_are_refused() {
        let e = Probe::new("order_head", json!({}), &[("x", vec![ty("Feature", "B,1,4")])], &[])
            .err()
            .unwrap();
        assert!(e[0].help.as_ref().unwrap().contains("at least 2 clips"));
    }
}
