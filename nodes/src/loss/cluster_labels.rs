//! `cluster_labels`: pseudo-labels by clusters that start at the centres of another list's classes.

use super::UNLABELLED;
use super::rows::rows;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, OverList, ParamProblem, Side, Wiring};
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Labels the videos of a list by spherical k-means (CAN, Kang et al., CVPR 2019, section 3.4): with f a video's feature over its
/// norm, the centre of a class begins as Σ f over the labelled videos of the other list, a video belongs to the class whose centre
/// is nearest by ½(1 − cosine), and centres become Σ f of their videos, until no video changes its class. Then videos as far as
/// `distance` from their centre are not trusted, nor are classes that have fewer than `least` trusted ones. A class without
/// labelled videos has no cluster; one that loses all its videos keeps its centre. Computed in float64.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterLabels {
    /// The distance, from 0 to 1, from which on a video is not trusted; without, all distances are near enough.
    #[serde(default)]
    pub distance: Option<f64>,
    /// How many trusted videos a class needs.
    #[serde(default = "one")]
    pub least: usize,
    /// How often centres move at most.
    #[serde(default = "hundred")]
    pub rounds: usize,
}

fn one() -> usize {
    1
}

fn hundred() -> usize {
    100
}

impl Kind for ClusterLabels {
    const NAME: &'static str = "cluster_labels";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if let Some(d) = self.distance.filter(|d| !(*d > 0.0 && *d <= 1.0)) {
            problems.push(ParamProblem::new(
                "distance",
                format!("{d} is not above 0 and at most 1"),
            ));
        }
        if self.rounds > 10_000 {
            problems.push(ParamProblem::new("rounds", format!("{} is above 10000", self.rounds)));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "Feature[R,D]", "a feature of each video")
            .constant()
            .input(
                "from",
                "Feature[S,D]",
                "a feature of each labelled video, of another list",
            )
            .constant()
            .input("label", "Label[S]", "the classes of these")
            .labelled()
            .constant()
            .output("label", "Label[R]", "the class of the nearest centre")
            .output(
                "mask",
                "Mask[R]",
                "1 for a video that is trusted; 0 also for one that the pass could not use",
            )
            .over_list()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::OverList(Box::new(self.clone())))
    }
}

fn unit(row: &[f64]) -> Vec<f64> {
    let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    row.iter().map(|v| v / norm).collect()
}

/// Σ f of each class, in the order of the list; nothing for a class without videos.
fn sums(features: &[Vec<f64>], labels: &[usize], classes: usize) -> Vec<Option<Vec<f64>>> {
    let of_class = |k: usize| {
        let mut own = features.iter().zip(labels).filter(|(_, l)| **l == k).map(|(f, _)| f);
        let mut sum = own.next()?.clone();
        own.for_each(|f| sum.iter_mut().zip(f).for_each(|(s, f)| *s += f));
        Some(unit(&sum))
    };
    (0..classes).into_par_iter().map(of_class).collect()
}

/// The nearest centre, the first of equals, and the distance ½(1 − cosine).
fn nearest(f: &[f64], centres: &[Option<Vec<f64>>]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (k, c) in centres.iter().enumerate() {
        let Some(c) = c else { continue };
        let d = 0.5 * (1.0 - f.iter().zip(c).map(|(a, b)| a * b).sum::<f64>());
        if d < best.1 {
            best = (k, d);
        }
    }
    best
}

impl ClusterLabels {
    /// Classes and whether they are trusted.
    fn labels(&self, x: &[Vec<f64>], from: &[Vec<f64>], known: &[usize]) -> (Vec<usize>, Vec<bool>) {
        let features: Vec<Vec<f64>> = x.iter().map(|row| unit(row)).collect();
        let starts: Vec<Vec<f64>> = from.iter().map(|row| unit(row)).collect();
        let classes = known.iter().max().map_or(0, |k| k + 1);
        let mut centres = sums(&starts, known, classes);
        let assign = |centres: &[Option<Vec<f64>>]| -> Vec<(usize, f64)> {
            features.par_iter().map(|f| nearest(f, centres)).collect()
        };
        let mut found = assign(&centres);
        for _ in 0..self.rounds {
            let labels: Vec<usize> = found.iter().map(|(k, _)| *k).collect();
            for (centre, moved) in centres.iter_mut().zip(sums(&features, &labels, classes)) {
                *centre = moved.or(centre.take());
            }
            found = assign(&centres);
            if found.iter().zip(&labels).all(|((k, _), before)| k == before) {
                break;
            }
        }
        let near = |d: f64| self.distance.is_none_or(|most| d < most);
        let mut counts = vec![0; classes];
        found
            .iter()
            .filter(|(_, d)| near(*d))
            .for_each(|(k, _)| counts[*k] += 1);
        let trusted = found
            .iter()
            .map(|(k, d)| near(*d) && counts[*k] >= self.least)
            .collect();
        (found.into_iter().map(|(k, _)| k).collect(), trusted)
    }
}

impl OverList for ClusterLabels {
    fn compute(&self, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let (x, from) = (rows("x", inputs)?, rows("from", inputs)?);
        let known = inputs.one("label")?.to_vec1::<u32>()?;
        ensure!(known.iter().all(|l| *l != u32::MAX), UNLABELLED);
        ensure!(
            known.len() == from.len(),
            "{} features and {} labels",
            from.len(),
            known.len()
        );
        let known: Vec<usize> = known.into_iter().map(|l| l as usize).collect();
        known.first().context("there are no labelled videos")?;
        let (labels, trusted) = self.labels(&x, &from, &known);
        let rows = labels.len();
        let labels: Vec<u32> = labels.into_iter().map(|l| l as u32).collect();
        let mask: Vec<f32> = trusted.into_iter().map(|t| f32::from(u8::from(t))).collect();
        Ok(vec![
            Tensor::from_vec(labels, rows, &Device::Cpu)?,
            Tensor::from_vec(mask, rows, &Device::Cpu)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{body, f64s, labels, rejected, ty};
    use crate::{Args, Body};
    use candle_core::{Device, Tensor};
    use serde_json::{Value, json};

    /// Rows of the unit circle at these angles, in degrees, some longer than others.
    fn at(angles: &[f64]) -> Tensor {
        let row = |(i, a): (usize, &f64)| {
            let (sin, cos) = a.to_radians().sin_cos();
            [(1.0 + i as f64) * cos, (1.0 + i as f64) * sin].map(|v| v as f32)
        };
        Tensor::from_iter(angles.iter().enumerate().flat_map(row), &Device::Cpu)
            .unwrap()
            .reshape((angles.len(), 2))
            .unwrap()
    }

    fn of(params: Value, x: &[f64], from: &[f64], known: &[u32]) -> (Vec<u32>, Vec<f64>) {
        let feature = || vec![ty("Feature", "B,2")];
        let types = [("x", feature()), ("from", feature()), ("label", vec![ty("Label", "B")])];
        let Ok((Body::OverList(node), ..)) = body("cluster_labels", params, &types, &[]) else {
            panic!()
        };
        let args = Args::default()
            .with("x", vec![at(x)])
            .with("from", vec![at(from)])
            .with("label", vec![labels(known)]);
        let out = node.compute(&args).unwrap();
        (out[0].to_vec1().unwrap(), f64s(&out[1]))
    }

    #[test]
    fn clusters_move_until_no_video_changes_its_class() {
        // Centres at 0 and 90 degrees; 44 is nearer to 0 at first. Then the centres are at about 22 and 75: 48 and 44 stay.
        let known = [0, 0, 2, 2];
        let from = [-10., 10., 80., 100.];
        let x = [0., 44., 48., 70., 100.];
        let none = of(json!({ "rounds": 0 }), &x, &from, &known);
        assert_eq!(none.0, [0, 0, 2, 2, 2]);
        // A group between the two that belongs to the second: its centre comes nearer with each round.
        let x = [0., 2., 40., 50., 52., 54., 56.];
        assert_eq!(of(json!({ "rounds": 0 }), &x, &from, &known).0, [0, 0, 0, 2, 2, 2, 2]);
        let (all, mask) = of(json!({}), &x, &from, &known);
        assert_eq!(all, [0, 0, 2, 2, 2, 2, 2]);
        assert_eq!(mask, [1.0; 7]);
    }

    #[test]
    fn far_videos_and_small_classes_are_not_trusted() {
        // ½(1 − cos a) of 0, 10 and 40 degrees from the centre: 0, 0.008 and 0.117.
        let x = [0., 0., 0., 10., 40., 90.];
        let (from, known) = ([0., 90.], [0, 1]);
        let (found, mask) = of(json!({ "rounds": 0, "distance": 0.05 }), &x, &from, &known);
        assert_eq!(found, [0, 0, 0, 0, 0, 1]);
        assert_eq!(mask, [1., 1., 1., 1., 0., 1.]);
        let (_, mask) = of(json!({ "rounds": 0, "distance": 0.05, "least": 2 }), &x, &from, &known);
        assert_eq!(mask, [1., 1., 1., 1., 0., 0.]);
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params| {
            let feature = || vec![ty("Feature", "B,2")];
            let types = [("x", feature()), ("from", feature()), ("label", vec![ty("Label", "B")])];
            rejected("cluster_labels", params, &types)
        };
        assert_eq!(
            of(json!({ "distance": 0.0 })),
            ["distance: 0 is not above 0 and at most 1"]
        );
        assert_eq!(of(json!({ "rounds": 20000 })), ["rounds: 20000 is above 10000"]);
    }
}
