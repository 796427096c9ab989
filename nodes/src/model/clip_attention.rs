//! `clip_attention`: some clips of a video count more than others.

use super::activation::sigmoid;
use super::dense::{DenseInit, Layer, LayerInit, relu_backward, width};
use crate::input::{input, known, rows_per_sample};
use crate::op::matmul::{ab, abt, atb};
use crate::tensor::parts::nothing;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Kind, ParamProblem, Precision, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Weights the clips of a video by what is in them: `y = c Σ_n (a + w_n) x_n`, where w is the `gate` of a score for each clip,
/// c is 1/N for the mean and 1 for the sum, and a is 1 with `residual`, else 0. Weights of a mean are not divided by their
/// sum (CO2A, Turrisi da Costa et al., WACV 2022: `mlp`, `sigmoid`, `mean`; TA3N's general attention: `tanh`, `softmax`,
/// `residual`, `sum`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClipAttention {
    /// How clips are scored.
    #[serde(default)]
    pub form: Scorer,
    /// How scores become weights.
    #[serde(default)]
    pub gate: Gate,
    /// What is done with the weighted clips.
    #[serde(default)]
    pub reduce: Reduce,
    /// Whether clips are added to the weighted ones.
    #[serde(default)]
    pub residual: bool,
    /// Width of the hidden layer; by default that of a clip.
    #[serde(default)]
    pub hidden: Option<Count>,
    /// The initialisation of the weights.
    #[serde(default)]
    pub init: DenseInit,
}

/// How a [`ClipAttention`] scores clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scorer {
    /// All clips side by side → linear → ReLU → linear, with N outputs.
    #[default]
    Mlp,
    /// Each clip → linear → tanh → linear, with one output.
    Tanh,
}

/// How scores of clips become weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Each by itself, between 0 and 1.
    #[default]
    Sigmoid,
    /// Over the clips of a video: they add up to 1.
    Softmax,
}

/// What is done with weighted clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Kind for ClipAttention {
    const NAME: &'static str = "clip_attention";
    const GROUP: Group = Group::Model;

    fn remarks(&self) -> Vec<ParamProblem> {
        match (self.gate, self.reduce, self.residual) {
            (Gate::Softmax, Reduce::Mean, false) => vec![
                ParamProblem::new(
                    "reduce",
                    "weights of a softmax add up to 1, and the mean divides by N once more",
                )
                .help("choose `reduce = \"sum\"` for the weighted mean of the clips"),
            ],
            _ => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,D]", "clip features")
            .output("y", "?X[R,D]", "the weighted clips as one")
            .output("weight", "Feature[R,N]", "the weight of each clip")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let x = input(cx, "x")?;
        let (clips, values) = (known(x, 1)?, known(x, 2)?);
        let hidden = match &self.hidden {
            Some(count) => width("hidden", count, cx.dims)?,
            None => values,
        };
        let (seen, scores) = match self.form {
            Scorer::Mlp => (clips * values, clips),
            Scorer::Tanh => (values, 1),
        };
        Ok(Body::Compute(Box::new(Attention {
            own: self.clone(),
            clips,
            values,
            rows: rows_per_sample(x) * (clips / scores.max(1)),
            first: Layer::new("hidden", seen, hidden, true, LayerInit::of(self.init, false)),
            last: Layer::new("out", hidden, scores, true, LayerInit::of(self.init, true)),
        })))
    }
}

struct Attention {
    own: ClipAttention,
    /// Clips of a video, and values of a clip.
    clips: usize,
    values: usize,
    /// Rows of the layers for each sample.
    rows: usize,
    first: Layer,
    last: Layer,
}

struct Kept {
    x: Tensor,
    /// What the first layer sees, and its output behind the function.
    seen: Tensor,
    hidden: Tensor,
    /// `[R, N]`.
    weight: Tensor,
}

impl Attention {
    fn share(&self) -> f64 {
        match self.own.reduce {
            Reduce::Mean => 1.0 / self.clips as f64,
            Reduce::Sum => 1.0,
        }
    }

    /// What clips are multiplied by, `[R, 1, N]`.
    fn factor(&self, weight: &Tensor) -> Result<Tensor> {
        let share = self.share();
        let own = if self.own.residual { share } else { 0.0 };
        Ok(weight.affine(share, own)?.unsqueeze(1)?)
    }

    /// The gradient of the scores.
    fn ungate(&self, weight: &Tensor, grad: Tensor) -> Result<Tensor> {
        let inner = match self.own.gate {
            Gate::Sigmoid => (grad * weight.affine(-1.0, 1.0)?)?,
            Gate::Softmax => grad.broadcast_sub(&(&grad * weight)?.sum_keepdim(D::Minus1)?)?,
        };
        Ok((inner * weight)?)
    }
}

impl Compute for Attention {
    fn weights(&self) -> Vec<WeightSpec> {
        [self.first.weights(), self.last.weights()].concat()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?.contiguous()?;
        let (rows, clips, values) = x.dims3()?;
        if x.elem_count() == 0 {
            let out = vec![nothing(&x, (rows, values))?, nothing(&x, (rows, clips))?];
            return Ok((out, Box::new(None::<Kept>)));
        }
        let seen = x.reshape(((), self.first.inputs()))?;
        let hidden = match self.own.form {
            Scorer::Mlp => self.first.forward(step, &seen, true)?,
            Scorer::Tanh => self.first.forward(step, &seen, false)?.tanh()?,
        };
        let scores = self.last.forward(step, &hidden, false)?.reshape((rows, clips))?;
        let weight = match self.own.gate {
            Gate::Sigmoid => sigmoid(&scores)?,
            Gate::Softmax => candle_nn::ops::softmax(&scores, D::Minus1)?,
        };
        let y = ab(&self.factor(&weight)?, &x)?.squeeze(1)?;
        let kept = Kept {
            x,
            seen,
            hidden,
            weight: weight.clone(),
        };
        Ok((vec![y, weight], Box::new(Some(kept))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (dy, of_weight) = (arrived(&mut grads, 0), arrived(&mut grads, 1));
        let Some(kept) = *kept::<Option<Kept>>(saved)? else {
            let of = |g: Tensor| nothing(&g, (0, self.clips, self.values));
            return Ok(vec![dy.or(of_weight).map(of).transpose()?]);
        };
        let mut dx = None;
        let mut dw = of_weight;
        if let Some(dy) = dy {
            let dy = dy.contiguous()?.unsqueeze(1)?;
            dx = Some(atb(&self.factor(&kept.weight)?, &dy)?);
            let through = (abt(&kept.x, &dy)?.squeeze(2)? * self.share())?;
            dw = Some(match dw {
                Some(own) => (own + through)?,
                None => through,
            });
        }
        let Some(dw) = dw else { return Ok(vec![None]) };
        let scores = self.ungate(&kept.weight, dw)?.reshape(((), self.last.outputs()))?;
        let hidden = self.last.backward(&mut step.weights, &kept.hidden, &scores, true)?;
        let hidden = hidden.map(|g| match self.own.form {
            Scorer::Mlp => relu_backward(&g, &kept.hidden),
            Scorer::Tanh => Ok((g * kept.hidden.sqr()?.affine(-1.0, 1.0)?)?),
        });
        let Some(hidden) = hidden.transpose()? else {
            return Ok(vec![None]);
        };
        let seen = self
            .first
            .backward(&mut step.weights, &kept.seen, &hidden, step.wants[0])?;
        let Some(seen) = seen else { return Ok(vec![None]) };
        let seen = seen.reshape(kept.x.shape())?;
        Ok(vec![Some(match dx {
            Some(dx) => (dx + seen)?,
            None => seen,
        })])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let rows = batch * self.rows;
        Cost {
            macs: self.first.macs(rows) + self.last.macs(rows),
            kept: 4 * (rows * (self.first.outputs() + self.last.outputs())) as u64,
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::golden::{Case, cotangent, near};
    use crate::testing::{Probe, dense, f64s, log_softmax, normal, remarks, ty};
    use serde_json::{Value, json};

    fn probe(params: Value, n: usize, d: usize) -> Probe {
        let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
        Probe::new("clip_attention", params, &types, &[]).unwrap()
    }

    /// The gradients are those of `y` alone. `both`: whether the weights are given, too.
    fn golden(name: &str, params: Value, names: [&str; 4], both: bool) {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), name);
        let mut p = probe(params, 4, 3);
        let own = ["hidden.weight", "hidden.bias", "out.weight", "out.bias"];
        for (own, golden) in own.iter().zip(names) {
            p.set(own, case.weight(golden));
        }
        let x = Args::default().with("x", vec![case.input("x")]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        near("y", &out[0], &case.output("y"));
        if both {
            near("weight", &out[1], &case.output("w"));
        }
        let grads = vec![Some(cotangent(&out[0])), None];
        let dx = p.backward(&x, saved, grads).unwrap();
        near("dx", dx[0].as_ref().unwrap(), &case.grad("x"));
        for (own, golden) in own.iter().zip(names) {
            near(golden, &p.grad(own).unwrap(), &case.grad(golden));
        }
    }

    #[test]
    fn golden_values() {
        golden(
            "clip_attention_mlp_sigmoid",
            json!({}),
            ["l1w", "l1b", "l2w", "l2b"],
            false,
        );
        let params = json!({ "form": "tanh", "gate": "softmax", "residual": true, "reduce": "sum" });
        golden("general_attention", params, ["w1", "b1", "w2", "b2"], true);
    }

    #[test]
    fn matches_the_reference() {
        let (n, d, h) = (3, 2, 4);
        for (form, gate, reduce, residual) in [
            ("mlp", "sigmoid", "mean", false),
            ("mlp", "softmax", "sum", true),
            ("tanh", "sigmoid", "sum", false),
            ("tanh", "softmax", "mean", true),
        ] {
            let params = json!({ "form": form, "gate": gate, "reduce": reduce, "residual": residual, "hidden": h });
            let mut p = probe(params, n, d).unusual_weights();
            let reported: Vec<String> = p.outputs.iter().map(ToString::to_string).collect();
            assert_eq!(reported, ["Feature[B,2]", "Feature[B,3]"]);
            p.check(&Args::default().with("x", vec![normal(1, &[2, n, d])]), |x, w| {
                let function = |v: &f64| if form == "mlp" { v.max(0.0) } else { v.tanh() };
                let inputs = if form == "mlp" { n * d } else { d };
                let hidden: Vec<f64> = dense(&x[0], &w[0], &w[1], inputs).iter().map(function).collect();
                let scores = dense(&hidden, &w[2], &w[3], h);
                let weight: Vec<f64> = match gate {
                    "sigmoid" => scores.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect(),
                    _ => log_softmax(&scores, n).iter().map(|l| l.exp()).collect(),
                };
                let share = if reduce == "mean" { 1.0 / n as f64 } else { 1.0 };
                let own = if residual { 1.0 } else { 0.0 };
                let of = |(x, w): (&[f64], &[f64])| {
                    let at = |j: usize| share * (0..n).map(|i| (own + w[i]) * x[i * d + j]).sum::<f64>();
                    (0..d).map(at).collect::<Vec<_>>()
                };
                let y = x[0].chunks(n * d).zip(weight.chunks(n)).flat_map(of).collect();
                vec![y, weight]
            });
        }
    }

    #[test]
    fn no_videos_have_no_gradient() {
        let mut p = probe(json!({}), 3, 2);
        let x = Args::default().with("x", vec![normal(1, &[0, 3, 2])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!([out[0].dims(), out[1].dims()], [[0, 2], [0, 3]]);
        let dx = p.backward(&x, saved, vec![Some(out[0].clone()), None]).unwrap();
        assert!(f64s(dx[0].as_ref().unwrap()).is_empty());
        assert_eq!(dx[0].as_ref().unwrap().dims(), [0, 3, 2]);
    }

    #[test]
    fn a_mean_of_shares_is_remarked() {
        assert_eq!(
            remarks("clip_attention", json!({ "gate": "softmax" })),
            ["reduce: weights of a softmax add up to 1, and the mean divides by N once more"]
        );
        assert!(remarks("clip_attention", json!({ "gate": "softmax", "residual": true })).is_empty());
    }
}
