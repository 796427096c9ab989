//! Golden values of losses, `tests/golden/losses.json`: made in float64 by the released code of each method, or by a
//! straight implementation where it has none (`source`). A tensor is given by a formula: its element at `(i₀, i₁, …)` is
//! `scale · sin(phase + Σ freqs_d i_d) + shift`. Gradients are those of the sum of all differentiable outputs, each output
//! with dimensions multiplied by [`cotangent`] of its shape first; `null` is no gradient.

use super::{Probe, device, f64s};
use crate::Args;
use candle_core::{DType, Tensor};
use serde_json::Value;

/// A case of the file.
pub struct Golden(Value);

/// The case of this name.
pub fn golden(name: &str) -> Golden {
    let file: Value = serde_json::from_str(include_str!("../../tests/golden/losses.json")).unwrap();
    let found = file["cases"].as_array().unwrap().iter().find(|c| c["name"] == name);
    Golden(found.unwrap_or_else(|| panic!("no case `{name}`")).clone())
}

/// The cotangent of an output with dimensions: `sin(0.4 + 0.9 i₀ + 0.35 i₁ + 0.21 i₂)`.
pub fn cotangent(shape: &[usize]) -> Vec<f64> {
    match shape {
        [] => vec![1.0],
        shape => by_formula(shape, 0.4, &[0.9, 0.35, 0.21][..shape.len()], 1.0, 0.0),
    }
}

/// Asserts that values agree within 1e-5 of the largest, or of 1.
pub fn agree(what: &str, found: &[f64], want: &[f64]) {
    assert_eq!(found.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 1e-5 * scale, "{what}[{i}]: {a}, and {b} is right");
    }
}

/// A tensor of the test device.
pub fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    let values = Tensor::from_slice(values, shape, &candle_core::Device::Cpu).unwrap();
    values.to_dtype(DType::F32).unwrap().to_device(&device()).unwrap()
}

fn by_formula(shape: &[usize], phase: f64, freqs: &[f64], scale: f64, shift: f64) -> Vec<f64> {
    let count = shape.iter().product();
    let at = |i: usize| {
        let mut rest = i;
        let mut angle = phase;
        for (n, f) in shape.iter().zip(freqs).rev() {
            angle += f * (rest % n) as f64;
            rest /= n;
        }
        scale * angle.sin() + shift
    };
    (0..count).map(at).collect()
}

fn flat(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        v => vec![v.as_f64().unwrap()],
    }
}

impl Golden {
    /// The values and the shape of an input or weight.
    pub fn values(&self, name: &str) -> (Vec<f64>, Vec<usize>) {
        let of = ["inputs", "weights"].iter().find_map(|part| self.0[part].get(name));
        let of = of.unwrap_or_else(|| panic!("no input `{name}`"));
        let number = |key: &str| of[key].as_f64().unwrap();
        let shape: Vec<usize> = flat(&of["shape"]).iter().map(|n| *n as usize).collect();
        let freqs = flat(&of["freqs"]);
        let values = by_formula(&shape, number("phase"), &freqs, number("scale"), number("shift"));
        (values, shape)
    }

    /// An input or weight on the test device.
    pub fn input(&self, name: &str) -> Tensor {
        let (values, shape) = self.values(name);
        tensor(&values, &shape)
    }

    /// An output.
    pub fn output(&self, name: &str) -> Vec<f64> {
        flat(&self.0["outputs"][name])
    }

    /// The gradient of an input; `None` where none arrives.
    pub fn grad(&self, name: &str) -> Option<Vec<f64>> {
        match &self.0["grads"][name] {
            Value::Null => None,
            v => Some(flat(v)),
        }
    }

    /// Compares the first output of a node with output `out`, and its gradients with the case's. `ports` names the inputs
    /// of the case at each port. An input without a gradient in the case is one that its graph detaches.
    pub fn check(&self, probe: &mut Probe, ports: &[(&str, &[&str])], out: &str) {
        self.check_shifted(probe, ports, out, 0.0);
    }

    /// As [`Golden::check`], of a case whose value is higher by the constant `shift`.
    pub fn check_shifted(&self, probe: &mut Probe, ports: &[(&str, &[&str])], out: &str, shift: f64) {
        let mut inputs = Args::default();
        for (port, names) in ports {
            inputs.push(*port, names.iter().map(|n| self.input(n)).collect());
        }
        let (outputs, saved) = probe.forward_kept(&inputs).unwrap();
        let want: Vec<f64> = self.output(out).iter().map(|v| v - shift).collect();
        agree(out, &f64s(&outputs[0]), &want);
        let mut cotangents = vec![None; outputs.len()];
        let shape = outputs[0].dims();
        cotangents[0] = Some(tensor(&cotangent(shape), shape));
        let grads = probe.backward(&inputs, saved, cotangents).unwrap();
        let names = ports.iter().flat_map(|(_, names)| names.iter());
        for (name, grad) in names.zip(grads) {
            if let Some(want) = self.grad(name) {
                agree(name, &f64s(&grad.unwrap()), &want);
            }
        }
    }
}
