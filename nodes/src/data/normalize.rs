//! `normalize`: bytes to numbers about zero.

use crate::contract::*;
use crate::op::normalize::normalize;
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// `(x − mean) / std` of every channel, on the device: clips of bytes, 0 to 255, become clips of 32-bit floats. Optical flow has
/// two channels, and so two means and standard deviations: `[128, 128]` for both is x/128 − 1, which is 0 without motion.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// What is subtracted from red, green and blue, or from the two components of optical flow; by default ImageNet's means.
    #[serde(default = "imagenet_mean")]
    #[schemars(length(min = 2, max = 3))]
    pub mean: Vec<f64>,
    /// What they are divided by then; by default ImageNet's standard deviations.
    #[serde(default = "imagenet_std")]
    #[schemars(length(min = 2, max = 3))]
    pub std: Vec<f64>,
}

fn imagenet_mean() -> Vec<f64> {
    vec![123.675, 116.28, 103.53]
}

fn imagenet_std() -> Vec<f64> {
    vec![58.395, 57.12, 57.375]
}

impl Kind for Normalize {
    const NAME: &'static str = "normalize";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let bad_std = |s: &f64| !(s.is_finite() && *s > 0.0);
        let mut problems = vec![];
        if ![2, 3].contains(&self.mean.len()) {
            let message = format!("{}, and a channel has one", values(self.mean.len()));
            problems.push(ParamProblem::new("mean", message).help("give 3 for RGB, 2 for optical flow"));
        } else if self.std.len() != self.mean.len() {
            let message = format!("{}, and `mean` has {}", values(self.std.len()), self.mean.len());
            problems.push(ParamProblem::new("std", message).help("give both 3 for RGB, 2 for optical flow"));
        }
        for (i, s) in self.std.iter().enumerate().filter(|(_, s)| bad_std(s)) {
            problems.push(ParamProblem::new(format!("std[{i}]"), format!("{s} is not above 0")));
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let listed = |of: &[f64], by: f64| {
            let values: Vec<String> = of.iter().map(|v| format!("{:.3}", v * by)).collect();
            values.join(", ")
        };
        // What is meant for values from 0 to 1; means of 0 are also those of bytes that are divided alone.
        let unit_mean = self.mean.iter().all(|m| (0.0..=1.0).contains(m)) && self.mean.iter().any(|m| *m != 0.0);
        let unit_std = self.std.iter().all(|s| *s <= 1.0) && self.std.iter().any(|s| *s != 1.0);
        let neither = self.mean.iter().all(|m| *m == 0.0) && self.std.iter().all(|s| *s == 1.0);
        if neither {
            let message = "mean 0 and standard deviation 1 leave the bytes as they are, from 0 to 255";
            let bytes = vec!["255"; self.std.len()].join(", ");
            let help = format!("for values from 0 to 1, give std = [{bytes}]");
            return vec![ParamProblem::new("std", message).help(help)];
        }
        let mut remarks = vec![];
        let of_unit = |name: &str, of: &[f64]| {
            let message = format!(
                "[{}] looks meant for values from 0 to 1, and the clips are bytes, 0 to 255",
                listed(of, 1.0)
            );
            ParamProblem::new(name, message).help(format!("times 255: {name} = [{}]", listed(of, 255.0)))
        };
        if unit_mean {
            remarks.push(of_unit("mean", &self.mean));
        }
        if unit_std {
            remarks.push(of_unit("std", &self.std));
        }
        let mut pairs = self.mean.iter().zip(&self.std);
        let swapped = pairs.all(|(mean, std)| 1.0 < *mean && mean < std);
        if swapped {
            let message = "every standard deviation is above its mean, as if the two were exchanged";
            remarks.push(ParamProblem::new("mean", message).help(format!(
                "mean = [{}], std = [{}]",
                listed(&self.std, 1.0),
                listed(&self.mean, 1.0)
            )));
        }
        if self.mean.iter().any(|m| !(0.0..=255.0).contains(m)) && !unit_mean {
            let message = format!("[{}] is outside of the bytes, 0 to 255", listed(&self.mean, 1.0));
            remarks.push(ParamProblem::new("mean", message));
        }
        // ImageNet's means in the order of OpenCV and Caffe.
        let [red, green, blue] = self.mean[..] else {
            return remarks;
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1.0;
        if near(red, 103.9) && near(green, 116.5) && near(blue, 123.4) {
            let message = format!(
                "[{}] are ImageNet's means of blue, green and red",
                listed(&self.mean, 1.0)
            );
            let swapped = listed(&[blue, green, red], 1.0);
            remarks.push(ParamProblem::new("mean", message).help(format!("frames are RGB: mean = [{swapped}]")));
        }
        remarks
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let ty = format!("Clip[B,N,T,H,W,{}]", self.mean.len());
        Contract::on(Side::Device)
            .input("clips", &ty, "the clips, bytes")
            .constant()
            .output("clips", &ty, "the clips, floats")
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Normalizer {
            mean: self.mean.iter().map(|m| *m as f32).collect(),
            std: self.std.iter().map(|s| *s as f32).collect(),
            clips: cx.input("clips").cloned(),
        })))
    }
}

/// `3 values`, `1 value`.
fn values(n: usize) -> String {
    format!("{n} value{}", if n == 1 { "" } else { "s" })
}

struct Normalizer {
    mean: Vec<f32>,
    std: Vec<f32>,
    clips: Option<Type>,
}

impl Compute for Normalizer {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let clips = inputs.one("clips")?;
        ensure!(
            clips.dtype() == DType::U8 && clips.dims().last() == Some(&self.mean.len()),
            "clips of bytes with {} channels are needed, not {:?} {:?}",
            self.mean.len(),
            clips.dtype(),
            clips.dims()
        );
        let out = normalize(clips, &self.mean, &self.std, step.precision.activations())?;
        Ok((vec![out], Box::new(())))
    }

    fn backward(&self, _: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let elements = self.clips.as_ref().and_then(|t| t.elements(batch)).unwrap_or(0) as u64;
        Cost {
            macs: elements,
            ..Cost::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, dims, node, problems};
    use super::*;
    use crate::testing::device;
    use serde_json::{Value, json};

    fn compute(params: Value) -> Box<dyn Compute> {
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        let sizes = [2, 8, 6, 5, 3].map(Size::Known);
        let clips = Type {
            head: crate::Head::Clip,
            dims: [&[Size::Batch(1)], &sizes[..]].concat(),
        };
        cx.inputs.insert("clips".into(), vec![clips]);
        match node::<Normalize>(params).build(&cx) {
            Ok(Body::Compute(c)) => c,
            _ => panic!(),
        }
    }

    fn forward(params: Value, clips: &Tensor) -> Result<Tensor> {
        let mut store = WeightStore::default();
        let mut step = Step {
            weights: Scope::new(&mut store, "normalize"),
            key: Key::new(0),
            training: true,
            progress: 0.0,
            step: 0,
            wants: &[false],
            backward: false,
            again: false,
            average: None,
            record: false,
            device: &device(),
            precision: Precision::F32,
        };
        let inputs = Args::default().with("clips", vec![clips.clone()]);
        Ok(compute(params).forward(&mut step, &inputs)?.0.remove(0))
    }

    #[test]
    fn every_channel_has_its_own_numbers() {
        let bytes: Vec<u8> = (0..3 * 2 * 8 * 6 * 5 * 3).map(|i| (i * 7 % 256) as u8).collect();
        let clips = Tensor::from_vec(bytes.clone(), (3, 2, 8, 6, 5, 3), &device()).unwrap();
        let out = forward(json!({}), &clips).unwrap();
        assert_eq!(out.dims(), clips.dims());
        let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
        for (i, y) in out.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().enumerate() {
            let expected = (bytes[i] as f64 - mean[i % 3]) / std[i % 3];
            assert!((*y as f64 - expected).abs() < 1e-6, "{i}: {y}, {expected}");
        }
    }

    #[test]
    fn optical_flow_has_two_channels() {
        let bytes: Vec<u8> = (0..2 * 3 * 5 * 2).map(|i| (i * 37 % 256) as u8).collect();
        let clips = Tensor::from_vec(bytes.clone(), (1, 1, 2, 3, 5, 2), &device()).unwrap();
        let out = forward(json!({"mean": [128, 120], "std": [128, 64]}), &clips).unwrap();
        assert_eq!(out.dims(), clips.dims());
        let (mean, std) = ([128.0, 120.0], [128.0, 64.0]);
        for (i, y) in out.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().enumerate() {
            assert_eq!(f64::from(*y), (f64::from(bytes[i]) - mean[i % 2]) / std[i % 2], "{i}");
        }
        let e = forward(json!({}), &clips).unwrap_err().to_string();
        assert!(e.starts_with("clips of bytes with 3 channels are needed"), "{e}");
    }

    #[test]
    fn a_view_of_clips_is_read_in_its_own_order() {
        let bytes: Vec<u8> = (0..36).collect();
        let clips = Tensor::from_vec(bytes, (2, 1, 1, 2, 3, 3), &device()).unwrap();
        let p = json!({"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]});
        let second = clips.narrow(0, 1, 1).unwrap();
        let out = forward(p, &second)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(out, (18..36).map(|i| i as f32).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_seldom_meant_is_reported() {
        let remarks = |params: Value| -> Vec<String> {
            let told = node::<Normalize>(params).remarks();
            told.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
        };
        let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
        assert_eq!(remarks(json!({"mean": mean, "std": std})), [""; 0]);
        assert_eq!(
            remarks(json!({"mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]})),
            [""; 0]
        );
        assert_eq!(
            remarks(json!({"mean": std, "std": mean})),
            ["mean: every standard deviation is above its mean, as if the two were exchanged"]
        );
        for mean in [[12367.5, 11628.0, 10353.0], [-1.0, -1.0, -1.0]] {
            let told = remarks(json!({"mean": mean, "std": std}));
            assert!(
                told.len() == 1 && told[0].ends_with("is outside of the bytes, 0 to 255"),
                "{told:?}"
            );
        }
        let told = remarks(json!({"mean": [0.485, 0.456, 0.406], "std": std}));
        assert!(told.len() == 1 && told[0].contains("values from 0 to 1"), "{told:?}");
    }

    #[test]
    fn cost_counts_the_elements() {
        assert_eq!(compute(json!({})).cost(4, Precision::F32).macs, 4 * 2 * 8 * 6 * 5 * 3);
    }

    #[test]
    fn wrong_input_and_parameters_are_reported() {
        let floats = Tensor::zeros((1, 1, 1, 2, 2, 3), DType::F32, &device()).unwrap();
        assert!(forward(json!({}), &floats).unwrap_err().to_string().contains("bytes"));
        let found = problems::<Normalize>(json!({"std": [1.0, 0.0, 1.0]}), &dims(&[]));
        assert_eq!(found, ["std[1]: 0 is not above 0"]);
        let found = problems::<Normalize>(json!({"mean": [128.0]}), &dims(&[]));
        assert_eq!(found, ["mean: 1 value, and a channel has one"]);
        let found = problems::<Normalize>(json!({"mean": [128.0, 128.0]}), &dims(&[]));
        assert_eq!(found, ["std: 3 values, and `mean` has 2"]);
    }
}
