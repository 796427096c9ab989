//! `background_gap`: Δ_bg, how far the scenes of two sets of videos are apart.

use crate::op::matmul;
use crate::{
    Args, Body, BuildCx, Contract, Gradient, Group, Kind, Metric, ParamProblem, Scores, Side, Tally, Wiring, input,
};
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The scene distance Δ_bg of two sets of videos (eq. 1): the mean over the videos of one of the distance to the nearest
/// of the other, and the same the other way, halved. The distance of two features is 1 − their cosine. Features of all
/// videos are held in memory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackgroundGap {}

impl Kind for BackgroundGap {
    const NAME: &'static str = "background_gap";
    const GROUP: Group = Group::Metric;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "Feature[S,D]", "scene features of one set")
            .constant()
            .input("target", "Feature[T,D]", "scene features of the other")
            .constant()
            .output("delta_bg", "Metric[]", "the scene distance, from 0 to 2")
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let width = input::known(input::input(cx, "source")?, 1)?;
        Ok(Body::Metric(Box::new(Gap { width })))
    }
}

struct Gap {
    width: usize,
}

impl Metric for Gap {
    fn start(&self) -> Box<dyn Tally> {
        Box::new(Features {
            width: self.width,
            sides: Default::default(),
        })
    }
}

/// Unit vectors of both sides, one after the other.
struct Features {
    width: usize,
    sides: [Vec<f32>; 2],
}

const SIDES: [&str; 2] = ["source", "target"];
/// Rows of the matrix of cosines that are in memory at a time.
const ROWS: usize = 256;

impl Tally for Features {
    fn update(&mut self, inputs: &Args<Tensor>) -> Result<()> {
        for (port, all) in SIDES.iter().zip(&mut self.sides) {
            let Some(features) = inputs.get(port) else { continue };
            let rows = features
                .to_vec2::<f32>()
                .with_context(|| format!("features of `{port}`"))?;
            for mut row in rows {
                ensure!(
                    row.iter().all(|v| v.is_finite()),
                    "a feature of `{port}` is not finite: are the weights those of this network?"
                );
                let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                // An all-zero feature has distance 1 to all others.
                if norm > 0.0 {
                    row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
                }
                all.extend(row);
            }
        }
        Ok(())
    }

    fn scores(&self) -> Scores {
        let [a, b] = &self.sides;
        let values = match distance(a, b, self.width) {
            Ok(Some(d)) => vec![("delta_bg".into(), d)],
            _ => vec![],
        };
        Scores {
            values,
            decimals: Some(3),
            ..Scores::default()
        }
    }
}

/// Eq. 1 of unit vectors; `None` where one side has none.
fn distance(a: &[f32], b: &[f32], width: usize) -> Result<Option<f64>> {
    let width = width.max(1);
    let (of_a, of_b) = (a.len() / width, b.len() / width);
    if of_a == 0 || of_b == 0 {
        return Ok(None);
    }
    let b = Tensor::from_slice(b, (1, of_b, width), &Device::Cpu)?;
    let mut nearest_of_b = vec![f32::NEG_INFINITY; of_b];
    let mut sum_of_a = 0.0;
    for rows in a.chunks(ROWS * width) {
        let part = Tensor::from_slice(rows, (1, rows.len() / width, width), &Device::Cpu)?;
        for cosines in matmul::abt(&part, &b)?.squeeze(0)?.to_vec2::<f32>()? {
            let mut nearest = f32::NEG_INFINITY;
            for (c, of_b) in cosines.into_iter().zip(&mut nearest_of_b) {
                nearest = nearest.max(c);
                *of_b = of_b.max(c);
            }
            sum_of_a += 1.0 - f64::from(nearest);
        }
    }
    let sum_of_b: f64 = nearest_of_b.iter().map(|c| 1.0 - f64::from(*c)).sum();
    let mean = (sum_of_a / of_a as f64 + sum_of_b / of_b as f64) / 2.0;
    // The cosine of a vector with itself may round to above 1.
    Ok(Some(mean.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, normal, ty};
    use serde_json::json;

    fn scores(source: &Tensor, target: &Tensor, batch: usize) -> Scores {
        let width = source.dim(1).unwrap();
        let types = [
            ("source", vec![ty("Feature", &format!("B,{width}"))]),
            ("target", vec![ty("Feature", &format!("B,{width}"))]),
        ];
        let Ok((Body::Metric(metric), ..)) = body("background_gap", json!({}), &types, &[]) else {
            panic!("a metric");
        };
        let mut tally = metric.start();
        let rows = |t: &Tensor| t.dim(0).unwrap();
        for at in (0..rows(source).max(rows(target))).step_by(batch) {
            let part = |t: &Tensor| match rows(t).saturating_sub(at).min(batch) {
                0 => vec![],
                n => vec![t.narrow(0, at, n).unwrap()],
            };
            let inputs = Args::default()
                .with("source", part(source))
                .with("target", part(target));
            tally.update(&inputs).unwrap();
        }
        tally.scores()
    }

    /// Eq. 1 computed literally.
    fn written_out(source: &Tensor, target: &Tensor) -> f64 {
        let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
        let d = |u: &[f32], v: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            1.0 - dot(u, v) / (dot(u, u) * dot(v, v)).sqrt()
        };
        let one_way = |from: &[Vec<f32>], to: &[Vec<f32>]| {
            let nearest = |u: &Vec<f32>| to.iter().map(|v| d(u, v)).fold(f64::INFINITY, f64::min);
            from.iter().map(nearest).sum::<f64>() / from.len() as f64
        };
        let (u, v) = (rows(source), rows(target));
        0.5 * (one_way(&u, &v) + one_way(&v, &u))
    }

    #[test]
    fn is_what_is_written() {
        for (seed, s, t, width, batch) in [(1, 9, 4, 7, 3), (2, 1, 30, 5, 8), (3, 600, 20, 16, 25)] {
            let (source, target) = (normal(seed, &[s, width]), normal(seed + 10, &[t, width]));
            let scores = scores(&source, &target, batch);
            assert_eq!(scores.values[0].0, "delta_bg");
            let (found, want) = (scores.values[0].1, written_out(&source, &target));
            assert!((found - want).abs() < 1e-6, "{found}, {want}");
        }
    }

    #[test]
    fn the_same_scenes_are_at_no_distance_and_opposite_ones_at_two() {
        let x = normal(4, &[6, 8]);
        assert!(scores(&x, &(&x * 3.0).unwrap(), 4).values[0].1 < 1e-6);
        let one = normal(5, &[1, 8]);
        assert!((scores(&one, &one.neg().unwrap(), 4).values[0].1 - 2.0).abs() < 1e-6);
        let zero = one.zeros_like().unwrap();
        assert_eq!(scores(&one, &zero, 4).values[0].1, 1.0);
    }

    #[test]
    fn without_videos_of_one_side_there_is_no_distance() {
        let x = normal(4, &[6, 8]);
        assert_eq!(scores(&x, &x.narrow(0, 0, 0).unwrap(), 4).values, []);
    }
}
