//! `linear`: one linear layer, such as the class head.

use super::dense::{Head, Layer, LayerInit, check_dropout, width};
use super::weight_norm::WeightNorm;
use crate::input::{input, known, rows_per_sample};
use crate::op::dropout::dropout;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Kind, ParamProblem, Precision, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// A linear layer on each row, `y = x Wᵀ + b`: the action classifier after the consensus of a video's clips.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Values per row of the output.
    pub outputs: Count,
    /// The kind of output: a `Feature` on port `y`, or `Logits` on port `logits`.
    #[serde(default)]
    pub head: Head,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Fraction of the inputs that dropout sets to zero in training.
    #[serde(default)]
    pub dropout: f64,
    /// With a number s, weights are initialised by N(0, s²) and the bias by 0 (0.001 in TSM, 0.01 in I3D); without, by PyTorch's
    /// U(±1/√inputs).
    #[serde(default)]
    pub init_std: Option<f64>,
    /// Whether W has rows of a learned norm, `y = x (g v/‖v‖)ᵀ + b` (weight normalisation, Salimans and Kingma, NeurIPS 2016): the
    /// classifier of SHOT. The gain g starts at about the norm that rows v start with.
    #[serde(default)]
    pub weight_norm: bool,
}

fn yes() -> bool {
    true
}

impl Kind for Linear {
    const NAME: &'static str = "linear";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = check_dropout(self.dropout);
        if let Some(s) = self.init_std.filter(|s| !(s.is_finite() && *s >= 0.0)) {
            problems.push(ParamProblem::new(
                "init_std",
                format!("{s} is not a number of zero or more"),
            ));
        }
        if self.weight_norm && self.dropout > 0.0 {
            let p = ParamProblem::new("dropout", "a layer with `weight_norm` has no dropout of its own");
            problems.push(p.help("put a `dropout` node before it"));
        }
        if self.weight_norm && self.init_std == Some(0.0) {
            problems.push(ParamProblem::new("init_std", "weights of 0 have no direction"));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let c = Contract::on(Side::Device).input("x", "?X[R,D]", "features");
        let c = self.head.output(c, &self.outputs);
        if self.dropout > 0.0 { c.random() } else { c }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let x = input(cx, "x")?;
        let inputs = known(x, 1)?;
        let outputs = width("outputs", &self.outputs, cx.dims)?;
        if self.weight_norm {
            let (bias, init_std, rows) = (self.bias, self.init_std, rows_per_sample(x));
            let layer = WeightNorm {
                inputs,
                outputs,
                bias,
                init_std,
                rows,
            };
            return Ok(Body::Compute(layer.compute()));
        }
        let init = match self.init_std {
            Some(s) => LayerInit::Normal(s as f32),
            None => LayerInit::Torch,
        };
        Ok(Body::Compute(Box::new(One {
            layer: Layer::new("", inputs, outputs, self.bias, init),
            dropout: self.dropout,
            rows: rows_per_sample(x),
        })))
    }
}

struct One {
    layer: Layer,
    dropout: f64,
    /// Rows for each sample.
    rows: usize,
}

impl One {
    fn share(&self, step: &Step<'_>) -> f64 {
        if step.training { self.dropout } else { 0.0 }
    }
}

impl Compute for One {
    fn weights(&self) -> Vec<WeightSpec> {
        self.layer.weights()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = dropout(step.key, self.share(step), inputs.one("x")?)?;
        Ok((vec![self.layer.forward(step, &x, false)?], Box::new(x)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let x = kept::<Tensor>(saved)?;
        let Some(dy) = arrived(&mut grads, 0) else {
            return Ok(vec![None]);
        };
        let dx = self.layer.backward(&mut step.weights, &x, &dy, step.wants[0])?;
        let share = self.share(step);
        Ok(vec![dx.map(|dx| dropout(step.key, share, &dx)).transpose()?])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let rows = batch * self.rows;
        Cost {
            macs: self.layer.macs(rows),
            kept: if self.dropout > 0.0 {
                4 * (rows * self.layer.inputs()) as u64
            } else {
                0
            },
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, dense, f64s, normal, ty};
    use crate::{Args, Role};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (rows, d, k) in [(1, 1, 1), (5, 3, 7), (33, 20, 12)] {
            let types = [("x", vec![ty("Feature", &format!("B,{d}"))])];
            let params = json!({ "outputs": "K", "head": "Logits" });
            let mut p = Probe::new("linear", params, &types, &[("K", k)])
                .unwrap()
                .unusual_weights();
            assert_eq!(p.outputs[0].to_string(), format!("Logits[B,{k}]"));
            assert_eq!(p.contract.outputs[0].name, "logits");
            p.check(&Args::default().with("x", vec![normal(1, &[rows, d])]), |x, w| {
                vec![dense(&x[0], &w[0], &w[1], d)]
            });
        }
    }

    #[test]
    fn weights_start_as_asked() {
        let types = [("x", vec![ty("Feature", "B,64")])];
        let p = Probe::new("linear", json!({ "outputs": 100 }), &types, &[]).unwrap();
        let w = f64s(&p.weight("weight"));
        let (most, mean_square) = (
            w.iter().fold(0f64, |m, v| m.max(v.abs())),
            w.iter().map(|v| v * v).sum::<f64>() / 6400.0,
        );
        assert!(most <= 0.125 && most > 0.12, "{most}");
        assert!((mean_square - 0.125f64.powi(2) / 3.0).abs() < 3e-4, "{mean_square}");
        assert_eq!(p.specs[1].role, Role::Bias);
        let params = json!({ "outputs": 3, "init_std": 0.0, "bias": false });
        let p = Probe::new("linear", params, &types, &[]).unwrap();
        assert_eq!(p.specs.len(), 1);
        assert!(f64s(&p.weight("weight")).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn dropout_has_the_same_mask_both_ways() {
        let types = [("x", vec![ty("Feature", "B,200")])];
        let params = json!({ "outputs": 1, "dropout": 0.25, "bias": false });
        let mut p = Probe::new("linear", params, &types, &[]).unwrap();
        p.set("weight", normal(3, &[1, 200]).ones_like().unwrap());
        let x = Args::default().with("x", vec![normal(1, &[1, 200]).ones_like().unwrap()]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        let kept = f64s(&out[0])[0] * 0.75;
        assert!((120.0..180.0).contains(&kept), "{kept} of 200 were kept");
        let dx = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        let passed = f64s(dx[0].as_ref().unwrap()).iter().filter(|v| **v > 0.0).count();
        assert!((passed as f64 - kept).abs() < 1e-3, "{passed} {kept}");
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("x", vec![ty("Feature", "B,4")])];
        let of = |params| Probe::new("linear", params, &types, &[]).err().unwrap();
        assert_eq!(of(json!({ "outputs": 0 }))[0].path, "outputs");
        assert_eq!(of(json!({ "outputs": 2, "dropout": 1.0 }))[0].path, "dropout");
        assert_eq!(of(json!({ "outputs": 2, "init_std": -1.0 }))[0].path, "init_std");
    }
}
