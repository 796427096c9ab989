//! Golden values of losses and heads, computed in float64 by other programs: `nodes/tests/golden`, whose `about` says how a file
//! gives tensors.

use super::{device, f64s};
use candle_core::Tensor;
use serde_json::Value;

/// A case of a file.
pub struct Case(Value);

impl Case {
    /// The case `name` of the file with this text.
    pub fn of(text: &str, name: &str) -> Case {
        let mut all: Value = serde_json::from_str(text).unwrap();
        let case = all["cases"][name].take();
        assert!(case.is_object(), "there is no case `{name}`");
        Case(case)
    }

    /// An input.
    pub fn input(&self, name: &str) -> Tensor {
        by_formula(&self.0["inputs"][name])
    }

    /// A weight.
    pub fn weight(&self, name: &str) -> Tensor {
        by_formula(&self.0["weights"][name])
    }

    /// Whole numbers that are given, such as labels.
    pub fn given(&self, name: &str) -> Vec<u32> {
        whole(&self.0["given"][name])
    }

    /// An output.
    pub fn output(&self, name: &str) -> Vec<f64> {
        flat(&self.0["outputs"][name])
    }

    /// An output of whole numbers, such as labels.
    pub fn numbers(&self, name: &str) -> Vec<u32> {
        whole(&self.0["outputs"][name])
    }

    /// The gradient of an input or weight.
    pub fn grad(&self, name: &str) -> Vec<f64> {
        flat(&self.0["grads"][name])
    }
}

fn whole(value: &Value) -> Vec<u32> {
    flat(value).into_iter().map(|v| v as u32).collect()
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(flat).collect(),
        one => vec![one.as_f64().unwrap_or_else(|| panic!("{one} is no number"))],
    }
}

fn by_formula(value: &Value) -> Tensor {
    let number = |key: &str| value[key].as_f64().unwrap_or_else(|| panic!("no `{key}` in {value}"));
    let shape: Vec<usize> = flat(&value["shape"]).into_iter().map(|v| v as usize).collect();
    let values = wave(&shape, number("phase"), &flat(&value["freqs"]));
    let values = values.into_iter().map(|v| number("scale") * v + number("shift"));
    Tensor::from_vec(values.map(|v| v as f32).collect(), shape, &device()).unwrap()
}

/// sin(phase + Σ freqs[d]·index[d]) at each index of a shape.
fn wave(shape: &[usize], phase: f64, freqs: &[f64]) -> Vec<f64> {
    let count: usize = shape.iter().product();
    let at = |mut i: usize| {
        let mut angle = phase;
        for (n, f) in shape.iter().zip(freqs).rev() {
            angle += f * (i % n) as f64;
            i /= n;
        }
        angle.sin()
    };
    (0..count).map(at).collect()
}

/// The gradient that arrives at an output with dimensions.
pub fn cotangent(like: &Tensor) -> Tensor {
    let values = wave(like.dims(), 0.4, &[0.9, 0.35, 0.21, 0.13]);
    let values = values.into_iter().map(|v| v as f32).collect();
    Tensor::from_vec(values, like.dims(), &device()).unwrap()
}

/// Asserts that values in 32 bits are the golden ones, within 1e-5 of the largest.
pub fn near(what: &str, found: &Tensor, want: &[f64]) {
    let found = f64s(found);
    assert_eq!(found.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 1e-5 * scale, "{what}[{i}]: {a}, and {b} is right");
    }
}
