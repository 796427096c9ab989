//! `mlp`: a multi-layer perceptron, such as a domain classifier.

use super::dense::{DenseInit, Head, Layer, LayerInit, check_dropout, relu_backward, width};
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

/// Linear → dropout → ReLU, repeated, and a linear layer at the end: the domain classifiers of eq. 5 ("4-layer
/// MLP"; the released code has 5 layers of 2048 with dropout 0.5). No batch norm.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    /// Linear layers, the last one included.
    pub layers: usize,
    /// Width of the layers before the last.
    #[serde(default = "hidden")]
    pub hidden: Count,
    /// Values per row of the output.
    pub outputs: Count,
    /// Fraction of hidden values that dropout sets to zero in training.
    #[serde(default)]
    pub dropout: f64,
    /// The initialisation of the weights.
    #[serde(default)]
    pub init: DenseInit,
    /// The kind of output: a `Feature` on port `y`, or `Logits` on port `logits`.
    #[serde(default)]
    pub head: Head,
}

fn hidden() -> Count {
    Count::number(2048)
}

impl Kind for Mlp {
    const NAME: &'static str = "mlp";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = check_dropout(self.dropout);
        if !(1..=64).contains(&self.layers) {
            problems.push(ParamProblem::new(
                "layers",
                format!("{} is not in 1 to 64", self.layers),
            ));
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
        let hidden = width("hidden", &self.hidden, cx.dims)?;
        let outputs = width("outputs", &self.outputs, cx.dims)?;
        let last = self.layers - 1;
        let layers = (0..self.layers)
            .map(|i| {
                let from = if i == 0 { inputs } else { hidden };
                let to = if i == last { outputs } else { hidden };
                Layer::new(&i.to_string(), from, to, true, LayerInit::of(self.init, i == last))
            })
            .collect();
        Ok(Body::Compute(Box::new(Layers {
            layers,
            dropout: self.dropout,
            rows: rows_per_sample(x),
        })))
    }
}

struct Layers {
    layers: Vec<Layer>,
    dropout: f64,
    /// Rows for each sample.
    rows: usize,
}

impl Layers {
    fn share(&self, step: &Step<'_>) -> f64 {
        if step.training { self.dropout } else { 0.0 }
    }
}

impl Compute for Layers {
    fn weights(&self) -> Vec<WeightSpec> {
        self.layers.iter().flat_map(Layer::weights).collect()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let mut kept = vec![inputs.one("x")?.clone()];
        let mut x = kept[0].clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let hidden = i + 1 < self.layers.len();
            x = layer.forward(step, &x, hidden)?;
            if hidden {
                // Dropout commutes with the ReLU that the layer ends in.
                x = dropout(step.key.index(i as u64), self.share(step), &x)?;
                kept.push(x.clone());
            }
        }
        Ok((vec![x], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let mut inputs = *kept::<Vec<Tensor>>(saved)?;
        let Some(mut grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None]);
        };
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let Some(x) = inputs.pop() else { break };
            let want = i > 0 || step.wants[0];
            let Some(dx) = layer.backward(&mut step.weights, &x, &grad, want)? else {
                return Ok(vec![None]);
            };
            grad = match i {
                0 => dx,
                // Dropped values are zero in `x`, like rectified ones.
                _ => dropout(step.key.index(i as u64 - 1), self.share(step), &relu_backward(&dx, &x)?)?,
            };
        }
        Ok(vec![Some(grad)])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let rows = batch * self.rows;
        let hidden: usize = self.layers.iter().rev().skip(1).map(Layer::outputs).sum();
        Cost {
            macs: self.layers.iter().map(|l| l.macs(rows)).sum(),
            kept: 4 * (rows * hidden) as u64,
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, close, dense, f64s, normal, scalar, ty};
    use crate::{Args, Precision};
    use serde_json::json;

    fn types(d: usize) -> [(&'static str, Vec<crate::Type>); 1] {
        [("x", vec![ty("Feature", &format!("2*B,{d}"))])]
    }

    #[test]
    fn matches_the_reference() {
        for (layers, d, hidden, k) in [(1, 3, 9, 2), (2, 4, 5, 1), (4, 3, 6, 1), (5, 2, 17, 3)] {
            let params = json!({ "layers": layers, "hidden": hidden, "outputs": k, "init": "torch" });
            let mut p = Probe::new("mlp", params, &types(d), &[]).unwrap().unusual_weights();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[2*B,{k}]"));
            p.check(&Args::default().with("x", vec![normal(2, &[6, d])]), |x, w| {
                let mut x = x[0].clone();
                for i in 0..layers {
                    x = dense(&x, &w[2 * i], &w[2 * i + 1], if i == 0 { d } else { hidden });
                    if i + 1 < layers {
                        x.iter_mut().for_each(|v| *v = v.max(0.0));
                    }
                }
                vec![x]
            });
        }
    }

    #[test]
    fn starts_as_he_with_a_small_last_layer() {
        let params = json!({ "layers": 3, "hidden": 200, "outputs": 50 });
        let p = Probe::new("mlp", params, &types(100), &[]).unwrap();
        let std = |name: &str| {
            let w = f64s(&p.weight(name));
            (w.iter().map(|v| v * v).sum::<f64>() / w.len() as f64).sqrt()
        };
        assert!((std("0.weight") - 0.02f64.sqrt()).abs() < 3e-3);
        assert!((std("1.weight") - 0.1).abs() < 3e-3);
        assert!((std("2.weight") - 0.02).abs() < 1e-3);
        assert!(["0.bias", "1.bias", "2.bias"].iter().all(|b| std(b) == 0.0));
        assert_eq!(
            p.compute.cost(2, Precision::F32).macs,
            4 * (100 * 200 + 200 * 200 + 200 * 50)
        );
    }

    #[test]
    fn with_dropout_the_gradient_is_that_of_the_same_masks() {
        let params = json!({ "layers": 3, "hidden": 16, "outputs": 1, "dropout": 0.5 });
        let mut p = Probe::new("mlp", params, &types(4), &[]).unwrap().unusual_weights();
        let x = normal(2, &[1, 4]);
        let args = |x: &candle_core::Tensor| Args::default().with("x", vec![x.clone()]);
        let (out, saved) = p.forward_kept(&args(&x)).unwrap();
        let dx = p
            .backward(&args(&x), saved, vec![Some(out[0].ones_like().unwrap())])
            .unwrap();
        // The network is piecewise linear: over a small step in f32 the difference is the gradient.
        let values = [f64s(&x)];
        let value = |v: &[f64], p: &mut Probe| {
            let v: Vec<f32> = v.iter().map(|v| *v as f32).collect();
            let x = candle_core::Tensor::from_vec(v, (1, 4), x.device()).unwrap();
            scalar(&p.forward(&args(&x)).unwrap()[0].sum_all().unwrap())
        };
        let p = std::cell::RefCell::new(p);
        let numeric: Vec<f64> = (0..4)
            .map(|j| {
                let at = |h: f64| {
                    let mut v = values[0].clone();
                    v[j] += h;
                    value(&v, &mut p.borrow_mut())
                };
                (at(1e-3) - at(-1e-3)) / 2e-3
            })
            .collect();
        close("dx", &f64s(dx[0].as_ref().unwrap()), &numeric, 1e-2);
    }

    #[test]
    fn mistakes_are_named() {
        let params = json!({ "layers": 0, "outputs": 1, "dropout": -0.1 });
        let e = Probe::new("mlp", params, &types(4), &[]).err().unwrap();
        assert_eq!(
            e.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            ["dropout", "layers"]
        );
    }
}
