//! `centroid_labels`: pseudo-labels by the nearest centroid of a whole list.

use super::rows::{arg_max, rows, softmax};
use crate::input::several_classes;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, OverList, ParamProblem, Side, Wiring};
use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Labels the videos of a list by the centroids of classes (SHOT, Liang et al., ICML 2020, eq. 4 to 6): with f a video's
/// feature, to which a 1 is appended, over its norm, and p the softmax of its scores, c_k = Σ p_k f / (Σ p_k + 10⁻⁸); the label is
/// the class of the centroid that is nearest by the cosine. A class that is the largest score of no video has no centroid. Then
/// `rounds` times again with the labels in place of p. Computed in float64.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CentroidLabels {
    /// How often centroids are computed again, from the labels.
    #[serde(default = "one")]
    pub rounds: usize,
}

fn one() -> usize {
    1
}

impl Kind for CentroidLabels {
    const NAME: &'static str = "centroid_labels";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        let most = 1000;
        match self.rounds > most {
            true => vec![ParamProblem::new("rounds", format!("{} is above {most}", self.rounds))],
            false => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "Feature[R,D]", "a feature of each video")
            .constant()
            .input("logits", "Logits[R,K]", "the scores of each video")
            .constant()
            .output("label", "Label[R]", "the class of the nearest centroid")
            .output(
                "mask",
                "Mask[R]",
                "0 for a video that the pass could not use, which has no label",
            )
            .over_list()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::OverList(Box::new(self.clone())))
    }
}

/// c_k = Σ_i w_ik f_i / (Σ_i w_ik + 1e-8), class by class, each in the order of the list.
fn centroids(features: &[Vec<f64>], weights: &[Vec<f64>], classes: usize) -> Vec<Vec<f64>> {
    let of_class = |k: usize| {
        let mut sum = vec![0.0; features.first().map_or(0, Vec::len)];
        let mut total = 0.0;
        for (f, w) in features.iter().zip(weights).filter(|(_, w)| w[k] != 0.0) {
            total += w[k];
            sum.iter_mut().zip(f).for_each(|(s, f)| *s += w[k] * f);
        }
        sum.into_iter().map(|s| s / (total + 1e-8)).collect()
    };
    (0..classes).into_par_iter().map(of_class).collect()
}

/// The classes of the nearest centroids by the cosine, among those that some of `before` names; the first of equals.
fn nearest(features: &[Vec<f64>], centroids: &[Vec<f64>], before: &[usize]) -> Vec<usize> {
    let mut live = vec![false; centroids.len()];
    before.iter().for_each(|k| live[*k] = true);
    let of = |f: &Vec<f64>| {
        let mut best = (f64::NEG_INFINITY, 0);
        for (k, c) in centroids.iter().enumerate().filter(|(k, _)| live[*k]) {
            let dot: f64 = f.iter().zip(c).map(|(a, b)| a * b).sum();
            let norm = c.iter().map(|v| v * v).sum::<f64>().sqrt();
            let cosine = dot / norm.max(1e-300);
            if cosine > best.0 {
                best = (cosine, k);
            }
        }
        best.1
    };
    features.par_iter().map(of).collect()
}

impl CentroidLabels {
    /// The labels, and the last centroids.
    fn labels(&self, x: &[Vec<f64>], logits: &[Vec<f64>]) -> (Vec<usize>, Vec<Vec<f64>>) {
        let classes = logits.first().map_or(0, Vec::len);
        let unit = |row: &Vec<f64>| {
            let norm = (1.0 + row.iter().map(|v| v * v).sum::<f64>()).sqrt();
            row.iter().copied().chain([1.0]).map(|v| v / norm).collect::<Vec<f64>>()
        };
        let features: Vec<Vec<f64>> = x.iter().map(unit).collect();
        let mut weights: Vec<Vec<f64>> = logits.iter().map(|z| softmax(z)).collect();
        let mut labels: Vec<usize> = logits.iter().map(|z| arg_max(z)).collect();
        let mut last = vec![];
        for _ in 0..=self.rounds {
            last = centroids(&features, &weights, classes);
            labels = nearest(&features, &last, &labels);
            weights = labels
                .iter()
                .map(|l| (0..classes).map(|k| f64::from(u8::from(k == *l))).collect())
                .collect();
        }
        (labels, last)
    }
}

impl OverList for CentroidLabels {
    fn compute(&self, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let (x, logits) = (rows("x", inputs)?, rows("logits", inputs)?);
        ensure!(
            x.len() == logits.len(),
            "{} features and {} scores",
            x.len(),
            logits.len()
        );
        let (labels, _) = self.labels(&x, &logits);
        let count = labels.len();
        let labels: Vec<u32> = labels.into_iter().map(|l| l as u32).collect();
        Ok(vec![
            Tensor::from_vec(labels, count, &Device::Cpu)?,
            Tensor::ones(count, DType::F32, &Device::Cpu)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::golden::Case;
    use crate::testing::{body, f64s, rejected, ty};
    use serde_json::json;

    fn case() -> (Case, Tensor, Tensor) {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "shot_labels");
        let here = |t: Tensor| t.to_device(&Device::Cpu).unwrap();
        let (x, logits) = (here(case.input("feat")), here(case.input("logits")));
        (case, x, logits)
    }

    fn labels(params: serde_json::Value, x: Tensor, logits: Tensor) -> Result<Vec<u32>> {
        let of = |head: &str, t: &Tensor| vec![ty(head, &format!("B,{}", t.dim(1).unwrap()))];
        let types = [("x", of("Feature", &x)), ("logits", of("Logits", &logits))];
        let Ok((Body::OverList(node), ..)) = body("centroid_labels", params, &types, &[]) else {
            panic!()
        };
        let out = node.compute(&Args::default().with("x", vec![x]).with("logits", vec![logits]))?;
        assert_eq!(f64s(&out[1]), vec![1.0; out[0].dim(0)?]);
        Ok(out[0].to_vec1()?)
    }

    #[test]
    fn golden_labels() {
        let (case, x, logits) = case();
        let first = labels(json!({ "rounds": 0 }), x.clone(), logits.clone()).unwrap();
        assert_eq!(first, case.numbers("first"));
        assert_eq!(
            labels(json!({}), x.clone(), logits.clone()).unwrap(),
            case.numbers("label")
        );
        let all = |t: &Tensor| -> Vec<Vec<f64>> { t.to_dtype(DType::F64).unwrap().to_vec2().unwrap() };
        let (_, found) = CentroidLabels { rounds: 1 }.labels(&all(&x), &all(&logits));
        for (found, right) in found.concat().iter().zip(case.output("centroids")) {
            assert!((found - right).abs() < 1e-6, "{found}, and {right} is right");
        }
    }

    #[test]
    fn a_class_of_no_video_has_no_centroid() {
        // The third class is close to all, and the largest score of none.
        let x = Tensor::new(&[[1f32, 0.], [0.9, 0.1], [0., 1.], [0.1, 0.9]], &Device::Cpu).unwrap();
        let logits = [[2f32, 0., 1.9], [2., 0., 1.9], [0., 2., 1.9], [0., 2., 1.9]];
        let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
        assert_eq!(labels(json!({}), x, logits).unwrap(), [0, 0, 1, 1]);
    }

    #[test]
    fn labels_are_those_of_float64_and_threads_change_none() {
        let (x, logits) = (
            crate::testing::normal(1, &[300, 7]),
            crate::testing::normal(2, &[300, 5]),
        );
        let here = |t: &Tensor| t.to_device(&Device::Cpu).unwrap();
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| labels(json!({ "rounds": 3 }), here(&x), here(&logits)).unwrap())
        };
        let one = of(1);
        assert_eq!(one, of(3));
        let counts: Vec<usize> = (0..5).map(|k| one.iter().filter(|l| **l == k).count()).collect();
        assert!(counts.iter().all(|c| *c > 20), "{counts:?}");
    }

    #[test]
    fn mistakes_are_named() {
        let types = |k: usize| {
            [
                ("x", vec![ty("Feature", "B,2")]),
                ("logits", vec![ty("Logits", &format!("B,{k}"))]),
            ]
        };
        assert_eq!(
            rejected("centroid_labels", json!({}), &types(1)),
            ["`logits` are scores of a single class, so there is nothing to tell apart"]
        );
        assert_eq!(
            rejected("centroid_labels", json!({ "rounds": 1001 }), &types(3)),
            ["rounds: 1001 is above 1000"]
        );
        let nan = Tensor::new(&[[f32::NAN, 0.]], &Device::Cpu).unwrap();
        let one = Tensor::new(&[[0f32, 1.]], &Device::Cpu).unwrap();
        let e = labels(json!({}), nan, one).unwrap_err();
        assert_eq!(e.to_string(), "`x` holds numbers that are not finite");
    }
}
