//! A linear layer whose weights are normalised.

use crate::Args;
use crate::{Autodiff, Compute, Cost, Differentiable, Init, Precision, Role, Step, Tracked, WeightSpec};
use anyhow::Result;
use candle_core::{D, Tensor};

/// `y = x (g v/‖v‖)ᵀ + b` (Salimans and Kingma, NeurIPS 2016), the norm of each output's row; weights `weight` v `[outputs,
/// inputs]`, `gain` g `[outputs]` and `bias`.
pub(super) struct WeightNorm {
    pub inputs: usize,
    pub outputs: usize,
    pub bias: bool,
    /// The standard deviation that v starts with; without, PyTorch's U(±1/√inputs).
    pub init_std: Option<f64>,
    /// Rows for each sample.
    pub rows: usize,
}

impl WeightNorm {
    pub(super) fn compute(self) -> Box<dyn Compute> {
        Box::new(Autodiff(self))
    }
}

impl Differentiable for WeightNorm {
    fn weights(&self) -> Vec<WeightSpec> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        // The norm of v that its start has in the mean square: √(inputs · 1/(3 inputs)) for PyTorch's.
        let (weight, gain, bias) = match self.init_std {
            Some(s) => (Init::Normal(s as f32), s * (inputs as f64).sqrt(), Init::Constant(0.0)),
            None => (Init::torch(inputs), (1.0f64 / 3.0).sqrt(), Init::torch(inputs)),
        };
        let mut all = vec![
            WeightSpec::new("weight", &[outputs, inputs], weight, Role::Weight),
            WeightSpec::new("gain", &[outputs], Init::Constant(gain as f32), Role::Weight),
        ];
        if self.bias {
            all.push(WeightSpec::new("bias", &[outputs], bias, Role::Bias));
        }
        all
    }

    fn forward(&self, _: &Step<'_>, weights: &Tracked, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let v = weights.get("weight")?;
        let norm = v.sqr()?.sum(D::Minus1)?.sqrt()?;
        let w = v.broadcast_mul(&(weights.get("gain")? / norm)?.unsqueeze(1)?)?;
        let y = inputs.one("x")?.matmul(&w.t()?)?;
        Ok(vec![match self.bias {
            true => y.broadcast_add(weights.get("bias")?)?,
            false => y,
        }])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let (rows, weights) = (batch * self.rows, self.inputs * self.outputs);
        Cost {
            macs: (rows * weights) as u64,
            // The weights, normalised, and what led to them.
            kept: 4 * (4 * weights + rows * (self.inputs + 2 * self.outputs)) as u64,
            scratch: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, dense, f64s, normal, rejected, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (rows, d, k) in [(1, 2, 2), (5, 3, 7), (33, 20, 12)] {
            let types = [("x", vec![ty("Feature", &format!("B,{d}"))])];
            let params = json!({ "outputs": k, "weight_norm": true });
            let mut p = Probe::new("linear", params, &types, &[]).unwrap().unusual_weights();
            p.check(&Args::default().with("x", vec![normal(1, &[rows, d])]), |x, w| {
                let rows = w[0].chunks(d).zip(&w[1]);
                let normed = rows.flat_map(|(v, g)| {
                    let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
                    v.iter().map(move |v| g * v / norm).collect::<Vec<f64>>()
                });
                vec![dense(&x[0], &normed.collect::<Vec<f64>>(), &w[2], d)]
            });
        }
    }

    #[test]
    fn it_starts_as_about_the_linear_layer_does() {
        let types = [("x", vec![ty("Feature", "B,300")])];
        let p = Probe::new(
            "linear",
            json!({ "outputs": 50, "weight_norm": true, "bias": false }),
            &types,
            &[],
        )
        .unwrap();
        assert_eq!(p.specs.len(), 2);
        for (v, g) in f64s(&p.weight("weight")).chunks(300).zip(f64s(&p.weight("gain"))) {
            let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!((norm - g).abs() < 0.1 * g, "{norm} {g}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let of = |more: serde_json::Value| {
            let mut params = json!({ "outputs": 3, "weight_norm": true });
            params
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            rejected("linear", params, &[("x", vec![ty("Feature", "B,4")])])
        };
        assert_eq!(
            of(json!({ "dropout": 0.5 })),
            ["dropout: a layer with `weight_norm` has no dropout of its own"]
        );
        assert_eq!(
            of(json!({ "init_std": 0.0 })),
            ["init_std: weights of 0 have no direction"]
        );
    }
}
