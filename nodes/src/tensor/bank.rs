//! `bank`: rows that are kept for each video of a list.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Gradient, Group, Init, Kind, ParamProblem, Precision, Role, Saved,
    Scheduled, Side, Size, Step, WeightSpec, Wiring,
};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps a row for each video of a list (the memory bank of Wu et al., CVPR 2018; ATDOC, Liang et al., CVPR 2021): gives the rows of
/// all V videos as they are before the step, and then puts those of the step's videos in their places, as
/// `keep · old + (1 − keep) · x`. A row that was never written is 0; the first time it becomes `x`. Only training writes: in a
/// view, or frozen, a bank stays as it is. No gradient passes. The rows are saved with the weights. Of a video that is twice in a
/// step the last row counts. With `micro_batch` a part of a step sees what the parts before it wrote.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// The share of a row that stays when the video comes again, from 0 to below 1.
    #[serde(default = "nothing")]
    pub keep: Scheduled,
}

fn nothing() -> Scheduled {
    Scheduled::Number(0.0)
}

impl Kind for Bank {
    const NAME: &'static str = "bank";
    const GROUP: Group = Group::Tensor;

    fn validate(&self) -> Vec<ParamProblem> {
        self.keep.problems("keep", |k| match k {
            1.0 => Some("1 keeps all of a row: it would stay as it was first written".into()),
            k if (0.0..1.0).contains(&k) => None,
            k => Some(format!("{k} is not a share from 0 to below 1")),
        })
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("index", "Index[R,V]", "the videos of the rows, of V in the list")
            .constant()
            .input("x", "?X[R,D]", "what is kept of each video")
            .constant()
            .output(
                "rows",
                "?X[V,D]",
                "the rows of all videos, before those of this step are written",
            )
            .output(
                "known",
                "Feature[V,1]",
                "1 for a row that was written before this step, else 0",
            )
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let columns = known(input(cx, "x")?, 1)?;
        let videos = match input(cx, "index")?.dims.get(1) {
            Some(Size::Known(n)) => *n,
            // The list is not there yet: nothing runs before it is.
            _ => 0,
        };
        Ok(Body::Compute(Box::new(Rows {
            keep: self.keep,
            videos,
            columns,
        })))
    }
}

struct Rows {
    keep: Scheduled,
    videos: usize,
    columns: usize,
}

const ROWS: &str = "rows";
const KNOWN: &str = "known";

/// The places of a step's videos, each below `videos`.
pub(crate) fn places(index: &Tensor, videos: usize) -> Result<Vec<u32>> {
    let places = index.to_vec1::<u32>()?;
    match places.iter().find(|p| **p as usize >= videos) {
        Some(place) => bail!("a video has place {place} of a list of {videos}"),
        None => Ok(places),
    }
}

impl Compute for Rows {
    fn weights(&self) -> Vec<WeightSpec> {
        let spec = |name, columns| WeightSpec::new(name, &[self.videos, columns], Init::Constant(0.0), Role::Buffer);
        vec![spec(ROWS, self.columns), spec(KNOWN, 1)]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let places = places(inputs.one("index")?, self.videos)?;
        let (rows, known) = (step.weights.value(ROWS)?.clone(), step.weights.value(KNOWN)?.clone());
        // A pass that computes statistics anew is none that trains.
        if step.training && !step.again && step.average.is_none() && !places.is_empty() {
            let x = inputs.one("x")?.contiguous()?;
            let at = Tensor::from_slice(&places, places.len(), step.device)?;
            let keep = self.keep.at(step);
            let moved = match keep > 0.0 {
                true => {
                    let (old, stays) = (rows.index_select(&at, 0)?, (known.index_select(&at, 0)? * keep)?);
                    (&x + (old - &x)?.broadcast_mul(&stays)?)?
                }
                false => x,
            };
            let put = Put::new(&places, self.videos, step.device)?;
            let ones = Tensor::ones((places.len(), 1), known.dtype(), step.device)?;
            step.weights.set_buffer(ROWS, put.written(&rows, &moved)?)?;
            step.weights.set_buffer(KNOWN, put.written(&known, &ones)?)?;
        }
        Ok((vec![rows, known], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None; step.wants.len()])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        // The old rows with the new ones below them, and the rows that are chosen of these.
        let all = 2 * self.videos + batch;
        Cost {
            scratch: 4 * all.saturating_mul(self.columns + 1) as u64,
            ..Cost::default()
        }
    }
}

/// Puts rows in their places. Each row of the result is read from one place, so the same bits come on every device.
struct Put(Tensor);

impl Put {
    fn new(places: &[u32], rows: usize, device: &Device) -> Result<Put> {
        let mut from: Vec<u32> = (0..rows as u32).collect();
        for (i, place) in places.iter().enumerate() {
            from[*place as usize] = (rows + i) as u32;
        }
        Ok(Put(Tensor::from_vec(from, rows, device)?))
    }

    fn written(&self, old: &Tensor, new: &Tensor) -> Result<Tensor> {
        Ok(Tensor::cat(&[old, new], 0)?.index_select(&self.0, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, device, f64s, normal, rejected, ty};
    use crate::{Args, Gradient};
    use candle_core::{Device, Tensor};
    use serde_json::{Value, json};

    fn probe(params: Value, videos: usize) -> Probe {
        let types = [
            ("index", vec![ty("Index", &format!("B,{videos}"))]),
            ("x", vec![ty("Feature", "B,2")]),
        ];
        Probe::new("bank", params, &types, &[]).unwrap()
    }

    fn args(places: &[u32], x: &Tensor) -> Args<Tensor> {
        let index = Tensor::from_slice(places, places.len(), &Device::Cpu).unwrap();
        Args::default().with("index", vec![index]).with("x", vec![x.clone()])
    }

    fn step(p: &mut Probe, places: &[u32], x: &Tensor) -> (Vec<f64>, Vec<f64>) {
        let out = p.forward(&args(places, x)).unwrap();
        (f64s(&out[0]), f64s(&out[1]))
    }

    fn rows<const N: usize>(x: &[[f32; 2]; N]) -> Tensor {
        Tensor::new(x, &device()).unwrap()
    }

    #[test]
    fn rows_are_given_before_they_are_written() {
        let mut p = probe(json!({}), 3);
        assert_eq!(p.contract.gradient, Gradient::Stops);
        let (first, known) = step(&mut p, &[2, 0], &rows(&[[1., 2.], [3., 4.]]));
        assert_eq!((first, known), (vec![0.; 6], vec![0.; 3]));
        let (second, known) = step(&mut p, &[2], &rows(&[[5., 6.]]));
        assert_eq!((second, known), (vec![3., 4., 0., 0., 1., 2.], vec![1., 0., 1.]));
        // Without `keep` the old row is gone; of a video that is twice in a step the last counts.
        let (third, _) = step(&mut p, &[1, 1], &rows(&[[7., 7.], [8., 9.]]));
        assert_eq!(third, [3., 4., 0., 0., 5., 6.]);
        let (fourth, known) = step(&mut p, &[0], &rows(&[[0., 0.]]));
        assert_eq!((fourth, known), (vec![3., 4., 8., 9., 5., 6.], vec![1.; 3]));
    }

    #[test]
    fn a_row_moves_by_what_is_not_kept_but_for_the_first_time() {
        let mut p = probe(json!({ "keep": 0.75 }), 4);
        let mut bank = [[0f64; 2]; 4];
        let mut met = [false; 4];
        for (seed, places) in [[1u32, 3], [3, 0], [3, 1], [0, 2]].iter().enumerate() {
            let x = normal(seed as u64, &[2, 2]);
            let (found, known) = step(&mut p, places, &x);
            for (i, (row, met)) in bank.iter().zip(met).enumerate() {
                assert_eq!(known[i], f64::from(u8::from(met)));
                assert!(
                    row.iter().zip(&found[2 * i..]).all(|(a, b)| (a - b).abs() < 1e-6),
                    "{bank:?} {found:?}"
                );
            }
            for (row, place) in f64s(&x).chunks(2).zip(places) {
                let keep = if met[*place as usize] { 0.75 } else { 0.0 };
                met[*place as usize] = true;
                for (old, new) in bank[*place as usize].iter_mut().zip(row) {
                    *old = keep * *old + (1.0 - keep) * new;
                }
            }
        }
    }

    #[test]
    fn only_training_writes() {
        let mut p = probe(json!({}), 2);
        let x = rows(&[[1., 2.]]);
        step(&mut p, &[0], &x);
        p.training = false;
        step(&mut p, &[1], &x);
        assert_eq!(step(&mut p, &[1], &x).0, [1., 2., 0., 0.]);
    }

    #[test]
    fn no_rows_write_nothing() {
        let mut p = probe(json!({}), 2);
        assert_eq!(step(&mut p, &[], &normal(1, &[0, 2])).0, [0.; 4]);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("index", vec![ty("Index", "B,3")]), ("x", vec![ty("Feature", "B,2")])];
        let of = |keep: f64| rejected("bank", json!({ "keep": keep }), &types);
        assert_eq!(of(1.5), ["keep: 1.5 is not a share from 0 to below 1"]);
        assert_eq!(of(-0.1), ["keep: -0.1 is not a share from 0 to below 1"]);
        assert_eq!(
            of(1.0),
            ["keep: 1 keeps all of a row: it would stay as it was first written"]
        );
        let beyond = probe(json!({}), 3).forward(&args(&[3], &normal(1, &[1, 2])));
        assert_eq!(beyond.unwrap_err().to_string(), "a video has place 3 of a list of 3");
    }
}
