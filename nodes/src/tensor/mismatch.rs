//! `mismatch`: rows of one modality that are no longer those of the other's videos.

use super::parts::{join, part};
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes pairs for a head that learns whether two modalities are of the same video (MM-SADA, Munro and Damen, CVPR 2020): the
/// first half of the rows, rounded up, stays, and the second half is moved on by one, its last row to the front. With
/// h = ⌈R/2⌉, y_r = x_r for r < h, y_h = x_(R−1), and y_r = x_(r−1) for r > h. `label` is 1 where a row stayed, `mask` is the
/// same for losses of true pairs. A second half of a single row stays, too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mismatch {}

impl Kind for Mismatch {
    const NAME: &'static str = "mismatch";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "the rows of one modality")
            .output("x", "?X[R,*S]", "the same, the second half moved on by one")
            .output(
                "label",
                "Label[R]",
                "1 for a row that is still of its video, 0 for one that is of the next",
            )
            .output("mask", "Mask[R]", "1 for a row that is still of its video")
            .whole_step()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Shift)))
    }
}

struct Shift;

/// How many rows stay.
fn staying(rows: usize) -> usize {
    match rows {
        0..=3 => rows,
        n => n.div_ceil(2),
    }
}

/// The parts of `x` from these rows on, of these lengths, one under the other.
fn in_order(x: &Tensor, parts: [(usize, usize); 3]) -> Result<Tensor> {
    let parts = parts.map(|(from, len)| part(x, 0, from, len));
    let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
    join(&parts.iter().collect::<Vec<_>>(), 0)
}

impl Compute for Shift {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let rows = x.dim(0)?;
        let stay = staying(rows);
        let y = match rows - stay {
            0 => x.clone(),
            moved => in_order(x, [(0, stay), (rows - 1, 1), (stay, moved - 1)])?,
        };
        let label: Vec<u32> = (0..rows).map(|r| u32::from(r < stay)).collect();
        let mask: Vec<f32> = label.iter().map(|l| *l as f32).collect();
        let outputs = vec![
            y,
            Tensor::from_vec(label, rows, &Device::Cpu)?,
            Tensor::from_vec(mask, rows, &Device::Cpu)?,
        ];
        Ok((outputs, Box::new(())))
    }

    fn backward(&self, _: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None]);
        };
        let rows = grad.dim(0)?;
        let stay = staying(rows);
        let dx = match rows - stay {
            0 => grad,
            moved => in_order(&grad, [(0, stay), (stay + 1, moved - 1), (stay, 1)])?,
        };
        Ok(vec![Some(dx)])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, f64s, normal, ty};
    use serde_json::json;

    fn probe() -> Probe {
        Probe::new("mismatch", json!({}), &[("x", vec![ty("Feature", "B,3")])], &[]).unwrap()
    }

    /// The rows of the released code's batches: its second half rolled by one.
    fn order(rows: usize) -> Vec<usize> {
        match rows {
            8 => vec![0, 1, 2, 3, 7, 4, 5, 6],
            5 => vec![0, 1, 2, 4, 3],
            4 => vec![0, 1, 3, 2],
            n => (0..n).collect(),
        }
    }

    #[test]
    fn the_second_half_is_moved_on_by_one() {
        for rows in [8, 5, 4, 3, 1, 0] {
            let x = Args::default().with("x", vec![normal(rows as u64, &[rows, 3])]);
            let out = probe().forward(&x).unwrap();
            let (before, after) = (f64s(x.one("x").unwrap()), f64s(&out[0]));
            let order = order(rows);
            for (row, from) in order.iter().enumerate() {
                assert_eq!(after[3 * row..][..3], before[3 * from..][..3], "{rows} rows, row {row}");
            }
            let label = out[1].to_vec1::<u32>().unwrap();
            let true_pairs: Vec<u32> = order
                .iter()
                .enumerate()
                .map(|(r, from)| u32::from(r == *from))
                .collect();
            assert_eq!(label, true_pairs, "{rows} rows");
            assert_eq!(
                f64s(&out[2]),
                true_pairs.iter().map(|l| f64::from(*l)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn gradients_go_back_to_their_rows() {
        for rows in [8, 5, 4, 2, 0] {
            let mut p = probe();
            let x = Args::default().with("x", vec![normal(3, &[rows, 3])]);
            let reference = |x: &[Vec<f64>]| -> Vec<f64> {
                let row = |from: &usize| x[0][3 * from..][..3].to_vec();
                order(rows).iter().flat_map(row).collect()
            };
            let marks: Vec<f64> = order(rows)
                .iter()
                .enumerate()
                .map(|(r, from)| f64::from(u8::from(r == *from)))
                .collect();
            p.check(&x, |x, _| vec![reference(x), marks.clone(), marks.clone()]);
        }
    }
}
